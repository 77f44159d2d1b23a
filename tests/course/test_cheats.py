"""Hostile submissions that go for the answers of this course: they find none. The whole corpus runs
in tests/marking, on another bank.
"""

import pytest
from handed_in import HEAD, SOLVED, solved

from marking.grader import grade
from marking.hostile import Target, hostile_cells, hostile_notebooks
from marking.sandbox.parent import Limits, bubblewrap
from minddpm_course.course import load_course

COURSE = load_course()
TARGET = "posterior_variance"  # left unsolved in each; the two others are solved
REST = solved(**{TARGET: None})[1:]
AFTER_ANSWERS = {  # by name, what they were seen to try
    "imports_the_package": "import minddpm",
    "imports_the_reference": "import minddpm_course.bank",
    "reads_the_answer_in_a_thread": "read /**/minddpm_course*",
    "reads_the_references_source": "read /**/lesson_03_posterior.py",
    "replaces_check_in_its_module": "",
    "shadows_the_package": "import minddpm_course",
}


@pytest.mark.skipif(bubblewrap() is None, reason="without bubblewrap a submission can do harm")
def test_no_answer_of_the_course_can_be_had(hand_in, tmp_path):
    exercise = COURSE.bank[f"03.{TARGET}"]
    target = Target(COURSE, exercise, SOLVED[TARGET], 9, str(tmp_path / "v"), str(tmp_path / "o"))
    notebooks = [one for one in hostile_notebooks() if one.name in AFTER_ANSWERS]
    cells = {one.name: hostile_cells(one, target, HEAD, REST) for one in notebooks}
    assert cells.keys() == AFTER_ANSWERS.keys()
    folder = hand_in(**cells, zz_honest=solved())
    limits = Limits(timeout=40, cell=10)
    results = grade(COURSE, [folder], tmp_path / "out", jobs=2, limits=limits, progress=False)
    for result in results:
        points = {row.exercise: row.points for row in result.rows}
        assert points["03.posterior_coefficients"] == 3, result
        assert points["03.product_of_gaussians"] == 3, result
        if result.student in AFTER_ANSWERS:
            assert points[f"03.{TARGET}"] == 0, result
            assert AFTER_ANSWERS[result.student] in "; ".join(result.remarks), result
        else:
            assert points[f"03.{TARGET}"] == 2


def test_what_holds_answers_is_named():
    assert set(COURSE.hidden) == {"marking", "minddpm", "minddpm_course"}
    assert "lesson_03_posterior" in COURSE.answer_files
