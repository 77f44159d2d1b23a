"""Grading: who earns what, broken files, odd notebooks, zips, resuming."""

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from algebra import BANK
from quadratics import COURSE, HEAD, solved

from marking import grader, handed_in
from marking.grader import grade, grade_submission
from marking.hostile import as_notebook
from marking.intake import read_submission
from marking.report import write_report
from marking.sandbox import parent
from marking.sandbox.parent import Limits, bubblewrap, prepared_sandbox

pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
LIMITS = Limits(timeout=60, cell=10)


def graded(folder, out, **options):
    grade(COURSE, [folder], out, report=write_report, limits=LIMITS, progress=False, **options)
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_exercise(rows, student):
    return {row["exercise"]: row for row in rows if row["student"] == student}


def test_right_wrong_and_unwritten_answers(hand_in, tmp_path):
    wrong = "def discriminant(a, b, c):\n    return b * b + 4 * a * c\n"
    stub = "def discriminant(a, b, c):\n    ...\n"
    folder = hand_in(ada=solved(), ben=solved(discriminant=wrong), cleo=solved(discriminant=stub))
    rows = graded(folder, tmp_path / "out")
    columns = ["student", "notebook", "exercise", "points", "of", "mistake", "remark"]
    assert list(rows[0]) == [*columns, "group", "reason"]
    ada, ben, cleo = (by_exercise(rows, student) for student in ("ada", "ben", "cleo"))
    assert list(ada) == ["solve.discriminant", "solve.roots", "solve.by_hand"]
    assert [row["points"] for row in ada.values()] == ["2", "3", "0"]
    assert [row["of"] for row in ada.values()] == ["2", "3", "1"]
    assert ben["solve.discriminant"]["points"] == "0"
    assert ben["solve.discriminant"]["mistake"] == "plus for minus"
    assert cleo["solve.discriminant"]["points"] == "0"
    assert cleo["solve.discriminant"]["mistake"] == ""
    assert cleo["solve.roots"]["points"] == "3"
    page = (tmp_path / "out" / "feedback" / "ben.html").read_text(encoding="utf-8")
    assert re.search(
        r"off by up to [\d.]+<br>A known mistake: plus for minus\. You add 4 a c\. Subtract it",
        page,
    )
    page = (tmp_path / "out" / "feedback" / "cleo.html").read_text(encoding="utf-8")
    assert "✗ not written yet" in page
    page = (tmp_path / "out" / "class.html").read_text(encoding="utf-8")
    assert "solve.discriminant: 1 of 3 solved it" in page
    assert "What to teach again" in page


def test_a_number_with_a_comma_is_asked_back_in_the_words_of_the_notebook(hand_in, tmp_path):
    numbers = {"tuple": "4,27", "text": "'4,27'", "percent": "'27 %'"}
    hand_in(**{name: [HEAD, f"by_hand = {one}"] for name, one in numbers.items()})
    typed = [HEAD, "check('solve.by_hand', 4,27, student=STUDENT)"]
    graded(hand_in(typed=typed), tmp_path / "out")
    for name, meant in {
        "tuple": "4.27",
        "text": "4.27",
        "percent": "0.27",
        "typed": "4.27",
    }.items():
        page = (tmp_path / "out" / "feedback" / f"{name}.html").read_text(encoding="utf-8")
        assert f"✗ did you mean {meant}? Write a " in page


def test_none_is_nobodys_name(hand_in, tmp_path):
    """As in the notebook, where it is refused."""
    head, right = HEAD.replace("'Ada'", "None"), BANK["solve.by_hand"]
    number = right.answer(**right.values_for("None"))
    unchecked = [head, f"by_hand = {number}"]
    checked = [*unchecked, "check('solve.by_hand', by_hand, student=STUDENT)"]
    graded(hand_in(unchecked=unchecked, checked=checked), tmp_path / "out")
    for name in ("unchecked", "checked"):
        page = (tmp_path / "out" / "feedback" / f"{name}.html").read_text(encoding="utf-8")
        assert "the values depend on your name, and no name is given" in page


def test_the_students_own_line_is_shown_in_the_words_of_the_notebook(hand_in, tmp_path):
    wrong = "# mine\ndef discriminant(a, b, c):\n    d = 4 * a * c\n    return b - d\n"
    graded(hand_in(ada=solved(discriminant=wrong)), tmp_path / "out")
    words = "In your code, line 4 of discriminant: return b - d"
    page = (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert f"<br>You do not square b.<br>{words}" in page
    assert words in (tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8")


def test_feedback_gives_no_inputs_away(hand_in, tmp_path):
    spy = "def discriminant(a, b, c):\n    return b / 7\n"
    graded(hand_in(ada=solved(discriminant=spy)), tmp_path / "out")
    page = (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "the result is wrong, off by up to" in page
    assert "expected" not in page
    assert "a = [" not in page


def test_cells_that_are_missing_moved_or_doubled_are_graded_by_name(hand_in, tmp_path):
    cells = solved()
    checks = [cell for cell in cells if cell.startswith("check(")]
    rest = [cell for cell in cells if not cell.startswith("check(")]
    folder = hand_in(
        unchecked=rest,
        shuffled=[rest[0], *rest[:0:-1], *checks],
        doubled=[*cells, cells[1].replace("4", "5"), cells[1], cells[2]],
        without_head=rest[1:],
    )
    rows = graded(folder, tmp_path / "out")
    for student in ("unchecked", "shuffled", "doubled", "without_head"):
        row = by_exercise(rows, student)["solve.discriminant"]
        assert row["points"] == "2", (student, row)
        by_name = student in ("unchecked", "without_head")
        assert ("not passed to check: found by its name" in row["remark"]) == by_name


def test_a_prediction_is_found_in_the_variable_that_the_course_names(hand_in, tmp_path):
    folder = hand_in(ada=[HEAD, "opening = 'B'", "beside('graph.stretch', lambda a, b, c: c)"])
    rows = by_exercise(graded(folder, tmp_path / "out"), "ada")
    assert rows["graph.which_way"]["points"] == "1"
    assert rows["graph.which_way"]["remark"] == "not passed to check: found by its name"
    assert rows["graph.parabola"]["remark"] == ""


def test_an_error_in_one_cell_costs_only_that_cell(hand_in, tmp_path):
    cells = solved()
    folder = hand_in(
        ada=[cells[0], "1 / 0", "def f(:", "%matplotlib inline\n!ls", "await_me = 1", *cells[1:]]
    )
    row = by_exercise(graded(folder, tmp_path / "out"), "ada")["solve.discriminant"]
    assert row["points"] == "2"
    assert "ZeroDivisionError" in row["remark"]
    assert "SyntaxError" in row["remark"]


OTHER_KERNEL = {"cells": [], "metadata": {"kernelspec": {"name": "ir", "language": "R"}}}
BROKEN = {
    "not_json": ("this is no notebook", "not a notebook: its content is not JSON"),
    "no_cells": (json.dumps({"worksheets": []}), "not a notebook of format 4"),
    "a_list": ("[1, 2]", "not a notebook of format 4"),
    "other_kernel": (json.dumps(OTHER_KERNEL), "not a Python notebook: its language is R"),
    "not_utf8": ("naïve".encode("utf-16"), "not a notebook: its content is not UTF-8 text"),
    "empty": ("", "not a notebook: its content is not JSON"),
    "deep": ("[" * 100_000, "not a notebook: its content is not JSON"),
    "huge": (
        '{"cells": "' + "x" * (50 * 2**20) + '"}',
        "too large: a notebook may have at most 20",
    ),
}


def test_a_broken_notebook_costs_only_itself(hand_in, tmp_path):
    files = {student: content for student, (content, _) in BROKEN.items()}
    folder = hand_in(**files, python_2=[HEAD, "print 'no'"], zz_good=solved())
    rows = graded(folder, tmp_path / "out")
    good = [row for row in rows if row["student"] == "zz_good"]
    for student, (_, words) in BROKEN.items():
        own = [row for row in rows if row["student"] == student]
        assert [row["exercise"] for row in own] == [row["exercise"] for row in good]
        assert [row["of"] for row in own] == ["2", "3", "1"]
        assert {row["points"] for row in own} == {"0"}
        assert own[0]["remark"].startswith(words), own
        assert (tmp_path / "out" / "feedback" / f"{student}.html").exists()
    assert by_exercise(rows, "zz_good")["solve.discriminant"]["points"] == "2"
    assert "SyntaxError" in by_exercise(rows, "python_2")["solve.discriminant"]["remark"]


def test_a_notebook_of_another_course_is_remarked(hand_in, tmp_path):
    folder = hand_in(ada=["x = 1"])
    (folder / "ada" / "solve_quadratics.ipynb").rename(folder / "ada" / "03_posterior.ipynb")
    (row,) = graded(folder, tmp_path / "out")
    assert row["exercise"] == ""
    assert row["remark"] == "it contains no exercise of this course"


def test_a_zip_as_a_learning_platform_exports_it(tmp_path):
    path = tmp_path / "class.zip"
    ada = "Ada Lovelace_123_assignsubmission_file_"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{ada}/solve_quadratics.ipynb", as_notebook(solved()))
        archive.writestr("noetheremmy_4567_8901_solve_quadratics.ipynb", as_notebook(solved()))
        archive.writestr("cleo-solve_quadratics.ipynb", as_notebook(solved()))
        archive.writestr("../../escaped.ipynb", as_notebook(solved()))
        archive.writestr("__MACOSX/Ada/solve_quadratics.ipynb", "junk")
        archive.writestr(f"{ada}/notes.txt", "hello")
    rows = graded(path, tmp_path / "out")
    assert {row["student"] for row in rows} == {"Ada Lovelace", "noetheremmy", "cleo"}
    assert not (tmp_path.parent / "escaped.ipynb").exists()


def test_an_entry_of_a_zip_that_cannot_be_read_costs_only_its_student(tmp_path):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada/solve_quadratics.ipynb", as_notebook(solved()))
        archive.writestr("ben/solve_quadratics.ipynb", as_notebook(solved()) + "  <- here")
        archive.writestr("ben/solve_quadratics.ipynb/inside.ipynb", as_notebook(solved()))
    # its checksum is no longer right
    path.write_bytes(path.read_bytes().replace(b"<- here", b"<- HERE"))
    rows = graded(path, tmp_path / "out")
    assert by_exercise(rows, "ada")["solve.discriminant"]["points"] == "2"
    assert {row["points"] for row in rows if row["student"] == "ben"} == {"0"}


def test_odd_characters_and_large_cells_cost_no_one_time(hand_in, tmp_path):
    cells = solved()
    folder = hand_in(
        surrogate=[cells[0], "raise ValueError('\\ud800')", "x = '\ud800'", *cells[1:]],
        blank=[*cells, "\n" * 5_000_000],
        magics=[*cells, "%magic\n" * 5_000],
        long=[*cells, "x = 1  # ?\n" * 200_000],
    )
    (folder / ("n" * 200)).mkdir()
    (folder / ("n" * 200) / "solve_quadratics.ipynb").write_text(as_notebook(cells))
    rows = graded(folder, tmp_path / "out")
    for student in ("surrogate", "blank", "magics", "long", "n" * 200):
        assert by_exercise(rows, student)["solve.discriminant"]["points"] == "2", student


def test_an_answer_that_ends_the_process_costs_only_itself(hand_in, tmp_path):
    ending = "def roots(a, b, c):\n    import os\n    os._exit(0)\n"
    cells = [*solved(roots=ending), "by_hand = 1.0"]
    rows = by_exercise(graded(hand_in(ada=cells), tmp_path / "out"), "ada")
    assert "its process ended" in rows["solve.roots"]["remark"]
    assert rows["solve.roots"]["points"] == "0"
    assert rows["solve.discriminant"]["points"] == "2"
    assert "its process ended" not in rows["solve.by_hand"]["remark"]


def test_the_numbers_of_another_name_are_remarked(hand_in, tmp_path):
    question = BANK["solve.by_hand"]
    number = question.answer(**question.values_for("Emmy Noether"))
    cells = [*solved(), f"check('solve.by_hand', {number!r}, student='Emmy Noether')"]
    rows = graded(hand_in(emmy_noether=cells, ada=cells), tmp_path / "out")
    own, others = (
        by_exercise(rows, student)["solve.by_hand"] for student in ("emmy_noether", "ada")
    )
    assert own["points"] == others["points"] == "1"
    assert own["remark"] == ""
    assert others["remark"] == "the numbers belong to 'Emmy Noether'"
    for page in ("class.html", "feedback/ada.html"):
        text = (tmp_path / "out" / page).read_text(encoding="utf-8")
        assert "the numbers belong to &#39;Emmy Noether&#39;" in text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Lovelace", "adalovelace", True),
        ("ada", "Lovelace, Ada", True),
        ("Zoe\u0308 Li", "Zo\u00eb", True),
        ("李 Wei", "李", True),
        ("", "", True),
        ("A. Lovelace", "Emmy Ada", False),
        ("J. Ek", "Jan Bo", False),
        ("1", "student_12", False),
        ("Emmy Noether", "ada", False),
    ],
)
def test_two_ways_to_write_a_name_share_a_word(one, other, same):
    assert grader.akin(one, other) == grader.akin(other, one) == same


def test_whose_numbers_a_wrong_answer_belongs_to_is_remarked(hand_in, tmp_path):
    cells = [*solved(), "check('solve.by_hand', 99, student='Emmy Noether')"]
    row = by_exercise(graded(hand_in(ada=cells), tmp_path / "out"), "ada")["solve.by_hand"]
    assert row["points"] == "0"
    assert row["remark"] == "the numbers belong to 'Emmy Noether'"


def test_imports_of_packages_with_answers_are_remarked(hand_in, tmp_path):
    cells = [*solved(), "import marking\nfrom algebra import roots\nimport quadratics\nimport math"]
    remark = by_exercise(graded(hand_in(ada=cells), tmp_path / "out"), "ada")["solve.roots"][
        "remark"
    ]
    for line in ("import marking", "from algebra import roots", "import quadratics"):
        assert f"imports a package that holds answers: {line};" in remark + ";"
    assert "math" not in remark
    assert "from quadratics import" not in remark
    assert "tried to import marking" in remark


def test_reading_modules_of_an_environment_in_a_folder_named_like_a_package_is_no_attempt(
    hand_in, tmp_path
):
    """A checkout of the course may be called like its package, and hold the environment."""
    environment = tmp_path / "quadratics" / ".venv"
    environment.parent.mkdir()
    environment.symlink_to(sys.prefix)
    folder = hand_in(ada=[*solved(), "import jinja2\nopen('quadratics/answers.py')"])
    code = (
        "import sys\nfrom quadratics import COURSE\nfrom marking.grader import grade\n"
        "(one,) = grade(COURSE, [sys.argv[1]], sys.argv[2], progress=False)\nprint(*one.remarks)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [str(environment / "bin" / "python"), "-c", code, str(folder), str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "tried to read quadratics/answers.py" in done.stdout
    assert done.stdout.count("tried to read") == 1


def test_the_seed_decides_on_the_inputs(hand_in, tmp_path):
    spy = solved(discriminant="def discriminant(a, b, c):\n    return b / 7\n", roots=None)
    folder = hand_in(ada=spy)

    def seen(out, **options):
        (one,) = grade(COURSE, [folder], tmp_path / out, limits=LIMITS, progress=False, **options)
        return one.rows[0].message

    first = seen("a", seed=1)
    assert "input     a = [" in first
    assert seen("b", seed=1) == first
    assert seen("c", seed=2) != first


def test_a_zip_that_holds_too_much_of_one_student_costs_only_that(tmp_path, monkeypatch):
    monkeypatch.setattr(handed_in, "PER_SUBMISSION", 2 * 2**20)
    path = tmp_path / "class.zip"
    padded = as_notebook(solved()) + " " * 2**20
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ada/solve_quadratics.ipynb", padded)
        archive.writestr("ada/film.mp4", b"0" * 5 * 2**20)  # it is not unpacked
    assert {row["student"] for row in graded(path, tmp_path / "out")} == {"ada"}
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ben/solve_quadratics.ipynb", padded)
        archive.writestr("cleo/graph_parabolas.ipynb", padded)
        archive.writestr("cleo/solve_quadratics.ipynb", padded)
    rows = graded(path, tmp_path / "out2")
    for student in ("ada", "ben"):
        assert by_exercise(rows, student)["solve.discriminant"]["points"] == "2"
    cleo = [row for row in rows if row["student"] == "cleo" and "2 MB" in row["remark"]]
    assert {row["notebook"] for row in cleo} == {"solve_quadratics.ipynb"}
    assert "the notebooks of this student have more than 2 MB together" in cleo[0]["remark"]
    assert {row["points"] for row in cleo} == {"0"}


@pytest.mark.parametrize("bwrap", list(dict.fromkeys([None, bubblewrap()])))
def test_a_report_is_told_whether_submissions_were_contained(hand_in, tmp_path, monkeypatch, bwrap):
    monkeypatch.setattr(parent, "bubblewrap", lambda: bwrap)
    told = []
    folder = hand_in(ada=["x = 1"])
    (folder / "ada" / "solve_quadratics.ipynb").rename(
        folder / "ada" / "other.ipynb"
    )  # nothing runs
    grade(
        COURSE,
        [folder],
        tmp_path / "out",
        report=lambda out, every, contained: told.append(contained),
        progress=False,
    )
    assert told == [bwrap is not None]


def test_a_student_called_by_emoji_is_graded_like_any_other(hand_in, tmp_path):
    question = BANK["solve.by_hand"]
    number = question.answer(**question.values_for("🦊"))
    cells = [*solved(), f"check('solve.by_hand', {number!r}, student='🦊 ')"]
    rows = graded(hand_in(**{"🦊": cells, "🐻": cells}), tmp_path / "out")
    assert by_exercise(rows, "🦊")["solve.by_hand"]["remark"] == ""
    assert by_exercise(rows, "🐻")["solve.by_hand"]["remark"] == "the numbers belong to '🦊 '"
    assert (tmp_path / "out" / "feedback" / "🦊.html").is_file()
    assert (tmp_path / "out" / "feedback" / "🐻.html").is_file()


def test_a_prediction_that_is_not_made_is_not_answered_yet(hand_in, tmp_path):
    folder = hand_in(ada=[HEAD, "opening = ''", "check('graph.which_way', opening)"])
    (one,) = grade(COURSE, [folder], tmp_path / "out", limits=LIMITS, progress=False)
    (row,) = [row for row in one.rows if row.exercise == "graph.which_way"]
    assert row.summary == "not answered yet"
    assert row.remark == ""


def test_a_wrong_prediction_is_told_with_its_reply(hand_in, tmp_path):
    folder = hand_in(ada=[HEAD, "check('graph.which_way', 'A')"])
    graded(folder, tmp_path / "out")
    page = (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "✗ you chose A: up<br>Its height at x = 10 is -97.</td>" in page


def test_results_repeat_with_the_seed_and_resuming_loses_nothing(hand_in, tmp_path):
    folder = hand_in(ada=solved(), ben=solved(discriminant=None))
    first = graded(folder, tmp_path / "a", seed=3)
    assert first == graded(folder, tmp_path / "b", seed=3, jobs=1)
    results = tmp_path / "a" / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines(keepends=True)
    half = lines[0] + lines[1][: len(lines[1]) // 2]  # stopped while writing
    results.write_text(half, encoding="utf-8")
    with pytest.raises(FileExistsError, match="resume"):
        graded(folder, tmp_path / "a", seed=3)
    assert graded(folder, tmp_path / "a", seed=3, resume=True) == first


def test_without_a_report_only_the_results_are_written(hand_in, tmp_path):
    results = grade(COURSE, [hand_in(ada=solved())], tmp_path / "out", progress=False)
    assert [row.points for row in results[0].rows] == [2, 3, 0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.jsonl"]


def test_what_cannot_be_graded_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="got .*nowhere, which does not exist"):
        grade(COURSE, [tmp_path / "nowhere"], tmp_path / "out", progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="there are no notebooks in .*empty"):
        grade(COURSE, [tmp_path / "empty"], tmp_path / "out", progress=False)
    (tmp_path / "not.zip").write_text("hello")
    with pytest.raises(ValueError, match="expected a zip, got .*not.zip"):
        grade(COURSE, [tmp_path / "not.zip"], tmp_path / "out", progress=False)


SEVENS = {
    "ada": "def discriminant(a, b, c):\n    return 7 * a + b * b\n",
    "ben": (
        "def discriminant(a, b, c):  # <b>ben</b>\n"
        "    return [7 * float(x) + float(y) ** 2 for x, y in zip(a, b)]\n"
    ),
    "cleo": "discriminant = lambda a, b, c: b.numpy() ** 2 + 7 * a.numpy()\n",
}


def test_a_group_is_named_in_a_file_and_everyone_in_it_is_told_without_running_again(
    hand_in, tmp_path, monkeypatch
):
    cells = {student: solved(discriminant=source) for student, source in SEVENS.items()}
    other = solved(discriminant="def discriminant(a, b, c):\n    return b.sin()\n")
    folder = hand_in(**cells, dan=other, eve=solved())
    out = tmp_path / "out"
    before = graded(folder, out)
    groups = {row["student"]: row["group"] for row in before if "discr" in row["exercise"]}
    assert len({groups[student] for student in SEVENS}) == 1
    assert len({group for group in groups.values() if group}) == 2
    assert groups["eve"] == ""
    page = (out / "class.html").read_text(encoding="utf-8")
    assert "<b>ben" not in page
    assert "return 7 * a + b * b" in page  # the shortest
    names = tmp_path / "names.txt"
    names.write_text(f'{groups["ada"]} = 1, "You take 7 a."\n', encoding="utf-8")
    results = (out / "results.jsonl").read_bytes()

    def never(*_args, **_options):
        raise AssertionError("a submission is run again")

    monkeypatch.setattr(grader, "grade_file", never)
    after = graded(folder, out, resume=True, names=names)
    assert (out / "results.jsonl").read_bytes().strip() == results.strip()
    for student in SEVENS:
        row = by_exercise(after, student)["solve.discriminant"]
        assert (row["points"], row["mistake"], row["reason"]) == ("1", *["You take 7 a."] * 2)
        feedback = (out / "feedback" / f"{student}.html").read_text(encoding="utf-8")
        assert "<br>You take 7 a.<br>1 of 2 points</td>" in feedback
    for student in ("dan", "eve"):
        assert by_exercise(after, student) == by_exercise(before, student)
    with pytest.raises(ValueError, match=r"line 1: .*000000"):
        names.write_text('solve.discriminant/000000 = "x"', encoding="utf-8")
        graded(folder, out, resume=True, names=names)


HEAD_OF_TRAP = (
    "calls = 0\ndef discriminant(a, b, c):\n    global calls\n    calls += 1\n    if calls > 4:\n"
)
TRAPS = {  # what an answer does once it has been judged, by four calls
    "ends": "        import os; os._exit(0)\n",
    "loops": "        while True: pass\n",
    "raises": "        raise SystemExit\n",
    "is right": "        return b * b - 4 * a * c\n",
    "is huge": "        return [0.0] * 10**7\n",
    "is odd": "        return (float('nan'), 'x', [[]])\n",
    "spoils others": "        global roots; roots = None; check('solve.roots', None)\n",
    "tells": "        a += 1; import sys; sys.stdout.write('x' * 10**6)\n",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_groups_are_made_with_never_changes_a_grade(hand_in, tmp_path, trap):
    trapped = f"{HEAD_OF_TRAP}{TRAPS[trap]}    return 7 * a\n"
    folder = hand_in(ada=[*solved(discriminant=trapped), "by_hand = 1.0"])
    path = folder / "ada" / "solve_quadratics.ipynb"
    submission = read_submission(COURSE, path, "ada", path.name)
    with prepared_sandbox(COURSE, LIMITS) as sandbox:
        plain, compared = (
            [
                (row.exercise, row.points, row.summary)
                for row in grade_submission(submission, sandbox, 0, compared=how).rows
            ]
            for how in (False, True)
        )
    assert plain == compared
    assert [points for _, points, _ in plain] == [0, 3, 0]
