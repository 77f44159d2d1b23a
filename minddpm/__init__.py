"""minddpm: Denoising Diffusion Probabilistic Models, rebuilt one notebook at a time.

Rooms, in the order of the notebooks: schedule, noising, posterior, loss, unet, sampler, training,
score, ddim, guidance, targets. Beside them, start, respacing, solvers, inpainting, optimizers,
weighting and mixture.
"""

from minddpm.interrupts import loading

loading()  # first: what follows takes seconds

# ruff: noqa: E402
from minddpm.checkpoints import load, load_pretrained, save
from minddpm.data import load_mnist
from minddpm.ddim import ddim_sample, ddim_step, ddim_steps, invert
from minddpm.guidance import guided
from minddpm.images import load_images
from minddpm.inpainting import inpaint, inpaint_steps
from minddpm.loss import gaussian_kl, simple_loss, variational_bound
from minddpm.mixture import GaussianMixture
from minddpm.noising import forward_diffusion, forward_step, noise_from_x0, x0_from_noise
from minddpm.onnx_network import OnnxNetwork
from minddpm.optimizers import Muon, muon
from minddpm.posterior import (
    Gaussian,
    beta_variance,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
)
from minddpm.respacing import respaced
from minddpm.runs import train_to
from minddpm.sampler import reverse_step, sample, sample_steps
from minddpm.schedule import Schedule, cosine_schedule, linear_schedule
from minddpm.score import langevin, noise_from_score, score_from_noise
from minddpm.solvers import dpm_solver, flow_sample, heun, straight_heun
from minddpm.state import EMA
from minddpm.targets import (
    converted,
    flow_from_noise,
    flow_from_x0,
    noise_from_flow,
    noise_from_velocity,
    straight_time,
    to_straight_path,
    velocity_from_noise,
    velocity_from_x0,
    x0_from_flow,
    x0_from_velocity,
    zero_terminal_snr,
)
from minddpm.training import train, train_step
from minddpm.unet import UNet, UNetConfig, timestep_embedding
from minddpm.weighting import min_snr_weight, velocity_weight, weighted_loss

__version__ = "0.1.0"

__all__ = [
    "EMA",
    "Gaussian",
    "GaussianMixture",
    "Muon",
    "OnnxNetwork",
    "Schedule",
    "UNet",
    "UNetConfig",
    "__version__",
    "beta_variance",
    "converted",
    "cosine_schedule",
    "ddim_sample",
    "ddim_step",
    "ddim_steps",
    "dpm_solver",
    "flow_from_noise",
    "flow_from_x0",
    "flow_sample",
    "forward_diffusion",
    "forward_step",
    "gaussian_kl",
    "guided",
    "heun",
    "inpaint",
    "inpaint_steps",
    "invert",
    "langevin",
    "linear_schedule",
    "load",
    "load_images",
    "load_mnist",
    "load_pretrained",
    "min_snr_weight",
    "muon",
    "noise_from_flow",
    "noise_from_score",
    "noise_from_velocity",
    "noise_from_x0",
    "posterior_coefficients",
    "posterior_variance",
    "q_posterior",
    "respaced",
    "reverse_step",
    "sample",
    "sample_steps",
    "save",
    "score_from_noise",
    "simple_loss",
    "straight_heun",
    "straight_time",
    "timestep_embedding",
    "to_straight_path",
    "train",
    "train_step",
    "train_to",
    "variational_bound",
    "velocity_from_noise",
    "velocity_from_x0",
    "velocity_weight",
    "weighted_loss",
    "x0_from_flow",
    "x0_from_noise",
    "x0_from_velocity",
    "zero_terminal_snr",
]
