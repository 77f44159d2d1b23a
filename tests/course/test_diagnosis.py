"""docs/diagnosis.md: each line of its table passes on right code and fails on its mistake."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from oracles import RecordingNetwork
from PIL import Image
from torch.nn.functional import interpolate

from minddpm.checkpoints import load
from minddpm.data import load_mnist
from minddpm.noising import x0_from_noise
from minddpm.sampler import reverse_step
from minddpm.schedule import linear_schedule
from minddpm.unet import UNet, UNetConfig
from minddpm_course.diagnosis import (
    SHAPE,
    counting_sampler,
    first_noise_once,
    nan_sampler,
    noisy_sampler,
    noisy_step,
    right_sampler,
    to_nothing,
    transposed_network,
    transposed_up,
    twice_rescaled,
)
from minddpm_course.figures import new_figure
from minddpm_course.trainings import train_to_stops

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/diagnosis.md").read_text()
ROWS = re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| .+? \| `(assert .+?)` \|$", PAGE, re.MULTILINE)
LINES = {place: line for _, place, line in ROWS}
SCHEDULE = linear_schedule()


def called_by(sampler):
    """The times that a sampler gives to a network, by the page's name for them."""
    network = RecordingNetwork()
    sampler(network, SCHEDULE)
    return {"told": [call.t[0] for call in network.calls], "schedule": SCHEDULE}


def upsampling(up):
    """An upsampling layer with the weights of a U-Net, and features that are equal everywhere."""
    torch.manual_seed(0)
    layer = UNet(UNetConfig(channels=(8, 16))).requires_grad_(False).ups[0]
    return {"up": partial(up, layer), "h": torch.ones(1, layer.in_channels, 8, 8)}


def right_up(up, h):
    """Upsampling as in the course: each pixel four times."""
    return interpolate(up(h), scale_factor=2.0)


def first_noise_each():
    """x_T, drawn for each image."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))


def stepping(step):
    """A reverse step at t = 1."""
    generator = torch.Generator().manual_seed(7)
    x_1, predicted_noise, noise = torch.randn(3, *SHAPE, generator=generator)
    x_0 = x0_from_noise(x_1, 1, predicted_noise, SCHEDULE).clamp(-1, 1)
    return {
        "step": lambda x_t, t, noise: step(x_t, t, x_0, SCHEDULE, noise),
        "x_1": x_1,
        "noise": noise,
    }


DIGITS = load_mnist("test")[0][:16]
CASES = {  # what the line's names stand for: in right code, and in the mistake of the picture
    "grey-mush": lambda: (called_by(right_sampler), called_by(counting_sampler)),
    "checkerboard": lambda: (upsampling(right_up), upsampling(transposed_up)),
    "all-one-digit": lambda: ({"x_T": first_noise_each()}, {"x_T": first_noise_once()}),
    "noise-remains": lambda: (stepping(reverse_step), stepping(noisy_step)),
    "contrast-lost": lambda: ({"images": DIGITS}, {"images": twice_rescaled(DIGITS)}),
    "nan": lambda: ({"schedule": SCHEDULE}, {"schedule": to_nothing(SCHEDULE)}),
}


def test_every_symptom_has_its_row_and_its_case():
    assert list(LINES) == list(CASES)


@pytest.mark.parametrize("symptom", CASES)
def test_the_line_passes_on_right_code_and_fails_on_the_mistake(symptom):
    right, mistaken = CASES[symptom]()
    exec(LINES[symptom], {"torch": torch} | right)
    with pytest.raises(AssertionError):
        exec(LINES[symptom], {"torch": torch} | mistaken)


def test_every_symptom_has_its_heading_and_a_picture_under_it():
    for place in CASES:
        heading = rf"^### {place.replace('-', ' ')}$(.+?)^##"
        section = re.search(heading, PAGE, re.MULTILINE | re.DOTALL | re.IGNORECASE)
        assert section, place
        picture = place.replace("all-", "").replace("-", "_")
        assert f"](diagnosis/{picture}.png)" in section[1], place


def test_pictures_exist_have_alternative_text_and_the_width_of_the_course():
    pictures = re.findall(r"!\[(.*?)\]\((.+?)\)", PAGE)
    names = {path.name for path in (ROOT / "docs/diagnosis").iterdir()}
    assert {Path(path).name for _, path in pictures} == names
    for text, path in pictures:
        assert len(text) > 20, path
        with Image.open(ROOT / "docs" / path) as image:
            assert image.width == round(110 * new_figure()[0].get_figwidth()), path


def test_the_noisy_sampler_ends_off_its_clipped_estimate():
    network = RecordingNetwork()
    images = noisy_sampler(network, SCHEDULE, steps=4)
    assert [call.t[0] for call in network.calls] == [1000, 750, 500, 250]
    assert images.shape == SHAPE
    assert images.abs().max() > 1  # a right sampler ends at the estimate, which is clipped


def test_nothing_left_at_T_gives_no_number():
    assert nan_sampler(lambda x_t, t: x_t, SCHEDULE, steps=3).isnan().all()


def test_the_transposed_network_differs_from_the_right_one_only_in_its_upsampling():
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8, 16))).requires_grad_(False)
    torch.nn.init.normal_(model.out.weight)
    x_t, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 7])
    right = model(x_t, t)
    wrong = transposed_network(model)(x_t, t)
    assert right.shape == wrong.shape
    assert not torch.allclose(right, wrong)


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tmp_path):
    whole, early, late = (tmp_path / f"{name}.safetensors" for name in ("whole", "early", "late"))
    digits = DIGITS[:8, :, ::4, ::4][..., :4, :4].contiguous()

    def run(state, stops):
        torch.manual_seed(0)
        model = UNet(UNetConfig(channels=(8,)))
        settings = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "seed": 0}
        train_to_stops(tmp_path / state, stops, model, digits, SCHEDULE, **settings)

    run("a.safetensors", {4: whole})
    run("b.safetensors", {2: early})
    run("b.safetensors", {2: early, 4: late})
    (one, _, about), (other, _, again) = load(whole), load(late)
    assert about["losses"] == pytest.approx(again["losses"], abs=1e-5)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
