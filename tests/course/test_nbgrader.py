"""The course in nbgrader: laid out, handed out, graded and reported on by the real nbgrader."""

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
from minddpm_course.bank import BANK
from minddpm_course.course import load_course

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
SUBMISSIONS = {  # by student, the answers that differ from the solution
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
    lay_out_course(load_course(), course, folder / "solutions")
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
    assert "A known mistake: beta for beta tilde. You return beta_t." in page(course, "wrong")


def test_a_loop_without_end_costs_only_its_check(course):
    assert scores(course, "looping") == {**POINTS, "03.product_of_gaussians": 0}
    assert "No reply from kernel before timeout" in page(course, "looping")


def test_a_redefined_check_cheats_nbgrader_but_not_our_grader(course, tmp_path):
    assert scores(course, "cheating") == POINTS
    submitted = [course / "submitted"]
    limits = Limits(cell=10)
    ours = grade(load_course(), submitted, tmp_path / "out", limits=limits, progress=False)
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
    shown = [output for output in outputs if output.output_type == "display_data"]
    messages = "\n".join(output.data["text/plain"] for output in shown)
    assert text.count("expected  ") == messages.count("expected  ")
    assert ("expected  " in text) == (student == "wrong")


def test_the_gradebook_lies_outside_the_course(course):
    assert (course.parent / "course-gradebook.db").is_file()
    assert not list(course.rglob("*.db"))
