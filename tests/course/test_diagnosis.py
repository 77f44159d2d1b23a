"""docs/diagnosis.md: each line of its table passes on right code and fails on the mistake it is
for.
"""

import importlib.util
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from minddpm.data import load_mnist
from minddpm.sampler import reverse_step
from minddpm.schedule import linear_schedule
from minddpm.unet import UNet, UNetConfig
from minddpm_course.figures import new_figure

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/diagnosis.md").read_text()
ROWS = re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| .+? \| `(assert .+?)` \|$", PAGE, re.MULTILINE)
LINES = {place: line for _, place, line in ROWS}
SCHEDULE = linear_schedule()
SPEC = importlib.util.spec_from_file_location("build_diagnosis", ROOT / "tools/build_diagnosis.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)


def told_by(sampler):
    """The times that a sampler gives to a network."""
    told = []
    sampler(lambda x, t: told.append(int(t[0])) or torch.zeros_like(x), SCHEDULE)
    return {"told": told, "schedule": SCHEDULE}


def upsampling(up):
    """An upsampling layer with the weights of a U-Net, and features that are the same everywhere."""
    torch.manual_seed(0)
    layer = UNet(UNetConfig(channels=(8, 16))).requires_grad_(False).ups[0]
    return {"up": partial(up, layer), "h": torch.ones(1, layer.in_channels, 8, 8)}


def stepping(step):
    """A reverse step at t = 1."""
    x_1, predicted_noise, noise = torch.randn(
        3, *tool.SHAPE, generator=torch.Generator().manual_seed(7)
    )
    return {
        "step": lambda x_t, t, noise: step(x_t, t, predicted_noise, SCHEDULE, noise, clip=True),
        "x_1": x_1,
        "noise": noise,
    }


DIGITS = load_mnist("test")[0][:16]
CASES = {  # names for the line, of right code and of the mistake that made the picture
    "grey-mush": lambda: (told_by(tool.right_sampler), told_by(tool.counting_sampler)),
    "checkerboard": lambda: (upsampling(tool.right_up), upsampling(tool.transposed_up)),
    "all-one-digit": lambda: ({"x_T": tool.first_noise_each()}, {"x_T": tool.first_noise_once()}),
    "noise-remains": lambda: (stepping(reverse_step), stepping(tool.noisy_step)),
    "contrast-lost": lambda: ({"images": DIGITS}, {"images": tool.twice_rescaled(DIGITS)}),
    "nan": lambda: ({"schedule": SCHEDULE}, {"schedule": tool.to_nothing(SCHEDULE)}),
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
        section = re.search(
            rf"^### {place.replace('-', ' ')}$(.+?)^##",
            PAGE,
            re.MULTILINE | re.DOTALL | re.IGNORECASE,
        )
        assert (
            section
            and f"](diagnosis/{place.replace('all-', '').replace('-', '_')}.png)" in section[1]
        ), place


def test_pictures_exist_have_alternative_text_and_the_width_of_the_course():
    pictures = re.findall(r"!\[(.*?)\]\((.+?)\)", PAGE)
    assert {Path(path).name for _, path in pictures} == {
        path.name for path in (ROOT / "docs/diagnosis").iterdir()
    }
    for text, path in pictures:
        assert len(text) > 20, path
        with Image.open(ROOT / "docs" / path) as image:
            assert image.width == round(110 * new_figure()[0].get_figwidth()), path


def test_the_transposed_network_differs_from_the_right_one_only_in_its_upsampling():
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8, 16))).requires_grad_(False)
    torch.nn.init.normal_(model.out.weight)
    x_t, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 7])
    right = model(x_t, t)
    wrong = tool.transposed_network(model)(x_t, t)
    assert right.shape == wrong.shape
    assert not torch.allclose(right, wrong)


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "UNet", lambda: UNet(UNetConfig(channels=(8,))))
    monkeypatch.setattr(tool, "load_mnist", lambda split: load_mnist_few())
    whole, early, late = (tmp_path / f"{name}.safetensors" for name in ("whole", "early", "late"))
    settings = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3}
    tool.kept_run(tmp_path / "a.safetensors", {4: whole}, 0, **settings)
    tool.kept_run(tmp_path / "b.safetensors", {2: early}, 0, **settings)
    tool.kept_run(tmp_path / "b.safetensors", {2: early, 4: late}, 0, **settings)
    (one, _, about), (other, _, again) = tool.load(whole), tool.load(late)
    assert about["losses"] == pytest.approx(again["losses"], abs=1e-5)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def load_mnist_few():
    """A few digits, small."""
    return DIGITS[:8, :, ::4, ::4][..., :4, :4].contiguous(), None
