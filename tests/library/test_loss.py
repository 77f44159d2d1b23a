"""The losses against autograd, numerical integrals and a model that knows the answer."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from minddpm import (
    Gaussian,
    beta_variance,
    forward_diffusion,
    gaussian_kl,
    linear_schedule,
    posterior_variance,
    simple_loss,
    variational_bound,
)
from minddpm.loss import discretised_log_likelihood

SCHEDULE = linear_schedule(20, 1e-3, 0.3)
PIXELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def digits(n: int, generator: torch.Generator) -> torch.Tensor:
    """Images of random 8-bit pixels, black and white among them."""
    images = PIXELS[torch.randint(256, (n, 1, 3, 4), generator=generator)]
    images[:, :, 0, 0], images[:, :, 0, 1] = -1, 1
    return images


def knows(x_0, schedule):
    """A model that solves the jump for the noise by the x_0 it knows."""

    def model(x_t, t):
        alpha_bar = (1 - schedule.beta).cumprod(0)[t].reshape(-1, *[1] * (x_t.ndim - 1))
        return ((x_t - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt()).to(x_t.dtype)

    return model


# gaussian_kl


@given(*[st.floats(-3, 3)] * 2, *[st.floats(0.05, 5)] * 2)
def test_kl_equals_torch_distributions_and_the_integral(mean_p, mean_q, var_p, var_q):
    mean_p, mean_q, var_p, var_q = torch.tensor([mean_p, mean_q, var_p, var_q], dtype=torch.float64)
    ours = gaussian_kl(Gaussian(mean_p, var_p), Gaussian(mean_q, var_q))
    p, q = Normal(mean_p, var_p.sqrt()), Normal(mean_q, var_q.sqrt())
    scale = 1 + ours
    assert abs(ours - kl_divergence(p, q)) <= 1e-13 * scale
    x = mean_p + var_p.sqrt() * torch.linspace(-12, 12, 4001, dtype=torch.float64)
    integral = (p.log_prob(x).exp() * (p.log_prob(x) - q.log_prob(x))).sum() * (x[1] - x[0])
    assert abs(ours - integral) <= 1e-10 * scale


def test_kl_is_zero_only_between_equals_and_its_gradient_is_the_difference_over_the_variance(
    generator,
):
    mean, other = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)
    variance = torch.rand(4, 1, dtype=torch.float64, generator=generator) + 0.1
    assert (gaussian_kl(Gaussian(mean, variance), Gaussian(mean, variance)) == 0).all()
    other.requires_grad_()
    kl = gaussian_kl(Gaussian(mean, variance), Gaussian(other, 2 * variance))
    assert kl.shape == (4, 3)
    assert (kl > 0).all()
    (gradient,) = torch.autograd.grad(kl.sum(), other)
    assert (gradient - (other - mean) / (2 * variance)).abs().max() <= 1e-14


# simple_loss


def test_simple_loss_is_the_mean_square_and_so_is_its_gradient(generator):
    x_0, noise, guess = torch.randn(3, 4, 1, 2, 2, dtype=torch.float64, generator=generator)
    guess.requires_grad_()
    loss = simple_loss(lambda x_t, t: guess, x_0, SCHEDULE, t=7, noise=noise)
    assert loss.shape == ()
    assert (
        abs(loss - sum((a - b) ** 2 for a, b in zip(guess.flatten(), noise.flatten())) / 16)
        <= 1e-15
    )
    (gradient,) = torch.autograd.grad(loss, guess)
    assert (gradient - 2 * (guess - noise) / 16).abs().max() <= 1e-16


def test_a_model_that_knows_the_noise_has_no_simple_loss(generator):
    x_0 = digits(8, generator)
    assert simple_loss(knows(x_0, SCHEDULE), x_0, SCHEDULE, generator=generator) <= 1e-24


def test_the_best_guess_is_an_average_and_keeps_a_loss(generator):
    """For standard normal images the noise is, on average, sqrt(1 - alpha_bar) x_t. What is left is
    alpha_bar; a larger and a smaller guess cost more.
    """
    x_0 = torch.randn(400_000, 1, dtype=torch.float64, generator=generator)
    for t in (1, 5, 20):
        alpha_bar = math.prod((1 - SCHEDULE.beta[1 : t + 1]).tolist())
        best, less, more = (
            simple_loss(
                lambda x_t, t, factor=scale * math.sqrt(1 - alpha_bar): factor * x_t,
                x_0,
                SCHEDULE,
                t=t,
                generator=torch.Generator().manual_seed(t),
            )
            for scale in (1, 0.8, 1.2)
        )
        assert abs(best - alpha_bar) <= 5 * math.sqrt(2 / 400_000)  # five standard errors
        assert best < min(less, more)


@pytest.mark.parametrize("t", [5, torch.tensor(5), torch.tensor([5, 1, 20, 9]), None])
def test_the_model_is_shown_x_t_and_one_time_for_each_image(t, generator):
    x_0 = torch.randn(4, 1, 2, 2, generator=generator)
    seen = []

    def model(x_t, times):
        seen.append((x_t, times))
        return torch.zeros_like(x_t)

    loss = simple_loss(model, x_0, SCHEDULE, t=t, generator=torch.Generator().manual_seed(5))
    again = torch.Generator().manual_seed(5)  # the draws stated: t first, then the noise
    times = SCHEDULE.sample_t(4, generator=again) if t is None else torch.as_tensor(t).expand(4)
    x_t, noise = forward_diffusion(x_0, times, SCHEDULE, generator=again)
    assert len(seen) == 1
    assert torch.equal(seen[0][0], x_t)
    assert seen[0][1].dtype == torch.int64
    assert torch.equal(seen[0][1], times)
    assert abs(loss - (noise**2).mean()) <= 1e-6


# discretised_log_likelihood


@pytest.mark.parametrize("std", [1e-4, 0.003, 0.01, 0.1, 1.0, 10.0])
def test_the_256_bins_of_a_pixel_sum_to_one(std):
    for mean in torch.linspace(-1.5, 1.5, 13, dtype=torch.float64):
        decoder = Gaussian(mean.expand(256), torch.tensor(std**2, dtype=torch.float64))
        assert abs(discretised_log_likelihood(PIXELS, decoder).exp().sum() - 1) <= 1e-12


@pytest.mark.parametrize("std", [0.01, 0.1, 1.0])
def test_a_bin_is_a_difference_of_cumulative_normals(std):
    for mean in torch.linspace(-1.1, 1.1, 9, dtype=torch.float64):
        likelihood = discretised_log_likelihood(
            PIXELS, Gaussian(mean.expand(256), torch.tensor(std**2, dtype=torch.float64))
        ).exp()
        edges = torch.linspace(-256 / 255, 256 / 255, 257, dtype=torch.float64)
        edges[0], edges[-1] = -math.inf, math.inf
        exact = (
            Normal(mean, torch.tensor(std, dtype=torch.float64), validate_args=False)
            .cdf(edges)
            .diff()
        )
        assert (likelihood - exact).abs().max() <= 1e-13


@pytest.mark.parametrize("sign", [-1, 1])
def test_far_bins_keep_their_digits(sign):
    """Forty standard deviations away a difference of cumulative normals is 0 - 0; the logarithm is
    not.
    """
    std, mean, pixel = 0.02, -0.5 * sign, PIXELS[[250 if sign == 1 else 5]]
    ours = discretised_log_likelihood(
        pixel,
        Gaussian(
            torch.tensor([mean], dtype=torch.float64), torch.tensor(std**2, dtype=torch.float64)
        ),
    )
    x = pixel + torch.linspace(-1, 1, 20_001, dtype=torch.float64) / 255
    log_density = -((x - mean) ** 2) / (2 * std**2) - math.log(std * math.sqrt(2 * math.pi))
    log_weights = torch.full_like(x, math.log(2 / 255 / 20_000))  # the trapezium rule
    log_weights[[0, -1]] -= math.log(2)
    assert ours < -1000
    # the rule's error, step^2/12 times the slope's square (74/0.02 per unit), is below 1.2e-8
    # relative
    assert abs(ours - torch.logsumexp(log_density + log_weights, 0)) <= 1e-6


# variational_bound


@pytest.mark.parametrize("schedule", [SCHEDULE, linear_schedule()], ids=["20 steps", "1000 steps"])
def test_a_model_that_knows_x_0_pays_only_the_prior_and_the_last_bin(schedule, generator):
    x_0 = digits(2, generator)
    bound = variational_bound(knows(x_0, schedule), x_0, schedule, generator=generator)
    assert bound.denoising.shape == (2, schedule.T - 1)
    assert bound.denoising.abs().max() <= 1e-9

    alpha_bar = math.prod((1 - schedule.beta[1:]).tolist())
    prior = kl_divergence(
        Normal(math.sqrt(alpha_bar) * x_0, math.sqrt(1 - alpha_bar)), Normal(0.0, 1.0)
    )
    assert (
        bound.prior - prior.sum((1, 2, 3))
    ).abs().max() <= 1e-7  # Normal keeps a float's deviation as float32

    width = math.sqrt(posterior_variance(2, schedule).item())  # borrowed, for that of t = 1 is 0
    inner = -math.log(math.erf(1 / 255 / width / math.sqrt(2)))
    edge = -math.log((1 + math.erf(1 / 255 / width / math.sqrt(2))) / 2)
    edges = (x_0.abs() == 1).double().sum((1, 2, 3))
    assert (bound.reconstruction - (edges * edge + (12 - edges) * inner)).abs().max() <= 1e-9

    total = bound.prior + bound.denoising.sum(1) + bound.reconstruction
    assert (bound.total_bits_per_dim - total / math.log(2) / 12).abs().max() <= 1e-12


def test_no_network_changes_the_prior_term(generator):
    x_0 = digits(2, generator)
    terms = [
        variational_bound(model, x_0, SCHEDULE, generator=generator)
        for model in (knows(x_0, SCHEDULE), lambda x_t, t: 0 * x_t)
    ]
    assert torch.equal(terms[0].prior, terms[1].prior)
    assert (terms[0].denoising < terms[1].denoising).all()


def test_with_variance_beta_each_denoising_term_is_a_known_constant(generator):
    x_0 = digits(3, generator)
    bound = variational_bound(
        knows(x_0, SCHEDULE), x_0, SCHEDULE, variance=beta_variance, generator=generator
    )
    for column, t in enumerate(range(SCHEDULE.T, 1, -1)):
        alpha_bar, alpha_bar_prev = (
            math.prod((1 - SCHEDULE.beta[1 : s + 1]).tolist()) for s in (t, t - 1)
        )
        share = (1 - alpha_bar_prev) / (1 - alpha_bar)  # of beta tilde in beta
        constant = 12 * (share - 1 - math.log(share)) / 2
        assert (bound.denoising[:, column] - constant).abs().max() <= 1e-9 * (1 + constant)
    width = math.sqrt(SCHEDULE.beta[1].item())  # nothing borrowed: beta_1 is not 0
    inner, edges = (
        -math.log(math.erf(1 / 255 / width / math.sqrt(2))),
        (x_0.abs() == 1).double().sum((1, 2, 3)),
    )
    edge = -math.log((1 + math.erf(1 / 255 / width / math.sqrt(2))) / 2)
    assert (bound.reconstruction - (edges * edge + (12 - edges) * inner)).abs().max() <= 1e-9


def test_a_wrong_guess_costs_its_squared_error_with_the_weight_of_the_paper(generator):
    """L_{t-1} = beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)) |noise - predicted noise|^2 (eq.
    12).
    """
    x_0, error = digits(2, generator), 0.25
    right = knows(x_0, SCHEDULE)
    bound = variational_bound(
        lambda x_t, t: right(x_t, t) + error, x_0, SCHEDULE, generator=generator
    )
    for column, t in enumerate(range(SCHEDULE.T, 1, -1)):
        beta = SCHEDULE.beta[t].item()
        alpha_bar, alpha_bar_prev = (
            math.prod((1 - SCHEDULE.beta[1 : s + 1]).tolist()) for s in (t, t - 1)
        )
        sigma_squared = (1 - alpha_bar_prev) / (1 - alpha_bar) * beta
        weight = beta**2 / (2 * sigma_squared * (1 - beta) * (1 - alpha_bar))
        assert (bound.denoising[:, column] - 12 * weight * error**2).abs().max() <= 1e-9


def test_the_bound_exceeds_the_entropy_of_the_pixels(generator):
    """For pixels drawn evenly from 256 values no model pays less than 8 bits a pixel on average."""
    x_0 = PIXELS[torch.randint(256, (400, 4), generator=generator)]

    def best_linear(x_t, t):  # the best guess if x_0 were normal, of the variance of such pixels
        alpha_bar, power = SCHEDULE.alpha_bar[t].reshape(-1, 1), (PIXELS**2).mean()
        return x_t * (1 - alpha_bar).sqrt() / (alpha_bar * power + 1 - alpha_bar)

    bits = variational_bound(
        best_linear, x_0, SCHEDULE, variance=beta_variance, generator=generator
    ).total_bits_per_dim
    assert bits.mean() >= 8 - 4 * bits.std() / math.sqrt(400)
    assert bits.mean() <= 9  # and this one is not far off


def test_the_bound_draws_noise_from_the_generator_and_leaves_the_model_as_it_was(generator):
    x_0 = digits(2, generator).float()
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Dropout())
    model[1].eval()

    def bits(seed):
        return variational_bound(
            Ignoring(model), x_0, SCHEDULE, generator=torch.Generator().manual_seed(seed)
        ).total_bits_per_dim

    assert torch.equal(bits(1), bits(1))
    assert not torch.equal(bits(1), bits(2))
    assert [module.training for module in model.modules()] == [True, True, False]


class Ignoring(torch.nn.Module):
    """A network that is not told the time, and says which mode it was asked in."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x_t, t):
        assert not any(module.training for module in self.modules())
        return self.network(x_t)
