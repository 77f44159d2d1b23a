"""Without bubblewrap: grading refuses, or runs with what the system has, and says what that is."""

import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from quadratics import HEAD, REHEARSED, solved

from marking.grader import grade
from marking.report import class_page, write_report
from marking.sandbox import bare, parent
from marking.sandbox.bare import Bare, NotContained, prepared, profile_for, readable
from marking.sandbox.parent import Limits, prepared_sandbox

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
linux = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
LIMITS = Limits(timeout=60, cell=10)


@pytest.fixture
def without_bubblewrap(monkeypatch):
    monkeypatch.setattr(parent, "bubblewrap", lambda: None)


def run_command(folder, out, *options, path):
    """Grade on a command line of its own, where only some programs are found."""
    code = (
        "import sys; from test_commands import run\n"
        "try: sys.exit(run(*sys.argv[1:]))\n"
        "except (ValueError, OSError) as error: sys.exit(str(error))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "grade", str(folder), "--out", str(out), *options],
        env={
            **os.environ,
            "PATH": str(path),
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def program(folder, name, text):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return folder


@linux
def test_grade_refuses_without_bubblewrap_and_says_how_to_go_on(hand_in, tmp_path):
    folder, out = hand_in(ada=solved()), tmp_path / "out"
    done = run_command(folder, out, path=tmp_path / "nothing")
    assert done.returncode == 1
    assert "a submission could read and change your files, grades and the course's" in done.stderr
    assert "bubblewrap is not installed: install it (apt install bubblewrap" in done.stderr
    assert "add --trust-submissions" in done.stderr
    assert not out.exists()
    broken = program(tmp_path / "bin", "bwrap", "echo 'setting up uid map: denied' >&2; exit 1")
    done = run_command(folder, out, path=broken)
    assert done.returncode == 1
    assert "bubblewrap is installed and cannot make a sandbox here (setting up uid map: den" in (
        done.stderr
    )
    assert "not installed" not in done.stderr
    assert not out.exists()


@linux
def test_trusted_submissions_are_graded_and_the_report_says_what_holds(hand_in, tmp_path):
    folder, out = hand_in(ada=solved()), tmp_path / "out"
    done = run_command(folder, out, "--trust-submissions", path=tmp_path / "nothing")
    assert done.returncode == 0, done.stderr
    assert "warning: not contained. " in done.stderr
    page = (out / "class.html").read_text(encoding="utf-8")
    assert "<b>Not contained:</b> submissions ran without bubblewrap." in page
    assert "<li>It can use the network.</li>" in page
    assert "<li>No answer is judged in a submission&#39;s process.</li>" in page
    (checksum,) = re.findall(r"checksums\.txt: ([0-9a-f]{64})", done.stdout)
    shown = subprocess.run(["sha256sum", "checksums.txt"], cwd=out, capture_output=True, text=True)
    assert shown.stdout.startswith(checksum)
    held = subprocess.run(["sha256sum", "-c", "checksums.txt"], cwd=out, capture_output=True)
    assert held.returncode == 0


def test_the_library_refuses_where_it_is_told_not_to_trust(hand_in, tmp_path, without_bubblewrap):
    with pytest.raises(NotContained, match="without bubblewrap a submission could read"):
        grade(REHEARSED, [hand_in(ada=solved())], tmp_path / "out", progress=False, trust=False)
    assert not (tmp_path / "out").exists()


def test_own_code_is_trusted(hand_in, without_bubblewrap):
    from marking.commands import graded_here

    path = hand_in(ada=solved()) / "ada" / "solve_quadratics.ipynb"
    assert [row.points for row in graded_here(REHEARSED, path).rows] == [2, 3, 0]
    with prepared_sandbox(REHEARSED, LIMITS) as sandbox:
        assert sandbox.bare is None


DAEMON = """
import json, os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for _ in range(600):
            time.sleep(0.1)
            try:
                pathlib.Path({seen!r} + str(os.getpid())).touch()
                pathlib.Path({table!r}).write_text("forged")
                lines = pathlib.Path({results!r}).read_text().splitlines()
                forged = lines[0].replace('"points": 0', '"points": 9')
                with open({results!r}, "a") as file:
                    file.write(forged + "\\n")
            except Exception:
                pass
    os._exit(0)
time.sleep(3)
"""


@linux
def test_a_daemon_forges_no_result_and_does_not_outlive_grading(
    hand_in, tmp_path, without_bubblewrap
):
    """It may write in the folder of the report: nobody but root could keep a user from that."""
    out = tmp_path / "out"
    places = {name: str(out / name) for name in ("seen", "results.jsonl", "grades.csv")}
    attack = DAEMON.format(
        seen=places["seen"], table=places["grades.csv"], results=places["results.jsonl"]
    )
    wrong = solved(discriminant="def discriminant(a, b, c):\n    return b\n")
    folder = hand_in(aa=wrong, ben=[HEAD, attack, *wrong[1:]], cleo=wrong)
    options = {"limits": LIMITS, "progress": False, "seed": 3}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*was changed by something else")  # if it could write
        every = grade(REHEARSED, [folder], out, report=write_report, jobs=1, **options)
    assert {row.points for one in every for row in one.rows} == {0, 3}
    for path in out.glob("seen*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.removeprefix("seen")), 0)
    time.sleep(0.3)
    table = (out / "grades.csv").read_text(encoding="utf-8")
    assert table.startswith("student,")
    again = grade(REHEARSED, [folder], out, report=write_report, resume=True, **options)
    assert again == every
    assert (out / "grades.csv").read_text(encoding="utf-8") == table


SPY = """
import os, pathlib, re
grader = os.getppid()
found = []
for name in ("environ", "mem", "fd/3", "maps"):
    try:
        with open(f"/proc/{grader}/{name}", "rb") as file:
            file.read(1 if name == "mem" else 10**6)
        found.append(name)
    except OSError:
        pass
raise ValueError(f"found {found}")
"""


@linux
@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_the_memory_of_the_grader_cannot_be_read(hand_in, tmp_path, without_bubblewrap):
    options = {"limits": LIMITS, "progress": False, "bare": Bare()}
    (one,) = grade(REHEARSED, [hand_in(ada=[SPY])], tmp_path / "out", **options)
    assert "found []" in one.remarks[0]


@linux
def test_processes_of_other_sessions_that_were_there_before_are_left_alone(tmp_path):
    mine = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        with bare.guarded(tmp_path, Bare()):
            ours = subprocess.Popen(["sleep", "60"])  # of this session
            double = "(setsid sleep 60 > /dev/null & echo $!)"
            left = int(subprocess.run(["sh", "-c", double], stdout=-1).stdout)
            while os.getsid(left) != left:  # it leaves our session in its own time
                time.sleep(0.01)
        assert mine.poll() is None
        assert ours.poll() is None
        with pytest.raises(ProcessLookupError):
            os.kill(left, 0)
    finally:
        mine.kill()
        mine.wait()
        ours.kill()
        ours.wait()


def test_readable_places_hold_no_hidden_ones():
    """A package of answers in site-packages is left out; what lies beside it stays."""
    import torch
    import tqdm

    hidden = str(Path(tqdm.__file__).parent)
    read, listed = readable((hidden,))
    places = [Path(path) for path in read]
    assert not any(Path(hidden).is_relative_to(path) for path in places)
    assert any(Path(torch.__file__).is_relative_to(path) for path in places)
    assert all(Path(hidden).is_relative_to(path) for path in listed)
    assert str(Path(hidden).parent) in listed
    assert not any(path.is_relative_to(Path.home() / "work") for path in places)


def test_a_profile_for_a_mac_allows_its_folder_and_no_network():
    profile = profile_for("/tmp/room", '/tmp/a "b"\\c', {"read": ["/opt/python"]})
    lines = profile.splitlines()
    assert lines[0] == "(version 1)"
    assert "(deny network*)" in lines
    deny = lines.index("(deny file-write*)")
    folder = lines.index(r'(allow file-write* (subpath "/tmp/a \"b\"\\c"))')
    assert deny < folder  # the last rule that fits counts
    unread = next(place for place, line in enumerate(lines) if "deny file-read-data" in line)
    assert unread < lines.index('(allow file-read-data (subpath "/opt/python"))')
    assert unread < lines.index('(allow file-read-data (subpath "/tmp/room"))')
    assert profile.count("(") == profile.count(")")


@pytest.mark.parametrize("users", [None, iter(())])
@pytest.mark.parametrize("landlock", [False, True])
@pytest.mark.parametrize("seatbelt", [None, "/usr/bin/sandbox-exec"])
def test_what_holds_and_what_is_open_do_not_contradict_each_other(users, landlock, seatbelt):
    walls = Bare(users=users, landlock=landlock, seatbelt=seatbelt)
    held, left = " ".join(walls.held), " ".join(walls.open)
    assert ("can use the network" in left) != ("cannot use the network" in held)
    changes = "read and change your files" in left
    assert changes != ("write in its own folder only" in held or "cannot change your files" in held)
    assert ("can read the course's answers" in left) != ("only what Python needs" in held)
    assert ("can end the grader" in left) != ("cannot end the grader" in held)
    page = class_page([], False, walls.held, walls.open)
    assert page.count("<li>") == len(walls.held) + len(walls.open)


WALLED = """
import os, pathlib, socket
said = []
def tried(what, action):
    try:
        action()
        said.append(what)
    except OSError:
        pass
tried("read", lambda: open({secret!r}).read())
tried("write", lambda: open({beside!r}, "w").write("x"))
tried("list", lambda: os.listdir({folder!r}))
tried("kill", lambda: os.kill(os.getppid(), 0))
pathlib.Path("mine").write_text("here")
raise ValueError(f"could {{said}} as {{os.getuid() == {user}}}")
"""


@linux
@pytest.mark.parametrize("kind", ["landlock", "users"])
def test_a_wall_of_the_system_keeps_files_apart(hand_in, tmp_path, without_bubblewrap, kind):
    walls = prepared([])
    walls = Bare(landlock=True) if kind == "landlock" and walls.landlock else walls
    if getattr(walls, kind) in (None, False):
        pytest.skip(f"no {kind} here")
    tmp_path.chmod(0o755)
    out = tmp_path / "out"
    spy = WALLED.format(
        secret=str(out / "results.jsonl"),
        beside=str(out / "mine.txt"),
        folder=str(out),
        user=os.getuid(),
    )
    (one,) = grade(
        REHEARSED, [hand_in(ada=[*solved(), spy])], out, limits=LIMITS, progress=False, bare=walls
    )
    assert [row.points for row in one.rows] == [2, 3, 0]
    expected = ["kill"] if kind == "landlock" else []
    assert f"could {expected} as {kind == 'landlock'}" in one.remarks[0]
    assert sorted(path.name for path in out.iterdir()) == ["results.jsonl"]


def test_a_system_that_has_nothing_is_tried_and_not_relied_on(monkeypatch):
    monkeypatch.setattr(bare, "works", lambda _: False)
    walls = prepared([])
    assert (walls.users, walls.landlock, walls.seatbelt) == (None, False, None)
    assert "A submission can read and change your files" in walls.open[0]


@linux
def test_the_folder_of_a_report_is_closed_to_other_users_while_they_may_run(tmp_path):
    tmp_path.chmod(0o775)
    with bare.guarded(tmp_path, Bare(users=iter(()))):
        assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o775


@linux
def test_users_of_submissions_are_nobody_else():
    import pwd

    taken = {entry.pw_uid for entry in pwd.getpwall()} | bare.users_with_processes()
    users = bare.free_users()
    some = [next(users) for _ in range(5)]
    assert len(set(some)) == 5
    assert not taken & set(some)
