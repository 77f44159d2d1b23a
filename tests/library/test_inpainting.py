"""Filling in: what is known stays, and what is drawn follows the law that the process has."""

import pytest
import torch

from minddpm import (
    UNet,
    UNetConfig,
    inpaint,
    inpaint_steps,
    linear_schedule,
    posterior_variance,
    respaced,
)

COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)  # of two pixels
LAST = torch.tensor([False, True])  # the second is filled in
SCHEDULE = linear_schedule(1000)


def shares(t, schedule=SCHEDULE):
    """The covariance of x_t, and the matrix that turns x_t into the noise expected in it."""
    alpha_bar = schedule.alpha_bar[t]
    covariance = alpha_bar * COVARIANCE + (1 - alpha_bar) * torch.eye(2, dtype=torch.float64)
    return covariance, (1 - alpha_bar).sqrt() * torch.linalg.inv(covariance)


def perfect(x_t, t):
    """A perfect network for two pixels of that covariance and mean 0."""
    _, to_noise = shares(int(t[0]))
    return x_t @ to_noise.T


def law(resamplings, known, schedule=SCHEDULE):
    """Mean and variance of the second pixel: all steps are affine, so nothing need be drawn."""
    mean = torch.zeros(2, dtype=torch.float64)
    covariance = torch.eye(2, dtype=torch.float64)
    keep = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    for t in range(schedule.T, 0, -1):
        beta, alpha_bar = schedule.beta[t], schedule.alpha_bar[t]
        noise = shares(t, schedule)[1] * beta / (1 - alpha_bar).sqrt()
        step = keep @ (torch.eye(2, dtype=torch.float64) - noise) / (1 - beta).sqrt()
        before = schedule.alpha_bar[t - 1]
        given = torch.tensor([known * before.sqrt(), 0.0], dtype=torch.float64)
        spread = torch.stack([1 - before, beta * (t > 1)]).diag()
        for left in reversed(range(resamplings)):
            mean, covariance = step @ mean + given, step @ covariance @ step.T + spread
            if left:
                mean = (1 - beta).sqrt() * mean
                covariance = (1 - beta) * covariance + beta * torch.eye(2, dtype=torch.float64)
    return mean[1].item(), covariance[1, 1].item()


def filled(resamplings, known=1.0, count=4000, **settings):
    images = torch.full((count, 2), known, dtype=torch.float64)
    model, shorter = respaced(perfect, SCHEDULE, 100)
    settings = {"generator": torch.Generator().manual_seed(3), **settings}
    return inpaint(model, images, LAST, shorter, resamplings=resamplings, clip=False, **settings)


def test_one_pass_is_biased_and_resampling_repairs_it():
    wanted = (0.8, 0.36)  # the Gaussian of the second pixel if the first is 1
    assert law(1, 1.0) == pytest.approx((0.499, 0.496), abs=1e-3)
    assert law(10, 1.0) == pytest.approx((0.768, 0.372), abs=1e-3)
    errors = [abs(law(count, 1.0)[0] - wanted[0]) for count in (1, 2, 5, 10)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(("resamplings", "known"), [(1, 1.0), (3, -0.5), (10, 1.0)])
def test_draws_follow_the_law_of_the_process(resamplings, known):
    _, shorter = respaced(perfect, SCHEDULE, 100)
    mean, variance = law(resamplings, known, shorter)
    drawn = filled(resamplings, known)[:, 1]
    assert drawn.mean().item() == pytest.approx(mean, abs=4 * (variance / 4000) ** 0.5)
    assert drawn.var().item() == pytest.approx(variance, rel=4 * (2 / 4000) ** 0.5)


def test_what_is_known_comes_back_exactly():
    assert torch.equal(
        filled(2, known=0.123, count=50)[:, 0], torch.full((50,), 0.123, dtype=torch.float64)
    )


def test_what_stands_under_the_mask_does_not_matter():
    images = torch.full((5, 2), 0.3, dtype=torch.float64)
    others = images.clone()
    others[:, 1] = torch.tensor([7.0, -7.0, torch.inf, 0.0, 1.0])
    schedule = linear_schedule(10, 0.1, 0.5)
    drawn = [
        inpaint(perfect, x, LAST, schedule, generator=torch.Generator().manual_seed(1))
        for x in (images, others)
    ]
    assert torch.equal(*drawn)


def test_the_mask_may_be_one_for_all_or_one_for_each(network):
    images = torch.zeros(2, 1, 8, 8)
    one = torch.zeros(8, 8, dtype=torch.bool)
    one[:, 4:] = True
    schedule = linear_schedule(4, 0.1, 0.5)

    def run(mask):
        generator = torch.Generator().manual_seed(1)
        return inpaint(network, images, mask, schedule, resamplings=2, generator=generator)

    all_alike = run(one)
    assert torch.equal(all_alike, run(one.expand(2, 1, 8, 8)))
    each = torch.stack([one, one.flip(1)])[:, None]
    assert not torch.equal(all_alike[1], run(each)[1])
    assert torch.equal(run(each)[1, 0, :, 4:], images[1, 0, :, 4:])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UNet(UNetConfig(channels=(8, 16), groups=4))


def test_with_nothing_masked_it_is_the_image(network):
    schedule = linear_schedule(4, 0.1, 0.5)
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(inpaint(network, images, torch.tensor(False), schedule), images)


def test_the_states_come_in_order(network):
    schedule = linear_schedule(4, 0.1, 0.5)
    states = list(inpaint_steps(network, torch.zeros(1, 1, 8, 8), torch.tensor(True), schedule))
    assert [state.t for state in states] == [4, 3, 2, 1, 0]
    assert torch.equal(states[-1].x_t, states[-1].x_0)


def test_the_variance_is_the_callers():
    small = filled(3, variance=posterior_variance)[:, 1].var()
    assert small < 0.9 * filled(3)[:, 1].var()


def test_the_same_seed_gives_the_same_images(network):
    schedule = linear_schedule(4, 0.1, 0.5)

    def run():
        generator = torch.Generator().manual_seed(5)
        return inpaint(
            network, torch.zeros(1, 1, 8, 8), torch.tensor(True), schedule, generator=generator
        )

    assert torch.equal(run(), run())


def test_with_everything_masked_pixels_have_the_covariance_of_the_data():
    model, shorter = respaced(perfect, SCHEDULE, 100)
    nothing = torch.zeros(4000, 2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    drawn = inpaint(
        model, nothing, torch.tensor(True), shorter, resamplings=1, clip=False, generator=generator
    )
    assert torch.allclose(torch.cov(drawn.T), COVARIANCE, atol=0.1)
