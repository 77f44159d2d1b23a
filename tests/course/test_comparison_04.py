"""What lesson 04 rebuilds is compared with the package."""

import pytest
import torch

import minddpm
from minddpm.loss import discretised_log_likelihood
from minddpm_course.comparisons import same_as_package

LESSON_04 = {  # the package's functions, called as lesson 04 calls its own
    "gaussian_kl": minddpm.gaussian_kl,
    "mean_from_noise": lambda x_t, noise, t, s: (
        (x_t - s.beta[t] / (1 - s.alpha_bar[t]).sqrt() * noise) / s.alpha[t].sqrt()
    ),
    "noise_weight": lambda t, s, sigma2: (
        s.beta[t] ** 2 / (2 * sigma2 * s.alpha[t] * (1 - s.alpha_bar[t]))
    ),
    "bin_log_probability": lambda x_0, mean, sigma2: discretised_log_likelihood(
        x_0, minddpm.Gaussian(mean, sigma2)
    ),
    "simple_loss": lambda model, x_0, s, t=None, noise=None, generator=None: minddpm.simple_loss(
        model, x_0, s, t=t, noise=noise, generator=generator
    ),
    "bound": minddpm.variational_bound,
}


def times_784(*args, **options):
    """The simple loss summed over pixels."""
    return 784 * LESSON_04["simple_loss"](*args, **options)


def later_noise(model, x_0, s, t=None, noise=None, generator=None):
    """The simple loss of another draw of t."""
    if t is None:
        torch.rand(1, generator=generator)
    return LESSON_04["simple_loss"](model, x_0, s, t, noise, generator)


def changed(**terms):
    """The bound with some of its terms passed through functions."""

    def bound(*args, **options):
        right = minddpm.variational_bound(*args, **options)
        return right._replace(**{name: f(getattr(right, name)) for name, f in terms.items()})

    return bound


def always_beta_tilde(model, x_0, schedule, *, variance, generator):
    """The bound, the variance that is asked for ignored."""
    return minddpm.variational_bound(model, x_0, schedule, generator=generator)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gaussian_kl", lambda p, q: minddpm.gaussian_kl(q, p)),
        ("gaussian_kl", lambda p, q: (p.mean - q.mean) ** 2 / (2 * q.variance)),
        ("gaussian_kl", lambda p, q: minddpm.gaussian_kl(p, q) + 1e-11),
        ("mean_from_noise", lambda x_t, noise, t, s: x_t - s.beta[t] * noise),
        ("mean_from_noise", lambda x_t, noise, t, s: minddpm.x0_from_noise(x_t, t, noise, s)),
        ("noise_weight", lambda t, s, sigma2: 2 * LESSON_04["noise_weight"](t, s, sigma2)),
        ("noise_weight", lambda t, s, sigma2: LESSON_04["noise_weight"](t, s, s.beta[t])),
        (
            "bin_log_probability",  # edge bins closed
            lambda x_0, mean, sigma2: (
                normal_area((x_0 + 1 / 255 - mean) / sigma2.sqrt())
                - normal_area((x_0 - 1 / 255 - mean) / sigma2.sqrt())
            ).log(),
        ),
        ("bin_log_probability", lambda x_0, mean, sigma2: (x_0 - mean) ** 2 / (2 * sigma2)),
        ("simple_loss, t and noise given", times_784),
        ("simple_loss, t and noise drawn", later_noise),
        ("bound, prior", changed(prior=lambda term: 0 * term)),
        ("bound, denoising", changed(denoising=lambda term: term.flip(1))),
        ("bound, denoising", always_beta_tilde),
        ("bound, reconstruction", changed(reconstruction=lambda term: term * (1 + 1e-7))),
        ("bound, total_bits_per_dim", changed(total_bits_per_dim=lambda bits: bits / 64)),
    ],
)
def test_a_function_of_lesson_04_that_differs_is_named(name, wrong):
    with pytest.raises(AssertionError, match=f"^{name}"):
        same_as_package("04", LESSON_04 | {name.partition(",")[0]: wrong})


def normal_area(z):
    return torch.distributions.Normal(0.0, 1.0).cdf(z)


def test_equal_functions_of_lesson_04_are_named(capsys):
    same_as_package("04", LESSON_04)
    said = f"equal to the package: {', '.join(LESSON_04)}"
    assert capsys.readouterr().out.split() == said.split()  # on two lines
