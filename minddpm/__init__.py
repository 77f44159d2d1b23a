"""minddpm: Denoising Diffusion Probabilistic Models, rebuilt one notebook at a time.

Rooms, in the order of the notebooks: schedule, noising, posterior, loss, unet, sampler, training.
"""

from minddpm.loss import gaussian_kl, simple_loss, variational_bound
from minddpm.noising import forward_diffusion, forward_step, predict_noise, predict_x0
from minddpm.posterior import Gaussian, beta_variance, posterior, posterior_coefficients, posterior_variance
from minddpm.sampler import reverse_step, sample, sample_steps
from minddpm.schedule import Schedule, cosine_schedule, linear_schedule
from minddpm.training import EMA, train, train_step
from minddpm.unet import UNet, UNetConfig, timestep_embedding

__all__ = [
    "EMA",
    "Gaussian",
    "Schedule",
    "UNet",
    "UNetConfig",
    "beta_variance",
    "cosine_schedule",
    "forward_diffusion",
    "forward_step",
    "gaussian_kl",
    "linear_schedule",
    "posterior",
    "posterior_coefficients",
    "posterior_variance",
    "predict_noise",
    "predict_x0",
    "reverse_step",
    "sample",
    "sample_steps",
    "simple_loss",
    "timestep_embedding",
    "train",
    "train_step",
    "variational_bound",
]
