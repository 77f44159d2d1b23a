"""Hand the hostile notebooks to other graders, and to ours: what do they earn, and what do they do?

python tools/compare_graders.py --otter ENV/bin/python --prairielearn ENV/bin/python

Each grader has the same two questions: the discriminant, which no hostile notebook solves, and
the roots, which all of them do. Each notebook is graded alone, by the grader as it comes, inside
bubblewrap, with a folder of its own, no network, and limits of memory and processes: what it does
is seen, and stays there. In that folder lie a file that must not change and the grade of another
student; a server on the loopback address waits for anyone. Ours has a wall of its own around each
notebook, and grades all of them in one run.

nbgrader, otter-grader and pytest-prairielearn-grader may be installed in different environments, of
which the Python is named. What came of each notebook is kept; a run that was cut off is continued.
The notebooks are written against our grader: an attack on one of its parts does nothing to the
others, so that their numbers are lower bounds.
"""

import argparse
import contextlib
import csv
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 120  # that a grader may take for one notebook
CELL = 30  # seconds of a cell, where a grader has such a limit
MEGABYTES = 4096  # of memory, a process
PROCESSES = 200
LARGEST_FILE = 16  # MB
OPEN_FILES = 256
DISK = 256  # MB of each folder that can be written
PORT = 9999
VICTIM = "/class/victim.txt"
HEAD = "import numpy"
ROOTS = (
    "def roots(a, b, c):\n"
    "    middle, half = -b / (2 * a), (b * b - 4 * a * c) ** 0.5 / (2 * a)\n"
    "    return middle - half, middle + half\n"
)
RIGHT = "def discriminant(a, b, c):\n    return b * b - 4 * a * c\n"
UNSOLVED = "def discriminant(a, b, c):\n    ...\n"
POINTS = {"discriminant": 2.0, "roots": 3.0}
# what a teacher writes to test them; the inputs and the results are hidden from students
TESTS = {
    "discriminant": (
        "assert numpy.allclose(discriminant(numpy.array([2.0, 1.0]), numpy.array([3.0, 4.0]),"
        " numpy.array([-2.0, 1.0])), [25.0, 12.0])"
    ),
    "roots": (
        "assert numpy.allclose(roots(numpy.array([2.0]), numpy.array([3.0]),"
        " numpy.array([-2.0])), [[-2.0], [0.5]])"
    ),
}
PRAIRIELEARN = """import pytest
from pytest_prairielearn_grader.assertions import assert_fn_approx_equal

sandbox_timeout = 30


@pytest.mark.grading_data(name="discriminant", points=2)
def test_discriminant(sandbox):
    for args, expected in (((2.0, 3.0, -2.0), 25.0), ((1.0, 4.0, 1.0), 12.0)):
        assert_fn_approx_equal(
            sandbox, "discriminant", args=args, expected=expected, query_timeout=30
        )


@pytest.mark.grading_data(name="roots", points=3)
def test_roots(sandbox):
    smaller, larger = sandbox.query_function("roots", 2.0, 3.0, -2.0, query_timeout=30)
    assert abs(smaller + 2) < 1e-6
    assert abs(larger - 0.5) < 1e-6
"""
NBGRADER = """c = get_config()
c.CourseDirectory.root = "/class/course"
c.CourseDirectory.course_id = "quadratics"
c.CourseDirectory.db_url = "sqlite:////class/gradebook.db"
c.Execute.timeout = {cell}
c.Execute.interrupt_on_timeout = True
"""
NBGRADER_POINTS = """
select student_id, base_cell.name, grade.auto_score
from grade
join base_cell on base_cell.id = grade.cell_id
join submitted_notebook on submitted_notebook.id = grade.notebook_id
join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
"""


# --- what is graded ---


def cell_of(source: str, **marks: Any) -> dict[str, Any]:
    """A code cell, with nbgrader's marks if there are any."""
    metadata = {"nbgrader": {"schema_version": 3, **marks}} if marks else {}
    return {
        "cell_type": "code",
        "id": marks.get("grade_id", os.urandom(4).hex()),
        "metadata": metadata,
        "outputs": [],
        "execution_count": None,
        "source": source,
    }


def notebook_of(cells: Sequence[dict[str, Any]]) -> str:
    """The notebook of these cells, as JSON."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content)


def is_answer(source: str, name: str) -> bool:
    """Whether a cell holds the answer to a question."""
    return source.rstrip().endswith(f"{name} = answer") or source.startswith(f"def {name}(")


def marked_for_nbgrader(sources: Sequence[str]) -> str:
    """The notebook with nbgrader's marks: an answer is a solution, a check its test."""
    cells = []
    for source in sources:
        name = next((name for name in POINTS if is_answer(source, name)), "")
        if name:
            marks = {"grade": False, "solution": True, "locked": False, "task": False}
            cells.append(cell_of(source, grade_id=f"{name}-answer", **marks))
            marks = {"grade": True, "solution": False, "locked": True, "task": False}
            test = f"### BEGIN HIDDEN TESTS\n{TESTS[name]}\n### END HIDDEN TESTS"
            cells.append(cell_of(test, grade_id=name, points=POINTS[name], **marks))
        elif without_checks([source]):
            cells.append(cell_of(source))
    return notebook_of(cells)


def without_checks(sources: Sequence[str]) -> list[str]:
    """The cells without those that speak to our grader: the checks, and the error that confesses
    what got through, which would end a notebook that is run as one program.
    """
    return [source for source in sources if not source.startswith(("check(", "confess("))]


def submissions(
    victim: str, store: str, secrets: tuple[str, ...], only: Sequence[str]
) -> dict[str, tuple[list[str], bool]]:
    """The cells of each hostile notebook, and whether the answer to its other question should
    count; and of an honest one.

    Args:
        victim: a file that they attack.
        store: the file with the grade of another student.
        secrets: files that they look for.
        only: the names of some; all if it is empty.
    """
    from marking.hostile import Target, hostile_cells, hostile_notebooks

    course = our_course()
    rest = [ROOTS, "check('solve.roots', roots)"]
    honest = [HEAD, RIGHT, "check('solve.discriminant', discriminant)", *rest]
    found = {"(honest)": (honest, True)}
    for one in hostile_notebooks():
        if one.fits() and not one.paired and (not only or one.name in only):
            target = Target(
                course=course,
                exercise=course.bank["solve.discriminant"],
                right=RIGHT,
                port=PORT,
                victim=victim,
                out=store,
                secrets=secrets,
                memory=MEGABYTES,
            )
            found[one.name] = hostile_cells(one, target, HEAD, rest), one.spares_the_rest
    return found


def our_course() -> Any:
    """The course of the two questions for our grader."""
    import torch

    from marking.course import Course
    from marking.exercise import Case, Exercise, Inputs, Mistake

    def cases(draw: Inputs) -> Iterator[Case]:
        yield Case(
            "a few equations",
            (draw.uniform(0.5, 2.0, 4), draw.uniform(-3.0, 3.0, 4), -draw.uniform(0.5, 2.0, 4)),
        )

    def both(a: Any, b: Any, c: Any) -> Any:
        root = (b * b - 4 * a * c) ** 0.5
        return (-b - root) / (2 * a), (-b + root) / (2 * a)

    example = tuple(torch.tensor([value]) for value in (2.0, 3.0, -2.0))
    discriminant = Exercise(
        "solve.discriminant",
        arguments=("a", "b", "c"),
        returns="the discriminant, shape (n,)",
        reference=lambda a, b, c: b * b - 4 * a * c,
        cases=cases,
        mistakes=(
            Mistake(
                "plus for minus",
                lambda a, b, c: b * b + 4 * a * c,
                "You add 4 a c: it is {right}; yours is {wrong}.",
                example,
            ),
        ),
    )
    roots = Exercise(
        "solve.roots",
        arguments=("a", "b", "c"),
        returns="the smaller and the larger root, each (n,)",
        reference=both,
        cases=cases,
        points=3,
        mistakes=(
            Mistake(
                "the larger root first",
                lambda a, b, c: both(a, b, c)[::-1],
                "The larger root is first: they are {right}; yours are {wrong}.",
                example,
            ),
        ),
    )
    return Course("quadratics", "quadratics", {one.name: one for one in (discriminant, roots)})


# --- the graders: each is prepared once, and run on one notebook inside the wall ---


@dataclass(frozen=True)
class Grader:
    """A grader.

    Args:
        name: of the package.
        store: the file with the grade of another student.
        secrets: more files that no student should read: solutions, tests, what others handed in.
        prepare: writes what a teacher has, into a folder that is copied to /class.
        submit: writes a submission below /class, from its cells.
        command: grades it, given the Python of the grader's environment.
        points: of ada and of ben by question, afterwards; it may raise anything.
    """

    name: str
    store: str
    secrets: tuple[str, ...]
    prepare: Callable[[Path, str], None]
    submit: Callable[[Path, Sequence[str]], None]
    command: Callable[[str], list[str]]
    points: Callable[[str], dict[str, dict[str, float]]]


def written(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# nbgrader


def prepare_nbgrader(folder: Path, python: str) -> None:
    """A course with the assignment generated, and Ben's grade in the gradebook."""
    config = NBGRADER.format(cell=CELL)
    written(folder / "course" / "nbgrader_config.py", config)
    source = [HEAD, RIGHT, ROOTS]
    written(folder / "course" / "source" / "solve" / "hw.ipynb", marked_for_nbgrader(source))
    ben = marked_for_nbgrader([HEAD, UNSOLVED, "def roots(a, b, c):\n    ...\n"])
    written(folder / "course" / "submitted" / "ben" / "solve" / "hw.ipynb", ben)
    for words in (["generate_assignment", "solve"], ["autograde", "solve", "--student", "ben"]):
        inside([python, "-m", "nbgrader", *words], folder, python, cwd="/class/course")


def submit_to_nbgrader(folder: Path, cells: Sequence[str]) -> None:
    """The notebook in the folder of what Ada handed in."""
    path = folder / "course" / "submitted" / "ada" / "solve" / "hw.ipynb"
    written(path, marked_for_nbgrader(cells))


def points_of_nbgrader(python: str) -> dict[str, dict[str, float]]:
    """The points in its gradebook."""
    found: dict[str, dict[str, float]] = {}
    with contextlib.closing(sqlite3.connect("/class/gradebook.db")) as gradebook:
        for student, name, score in gradebook.execute(NBGRADER_POINTS):
            own = found.setdefault(student, {})
            if score is not None:  # it was graded
                own[name] = float(score)
    return found


# otter-grader


def otter_test(name: str) -> str:
    """A file with a hidden test of one question."""
    body = TESTS[name].replace(f"{name}(", f"env['{name}'](")
    return (
        "import numpy\nfrom otter.test_files import test_case\n\nOK_FORMAT = False\n"
        f"name = {name!r}\npoints = {POINTS[name]}\n\n\n"
        f"@test_case(points={POINTS[name]}, hidden=True)\ndef test_{name}(env):\n    {body}\n"
    )


def prepare_otter(folder: Path, python: str) -> None:
    """The zip that it grades with, and Ben's results."""
    for name in POINTS:
        written(folder / "tests" / f"{name}.py", otter_test(name))
    written(folder / "otter_config.json", json.dumps({"pdf": False}))
    words = ["generate", "-t", "tests", "-c", "otter_config.json", "--no-requirements"]
    inside([python, "-m", "otter", *words, "--no-environment"], folder, python, cwd="/class")
    written(folder / "results" / "ben" / "results.json", results_of_ben("score"))


def results_of_ben(score: str) -> str:
    """The results of Ben, who has solved nothing."""
    return json.dumps({"tests": [{"name": name, score: 0.0} for name in POINTS]})


def submit_to_otter(folder: Path, cells: Sequence[str]) -> None:
    """The notebook by itself."""
    sources = map(cell_of, without_checks(cells))
    written(folder / "hw.ipynb", notebook_of(list(sources)))
    (folder / "results" / "ada").mkdir(parents=True, exist_ok=True)


def points_in(path: str, score: str) -> dict[str, float]:
    """The points in a file of results; none if there is no such file."""
    if not Path(path).exists():
        return {}
    tests = json.loads(Path(path).read_text())["tests"]
    return {
        name: float(test[score])
        for test in tests
        for name in POINTS
        if name in (test["name"] or "")
    }


def points_of_otter(python: str) -> dict[str, dict[str, float]]:
    """The points in the files of results."""
    return {
        name: points_in(f"/class/results/{name}/results.json", "score") for name in ("ada", "ben")
    }


# pytest-prairielearn-grader


def prepare_prairielearn(folder: Path, python: str) -> None:
    """The tests, and Ben's results."""
    written(folder / "test_student.py", PRAIRIELEARN)
    written(folder / "pytest.ini", "[pytest]\n")
    written(folder / "ben" / "autograder_results.json", results_of_ben("points"))


def submit_to_prairielearn(folder: Path, cells: Sequence[str]) -> None:
    """The cells as one program, which it makes of a notebook too."""
    code = "\n\n".join(without_checks(cells))
    written(folder / "test_student" / "student_code.py", code)


def points_of_prairielearn(python: str) -> dict[str, dict[str, float]]:
    """The points in the files of results."""
    folders = {"ada": "/class", "ben": "/class/ben"}
    return {
        name: points_in(f"{folder}/autograder_results.json", "points")
        for name, folder in folders.items()
    }


GRADERS = {
    "nbgrader": Grader(
        "nbgrader",
        "/class/gradebook.db",
        ("/class/course/source/solve/hw.ipynb", "/class/course/submitted/ben/solve/hw.ipynb"),
        prepare_nbgrader,
        submit_to_nbgrader,
        lambda python: [python, "-m", "nbgrader", "autograde", "solve", "--student", "ada"],
        points_of_nbgrader,
    ),
    "otter": Grader(
        "otter-grader",
        "/class/results/ben/results.json",
        ("/class/tests/discriminant.py", "/class/autograder.zip"),
        prepare_otter,
        submit_to_otter,
        lambda python: [
            *(python, "-m", "otter", "run", "-a", "/class/autograder.zip"),
            *("-o", "/class/results/ada", "--no-logo", "/class/hw.ipynb"),
        ],
        points_of_otter,
    ),
    "prairielearn": Grader(
        "pytest-prairielearn-grader",
        "/class/ben/autograder_results.json",
        ("/class/test_student.py",),
        prepare_prairielearn,
        submit_to_prairielearn,
        lambda python: [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "/class"],
        points_of_prairielearn,
    ),
}
OURS = "minddpm"
FOLDERS = {"nbgrader": "/class/course"}  # where a grader is started, if not in /class


# --- the wall ---


def prefixes_of(python: str) -> list[Path]:
    """The folders of an environment, of the Python it is made from, and of what its paths name."""
    code = "import sys; print('\\n'.join([sys.prefix, sys.base_prefix, *sys.path]))"
    said = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    prefix, base, *paths = map(Path, said.stdout.splitlines())
    # a checkout on the path is left out
    return [prefix, base, *(path for path in paths if path.name == "site-packages")]


def wall(python: str, folder: Path, cwd: str, *, readonly: bool) -> list[str]:
    """The command to put before a grader's: bubblewrap with limits, and a system that cannot be
    written.

    Args:
        python: of the grader's environment, whose folders are bound.
        folder: what a teacher has; it is /prepared, or /class if it can be written.
        cwd: where the command starts.
        readonly: whether it cannot.
    """
    limits = ["prlimit", f"--nproc={PROCESSES}", f"--as={MEGABYTES * 2**20}", "--core=0"]
    limits += [f"--fsize={LARGEST_FILE * 2**20}", f"--nofile={OPEN_FILES}"]
    apart = [f"--unshare-{kind}" for kind in ("ipc", "pid", "net", "uts")]
    if os.geteuid():
        apart.append("--unshare-user")
    command = [*limits, "bwrap", *apart, "--die-with-parent", "--new-session"]
    command += ["--clearenv", "--proc", "/proc", "--dev", "/dev"]
    size = str(DISK * 2**20)
    for path in ("/dev/shm", "/tmp", "/home"):
        command += ["--perms", "1777", "--size", size, "--tmpfs", path]
    seen = [path for path in ("/usr", "/bin", "/lib", "/lib64", "/etc") if Path(path).exists()]
    for prefix in [*prefixes_of(python), Path(sysconfig.get_path("purelib"))]:
        if not any(prefix.is_relative_to(path) for path in seen):
            seen.append(str(prefix))
    above = {str(one) for path in [*seen, "/tool/x"] for one in reversed(Path(path).parents)}
    for path in sorted(above - {"/", "/tmp"}):
        command += ["--perms", "0755", "--dir", path]
    for path in seen:
        command += ["--ro-bind", path, path]
    if readonly:
        command += ["--ro-bind", str(folder), "/prepared"]
        command += ["--perms", "1777", "--size", size, "--tmpfs", "/class"]
    else:
        command += ["--bind", str(folder), "/class"]
    command += ["--ro-bind", __file__, "/tool/tool.py", "--remount-ro", "/dev"]
    environment = {
        "HOME": "/home",
        "PATH": f"{Path(python).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name, value in environment.items():
        command += ["--setenv", name, value]
    command += ["--chdir", cwd]
    if os.geteuid() == 0:  # no limit of processes holds for root
        nobody = 2**16 + os.getpid()  # nobody else's processes count
        command += ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"]
        command += ["--bounding-set=-all", "--inh-caps=-all"]
    return command


def inside(command: Sequence[str], folder: Path, python: str, *, cwd: str) -> None:
    """Run a command that prepares what a teacher has, in the same surroundings.

    Raises: SystemExit where it fails.
    """
    opened(folder)
    walled = [*wall(python, folder, cwd, readonly=False), *command]
    done = subprocess.run(walled, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def opened(folder: Path) -> None:
    """Let every user of the machine read and write a folder: inside the wall, we are another."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)


@dataclass(frozen=True)
class Found:
    """What came of one notebook.

    Args:
        earned: points of the question that it does not solve.
        kept: points of the one that it does.
        harm: what it did besides, in a few words each.
        graded: whether there are points at all.
        ended: whether its grader was ended after a while.
    """

    earned: float
    kept: float
    harm: tuple[str, ...]
    graded: bool
    ended: bool


def graded_alone(key: str, python: str, prepared: Path, cells: Sequence[str]) -> Found:
    """Grade one notebook inside the wall."""
    job = json.dumps({"grader": key, "python": python, "cells": cells})
    walled = wall(python, prepared, "/class", readonly=True)
    command = [*walled, python, "/tool/tool.py", "--inside"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        said, _ = process.communicate(job.encode(), timeout=SECONDS + 60)
        found = json.loads(said.decode().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        process.kill()
        process.wait()
        return Found(0, 0, ("ends who watches it",), False, False)
    found["harm"] = tuple(found["harm"])
    return Found(**found)


def listen(heard: list[bytes]) -> None:
    """Note whoever speaks to the port."""
    server = socket.create_server(("127.0.0.1", PORT))

    def accepted() -> None:
        while True:
            connection, _ = server.accept()
            heard.append(connection.recv(100))

    threading.Thread(target=accepted, daemon=True).start()


def watch() -> None:
    """Grade the job of standard input inside the wall, and print what came of it."""
    job = json.load(sys.stdin)
    grader, python = GRADERS[job["grader"]], job["python"]
    subprocess.run(["cp", "-r", "/prepared/.", "/class"], check=True)
    written(Path(VICTIM), "whole")
    grader.submit(Path("/class"), job["cells"])
    heard: list[bytes] = []
    listen(heard)
    before = set(os.listdir("/class"))
    with open("/tmp/log", "wb") as log:
        process = subprocess.Popen(
            grader.command(python),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=FOLDERS.get(job["grader"], "/class"),
            start_new_session=True,
        )
        ended = False
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            ended = True
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    time.sleep(1)
    harm = []
    if not ended and others():
        harm.append("outlives its grading")
    end_others()
    try:
        whole = Path(VICTIM).read_text() == "whole"
    except OSError:
        whole = False
    if not whole or any(name.startswith("victim") for name in set(os.listdir("/class")) - before):
        harm.append("changes a file of the teacher")
    if heard:
        harm.append("is heard on the network")
    points: dict[str, dict[str, float]] = {}
    try:
        points = grader.points(python)
        changed = points.get("ben", {}) != dict.fromkeys(POINTS, 0)
    except Exception:  # whatever became of the files
        changed = True
    if changed:
        harm.append("changes the grade of another")
    own = points.get("ada", {})
    found = Found(own.get("discriminant", 0), own.get("roots", 0), tuple(harm), bool(own), ended)
    print(json.dumps(vars(found)), flush=True)


def others() -> list[int]:
    """The processes inside the wall besides this one and the first."""
    found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [number for number in found if number not in (1, os.getpid()) and not is_dead(number)]


def is_dead(number: int) -> bool:
    """Whether a process has ended, and only waits to be noticed."""
    try:
        return ") Z" in Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return True


def end_others() -> None:
    """End them."""
    for _ in range(20):
        for number in others():
            os.kill(number, signal.SIGKILL)


# --- ours, which has a wall of its own around each notebook ---


def graded_by_us(only: Sequence[str]) -> dict[str, Found]:
    """Grade all notebooks in one run; what harm is done counts for each of them."""
    from marking.grader import grade
    from marking.report import write_report
    from marking.sandbox.parent import Limits

    heard: list[bytes] = []
    listen(heard)
    with tempfile.TemporaryDirectory(prefix="compare-") as place:
        folder = Path(place)
        victim, table = folder / "victim.txt", folder / "report" / "grades.csv"
        victim.write_text("whole")
        ben = [HEAD, UNSOLVED, "check('solve.discriminant', discriminant)"]
        secrets = (str(folder / "in" / "ben" / "solve_hw.ipynb"),)
        chosen = submissions(str(victim), str(table), secrets, only)
        for name, cells in {**{name: one[0] for name, one in chosen.items()}, "ben": ben}.items():
            made = notebook_of(list(map(cell_of, ["from quadratics import check", *cells])))
            written(folder / "in" / name / "solve_hw.ipynb", made)
        grade(
            our_course(),
            [folder / "in"],
            folder / "report",
            report=write_report,
            limits=Limits(timeout=100, cell=CELL),
            progress=False,
        )
        points: dict[str, dict[str, float]] = {}
        ended = set()
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name = row["exercise"].rpartition(".")[2]
                points.setdefault(row["student"], {})[name] = float(row["points"])
                if "it took over" in row["remark"]:
                    ended.add(row["student"])
        harm = []
        if victim.read_text() != "whole" or len(list(folder.glob("victim*"))) > 1:
            harm.append("changes a file of the teacher")
        if heard:
            harm.append("is heard on the network")
        if sum(points["ben"].values()):
            harm.append("changes the grade of another")
    return {
        name: Found(
            points[name]["discriminant"], points[name]["roots"], tuple(harm), True, name in ended
        )
        for name in chosen
    }


# --- the table ---

HEADER = (
    "| grader | honest notebook | unsolved question earned | solved question lost | did harm |"
    f" no points at all | ended after {SECONDS} s |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


def version_of(python: str, package: str) -> str:
    """The version of a package in an environment, or nothing."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return said.stdout.strip()


def row_of(name: str, found: dict[str, Found], spared: set[str]) -> str:
    """A line of the table."""
    hostile = {key: one for key, one in found.items() if key != "(honest)"}
    earned = sum(one.earned > 0 for one in hostile.values())
    lost = sum(hostile[key].kept < POINTS["roots"] for key in spared)
    harmful = sum(bool(one.harm) for one in hostile.values())
    none = sum(not one.graded for one in hostile.values())
    ended = sum(one.ended for one in hostile.values())
    honest = found["(honest)"]
    return (
        f"| {name} | {honest.earned + honest.kept:g} of 5 | {earned} of {len(hostile)}"
        f" | {lost} of {len(spared)} | {harmful} of {len(hostile)} | {none} | {ended} |"
    )


def graded_by_another(key: str, python: str, path: Path, only: Sequence[str]) -> None:
    """Grade each notebook that has no result yet, and keep what came of it in a file."""
    grader = GRADERS[key]
    record = read_record(path)
    record["version"] = version_of(python, grader.name)
    chosen = submissions(VICTIM, grader.store, (*grader.secrets, grader.store), only)
    left = {name: one for name, one in chosen.items() if name not in record["found"]}
    with tempfile.TemporaryDirectory(prefix="compare-") as place:
        prepared = Path(place) / "prepared"
        prepared.mkdir()
        Path(place).chmod(0o755)
        if left:
            grader.prepare(prepared, python)
            opened(prepared)
        for hostile, (cells, _) in left.items():
            found = graded_alone(key, python, prepared, cells)
            record["found"][hostile] = found
            path.write_text(json.dumps(record, indent=1, default=vars))
            print(f"{grader.name}: {hostile}: {found}", file=sys.stderr, flush=True)


def read_record(path: Path) -> dict[str, Any]:
    """What came of the notebooks that were graded before."""
    if not path.exists():
        return {"version": "", "found": {}}
    record: dict[str, Any] = json.loads(path.read_text())
    found = record["found"].items()
    record["found"] = {name: Found(**{**one, "harm": tuple(one["harm"])}) for name, one in found}
    return record


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for key in GRADERS:
        parser.add_argument(f"--{key}", metavar="PYTHON", help=f"grade with {GRADERS[key].name}")
    parser.add_argument("--ours", action="store_true", help="grade with this repository")
    parser.add_argument("--only", nargs="*", default=[], help="names of hostile notebooks")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/graders"),
        help="the folder that keeps what came of each notebook (default: %(default)s)",
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        watch()
        return
    args.out.mkdir(parents=True, exist_ok=True)
    paths = {key: args.out / f"{key}.json" for key in (*GRADERS, OURS)}
    for key in GRADERS:
        if getattr(args, key):
            graded_by_another(key, getattr(args, key), paths[key], args.only)
    if args.ours:
        version = version_of(sys.executable, OURS)
        ours = {"version": version, "found": graded_by_us(args.only)}
        paths[OURS].write_text(json.dumps(ours, indent=1, default=vars))
    chosen = submissions("", "", (), args.only)
    spared = {name for name, (_, spares) in chosen.items() if spares and name != "(honest)"}
    print(HEADER)
    for key, path in paths.items():
        record = read_record(path)
        name = GRADERS[key].name if key in GRADERS else OURS
        if chosen.keys() <= record["found"].keys():
            found = {hostile: record["found"][hostile] for hostile in chosen}
            print(row_of(f"{name} {record['version']}", found, spared))
        elif record["found"]:
            print(f"| {name}: {len(record['found'])} of {len(chosen)} graded so far | | | | | | |")


if __name__ == "__main__":
    main()
