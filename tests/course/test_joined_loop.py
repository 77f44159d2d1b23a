"""A training loop of the student's own drives the package's training, in whatever form it is
written, bit for bit as the library's does.
"""

import sys
from itertools import islice

import nbformat
import pytest
import torch

import minddpm
from minddpm_course import assemble
from minddpm_course.answers import one_at_a_time
from minddpm_course.assemble import Part, joined_text, write_package
from minddpm_course.compare import import_package
from minddpm_course.joins import JOINS

NAME = "07.training_loop"
PLACES = "(order[k : k + batch_size] for order in orders for k in starts(order, batch_size))"
STARTS = "def starts(order, size):\n    return range(0, len(order) - size + 1, size)"
FORMS = {
    "yields": f"    for some in {PLACES}:\n        yield step(images[some])",
    "yields numbers": f"    for some in {PLACES}:\n        yield step(images[some]).item()",
    "list": f"    return [step(images[some]) for some in {PLACES}]",
    "tensor": f"    return torch.stack([step(images[some]) for some in {PLACES}])",
    "array": f"    return np.array([step(images[some]).item() for some in {PLACES}])",
    "map": f"    return map(lambda some: step(images[some]), {PLACES})",
    "looks ahead": f"    return iter([step(images[some]) for some in {PLACES}])",
    "image by image": (
        f"    return [step(torch.stack([images[k] for k in some.tolist()])) for some in {PLACES}]"
    ),
}
WRITTEN = {
    **{
        form: f"def training_loop(images, orders, batch_size, step):\n{FORMS[form]}"
        for form in FORMS
    },
    "no gradients": (
        "@torch.no_grad()\ndef training_loop(images, orders, batch_size, step):\n" + FORMS["list"]
    ),
    "inference": (
        "@torch.inference_mode()\ndef training_loop(images, orders, batch_size, step):\n"
        + FORMS["list"]
    ),
}


def package_with(folder, cell):
    """A package whose training loop is hers."""
    path = folder / "07_training.ipynb"
    cells = map(nbformat.v4.new_code_cell, ["import numpy as np\nimport torch", STARTS, cell])
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
    write_package([Part(NAME, path, True, "")], folder / "mine", {})
    return import_package(folder / "mine")


class Answer(torch.nn.Module):
    """The smallest network there is."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.1, 0.2]))

    def forward(self, x_t, t, label=None):
        shift = 0 if label is None else label[:, None, None, None] / 10
        return self.weight[0] * x_t + self.weight[1] * t[:, None, None, None] / 1000 + shift


DRAW = torch.Generator().manual_seed(0)
IMAGES = torch.rand(11, 1, 3, 3, generator=DRAW) * 2 - 1
LABELS = torch.arange(11) % 4


def states(package, steps, resume=None, **options):
    """The weights after each step, and the last state."""
    model = Answer()
    schedule = package.linear_schedule()
    options = {"batch_size": 3, "seed": 5, "learning_rate": 0.1, **options}
    weights, last = [], None
    for state in package.train(model, IMAGES, schedule, steps=steps, resume=resume, **options):
        weights.append([state.step, *model.weight.tolist(), state.loss])
        last = state
    return weights, last


@pytest.mark.parametrize("form", WRITTEN)
def test_a_loop_of_ones_own_trains_bit_for_bit_as_the_library(form, tmp_path):
    package = package_with(tmp_path, WRITTEN[form])
    assert hasattr(sys.modules["mine.training.yours"], "training_loop")
    right, _ = states(minddpm, 8)  # 3 steps an epoch
    assert states(package, 8)[0] == right
    labelled = {"labels": LABELS, "augment": lambda x, generator: x.flip(-1)}
    assert states(package, 7, **labelled)[0] == states(minddpm, 7, **labelled)[0]


@pytest.mark.parametrize("stop", [2, 3, 4])
@pytest.mark.parametrize("form", ["yields", "list"])
def test_a_run_that_is_resumed_goes_on_as_if_never_stopped(form, stop, tmp_path):
    package = package_with(tmp_path, WRITTEN[form])
    right, _ = states(minddpm, 8)
    for first, second in ((package, minddpm), (minddpm, package), (package, package)):
        model = Answer()
        run = first.train(
            model,
            IMAGES,
            first.linear_schedule(),
            steps=8,
            batch_size=3,
            seed=5,
            learning_rate=0.1,
        )
        *_, state = islice(run, stop)
        assert state.step == stop  # nothing was trained ahead
        assert states(second, 8, resume=state.tensors())[0] == right[stop:]


def test_each_step_is_taken_once_and_by_the_loop():
    taken = []

    def loop(step):
        return [step(batch) for batch in "abcd"]

    def step(batch):
        taken.append(batch)

    for count, _ in enumerate(one_at_a_time(loop, step, 1), start=1):
        assert len(taken) == count
    assert taken == ["b", "c", "d"]


def test_a_loop_that_takes_no_step_is_an_error():
    with pytest.raises(RuntimeError, match="training_loop took no step"):
        list(one_at_a_time(lambda step: [], print, 0))


@pytest.mark.parametrize("name", JOINS)
def test_a_join_that_finds_no_lines_is_refused_by_its_name(name, monkeypatch, tmp_path):
    join = JOINS[name]
    with pytest.raises(LookupError, match=f"the join of {name} finds none of its lines in"):
        joined_text("x = 1\n", join.module, {name})
    library = (assemble.LIBRARY / f"{join.module}.py").read_text(encoding="utf-8")
    assert join.yours in joined_text(library, join.module, {name})
    assert joined_text(library, join.module, ()) == library


def test_a_package_is_not_written_without_one_of_its_functions(monkeypatch, tmp_path):
    join = JOINS["07.ema_update"]
    monkeypatch.setitem(JOINS, "07.ema_update", type(join)(join.module, "    gone()\n", join.yours))
    path = tmp_path / "07_training.ipynb"
    cell = "def ema_update(average, value, decay):\n    return decay * average"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), path)
    with pytest.raises(LookupError, match="the join of 07.ema_update finds none of its lines"):
        write_package([Part("07.ema_update", path, True, "")], tmp_path / "mine", {})
