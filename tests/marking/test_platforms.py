"""Whose a file is, by its name: each platform's export, alone and together with others' names."""

import re
import time
from pathlib import Path

import pytest
from quadratics import COURSE

from marking.platforms import names_of_owners, one_key_each, placed_in

ROOT = Path(__file__).parents[2]
SOLVE = "solve_quadratics.ipynb"
FILE = "assignsubmission_file_"
METADATA = """---
submission_123456:
  :submitters:
  - :name: Ada Lovelace
    :sid: '1815'
    :email: ada@example.org
submission_123457:
  :submitters:
  - :name: Emmy Noether
    :sid: '1882'
  - :name: Ben Bitdiddle
    :sid: '7'
"""


def placed(paths, texts=None):
    parts = [tuple(path.split("/")) for path in paths]
    said = {tuple(path.split("/")): text for path, text in (texts or {}).items()}
    return one_key_each(placed_in(COURSE, parts, said, "class"))


def students(*paths, texts=None):
    """The student of each path that is somebody's."""
    every = placed(paths, texts)
    names = names_of_owners({one.owner.key: one.owner for one in every if not one.beside})
    return [names[one.owner.key] for one in every if not one.beside]


# an example of each way of naming, and of two students who must not become one
EXPORTS = {
    "Moodle": (
        [f"Ada Lovelace_12345_{FILE}/{SOLVE}", f"Emmy Noether_12346_{FILE}/{SOLVE}"],
        ["Ada Lovelace", "Emmy Noether"],
    ),
    "Moodle, two of one name": (
        [f"Ada Lovelace_12345_{FILE}/{SOLVE}", f"Ada Lovelace_12346_{FILE}/{SOLVE}"],
        ["Ada Lovelace_12345", "Ada Lovelace_12346"],
    ),
    "Moodle, anonymous": (
        [f"Participant_1234567_{FILE}/{SOLVE}", f"Participant_1234568_{FILE}/{SOLVE}"],
        ["Participant_1234567", "Participant_1234568"],
    ),
    "Moodle, one anonymous": ([f"Participant_1234567_{FILE}/{SOLVE}"], ["Participant_1234567"]),
    "Moodle, without folders": (
        [f"Ada Lovelace_12345_{FILE}{SOLVE}", f"Emmy Noether_12346_{FILE}{SOLVE}"],
        ["Ada Lovelace", "Emmy Noether"],
    ),
    "Moodle, anonymous in German": (
        [f"Teilnehmer_1_{FILE}/{SOLVE}", f"Teilnehmer_2_{FILE}/{SOLVE}"],
        ["Teilnehmer_1", "Teilnehmer_2"],
    ),
    "Moodle, an online text too": (
        [f"Ada Lovelace_1_{FILE}/{SOLVE}", "Ada Lovelace_1_assignsubmission_onlinetext_/t.html"],
        ["Ada Lovelace", "Ada Lovelace"],
    ),
    "Moodle, a name with underscores": ([f"A_da 12_99_{FILE}/{SOLVE}"], ["A_da 12"]),
    "Canvas": (
        [
            "lovelaceada_LATE_1234_567890_solve_quadratics-1.ipynb",
            "noetheremmy_1235_567891_solve_quadratics.ipynb",
        ],
        ["lovelaceada", "noetheremmy"],
    ),
    "Canvas, two of one name": (
        [f"lovelaceada_1234_567890_{SOLVE}", f"lovelaceada_1235_567891_{SOLVE}"],
        ["lovelaceada_1234", "lovelaceada_1235"],
    ),
    "Canvas, late and not": (
        [f"lovelaceada_LATE_1234_567890_{SOLVE}", f"lovelaceada_1234_567891_{SOLVE}"],
        ["lovelaceada", "lovelaceada"],
    ),
    "Canvas, anonymous": (
        [f"anon_aB3dE_567890_{SOLVE}", f"anon_LATE0_LATE_567891_{SOLVE}"],
        ["anon_aB3dE", "anon_LATE0"],
    ),
    "Blackboard": (
        [
            f"Lesson 3_alovelace_attempt_2026-11-03-10-11-12_{SOLVE}",
            "Lesson 3_alovelace_attempt_2026-11-03-10-11-12.txt",
            f"Lesson 3_enoether_attempt_2026-11-04-10-11-12_{SOLVE}",
        ],
        ["alovelace", "alovelace", "enoether"],
    ),
    "Blackboard, ids with underscores": (
        [
            f"Lesson_3_a_l_attempt_2026-11-03-10-11-12_{SOLVE}",
            f"Lesson_3_b_l_attempt_2026-11-03-10-11-12_{SOLVE}",
        ],
        ["a_l", "b_l"],
    ),
    "Gradescope": (
        [f"submission_123456/{SOLVE}", f"submission_123457/{SOLVE}"],
        ["submission_123456", "submission_123457"],
    ),
    "Google Classroom": (
        [f"Ada Lovelace - {SOLVE}", "solve_quadratics - Emmy Noether.ipynb"],
        ["Ada Lovelace", "Emmy Noether"],
    ),
    "Google Classroom, copies": (
        [f"Ada Lovelace - Copy of {SOLVE}", f"Copy of {SOLVE}"],
        ["Ada Lovelace", "Copy of solve_quadratics"],
    ),
    "Brightspace": (
        [
            f"1234-5678 - Ada Lovelace - Nov 3, 2026 1011 AM/{SOLVE}",
            f"1234-5678 - Ada Lovelace - Nov 4, 2026 1011 AM/{SOLVE}",
            f"1235-5678 - Ada Lovelace - Nov 4, 2026 1012 AM/{SOLVE}",
        ],
        ["Ada Lovelace_1234", "Ada Lovelace_1234", "Ada Lovelace_1235"],
    ),
    "nbgrader": (
        [f"ada/solve_quadratics/{SOLVE}", f"ben/solve_quadratics/{SOLVE}"],
        ["ada", "ben"],
    ),
    "nbgrader, one student": (
        [f"ada/ps1/{SOLVE}", "ada/ps1/timestamp.txt"],
        ["ada", "ada"],
    ),
    "nbgrader, inbound": (
        [
            f"ada+solve_quadratics+2026-11-03 10:11:12.123456 UTC/{SOLVE}",
            f"ada+solve_quadratics+2026-11-04 10:11:12.123456 UTC+c2Vj/{SOLVE}",
            f"a+b@c.org+solve_quadratics+2026-11-04 10:11:12.123456 UTC/{SOLVE}",
        ],
        ["ada", "ada", "a+b@c.org"],
    ),
    "plain folders": ([f"ada/{SOLVE}", f"ben/{SOLVE}"], ["ada", "ben"]),
    "plain folders with numbers": (
        [f"stud_10023/{SOLVE}", f"stud_10024/{SOLVE}", f"smith_2001/{SOLVE}"],
        ["stud_10023", "stud_10024", "smith_2001"],
    ),
    "plain files": (
        [f"ada_{SOLVE}", f"ben-{SOLVE}", f"cleo d {SOLVE}"],
        ["ada", "ben", "cleo d"],
    ),
    "plain files with numbers": (
        [f"12345_ada_{SOLVE}", f"12346_ada_{SOLVE}", f"ada_2001_{SOLVE}", f"ada_2002_{SOLVE}"],
        ["12345_ada", "12346_ada", "ada_2001", "ada_2002"],
    ),
    "plain files that name nobody": (
        ["solve_quadratics_ada.ipynb", "solve_quadratics_ben.ipynb", "mine.ipynb"],
        ["solve_quadratics_ada", "solve_quadratics_ben", "mine"],
    ),
    "a zip of each student": ([f"ada.zip/{SOLVE}", f"ben.zip/work/{SOLVE}"], ["ada", "ben"]),
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_each_student_of_an_export_is_one(kind):
    paths, expected = EXPORTS[kind]
    assert students(*paths) == expected


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("top", ["handed-in", "a/b", "class.zip"])
def test_single_top_folders_change_nothing(kind, top):
    paths, expected = EXPORTS[kind]
    inside = students(*[f"{top}/{path}" for path in paths])
    assert inside == expected


@pytest.mark.parametrize("kind", EXPORTS)
def test_who_is_told_apart_stays_apart_whatever_lies_beside(kind):
    paths, expected = EXPORTS[kind]
    more = students(*paths, f"zz/{SOLVE}", f"yy_{SOLVE}", "README.md", "grades.csv")
    own = more[: len(expected)]
    same = [[a == b for b in expected] for a in expected]
    assert [[a == b for b in own] for a in own] == same
    assert not {"zz", "yy"} & set(own)


def test_gradescopes_metadata_name_the_students():
    paths = [f"submission_123456/{SOLVE}", f"submission_123457/{SOLVE}", "submission_metadata.yml"]
    texts = {"submission_metadata.yml": METADATA}
    assert students(*paths, texts=texts) == ["Ada Lovelace", "Emmy Noether and Ben Bitdiddle"]
    inside = [f"export/{path}" for path in paths]
    texts = {"export/submission_metadata.yml": METADATA}
    assert students(*inside, texts=texts) == ["Ada Lovelace", "Emmy Noether and Ben Bitdiddle"]
    assert placed(inside, texts)[0].owner.ids == ("1815", "ada@example.org")


def test_blackboards_text_tells_an_id_from_the_assignment():
    path = f"My_Lesson_a_l_attempt_2026-11-03-10-11-12_{SOLVE}"
    text = "My_Lesson_a_l_attempt_2026-11-03-10-11-12.txt"
    said = {text: "Name: Ada Lovelace (a_l)\nAssignment: My_Lesson\n"}
    assert students(path, text, texts=said) == ["a_l", "a_l"]


def test_exports_of_several_lessons_have_the_same_students():
    parabola = "graph_parabolas.ipynb"
    assert students(
        f"l1/Ada_11_{FILE}/{SOLVE}", f"l1/Ben_12_{FILE}/{SOLVE}", f"l2/Ada_77_{FILE}/{parabola}"
    ) == ["Ada", "Ben", "Ada"]
    assert students(f"solve_quadratics/ada/{SOLVE}", f"graph_parabolas/ada/{parabola}") == [
        "ada",
        "ada",
    ]
    # who shares a name in one of them cannot be known by it in another
    assert (
        len(
            {
                *students(
                    f"l1/Ada_11_{FILE}/{SOLVE}",
                    f"l1/Ada_12_{FILE}/{SOLVE}",
                    f"l2/Ada_77_{FILE}/{parabola}",
                )
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (f"Ben - solve_quadratics.zip/Ada - {SOLVE}", f"Ada - {SOLVE}"),
        (f"ben_solve_quadratics.zip/ada_{SOLVE}", f"ada_{SOLVE}"),
        (f"ben_solve_quadratics/ada/{SOLVE}", f"ada/{SOLVE}"),
        (f"ben_solve_quadratics.zip/ada/{SOLVE}", f"ada.zip/{SOLVE}"),
        (f"ben/ada_1_assignsubmission_file_/{SOLVE}", f"ada/{SOLVE}"),
        (f"ben.zip/ada_12_345_{SOLVE}", f"ada/{SOLVE}"),
    ],
)
def test_nobody_hands_in_for_another(mine, theirs):
    """A file named like another's, in a folder or zip of one's own, is not the other's."""
    ours, others, _ = students(mine, theirs, f"cleo_{SOLVE}")
    assert ours != others
    assert others.casefold() == "ada"


def test_two_groups_of_students_keep_the_folders_in_their_names():
    paths = [f"monday/ada/{SOLVE}", f"monday/ben/{SOLVE}", f"friday/ada/{SOLVE}"]
    assert students(*paths) == ["monday/ada", "monday/ben", "friday/ada"]
    flat = [f"monday/ada_{SOLVE}", f"monday/ben_{SOLVE}", f"friday/cleo/{SOLVE}"]
    assert students(*flat) == ["monday/ada", "monday/ben", "friday/cleo"]


@pytest.mark.parametrize("inner", ["", "Section/"])
def test_zips_of_groups_are_read_as_folders_of_groups(inner):
    paths = [f"monday.zip/ada/{SOLVE}", f"monday.zip/ben/{SOLVE}", f"friday.zip/ada/{SOLVE}"]
    paths = [path.replace(".zip/", f".zip/{inner}") for path in paths]
    assert students(*paths) == [f"monday/{inner}ada", f"monday/{inner}ben", f"friday/{inner}ada"]
    assert len({*students(*paths, f"cleo/{SOLVE}", f"dan_{SOLVE}")}) == 5
    flat = [f"monday.zip/{inner}ada_{SOLVE}", f"monday.zip/{inner}ben_{SOLVE}"]
    assert students(*flat, f"cleo/{SOLVE}") == [f"monday/{inner}ada", f"monday/{inner}ben", "cleo"]
    unpacked = [path.replace(".zip", "") for path in paths]
    assert len({*students(*unpacked, f"cleo/{SOLVE}")}) == 4
    again = [*flat, f"monday.zip/{inner}ada_solve_quadratics (1).ipynb", f"cleo/{SOLVE}"]
    assert students(*again)[::2] == [f"monday/{inner}ada"] * 2


def test_a_student_may_hand_in_all_folders_of_the_course():
    for inside in ("notebooks", "exercises", "Homework 2"):
        for name in ("ada/", "ada.zip/", "ada/course/", "ada.zip/ada/"):
            paths = [f"{name}{inside}/{SOLVE}", f"{name}solutions/{SOLVE}"]
            others = [path.replace("ada", "ben") for path in paths]
            assert students(*paths, *others) == ["ada", "ada", "ben", "ben"]


@pytest.mark.parametrize("inner", ["", "work/"])
def test_beside_folders_of_students_a_zip_in_a_folder_is_its_students(inner):
    zipped = [f"ada/a.zip/{inner}mine/{SOLVE}", f"ada/a.zip/{inner}other/{SOLVE}"]
    assert students(*zipped, f"ben/{SOLVE}") == ["ada", "ada", "ben"]
    assert students(*zipped, f"ben/{SOLVE}", f"cleo.zip/{SOLVE}") == ["ada", "ada", "ben", "cleo"]
    groups = [path.replace("ada", "monday").replace("mine", "ben") for path in zipped]
    every = students(*groups, *(path.replace("monday", "friday") for path in groups))
    assert every == [
        f"{day}/a/{inner}{name}" for day in ("monday", "friday") for name in ("ben", "other")
    ]


def test_among_zips_of_one_student_each_another_is_of_one_student():
    zips = [f"ada.zip/mine/{SOLVE}", f"ada.zip/other/{SOLVE}", f"ben.zip/{SOLVE}"]
    assert students(*zips, f"cleo.zip/work/{SOLVE}") == ["ada", "ada", "ben", "cleo"]


@pytest.mark.parametrize(
    "again",
    [
        *(
            "solve_quadratics-Copy1.ipynb",
            "solve_quadratics (1).ipynb",
            "solve_quadratics(2).ipynb",
        ),
        *("solve_quadratics - Copy.ipynb", "solve_quadratics_v2.ipynb", "Copy of " + SOLVE),
        *(f"attempt 2/{SOLVE}", f"old/{SOLVE}", f"solve_quadratics/{SOLVE}", f"2/{SOLVE}"),
    ],
)
def test_attempts_are_one_students(again):
    for top in ("", "handed-in/"):
        paths = [f"{top}ada/{SOLVE}", f"{top}ada/{again}", f"{top}ben/{SOLVE}"]
        assert students(*paths) == ["ada", "ada", "ben"]
    assert students(f"ada/{SOLVE}", f"ada/{again}") == ["ada", "ada"]


@pytest.mark.parametrize(
    "two",
    [
        ("Ada", "ada"),
        ("Zoë", "Zoe\u0308"),
        ("Ada Lovelace", "Ada  Lovelace"),
        ("ada", "ada "),
        ("ada", "ada."),
        ("李", "李_2001"),
        ("CON", "con"),
    ],
)
def test_names_that_are_almost_alike_are_two_students(two):
    assert len(set(students(*[f"{name}/{SOLVE}" for name in two]))) == 2
    moodle = [f"{name}_{number}_{FILE}/{SOLVE}" for number, name in enumerate(two)]
    assert len(set(students(*moodle))) == 2


def test_newer_attempts_are_known_by_time_and_number():
    inbound, later, *_ = placed(EXPORTS["nbgrader, inbound"][0])
    assert inbound.when < later.when
    second, first = placed([f"a_LATE_1_5678_{SOLVE[:-6]}-1.ipynb", f"a_1_5679_{SOLVE}"])
    assert first.when < second.when
    stamps = {f"ada/{name}/timestamp.txt": name for name in ("2026-11-03", "2026-11-04")}
    old, new, *_ = placed([f"ada/{name[4:14]}/{SOLVE}" for name in stamps] + [*stamps], stamps)
    assert old.when < new.when


def test_the_teachers_page_has_an_example_of_each_platform():
    page = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    table = page.partition("| platform | what it exports | student |")[2].partition("\n\n")[0]
    lines = re.findall(r"^\| ([^|]+) \| (.+?) \| `([^|]+)` \|$", table, re.MULTILINE)
    kinds = {kind.split(",")[0] for kind in EXPORTS}
    assert {re.split(r",| by | of ", kind)[0] for kind, _, _ in lines} >= kinds - {
        *("plain folders with numbers", "plain files with numbers", "a zip of each student"),
        "plain files that name nobody",
    }
    for kind, example, student in lines:
        path = re.search(r"<code>(.+)</code>", example)[1].replace(
            "03_posterior", "solve_quadratics"
        )
        texts = {"submission_metadata.yml": METADATA} if "metadata" in example else {}
        found = students(path, *texts, texts=texts)
        assert found[0] == student, kind


def test_a_student_may_write_any_words_before_the_lesson():
    parabola = "graph_parabolas.ipynb"
    for mine in (f"ada_{SOLVE}", f"final_{SOLVE}"):
        for other in (f"my_{parabola}", f"draft_{SOLVE}"):
            paths = [f"ada/{mine}", f"ada/{other}", f"ben/{SOLVE}"]
            assert students(*paths) == ["ada", "ada", "ben"]


def test_what_is_about_the_class_is_nobodys():
    about = ["README.txt", "grades.csv", "notes.md", "timestamp.txt", "index.html", "LICENSE"]
    assert students(*about, f"ada/{SOLVE}", f"ben_{SOLVE}") == ["ada", "ben"]
    assert students("ada.docx", "solve_quadratics.pdf", f"ben_{SOLVE}")[2] == "ben"


def test_a_large_class_is_told_apart_in_little_time():
    """What a platform says of the whole class is read once, not for each file of it."""
    students = range(1000)
    said = "".join(
        f"submission_{one}:\n  :submitters:\n  - :name: Ada {one}\n    :sid: '{one}'\n"
        + "  :results: none\n" * 20
        for one in students
    )
    gradescope = [(f"submission_{one}", f"{file}.ipynb") for one in students for file in range(3)]
    stamp = "attempt_2026-11-03-10-11-12"
    blackboard = [(f"HW_1_ada{one}_{stamp}_a.ipynb",) for one in students]
    started = time.process_time()
    metadata = ("submission_metadata.yml",)
    placed = placed_in(COURSE, [*gradescope, metadata], {metadata: said})
    assert placed[-2].owner.names[0] == "Ada 999"
    placed = placed_in(COURSE, blackboard, {})
    assert placed[-1].owner.names[0] == "ada999"
    assert time.process_time() - started < 10
