"""What lesson 10 says of guidance, where it does not compute it itself."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from minddpm import (
    GaussianMixture,
    Schedule,
    ddim_sample,
    forward_diffusion,
    guided,
    linear_schedule,
    noise_from_score,
    simple_loss,
    timestep_embedding,
)
from minddpm.ddim import ddim_step
from minddpm.guidance import drop_labels
from minddpm.noising import x0_from_noise
from minddpm.respacing import spaced_times

SCHEDULE = linear_schedule()
MEANS = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
SHARES, VARIANCE = torch.tensor([0.6, 0.4], dtype=torch.float64), 0.36
MIXTURE = GaussianMixture(MEANS, VARIANCE, SHARES)
CLOUDS = [GaussianMixture(MEANS[[k]], VARIANCE, SHARES[[k]]) for k in (0, 1)]


def exact_noise(x_t, t, label):
    """What a perfect network predicts for the two clouds."""
    if label is None:
        return noise_from_score(MIXTURE.score(x_t, t, SCHEDULE), t, SCHEDULE)
    scores = torch.stack([cloud.score(x_t, t, SCHEDULE) for cloud in CLOUDS])
    return noise_from_score(scores[label, torch.arange(len(x_t))], t, SCHEDULE)


def test_points_are_not_drawn_from_the_sharpened_density(generator):
    grid = torch.linspace(-4, 5, 1801, dtype=torch.float64)
    log_x, log_right = (m.log_density(grid[:, None], 0, SCHEDULE) for m in (MIXTURE, CLOUDS[1]))
    x_T = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    for scale in (1.0, 2.0, 4.0):
        density = (log_x + scale * (log_right - log_x)).softmax(0)
        mean = density @ grid
        std = (density @ (grid - mean) ** 2).sqrt()
        model = guided(exact_noise, 1, scale)
        start = (x_T, SCHEDULE.T)
        x = ddim_sample(model, x_T.shape, SCHEDULE, steps=100, clip=False, start=start)
        if scale == 1:  # four standard errors, and 0.01 for the steps being finite
            assert abs(x.mean() - mean) < 4 * std / math.sqrt(4000) + 0.01
            assert abs(x.std() - std) < 4 * std / math.sqrt(8000) + 0.01
        else:
            assert x.mean() > mean + 0.2
            assert x.std() < 0.9 * std


class Tiny(nn.Module):
    """Predicts the noise of a point on a line; as in the U-Net, the label none adds nothing."""

    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(3, 32, padding_idx=2)
        self.body = nn.Sequential(
            nn.Linear(1 + 32 + 32, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 1)
        )

    def forward(self, x_t, t, label=None):
        label = torch.full_like(t, 2) if label is None else label
        return self.body(torch.cat([x_t, timestep_embedding(t, 32), self.label(label)], dim=1))


def trained(share, steps=800):
    """A network that lost this share of the labels."""
    torch.manual_seed(10)
    model, generator = Tiny(), torch.Generator().manual_seed(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        label = torch.multinomial(SHARES, 256, replacement=True, generator=generator)
        noise = torch.randn(256, 1, generator=generator)
        x_0 = (MEANS[label] + math.sqrt(VARIANCE) * noise).float()
        told = drop_labels(label, 2, share, generator=generator)
        optimizer.zero_grad()
        simple_loss(partial(model, label=told), x_0, SCHEDULE, generator=generator).backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def errors(model):
    """How far its predictions are from exact ones, with labels and without."""
    generator = torch.Generator().manual_seed(11)
    label = torch.multinomial(SHARES, 2000, replacement=True, generator=generator)
    x_0 = MEANS[label] + math.sqrt(VARIANCE) * torch.randn(2000, 1, generator=generator)
    t = SCHEDULE.sample_t(2000, generator=generator)
    x_t, _ = forward_diffusion(x_0, t, SCHEDULE, generator=generator)
    return [
        (model(x_t.float(), t, told) - exact_noise(x_t, t, told)).square().mean().sqrt().item()
        for told in (label, None)
    ]


def test_a_network_that_lost_no_labels_has_no_answer_without_one():
    told, untold = errors(trained(0.1))
    assert told < 0.05
    assert untold < 0.2
    told, never_learned = errors(trained(0.0))
    assert told < 0.05
    assert never_learned > 2 * untold


@pytest.mark.parametrize("pixel", [0.0, 3.0], ids=["free", "clipped"])
def test_where_the_estimate_is_clipped_the_predicted_noise_acts_the_other_way(pixel):
    """In each of 20 steps but the last, which ends at t = 0, where no noise is left."""
    times = spaced_times(SCHEDULE.T, 20)
    for before, now in SCHEDULE.alpha_bar[times[1:]].unfold(0, 2, 1).tolist():
        step = Schedule.from_betas([1 - before, 1 - now / before])
        x_t = torch.tensor([pixel * math.sqrt(now)], dtype=torch.float64)
        ends = []
        for change in (0.0, 1e-6):
            noise = torch.full_like(x_t, change)
            x_0 = x0_from_noise(x_t, 2, noise, step).clamp(-1, 1)
            ends.append(ddim_step(x_t, 2, x_0, noise, step).item())
        along = math.sqrt(1 - before)
        free = along - math.sqrt(before / now * (1 - now))
        assert free < 0 < along
        expected = along if pixel > 1 else free
        assert (ends[1] - ends[0]) / 1e-6 == pytest.approx(expected, rel=1e-4)
