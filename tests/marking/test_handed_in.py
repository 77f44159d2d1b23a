"""Whatever was handed in leaves a line, costs only itself, and counts once for each exercise."""

import csv
import os
import re
import stat
import zipfile
from contextlib import ExitStack
from io import BytesIO

import pytest
from quadratics import COURSE, solved

from marking import handed_in, intake
from marking.attempts import one_attempt_each
from marking.grader import grade
from marking.grades import Graded, Row
from marking.handed_in import all_handed_in
from marking.hostile import as_notebook
from marking.report import feedback_files, write_report
from marking.sandbox.parent import Limits

unix = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
SOLVE = "solve_quadratics.ipynb"
EMPTY = as_notebook([])
RIGHT = as_notebook(solved())
WRONG = as_notebook(solved(discriminant="def discriminant(a, b, c):\n    return a\n"))
LIMITS = Limits(timeout=60, cell=10)


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def zipped(files):
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def listed(*paths, out, roster=()):
    return {key: one for key, (one, _) in listed_and_read(*paths, out=out, roster=roster).items()}


def listed_and_read(*paths, out, roster=()):
    """Each thing to grade, and its content or why it cannot be read."""

    def content(one):
        try:
            return intake.content_of(one.entry.opened, one.entry.size)
        except intake.Broken as reason:
            return str(reason)

    with ExitStack() as stack:
        handed, _ = all_handed_in(COURSE, paths, stack, out, roster)
        for one in handed:
            one.digest()
        return {(one.student, one.notebook): (one, content(one)) for one in handed}


def graded(paths, out, **options):
    every = grade(COURSE, paths, out, report=write_report, limits=LIMITS, progress=False, **options)
    tables = []
    for name in ("grades.csv", "totals.csv"):
        with (out / name).open(newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    return every, *tables


LINES = {  # what is handed in, under which name it leaves a line, and what is said of it
    "loud": ({"ada/SOLVE_QUADRATICS.IPYNB": EMPTY}, "SOLVE_QUADRATICS.IPYNB", ""),
    "text": ({f"ada/{SOLVE}.txt": EMPTY}, f"{SOLVE}.txt", "its name ends in .ipynb.txt"),
    "json": ({"ada/solve_quadratics.json": EMPTY}, "solve_quadratics.json", "ends in .json"),
    "zip in a folder": ({"ada/a.zip": zipped({SOLVE: EMPTY})}, SOLVE, ""),
    "zip in a zip": ({"ada/a.zip": zipped({"b.zip": zipped({SOLVE: EMPTY})})}, SOLVE, ""),
    "loud zip": ({"ada/A.ZIP": zipped({SOLVE: EMPTY})}, SOLVE, ""),
    "no zip": ({"ada/a.zip": b"no"}, "a.zip", "a zip that cannot be opened"),
    "zip of nothing": ({"ada/a.zip": zipped({})}, "a.zip/", "an empty zip"),
    "zip of words": ({"ada/a.zip": zipped({"a.pdf": "x"})}, "a.pdf", "no notebook was handed in"),
    "hidden": ({f"ada/.{SOLVE}": EMPTY}, f".{SOLVE}", ""),
    "hidden folder": ({f"ada/.work/{SOLVE}": EMPTY}, SOLVE, ""),
    "program": ({"ada/solve.py": "x = 1"}, "solve.py", "no notebook was handed in, but solve.py"),
    "nothing but a checkpoint": (
        {"ada/.ipynb_checkpoints/solve_quadratics-checkpoint.ipynb": EMPTY, "ada/a.txt": ""},
        "a.txt",
        "no notebook was handed in, but a.txt",
    ),
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("packed", [False, True])
def test_whatever_was_handed_in_leaves_a_line(tmp_path, kind, packed):
    files, name, words = LINES[kind]
    folder = write(tmp_path / "in", {**files, f"ben/{SOLVE}": EMPTY})
    if packed:
        folder = tmp_path / "class.zip"
        folder.write_bytes(zipped({**files, f"ben/{SOLVE}": EMPTY}))
    found = listed(folder, out=tmp_path)
    assert set(found) == {("ada", name), ("ben", SOLVE)}
    assert words in " ".join([found["ada", name].problem, *found["ada", name].remarks])
    assert found["ada", name].problem == "" or words


def test_an_empty_folder_leaves_a_line(tmp_path):
    folder = write(tmp_path / "in", {f"ben/{SOLVE}": EMPTY})
    (folder / "ada").mkdir()
    assert listed(folder, out=tmp_path)["ada", "ada/"].problem == "an empty folder"
    path = tmp_path / "class.zip"
    path.write_bytes(zipped({"ada/": "", f"ben/{SOLVE}": EMPTY}))
    assert listed(path, out=tmp_path)["ada", "ada/"].problem == "an empty folder"
    # but nothing is said of one beside a notebook
    (folder / "ben" / "figures").mkdir()
    assert len(listed(folder, out=tmp_path)) == 2


def test_what_systems_and_platforms_put_beside_is_nobodys(tmp_path):
    files = {
        f"ada/{SOLVE}": EMPTY,
        f"ada/.ipynb_checkpoints/{SOLVE}": EMPTY,
        f"__MACOSX/ada/._{SOLVE}": "x",
        "ada/.DS_Store": "x",
        "ada/settings.json": "{}",
        "grades.csv": "x",
        "README.md": "x",
    }
    assert set(listed(write(tmp_path / "in", files), out=tmp_path)) == {("ada", SOLVE)}


def test_links_are_not_followed(tmp_path):
    secret = write(tmp_path / "secret", {SOLVE: EMPTY})
    folder = write(tmp_path / "in", {f"ben/{SOLVE}": EMPTY, "ada/a.txt": "", "cleo/a.txt": ""})
    (folder / "ada" / SOLVE).symlink_to(secret / SOLVE)
    (folder / "cleo" / "work").symlink_to(secret)
    found = listed(folder, out=tmp_path)
    for key in (("ada", SOLVE), ("cleo", "work")):
        assert found[key].problem == "not read: it is a link to another file"


def test_a_sparse_file_is_judged_by_its_size_before_it_is_read(tmp_path):
    folder = write(tmp_path / "in", {f"ben/{SOLVE}": EMPTY, f"ada/{SOLVE}": ""})
    with (folder / "ada" / SOLVE).open("wb") as file:
        file.truncate(2**40)
    with ExitStack() as stack:
        handed, _ = all_handed_in(COURSE, [folder], stack, tmp_path)
        (huge,) = [one for one in handed if one.student == "ada"]

        def never():
            raise AssertionError("it is read")

        assert huge.digest()
        with pytest.raises(intake.Broken, match="too large: .* this file has 1048576 MB"):
            intake.content_of(never, huge.entry.size)


def test_zips_in_zips_end_and_cost_only_their_student(tmp_path, monkeypatch):
    nested = zipped({SOLVE: EMPTY})
    for _ in range(5):
        nested = zipped({"inner.zip": nested})
    many = zipped({f"{number}.txt": "" for number in range(20)})
    monkeypatch.setattr(handed_in, "MOST_FILES", 10)
    path = tmp_path / "class.zip"
    path.write_bytes(zipped({"ada/a.zip": nested, "cleo/a.zip": many, f"ben/{SOLVE}": EMPTY}))
    found = listed(path, out=tmp_path)
    assert found["ada", "inner.zip"].problem == "not opened: it lies in 3 other zips"
    assert "it has 20 files, expected at most 10" in found["cleo", "a.zip"].problem
    assert found["ben", SOLVE].problem == ""
    monkeypatch.setattr(handed_in, "PER_SUBMISSION", 100)
    assert (
        "too large: a zip may have at most" in listed(path, out=tmp_path)["cleo", "a.zip"].problem
    )


def test_several_folders_zips_and_files_can_be_named(tmp_path):
    write(tmp_path, {f"in/ada/{SOLVE}": EMPTY, f"in/ben/{SOLVE}": EMPTY})
    (tmp_path / "cleo.zip").write_bytes(zipped({SOLVE: EMPTY}))
    (tmp_path / "dan.zip").write_bytes(zipped({SOLVE: EMPTY}))
    folders = [tmp_path / "in" / "ada", tmp_path / "in" / "ben"]
    zips = [tmp_path / "cleo.zip", tmp_path / "dan.zip"]
    found = listed(*folders, *zips, out=tmp_path / "out")
    assert {student for student, _ in found} == {"ada", "ben", "cleo", "dan"}
    files = [folder / SOLVE for folder in folders]
    assert {student for student, _ in listed(*files, out=tmp_path)} == {"ada", "ben"}


def test_the_folder_of_the_report_is_left_out(tmp_path):
    folder = write(tmp_path, {f"in/ada/{SOLVE}": EMPTY, f"in/out/{SOLVE}": EMPTY}) / "in"
    assert set(listed(folder, out=folder / "out")) == {("ada", SOLVE)}


THAI = "ก" * 81  # 243 bytes


@unix
def test_a_class_of_everything_is_graded(tmp_path):
    folder = write(
        tmp_path / "in",
        {
            f"{THAI}/{SOLVE}": RIGHT,
            "loud/SOLVE_QUADRATICS.IPYNB": RIGHT,
            f"text/{SOLVE}.txt": RIGHT,
            "zip/a.zip": zipped({"b.zip": zipped({SOLVE: RIGHT})}),
            f"hidden/.{SOLVE}": RIGHT,
            "CON/homework.ipynb": RIGHT,
            "pdf/answers.pdf": "x",
            "torn/homework.ipynb": RIGHT[:-9],
            "lost/homework.ipynb": "{",
        },
    )
    (folder / "empty").mkdir()
    _, rows, totals = graded([folder], tmp_path / "out")
    total = {one["student"]: (one["points"], one["of"]) for one in totals}
    for student in (THAI, "loud", "text", "zip", "hidden", "CON"):
        assert total[student] == ("5", "6"), student
    for student in ("pdf", "torn", "lost", "empty"):
        assert total[student] == ("0", "6"), student
        own = [row for row in rows if row["student"] == student]
        assert [row["of"] for row in own] == ["2", "3", "1"], student
        assert all(row["remark"] for row in own)
    assert len(list((tmp_path / "out" / "feedback").iterdir())) == 10


@unix
def test_attempts_are_never_added_up(tmp_path):
    folder = write(
        tmp_path / "in",
        {
            f"ada/{SOLVE}": RIGHT,
            "ada/solve_quadratics-Copy1.ipynb": WRONG,
            "ben/attempt 1/solve_quadratics.ipynb": WRONG,
            "ben/attempt 2/solve_quadratics.ipynb": "{",
            f"ben_{SOLVE}": "x",  # another Ben: nothing says that it is the same
        },
    )
    _, rows, totals = graded([folder], tmp_path / "out")
    assert {one["student"]: one["points"] for one in totals}["ada"] == "5"
    ada = [row for row in rows if row["student"] == "ada"]
    assert len(ada) == 6
    assert sum(float(row["points"]) for row in ada) == 5
    first = next(row for row in ada if row["notebook"] == SOLVE)
    assert first["remark"].startswith("2 attempts handed in: this one counts, the best")
    _, rows, totals = graded([folder], tmp_path / "out", resume=True, attempts="newest")
    points = {one["student"]: one["points"] for one in totals}
    assert points["ada"] == "3"
    first = next(row for row in rows if row["notebook"] == SOLVE and row["points"] == "0")
    assert "not counted: 2 of 2 points here, but solve_quadratics-Copy1.ipynb" in first["remark"]
    assert sum(points[name] == "3" for name in points) == 2  # a file that is torn is no attempt


def test_the_best_and_the_newest_are_chosen_for_each_exercise():
    def notebook(key, *points, broken=False):
        rows = tuple(Row(f"q{place}", one, 4) for place, one in enumerate(points))
        return Graded("ada", f"{key}.ipynb", key, rows, broken=broken)

    every = [notebook("a", 4, 0), notebook("b", 0, 3), notebook("c", 0, 0, broken=True)]
    ages = {"a": ("", 0, 5.0), "b": ("", 1, 1.0), "c": ("", 2, 9.0)}

    def points(attempts):
        chosen = one_attempt_each(every, ages, attempts)
        return [[row.points for row in one.rows if row.counts] for one in chosen]

    assert points("best") == [[4], [3], []]
    assert points("newest") == [[], [0, 3], []]
    with pytest.raises(ValueError, match="expected attempts to be 'best' or 'newest', got 'sum'"):
        one_attempt_each(every, ages, "sum")
    alone = one_attempt_each(every[2:], ages, "newest")
    assert alone == every[2:]


@pytest.mark.parametrize("attempts", ["best", "newest"])
def test_letters_of_a_prediction_are_counted_over_all_notebooks(attempts):
    def notebook(key, letters, points):
        return Graded("ada", f"{key}.ipynb", key, (Row("q", points, 1, letters=letters),))

    ages = {key: ("", place, 0.0) for place, key in enumerate("abcd")}

    def counting(*notebooks):
        chosen = one_attempt_each(notebooks, ages, attempts, {"q": 2})
        return [one.key for one in chosen if one.rows[0].counts]

    best = attempts == "best"
    assert counting(notebook("a", "B", 1), notebook("b", "C", 0)) == ["a" if best else "b"]
    assert counting(notebook("a", "BC", 1), notebook("b", "A", 0)) == ["b"]
    every = [notebook("a", "A", 0), notebook("b", "B", 1), notebook("c", "D", 0)]
    assert counting(*every) == ["c"]
    assert counting(*every, notebook("d", "", 0)) == ["c" if best else "d"]


def test_who_arrives_later_changes_names_without_running_again(tmp_path):
    folder = write(tmp_path / "in", {f"Ada_11_assignsubmission_file_/{SOLVE}": "{"})
    every, *_ = graded([folder], tmp_path / "out")
    assert [one.student for one in every] == ["Ada"]
    write(folder, {f"Ada_12_assignsubmission_file_/{SOLVE}": "{"})
    every, *_ = graded([folder], tmp_path / "out", resume=True)
    assert [one.student for one in every] == ["Ada_11", "Ada_12"]


def test_pages_have_names_that_every_system_takes():
    names = ["CON", "con", "nul.txt", "COM1", "a.", "a", "A", "...", "ก" * 81, "é" * 200, "a/b"]
    files = feedback_files(names)
    assert len({file.casefold() for file in files.values()}) == len(names)
    for file in files.values():
        stem = file.removesuffix(".html")
        assert stem.partition(".")[0].upper() not in {"CON", "NUL", "COM1"}
        assert not stem.endswith((".", " "))
        assert len(file.encode()) < 240  # with what is added while it is written


def test_a_line_without_exercise_is_not_of_0_points(tmp_path):
    write_report(tmp_path, [Graded("ada", "n", "k", remarks=("odd",), broken=True)], True)
    with (tmp_path / "grades.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["points"], row["of"], row["remark"]) == ("0", "", "odd")


@unix
def test_a_notebook_under_another_name_is_of_the_lesson_of_the_class(tmp_path):
    unchecked = [cell for cell in solved() if not cell.startswith("check(")]
    files = {
        f"ada/{SOLVE}": RIGHT,
        "ben/homework.ipynb": as_notebook(unchecked),
        "ada/notes.ipynb": as_notebook(["x = 1"]),
    }
    _, rows, totals = graded([write(tmp_path / "in", files)], tmp_path / "out")
    assert [(one["student"], one["points"], one["of"]) for one in totals] == [
        ("ada", "5", "6"),
        ("ben", "5", "6"),
    ]
    (notes,) = [row for row in rows if row["notebook"] == "notes.ipynb"]
    assert notes["remark"] == "it contains no exercise of this course"
    assert not [row for row in rows if "attempt" in row["remark"]]


def test_a_zip_in_a_zip_that_was_blown_up_is_not_unpacked(tmp_path):
    path = tmp_path / "class.zip"
    bomb = b"\0" * (8 * 2**20) + zipped({SOLVE: EMPTY})
    path.write_bytes(zipped({"ada/a.zip": bomb, f"ben/{SOLVE}": EMPTY}))
    found = listed(path, out=tmp_path)
    assert "far larger than its content" in found["ada", "a.zip"].problem
    assert found["ben", SOLVE].problem == ""


@unix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root opens all")
def test_a_folder_that_cannot_be_opened_leaves_a_line(tmp_path):
    folder = write(tmp_path / "in", {f"ada/{SOLVE}": EMPTY, f"ben/{SOLVE}": EMPTY})
    (folder / "ada").chmod(0)
    assert "cannot be opened" in listed(folder, out=tmp_path)["ada", "ada/"].problem
    (folder / "ada").chmod(0o700)


def test_the_time_that_a_platform_adds_is_no_lesson(tmp_path):
    """Blackboard's seconds before the name of a file look like the number of a lesson."""
    name = "Lesson_ada_attempt_2026-11-03-10-11-12_work.ipynb"
    (found,) = listed(write(tmp_path / "in", {name: EMPTY}), out=tmp_path).values()
    assert (found.student, found.placed.file, found.lesson) == ("ada", "work.ipynb", "")
    solve = name.replace("work", "solve_quadratics")
    (found,) = listed(write(tmp_path / "in2", {solve: EMPTY}), out=tmp_path).values()
    assert found.lesson == "solve"


# --- zips that are made to harm ---


def zip_of(entries):
    """The bytes of a zip with these entries; an entry is a name or a ZipInfo, and its content."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return made.getvalue()


def with_type(name, kind):
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return info


def handed_by_ada(tmp_path, content):
    """What is listed where Ada hands in a zip, and Ben a notebook; nothing else may appear."""
    return [one for one, _ in read_of_ada(tmp_path, content)]


def read_of_ada(tmp_path, content):
    """The same, each with its content, or why it cannot be read."""
    before = set(os.listdir(tmp_path.parent)), set(os.listdir("/" if os.name == "posix" else "."))
    folder = write(tmp_path / "in", {"ada/a.zip": content, f"ben/{SOLVE}": EMPTY})
    found = listed_and_read(folder, out=tmp_path)
    after = set(os.listdir(tmp_path.parent)), set(os.listdir("/" if os.name == "posix" else "."))
    assert after == before
    assert set(os.listdir(folder)) == {"ada", "ben"}
    assert set(os.listdir(folder / "ada")) == {"a.zip"}
    assert found.pop(("ben", SOLVE))[0].problem == ""
    assert {student for student, _ in found} == {"ada"}
    return list(found.values())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (f"../../{SOLVE}", "not read: its path leads out of the zip"),
        (f"a/../../{SOLVE}", "not read: its path leads out of the zip"),
        (f"..\\..\\{SOLVE}", "not read: its path leads out of the zip"),
        (f"/etc/{SOLVE}", ""),
        (f"//host/share/{SOLVE}", ""),
        (f"\\\\host\\share\\{SOLVE}", ""),
        (f"C:\\Users\\ada\\{SOLVE}", ""),
        (f"C:{SOLVE}", ""),
    ],
)
def test_a_path_that_leads_out_of_a_zip_leads_nowhere(tmp_path, name, problem):
    (found,) = handed_by_ada(tmp_path, zip_of([(name, EMPTY)]))
    assert found.problem == problem
    assert ".." not in found.entry.parts


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_device_in_a_zip_is_not_read(tmp_path, kind):
    (found,) = handed_by_ada(tmp_path, zip_of([(with_type(SOLVE, kind), EMPTY)]))
    assert found.problem == "not read: it is no regular file"


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    link = with_type(SOLVE, stat.S_IFLNK)
    (found,) = handed_by_ada(tmp_path, zip_of([(link, "/etc/passwd")]))
    assert found.problem == "not read: it is a link to another file"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_may_unpack_without_bounds_is_not_unpacked(tmp_path, method):
    """Python unpacks a block of these as a whole: a few bytes could take gigabytes."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr(SOLVE, b"\0" * 2**24)
    # it announces 10 bytes
    bomb = made.getvalue().replace((2**24).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    ((found, said),) = read_of_ada(tmp_path, bomb)
    assert found.entry.size == 10
    assert said.startswith("cannot be read: it is compressed with ")
    inner = BytesIO()
    with zipfile.ZipFile(inner, "w", method) as archive:
        archive.writestr("b.zip", zipped({SOLVE: EMPTY}))
    (found,) = handed_by_ada(tmp_path, inner.getvalue())
    assert "a zip that cannot be read: it is compressed with" in found.problem


def changed_at(content, signature, offset, size, value):
    """The bytes of a zip with a number changed in each header of a kind."""
    changed = bytearray(content)
    start = changed.find(signature)
    while start >= 0:
        changed[start + offset : start + offset + size] = value.to_bytes(size, "little")
        start = changed.find(signature, start + 4)
    return bytes(changed)


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (8, 1, "encrypted"),
        (10, 99, "compressed with method 99"),
        (16, 1, "CRC"),
        (20, 3, ""),  # the compressed size: it ends too early
        (24, 3, "CRC"),  # the size
        (42, 5, "magic number|header"),  # where the entry begins
    ],
)
def test_a_wrong_header_costs_its_entry(tmp_path, offset, value, words):
    size = 2 if offset < 16 else 4
    content = changed_at(zip_of([(SOLVE, RIGHT)]), CENTRAL, offset, size, value)
    ((_, said),) = read_of_ada(tmp_path, content)
    assert said.startswith("cannot be read: ")
    assert re.search(words, said), said


def test_entries_that_overlap_are_read_within_bounds(tmp_path, monkeypatch):
    """Many entries of one content, as in a bomb of 10 MB that unpacks to 281 TB."""
    names = [f"{number:04}.ipynb" for number in range(2000)]
    whole = zip_of([(name, b"") for name in names] + [("last.ipynb", b"\0" * 2**22)])
    place = whole.rfind(LOCAL)
    info = zipfile.ZipFile(BytesIO(whole)).infolist()[-1]
    overlapping = changed_at(whole, CENTRAL, 42, 4, place)
    overlapping = changed_at(overlapping, CENTRAL, 24, 4, info.file_size)
    overlapping = changed_at(overlapping, CENTRAL, 20, 4, info.compress_size)
    found = handed_by_ada(tmp_path, overlapping)
    assert len(found) == 2001
    used = [one for one in found if not one.problem]
    assert sum(one.entry.size for one in used) <= handed_in.PER_SUBMISSION
    assert "the notebooks of this student have more than 500 MB together" in found[-1].problem


def test_zips_in_a_zip_have_one_allowance_together(tmp_path, monkeypatch):
    inner = zip_of([(f"{number}.txt", "") for number in range(10)])
    every = zip_of([(f"{number}.zip", inner) for number in range(10)])
    monkeypatch.setattr(handed_in, "MOST_FILES_DEEP", 50)
    monkeypatch.setattr(handed_in.Allowance, "__init__", limited(files=50))
    found = handed_by_ada(tmp_path, every)
    refused = [one for one in found if "more than 50 files" in one.problem]
    assert len(refused) == 6
    monkeypatch.setattr(handed_in.Allowance, "__init__", limited(size=3 * len(inner)))
    found = handed_by_ada(tmp_path, every)
    refused = [one for one in found if "the zips in it have more than" in one.problem]
    assert len(refused) == 7


def limited(files=10**6, size=10**9):
    """What makes a smaller allowance."""

    def made(self):
        self.files, self.size = files, size

    return made


def test_a_zip_that_holds_itself_ends(tmp_path):
    """42.zip holds zips of zips of zips; at some depth they are not opened."""
    nested = zipped({SOLVE: EMPTY})
    for _ in range(8):
        nested = zipped({"left.zip": nested, "right.zip": nested})
    found = handed_by_ada(tmp_path, nested)
    assert len(found) == 2**3
    assert {one.problem for one in found} == {"not opened: it lies in 3 other zips"}


def test_10_000_files_are_listed_and_one_more_is_refused(tmp_path):
    content = zip_of([(f"{number}.txt", "") for number in range(10_000)])
    (found,) = handed_by_ada(tmp_path, content)
    assert found.problem.startswith("no notebook was handed in, but 0.txt, ")
    made = BytesIO(content)
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("more.txt", "")
    (found,) = handed_by_ada(tmp_path, made.getvalue())
    assert "it has 10001 files, expected at most 10000" in found.problem


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.ipynb",
        "n" * 300 + ".ipynb",
        "n" * 60_000 + ".ipynb",
        "1-1 - " + "- A" * 20_000 + ".ipynb",  # looks like Brightspace's, many times
        f"a ({'1' * 5000}).ipynb",  # a number that Python does not read
        f"{'1' * 5000}/a.ipynb",
        "\u202eadanob.ipynb",
        " .ipynb",
        ".ipynb",
    ],
)
def test_an_odd_name_in_a_zip_leaves_a_line(tmp_path, name):
    (found,) = handed_by_ada(tmp_path, zip_of([(name, EMPTY)]))
    assert found.problem == ""
    assert max(map(len, found.entry.parts)) <= 255


def test_a_nul_ends_a_name_in_a_zip(tmp_path):
    content = zip_of([("a?b.ipynb", EMPTY)]).replace(b"a?b.ipynb", b"a\0b.ipynb")
    (found,) = handed_by_ada(tmp_path, content)
    assert found.problem.startswith("no notebook was handed in")
    assert "\0" not in found.notebook


def test_folders_in_folders_end(tmp_path):
    (found,) = handed_by_ada(tmp_path, zip_of([("a/" * 20_000 + SOLVE, EMPTY)]))
    assert found.problem == "not read: it lies in more than 50 folders"
    folder = tmp_path / "deep"
    folder.joinpath(*["d"] * 60).mkdir(parents=True)
    (found,) = listed(folder, out=tmp_path).values()
    assert found.problem == "not read: it lies in more than 50 folders"


def test_names_that_meet_on_a_disk_without_case_stay_apart(tmp_path):
    content = zip_of([(SOLVE, EMPTY), (SOLVE.upper(), RIGHT), (f"A/{SOLVE}", WRONG)])
    contents = [content.decode() for _, content in read_of_ada(tmp_path, content)]
    assert sorted(contents) == sorted((EMPTY, RIGHT, WRONG))
    folder = tmp_path / "class.zip"
    folder.write_bytes(zip_of([(f"{name}/{SOLVE}", EMPTY) for name in ("Ada", "ADA", "ada ")]))
    students = {student for student, _ in listed(folder, out=tmp_path)}
    assert len(students) == 3
    assert len({file.casefold() for file in feedback_files(students).values()}) == 3


def test_more_zips_than_files_can_be_open(tmp_path):
    files = {f"{number:04}/a.zip": zipped({SOLVE: EMPTY}) for number in range(300)}
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    folder = write(tmp_path / "in", files)
    inner = zip_of([(f"{number}.zip", zipped({SOLVE: EMPTY})) for number in range(300)])
    write(folder, {"0000/a.zip": inner})
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, limits[1]))
    try:
        found = listed(folder, out=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(found) == 599
    assert {one.problem for one in found.values()} == {""}
