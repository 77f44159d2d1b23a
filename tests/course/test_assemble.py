"""A package of the student's own: what is hers in it, what is borrowed, and where it goes wrong."""

import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch

import minddpm
from minddpm.__main__ import main
from minddpm_course.assemble import (
    FUNCTIONS,
    LIBRARY,
    Part,
    assemble_package,
    parts_in,
    write_package,
)
from minddpm_course.bank import BANK
from minddpm_course.compare import Watch, departures, import_package
from minddpm_course.course import load_course
from minddpm_course.joins import JOINS, ROOMS

ROOT = Path(__file__).parents[2]
SOLUTIONS = {path.name[:2]: path for path in (ROOT / "solutions").glob("*.ipynb")}
PASSED = [Part(name, SOLUTIONS[name[:2]], True, "") for name in FUNCTIONS]
NAMED_AT = {  # what is not called at each t
    "01.linear_betas": "in the schedule",
    "01.alpha_bars": "in the schedule",
    "01.snr": "in the schedule",
    "04.simple_loss": "in training",
    "06.steps": "before the first step",
    "06.sample": "in sampling",
    "07.train_step": "in training",
    "07.training_loop": "in training",
    "07.training_pair": "in training",
    "07.ema_update": "in training",
    "08.langevin_step": "in training",
}
NOT_CALLED = set(FUNCTIONS) - set(JOINS)
POSTERIOR = "03.posterior_coefficients"
SLOW = runpy.run_path(str(ROOT / "conftest.py"))["SLOW"]


def notebook(folder: Path, lesson: str, *cells: str) -> Path:
    """A notebook of one lesson with these code cells."""
    folder.mkdir(exist_ok=True)
    path = folder / SOLUTIONS[lesson].name
    nbformat.write(
        nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells))), path
    )
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    """The package of somebody who has solved everything."""
    out = tmp_path_factory.mktemp("own") / "mine"
    parts = assemble_package(PASSED, out)
    assert all(part.yours for part in parts), [part for part in parts if not part.yours]
    return out


@pytest.mark.parametrize("name", JOINS)
def test_a_join_takes_the_place_of_lines_that_stand_once_in_the_library(name):
    join = JOINS[name]
    assert (LIBRARY / f"{join.module}.py").read_text().count(join.lines) == 1
    assert f"{name.partition('.')[2]}(" in join.yours
    assert name in FUNCTIONS


def test_every_lesson_with_functions_has_a_room():
    assert set(ROOMS) == {name[:2] for name in FUNCTIONS}
    assert all((LIBRARY / f"{room}.py").is_file() for room in ROOMS.values())


def test_it_stands_alone(mine, tmp_path):
    """Nothing in it imports the library or the course, and it draws without them."""
    shutil.copytree(mine, tmp_path / "mine")
    for path in mine.rglob("*.py"):
        assert "from minddpm" not in path.read_text(), path
    code = (
        "import sys; sys.modules |= {'minddpm': None, 'minddpm_course': None, 'marking': None};"
        "from mine.__main__ import main;"
        "sys.exit(main(['sample', '--ddim', '2', '--count', '1', '--out', 'x.png']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.png").is_file()


def test_her_functions_stand_in_it_as_she_wrote_them(mine):
    for name in FUNCTIONS:
        source = "\n".join(
            cell.source.replace("    ### BEGIN SOLUTION\n", "").replace(
                "\n    ### END SOLUTION", ""
            )
            for cell in nbformat.read(SOLUTIONS[name[:2]], as_version=4).cells
            if f"def {name[3:]}(" in cell.source
        )
        assert source in (mine / ROOMS[name[:2]] / "yours.py").read_text()


def test_it_draws_what_the_library_draws(mine):
    package = import_package(mine)
    images = []
    for library in (minddpm, package):
        model, schedule, *_ = library.load_pretrained()
        draw = {"generator": torch.Generator().manual_seed(3)}
        images.append(library.ddim_sample(model, (2, 1, 28, 28), schedule, steps=20, **draw))
    assert (images[0] - images[1]).abs().max() <= 1e-4


def test_all_thousand_steps_draw_what_the_library_draws(mine):
    package = import_package(mine)
    images = []
    for library in (minddpm, package):
        model, schedule, *_ = library.load_pretrained()
        generator = torch.Generator().manual_seed(3)
        images.append(library.sample(model, (1, 1, 28, 28), schedule, generator=generator))
    assert (images[0] - images[1]).abs().max() <= 1e-4


def test_the_tests_of_the_rooms_pass(mine, tmp_path):
    rooms = [f"test_{room}.py" for room in ROOMS.values()]
    for path in [
        *(ROOT / "tests/library" / room for room in rooms),
        *(ROOT / "tests").glob("*.py"),
    ]:
        text = path.read_text().replace("minddpm", "mine")
        (tmp_path / path.name).write_text(text)
    shutil.copytree(mine, tmp_path / "mine")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    slow = [name.removeprefix("tests/library/") for name in SLOW if "::" in name]
    left_out = [f"--deselect={name}" for name in slow if name.startswith(tuple(rooms))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".", *left_out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in NOT_CALLED])
def test_a_wrong_function_is_named_with_the_time_at_which_it_goes_wrong(mine, name):
    package = import_package(mine)
    for mistake in BANK[name].mistakes[:2]:
        yours = sys.modules[f"mine.{ROOMS[name[:2]]}.yours"]
        right = getattr(yours, name[3:])
        setattr(yours, name[3:], mistake.wrong)
        found = departures(package, steps=3)
        setattr(yours, name[3:], right)
        assert [departure.question for departure in found] == [name], mistake.name
        assert found[0].where == NAMED_AT.get(name, found[0].where)
        assert name in NAMED_AT or found[0].where.startswith("at t = ")


def test_the_first_time_is_named(tmp_path):
    out = tmp_path / "posterior_alone"
    assemble_package([part for part in PASSED if part.question == POSTERIOR], out)
    package = import_package(out)
    yours = sys.modules["posterior_alone.posterior.yours"]
    right = yours.posterior_coefficients

    def wrong_below(beta, alpha_bar, before):
        coef_x0, coef_xt = right(beta, alpha_bar, before)
        return coef_x0 * (1.1 if alpha_bar > 0.5 else 1), coef_xt

    yours.posterior_coefficients = wrong_below
    first = int((minddpm.linear_schedule().alpha_bar > 0.5).nonzero()[-1])
    (found,) = departures(package)
    assert str(found).startswith(f"at t = {first}, posterior_coefficients: ")


def test_what_is_not_hers_is_borrowed(tmp_path):
    exercises = tmp_path / "exercises"
    shutil.copytree(ROOT / "exercises", exercises)
    cell = "import minddpm\n\n\ndef snr(alpha_bar):\n    return minddpm.snr(alpha_bar)"
    notebook(exercises, "01", "from minddpm_course import check", cell, 'check("01.snr", snr)')
    notebook(
        exercises,
        "03",
        "from minddpm_course import check\nfrom minddpm import posterior_coefficients as mine",
        'check("03.posterior_coefficients", mine)',
    )
    parts = {part.question: part for part in parts_in(load_course(), exercises)}
    assert not any(part.yours for part in parts.values())
    assert parts["01.snr"].why == "taken from the library"
    assert parts[POSTERIOR].why == "taken from the library"
    assert parts["02.forward_step"].why == "not written yet"


def test_what_passes_its_check_but_cannot_be_trained_with_is_borrowed(tmp_path):
    cells = [
        "def simple_loss(predicted_noise, noise):\n"
        "    return float(((predicted_noise - noise) ** 2).mean())",
        "def gaussian_kl(mean_1, var_1, mean_2, var_2):\n    return helper(mean_1)",
    ]
    path = notebook(tmp_path / "exercises", "04", *cells)
    names = ("04.simple_loss", "04.gaussian_kl")
    parts = assemble_package([Part(name, path, True, "") for name in names], tmp_path / "mine")
    assert [part.yours for part in parts] == [False, False]
    assert parts[0].why == "in training, simple_loss: no gradient flows through its result"
    assert parts[1].why == "it cannot stand outside its notebook: helper is defined in no cell"


def test_a_package_is_only_replaced_where_nothing_is_lost(tmp_path):
    borrowed = [replace(part, yours=False, why="not written yet") for part in PASSED]
    out = tmp_path / "mine"
    write_package(borrowed, out, {})
    assemble_package(borrowed, out)
    (out / "posterior.py").write_text("# mine now\n")
    with pytest.raises(FileExistsError, match="posterior.py was changed since it was assembled"):
        assemble_package(borrowed, out)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="other holds other files"):
        assemble_package(borrowed, other)
    for name in ("my-package", "json", "minddpm", "1st", "class", "None"):
        with pytest.raises(ValueError, match="must be a name that Python can import"):
            assemble_package(borrowed, tmp_path / name)
    for name in ("torch", "matplotlib"):
        with pytest.raises(ValueError, match="must be a name that no installed package has"):
            assemble_package(borrowed, tmp_path / name)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_the_place_is_looked_at_before_any_notebook(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("minddpm_course.assemble.parts_in", lambda *_: pytest.fail("too late"))
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["assemble", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} holds other files: name a new folder" in capsys.readouterr().err


def test_there_may_be_no_package_to_compare(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "nothere"]) == 2
    assert capsys.readouterr().err == "error: expected an assembled package, got nothere\n"


def test_a_package_of_another_name(tmp_path):
    out = tmp_path / "ada_ddpm"
    assemble_package([part for part in PASSED if part.question.startswith("03")], out)
    assert json.loads((out / "assembled.json").read_text())["passed"] == {
        name: True for name in FUNCTIONS if name.startswith("03")
    }
    assert "python -m ada_ddpm" in (out / "__main__.py").read_text()
    assert not departures(import_package(out), steps=2)


def test_a_watched_function_is_compared_at_each_call(mine):
    package = import_package(mine)
    watch = Watch(package)
    assert package.posterior_variance(1, package.linear_schedule()) == 0
    assert not watch.departures
