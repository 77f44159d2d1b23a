"""The course as nbgrader takes it: laid out, handed out, graded and told by the real nbgrader."""

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from marking.grader import grade
from marking.nbgrader_course import lay_out_course
from marking.sandbox.parent import Limits
from minddpm.__main__ import main
from minddpm_course.bank import BANK

pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions are run on Linux and macOS")
ROOT = Path(__file__).parents[2]
LESSON = "03_posterior"
POINTS = {name: question.points for name, question in BANK.items() if name.startswith("03.")}
HEAD = "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n"
RIGHT = "    return (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t\n"
NOISE = (
    "    import sys, warnings\n    warnings.warn('noise')\n    print('noise', file=sys.stderr)\n"
)
LOOP = "def product_of_gaussians(mean_1, var_1, mean_2, var_2):\n    while True:\n        pass\n"
SUBMISSIONS = {  # by student, the answers that are not the solution's
    "right": {"posterior_variance": HEAD + NOISE + RIGHT},
    "wrong": {"posterior_variance": HEAD + "    return beta_t\n", "posterior_coefficients": None},
    "looping": {"product_of_gaussians": LOOP},
    "cheating": {
        "posterior_variance": "posterior_variance = None\ndef check(*args, **options):\n    pass\n"
    },
}


def nbgrader(course, *arguments):
    """Run nbgrader as a teacher does, with the environment's programs on the path: it calls
    alembic.
    """
    own = {
        name: str(course.parent / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command,
        cwd=course,
        env={**os.environ, **own, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def answers_of(notebook):
    return {
        cell.metadata.nbgrader.grade_id: cell
        for cell in notebook.cells
        if "nbgrader" in cell.metadata
    }


def hand_in(course, student, answers):
    """Fill in the released notebook: the solution's answers, but for those given; None leaves the
    stub.
    """
    released = nbformat.read(course / "release" / LESSON / f"{LESSON}.ipynb", as_version=4)
    solved = answers_of(nbformat.read(course / "source" / LESSON / f"{LESSON}.ipynb", as_version=4))
    for grade_id, cell in answers_of(released).items():
        name = grade_id.removeprefix("answer-")
        if cell.metadata.nbgrader.solution and answers.get(name, "") is not None:
            cell.source = answers.get(name, solved[grade_id].source)
    folder = course / "submitted" / student / LESSON
    folder.mkdir(parents=True)
    nbformat.write(released, folder / f"{LESSON}.ipynb")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course of one assignment that four students handed in, graded."""
    folder = tmp_path_factory.mktemp("nbgrader")
    (folder / "solutions").mkdir()
    shutil.copy(ROOT / "solutions" / f"{LESSON}.ipynb", folder / "solutions")
    course = folder / "course"
    lay_out_course(course, folder / "solutions")
    nbgrader(course, "generate_assignment", LESSON)
    for student, answers in SUBMISSIONS.items():
        hand_in(course, student, answers)
    nbgrader(course, "autograde", LESSON, "--Execute.timeout=15")
    nbgrader(course, "generate_feedback", LESSON)
    return course


def scores(course, student):
    """What the gradebook holds of a student, by the names of the checks."""
    with Gradebook(f"sqlite:///{course.parent / 'course-gradebook.db'}", "minddpm") as book:
        notebook = book.find_submission_notebook(LESSON, LESSON, student)
        assert notebook.max_score == sum(POINTS.values())
        return {
            grade.name.removeprefix("check-").replace("-", "."): grade.auto_score
            for grade in notebook.grades
        }


def page(course, student):
    """The text of a student's feedback."""
    text = (course / "feedback" / student / LESSON / f"{LESSON}.html").read_text(encoding="utf-8")
    return html.unescape(
        re.sub("<style.*?</style>|<script.*?</script>|<[^>]+>", "", text, flags=re.DOTALL)
    )


def test_what_nbgrader_releases_is_the_exercise_of_the_repository(course):
    released = nbformat.read(course / "release" / LESSON / f"{LESSON}.ipynb", as_version=4)
    assert released == nbformat.read(ROOT / "exercises" / f"{LESSON}.ipynb", as_version=4)


def test_right_answers_earn_all_points_whatever_they_print_to_stderr(course):
    assert scores(course, "right") == POINTS


def test_wrong_and_unwritten_answers_earn_none_and_cost_only_themselves(course):
    lost = {"03.posterior_variance": 0, "03.posterior_coefficients": 0}
    assert scores(course, "wrong") == {**POINTS, **lost}
    assert "A known mistake: beta for beta tilde" in page(course, "wrong")


def test_a_loop_without_end_costs_only_its_check(course):
    assert scores(course, "looping") == {**POINTS, "03.product_of_gaussians": 0}
    assert "No reply from kernel before timeout" in page(course, "looping")


def test_a_redefined_check_cheats_nbgrader_but_not_our_grader(course, tmp_path):
    assert scores(course, "cheating") == POINTS
    ours = grade([course / "submitted"], tmp_path / "out", limits=Limits(cell=10), progress=False)
    graded = {result.student: result for result in ours}
    earned = {
        student: {row.exercise: row.points for row in graded[student].rows}
        for student in SUBMISSIONS
    }
    assert earned["cheating"] == {**POINTS, "03.posterior_variance": 0}
    for student in ("right", "wrong", "looping"):
        assert earned[student] == scores(course, student)


@pytest.mark.parametrize("student", SUBMISSIONS)
def test_feedback_shows_of_a_check_only_what_it_prints(course, student):
    text = page(course, student)
    for word in (
        "judge",
        "engine.py",
        "notebook.py",
        "outcome_of",
        "reference",
        str(ROOT),
        "Traceback",
    ):
        assert word not in text
    graded = nbformat.read(
        course / "autograded" / student / LESSON / f"{LESSON}.ipynb", as_version=4
    )
    outputs = [output for cell in graded.cells for output in cell.get("outputs", [])]
    told = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    assert text.count("expected  ") == sum(message.count("expected  ") for message in told)
    assert ("expected  " in text) == (student == "wrong")


def test_the_gradebook_lies_outside_the_course(course):
    assert (course.parent / "course-gradebook.db").is_file()
    assert not list(course.rglob("*.db"))


def marked(*marks):
    cells = [nbformat.v4.new_code_cell("1", metadata={"nbgrader": mark}) for mark in marks]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


def test_the_command_line(tmp_path, capsys):
    for name in ("03_posterior", "04_loss"):
        (tmp_path / "solutions").mkdir(exist_ok=True)
        mark = {"schema_version": 3, "grade_id": "check", "grade": True, "points": 1}
        (tmp_path / "solutions" / f"{name}.ipynb").write_text(marked(mark), encoding="utf-8")
    (tmp_path / "course").mkdir()  # an empty folder will do
    command = [
        "nbgrader-course",
        str(tmp_path / "course"),
        "--solutions",
        str(tmp_path / "solutions"),
    ]
    assert main([*command, "--timeout", "45"]) == 0
    assert "2 assignments" in capsys.readouterr().out
    assert (tmp_path / "course" / "source" / "04_loss" / "04_loss.ipynb").is_file()
    config = (tmp_path / "course" / "nbgrader_config.py").read_text(encoding="utf-8")
    assert "c.Execute.timeout = 45 " in config
    compile(config, "nbgrader_config.py", "exec")
    assert str(tmp_path) not in config  # a course can be moved
    assert main(command) == 2
    assert "wanted a new or empty folder for the course, got" in capsys.readouterr().err
    assert (
        main(["nbgrader-course", str(tmp_path / "new"), "--solutions", str(tmp_path / "nowhere")])
        == 2
    )
    assert "nowhere, which is no folder" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


GOOD = {"schema_version": 3, "grade_id": "a", "grade": True, "points": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "wanted a notebook"),
        (marked(), "no cell has points"),
        (marked({**GOOD, "schema_version": 2}), "schema 3 .* got 2"),
        (marked(GOOD, GOOD), "each grade_id once .* several of a"),
    ],
)
def test_solutions_that_nbgrader_would_not_take_are_refused(tmp_path, content, words):
    (tmp_path / f"{LESSON}.ipynb").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        lay_out_course(tmp_path / "course", tmp_path)
    assert not (tmp_path / "course").exists()
