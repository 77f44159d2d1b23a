"""The exercise notebooks: made from the solutions, without the answers; stubs earn nothing,
solutions everything.
"""

import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks
from nbgrader.nbgraderformat import MetadataValidator

from marking.commands import graded_here
from marking.exercise import Exercise
from marking.grader import grade
from minddpm_course.bank import BANK, STRETCHES
from minddpm_course.course import load_course
from minddpm_course.exercises import exercise_text, mark_cells

ROOT = Path(__file__).parents[2]
CAPSTONE = "13_your_ddpm"  # the one notebook that belongs to no lesson, and asks no questions
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
OF_LESSONS = [path for path in SOLUTIONS if path.stem != CAPSTONE]
OPENED = [ROOT / folder / path.name for path in OF_LESSONS for folder in ("notebooks", "exercises")]
ANSWERED = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)


@pytest.fixture(params=SOLUTIONS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def solution(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture
def exercise(path):
    return nbformat.read(ROOT / "exercises" / path.name, as_version=4)


def sources(notebook, kind="code"):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_each_lesson_that_has_questions_has_a_solution_an_exercise_and_a_twin():
    stems = [path.stem for path in SOLUTIONS]
    assert stems == sorted(path.stem for path in (ROOT / "solutions" / "py").glob("*.py"))
    assert stems == sorted(path.stem for path in (ROOT / "exercises").glob("*.ipynb"))
    assert CAPSTONE in stems
    lessons = [path.stem for path in OF_LESSONS]
    assert [stem[:2] for stem in lessons] == sorted({name[:2] for name in BANK})
    assert set(lessons) <= {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize("path", OPENED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_first_cell_installs_the_course_in_colab_and_nothing_elsewhere(path, monkeypatch):
    installed = []
    shell = SimpleNamespace(run_line_magic=lambda *words: installed.append(words))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    first = sources(nbformat.read(path, as_version=4))[0]
    exec(first, {})
    assert installed == []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    exec(first, {})
    assert installed == [("pip", "install --quiet 'minddpm[course]'")]


def test_a_solution_equals_its_twin(path, solution):
    twin = mark_cells(jupytext.read(path.parent / "py" / f"{path.stem}.py"))
    twin.metadata = solution.metadata
    compare_notebooks(solution, twin, fmt="py:percent", compare_outputs=False, compare_ids=False)


def test_an_exercise_is_made_from_its_solution_byte_by_byte(path):
    assert (ROOT / "exercises" / path.name).read_text(encoding="utf-8") == exercise_text(path)


def test_an_exercise_holds_stubs_and_no_outputs(path, exercise):
    text = "\n".join(sources(exercise))
    assert "BEGIN SOLUTION" not in text
    answers = [cell for cell in exercise.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert len(answers) >= (2 if path.stem == CAPSTONE else 5)
    assert all("pass  # your answer" in cell.source for cell in answers)
    assert all(
        not cell.outputs and cell.execution_count is None
        for cell in exercise.cells
        if "outputs" in cell
    )


def test_no_line_of_an_answer_stands_elsewhere_in_an_exercise(solution, exercise):
    """Neither in code nor in words: spaces aside."""

    def squeezed(text):
        return re.sub(r"\s", "", text)

    left = squeezed("\n".join(cell.source for cell in exercise.cells))
    for source in sources(solution):
        for answer in ANSWERED.findall(source):
            for line in answer.splitlines():
                line = squeezed(line.partition("#")[0]).removeprefix("return")
                if len(line) > 12:  # shorter ones, such as `returnmean`, give nothing away
                    assert line not in left


@pytest.mark.parametrize("path", OF_LESSONS, ids=lambda path: path.stem, indirect=True)
def test_every_question_is_asked_and_checked_once(path, exercise):
    text = "\n".join(sources(exercise))
    lesson = path.stem[:2]
    assert re.findall(r'check\("(\d\d\.\w+)"', text) != []
    assert sorted(re.findall(r'check\("(\d\d\.\w+)"', text)) == sorted(
        name for name in BANK if name.startswith(lesson)
    )
    assert re.findall(r'beside\("(\d\d\.\w+)"', text) == [
        name for name in STRETCHES if name.startswith(lesson)
    ]
    for asked in ("by_hand", "predict"):
        assert f'ask("{lesson}.{asked}"' in text
    words = "\n".join(sources(exercise, "markdown"))
    functions = sum(isinstance(BANK[name], Exercise) for name in BANK if name.startswith(lesson))
    assert (
        words.count("**In words.**") == words.count("<details><summary>Hint</summary>") == functions
    )
    assert f"../notebooks/{path.name}" in words
    assert f"../solutions/{path.name}" in words


def test_the_capstone_asks_nothing_and_is_no_assignment():
    course = load_course()
    for folder in ("solutions", "exercises"):
        path = ROOT / folder / f"{CAPSTONE}.ipynb"
        code = "\n".join(sources(nbformat.read(path, as_version=4)))
        assert not re.search(r"\b(ask|beside|check)\(", code)
        assert path not in course.notebooks_in(ROOT / folder)
        (remark,) = graded_here(course, path).remarks
        assert remark == "it contains no exercise of this course"


def test_nbgrader_takes_its_metadata(exercise, solution):
    MetadataValidator().validate_nb(exercise)
    MetadataValidator().validate_nb(solution)
    marks = [cell.metadata.nbgrader for cell in exercise.cells if "nbgrader" in cell.metadata]
    assert len({mark.grade_id for mark in marks}) == len(marks)
    assert all(
        mark.locked and mark.points == BANK[name_of(mark)].points for mark in marks if mark.grade
    )


def name_of(mark):
    return mark.grade_id.removeprefix("check-").replace("-", ".", 1)


@pytest.mark.skipif(os.name == "nt", reason="submissions are run on Linux and macOS")
def test_solutions_earn_everything_and_stubs_nothing(tmp_path):
    for folder, share in (("solutions", 1), ("exercises", 0)):
        notebooks = sorted((ROOT / folder).glob("*.ipynb"))
        results = grade(load_course(), notebooks, tmp_path / folder, progress=False, seed=5)
        rows = [row for result in results for row in result.rows]
        assert [row.exercise for row in rows] == list(BANK)
        assert [(row.exercise, row.points) for row in rows] == [
            (row.exercise, share * row.of) for row in rows
        ]
        if share == 0:
            assert {row.summary for row in rows} == {"not written yet", "not answered yet"}
            assert {row.mistake for row in rows} == {""}
