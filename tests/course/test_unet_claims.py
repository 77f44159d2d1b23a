"""What lesson 05 says of the network without computing it, or computes in a cell of its own."""

import ast
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minddpm import (
    forward_diffusion,
    linear_schedule,
    load_mnist,
    load_pretrained,
    simple_loss,
    timestep_embedding,
)

TWIN = Path(__file__).parents[2] / "notebooks" / "py" / "05_unet.py"
HELD_OUT = load_mnist("test")[0]


def least_losses():
    """The lesson's function of this name."""
    tree = ast.parse(TWIN.read_text(encoding="utf-8"))
    (source,) = (one for one in tree.body if getattr(one, "name", "") == "least_losses")
    names = {"torch": torch}
    exec(compile(ast.Module([source], []), str(TWIN), "exec"), names)
    return names["least_losses"]


@pytest.mark.parametrize("pixels", [1, 16, 784])
def test_the_least_losses_are_those_of_drawn_images(pixels, generator):
    """By Bayes' rule over all t, for 20,000 images: no density of a mean square is used."""
    schedule, count = linear_schedule(), 20_000
    alpha_bar = schedule.alpha_bar[1:]
    variance = 1 - alpha_bar / 2
    t = torch.randint(0, 1000, (count,), generator=generator)
    x_0, noise = torch.randn(2, count, pixels, generator=generator, dtype=torch.float64)
    x_t = (alpha_bar[t] / 2).sqrt()[:, None] * x_0 + (1 - alpha_bar[t]).sqrt()[:, None] * noise
    log_likelihood = -pixels / 2 * variance.log() - (x_t**2).sum(1)[:, None] / (2 * variance)
    factor = (1 - alpha_bar).sqrt() / variance
    guess = {"known": factor[t], "unknown": log_likelihood.softmax(1) @ factor}
    for expected, (name, each) in zip(least_losses()(pixels, schedule), guess.items()):
        errors = (noise - each[:, None] * x_t).square().mean(1)
        allowed = 5 * float(errors.std()) / count**0.5
        assert float(errors.mean()) == pytest.approx(expected, abs=allowed), name


@pytest.mark.parametrize(("levels", "counted"), [(0, 7), (1, 17), (2, 37)])
def test_the_encoder_sees_as_far_as_its_convolutions(levels, counted):
    """Norms look at the whole map, and are left out."""
    model, _, _ = load_pretrained()
    image = torch.zeros(1, 1, 96, 96, requires_grad=True)
    features = model.time(timestep_embedding(torch.tensor([300]), 64))
    h = model.stem(image)
    for down, (block,) in list(zip(model.downs, model.encoder))[: levels + 1]:
        block.norm_in = block.norm_out = nn.Identity()
        h = block(down(h), features)
    h[0, :, h.shape[2] // 2, h.shape[3] // 2].abs().sum().backward()
    assert int((image.grad[0, 0].abs().sum(0) > 0).sum()) == counted


@torch.inference_mode()
def test_a_time_too_small_names_too_much_noise_and_one_too_large_too_little():
    model, schedule, _ = load_pretrained()
    generator = torch.Generator().manual_seed(5)
    x_t, noise = forward_diffusion(HELD_OUT[:40], 200, schedule, generator=generator)
    answers = {given: model(x_t, torch.full((40,), given)) for given in (100, 200, 500, 1000)}
    slope = {given: float((a * noise).mean() / (noise**2).mean()) for given, a in answers.items()}
    assert slope[100] > 1.2
    assert slope[200] == pytest.approx(1, abs=0.1)
    assert slope[500] < 0.8
    # near T the answer is nearly the image itself
    assert F.cosine_similarity(answers[1000].flatten(), x_t.flatten(), dim=0) > 0.9


@torch.inference_mode()
def test_the_time_matters_most_where_the_image_is_large():
    """A block whose time layer is set to zero, in a network that was trained with all of them."""

    def error():
        losses = []
        for t in (10, 100, 300, 800):
            generator = torch.Generator().manual_seed(t)
            losses.append(simple_loss(model, HELD_OUT[:40], schedule, t=t, generator=generator))
        return float(sum(losses)) / len(losses)

    model, schedule, _ = load_pretrained()
    whole, rise = error(), {}
    levels = {28: (0, 2), 14: (1, 1), 7: (2, 0)}
    blocks = {side: [model.encoder[a][0], model.decoder[b][0]] for side, (a, b) in levels.items()}
    blocks[7] += [model.middle_in, model.middle_out]
    for side, several in blocks.items():
        for block in several:
            kept = [weights.clone() for weights in block.time.parameters()]
            for weights in block.time.parameters():
                weights.zero_()
            rise.setdefault(side, []).append(error() / whole)
            for weights, before in zip(block.time.parameters(), kept):
                weights.copy_(before)
    assert max(rise[28]) > 1.5
    assert all(0.98 < one < 1.1 for one in rise[7])
