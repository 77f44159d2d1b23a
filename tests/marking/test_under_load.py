"""A class of many: killed at any moment, graded twice at once, on a full disk, by an odd clock."""

import csv
import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from quadratics import COURSE, solved
from results_files import read_results
from test_commands import run

from marking import commands, grader
from marking.grader import grade
from marking.grades import Graded, Row
from marking.hostile import as_notebook
from marking.pool import in_parallel
from marking.report import write_report
from marking.results import Stopped
from marking.sandbox import wire
from marking.sandbox.parent import Limits, Lost, Running

pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
HERE = Path(__file__).parent
LIMITS = Limits(timeout=60, cell=10)
# a grader whose submissions take no time, as there are other tests of judging
QUICK = """
import hashlib, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from marking import grader
from marking.grades import Graded, Row
def quickly(handed, sandbox, seed, key):
    time.sleep(float(os.environ.get("TAKES", "0.02")))
    while not os.path.exists(os.environ.get("UNTIL", "/")):
        time.sleep(0.02)
    points = int(hashlib.sha256(handed.student.encode()).hexdigest(), 16) % 4
    row = Row("solve.roots", points, 3, summary="x" * 2000)
    return Graded(handed.student, handed.notebook, key, (row,))
grader.grade_file = quickly
from test_commands import run
try: sys.exit(run(*sys.argv[1:]))
except KeyboardInterrupt as stop: sys.exit(str(stop))
except (OSError, ValueError) as error: sys.exit(f"error: {error}")
"""


def quick_grader(folder, out, *options, **environment):
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-c", QUICK, "grade", str(folder), "--out", str(out), *options],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """The exit code of a grader, and what it said beside its results."""
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def class_of(folder, count):
    for number in range(count):
        (folder / f"student {number}").mkdir(parents=True)
        text = as_notebook([f"x = {number}"])
        (folder / f"student {number}" / "solve_quadratics.ipynb").write_text(text)
    return folder


def files_of(out):
    """A report, without the file that names when and where."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("results.jsonl", ".grading.lock")
    }


def test_killed_at_any_moment_and_resumed_nothing_is_lost_or_doubled(tmp_path, heed_ctrl_c):
    folder = class_of(tmp_path / "in", 60)
    whole, out = tmp_path / "whole", tmp_path / "out"
    code, told = ended(quick_grader(folder, whole, "--jobs", "2"))
    assert code == 0, told
    moments = random.Random(12)
    results = out / "results.jsonl"
    kept = 0
    for signal_ in (9, signal.SIGTERM, 9, signal.SIGINT, signal.SIGHUP):
        process = quick_grader(folder, out, "--jobs", "2", "--resume")
        deadline = time.monotonic() + 60
        aim = kept + moments.randint(1, 6)
        while process.poll() is None and time.monotonic() < deadline:
            if results.exists() and results.read_bytes().count(b"\n") >= aim:
                break
            time.sleep(0.002)
        process.send_signal(signal_)
        _, told = process.communicate(timeout=60)
        if signal_ != signal.SIGKILL:
            assert "continue with --resume" in told
            assert not (out / ".grading.lock").exists()
        now = [one.key for one in read_results(results)]
        assert len(now) == len(set(now)) >= kept
        kept = len(now)
    with results.open("ab") as file:
        file.write(b'{"student": "half a line, as after a loss of power')
    (out / "grades.csv.4.part").write_text("half a table")
    code, told = ended(quick_grader(folder, out, "--jobs", "2", "--resume"))
    assert code == 0, told
    assert files_of(out) == files_of(whole)
    keys = [json.loads(line)["key"] for line in results.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 60


def test_two_graders_on_one_folder_do_not_double_a_class(tmp_path):
    folder, out = class_of(tmp_path / "in", 40), tmp_path / "out"
    go = tmp_path / "go"
    first = quick_grader(folder, out, "--jobs", "2", "--resume", UNTIL=str(go))
    deadline = time.monotonic() + 60
    while not (out / "results.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    code, told = ended(quick_grader(folder, out, "--jobs", "2", "--resume"))
    assert code == 1
    assert f"another grader is at work in {out} (process {first.pid} on " in told
    go.write_text("")
    code, told = ended(first)
    assert code == 0, told
    assert len((out / "results.jsonl").read_text().splitlines()) == 40


def quickly(handed, sandbox, seed, key):
    """Grade as QUICK does."""
    return Graded(handed.student, handed.notebook, key, (Row("solve.roots", 3, 3),))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 kB; root may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_loses_nothing(tmp_path, small_disk, monkeypatch):
    def at_length(handed, sandbox, seed, key):
        row = Row("solve.roots", 3, 3, message="x" * 1500, summary="right")
        return Graded(handed.student, handed.notebook, key, (row,))

    monkeypatch.setattr(grader, "grade_file", at_length)
    folder, out = class_of(tmp_path / "in", 40), small_disk / "out"
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 150_000)
    options = {"report": write_report, "progress": False, "jobs": 2}
    with pytest.raises(Stopped) as told:
        grade(COURSE, [folder], out, **options)
    kept = len(list(read_results(out / "results.jsonl")))
    assert 0 < kept < 40
    assert str(told.value) == (
        f"the disk is full: {kept} of 40 notebooks are graded and kept in {out / 'results.jsonl'};"
        " make room, and go on with resume=True"
    )
    filler.write_bytes(b"x" * 20_000)
    with pytest.raises(Stopped, match="the report was not written, and the earlier one, if any"):
        grade(COURSE, [folder], out, resume=True, **options)
    assert [path.name for path in out.iterdir() if path.is_file()] == ["results.jsonl"]
    filler.unlink()
    (small_disk / "more").symlink_to(tmp_path)
    monkeypatch.setattr(grader, "grade_file", None)  # nothing is graded again
    shutil.copytree(out, tmp_path / "moved")
    every = grade(COURSE, [folder], tmp_path / "moved", resume=True, **options)
    assert len(every) == 40


def test_a_report_that_finds_no_room_leaves_the_earlier_one(tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "grade_file", quickly)
    folder, out = class_of(tmp_path / "in", 3), tmp_path / "out"
    grade(COURSE, [folder], out, report=write_report, progress=False)
    before = files_of(out)
    class_of(tmp_path / "in" / "more", 2)

    def full(*_args):
        (out / "grades.csv.1.part").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Stopped, match=r"^the disk is full: the report was not written.* all 5 "):
        grade(COURSE, [folder], out, report=full, progress=False, resume=True)
    assert before.items() <= files_of(out).items()
    grade(COURSE, [folder], out, report=write_report, progress=False, resume=True)
    assert "grades.csv.1.part" not in files_of(out)
    assert len((out / "grades.csv").read_text().splitlines()) == 6


def test_a_disk_that_cannot_be_written_is_said_before_anything_runs(tmp_path, monkeypatch):
    folder, out = class_of(tmp_path / "in", 2), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    real = os.open

    def read_only(path, flags, *more, **options):
        if flags & (os.O_WRONLY | os.O_RDWR) and Path(path).parent == out:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(grader, "grade_file", None)
    words = "folder for the report that can be written to, got .*out: Read-only file system .*;"
    with pytest.raises(OSError, match=f"{words} nothing was graded: choose another folder"):
        grade(COURSE, [folder], out, progress=False)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOMEM, errno.EAGAIN])
def test_a_fault_of_the_machine_costs_no_student_points(tmp_path, monkeypatch, number):
    """Grading stops: what could not be run is run when it resumes."""

    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    folder, out = class_of(tmp_path / "in", 2), tmp_path / "out"
    with monkeypatch.context() as here:
        here.setattr(grader, "grade_submission", fail)
        with pytest.raises(Stopped, match="0 of 2 notebooks are graded and kept"):
            grade(COURSE, [folder], out, progress=False)
    monkeypatch.setattr(grader, "grade_file", quickly)
    every = grade(COURSE, [folder], out, progress=False, resume=True)
    assert [row.points for one in every for row in one.rows] == [3, 3]


def test_work_is_begun_only_as_fast_as_results_are_taken():
    begun = []
    run_ = in_parallel(lambda item: begun.append(item) or item, range(1000), 3, lambda: None)
    got = [next(run_) for _ in range(10)]
    time.sleep(0.1)
    assert len(got) == 10
    assert len(begun) <= 10 + 2 * 3
    assert sorted([*got, *run_]) == list(range(1000))


def test_an_error_stops_the_rest_and_is_raised():
    stopped = []

    def work(item):
        if item == 5:
            raise OSError("gone")
        return item

    with pytest.raises(OSError, match="gone"):
        list(in_parallel(work, range(10**9), 2, lambda: stopped.append(True)))
    assert stopped == [True]


def peak_of(count, folder, out):
    """The largest memory of a grader of so many, in MB, above that of one."""
    class_of(folder, count)
    code = QUICK.replace(
        "from test_commands import run\n",
        "from test_commands import run\nimport atexit, resource\n"
        "who = resource.RUSAGE_SELF\n"
        "atexit.register(lambda: print(resource.getrusage(who).ru_maxrss))\n",
    )
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code, "grade", str(folder), "--out", str(out), "--jobs", "2"],
        env={**os.environ, "PYTHONPATH": path, "TAKES": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1]) / (1024 if sys.platform == "linux" else 2**20)


def test_memory_hardly_grows_with_the_class(tmp_path):
    few = peak_of(50, tmp_path / "few", tmp_path / "few out")
    many = peak_of(1050, tmp_path / "many", tmp_path / "many out")
    assert (many - few) / 1000 < 0.02, "megabytes for each submission more"


def test_results_depend_on_no_clock(tmp_path, monkeypatch):
    """The clock jumps back and forth, and files are from the future and from before 1970."""
    monkeypatch.setattr(grader, "grade_file", quickly)
    folder = class_of(tmp_path / "in", 3)
    plain = grade(COURSE, [folder], tmp_path / "plain", progress=False)
    jumps = random.Random(1)
    with monkeypatch.context() as here:
        here.setattr(time, "time", lambda: jumps.uniform(-1e9, 1e11))
        here.setattr(time, "time_ns", lambda: jumps.randint(-(10**18), 10**19))
        odd = grade(COURSE, [folder], tmp_path / "odd", progress=False)
    assert odd == plain


@pytest.mark.parametrize(("old", "new"), [(-(10**9), 0), (0, 5 * 10**9), (10**9, 4 * 10**9)])
def test_the_newest_attempt_may_be_of_the_future(tmp_path, monkeypatch, old, new):
    def by_name(handed, sandbox, seed, key):
        points = 3 if "new" in handed.notebook else 1
        return Graded(handed.student, handed.notebook, key, (Row("solve.roots", points, 3),))

    monkeypatch.setattr(grader, "grade_file", by_name)
    folder = tmp_path / "in"
    for student in ("ada", "ben"):
        for name, when in (("old", old), ("new", new)):
            path = folder / student / f"solve_{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(as_notebook([name]))
            os.utime(path, (when, when))
    options = {"attempts": "newest", "progress": False}
    every = grade(COURSE, [folder], tmp_path / "out", **options)
    counting = {(one.student, one.notebook): one.rows[0].counts for one in every}
    assert counting == {
        (student, f"solve_{name}.ipynb"): name == "new"
        for student in ("ada", "ben")
        for name in ("old", "new")
    }


def answering(channel, delay):
    """A submission's process that answers late."""
    message, _ = wire.receive(channel, time.monotonic() + 10)
    time.sleep(delay)
    try:
        wire.send(channel, {"id": message["id"], "value": message["ask"]})
    except OSError:
        pass  # nobody waits any more
    channel.close()


def test_an_answer_at_the_last_millisecond_is_heard_or_too_late():
    """Never an error, and never the answer to something else."""
    heard, late = 0, []
    for number in range(60):
        ours, theirs = socket.socketpair()
        running = Running.__new__(Running)
        running.__dict__.update(
            channel=ours, limits=Limits(timeout=1), attempts=[], deadline=time.monotonic() + 0.05
        )
        delay = 0.045 + number % 20 * 0.0005
        other = threading.Thread(target=answering, args=(theirs, delay))
        other.start()
        try:
            reply, _ = running.exchange({"ask": number})
            assert reply["value"] == number
            heard += 1
        except Lost as reason:
            late.append(str(reason))
        other.join()
        ours.close()
    assert heard > 0
    assert set(late) == {"it took over 1 s in total"}


def test_a_reply_that_was_waited_for_in_vain_answers_nothing_later():
    ours, theirs = socket.socketpair()
    running = Running.__new__(Running)
    running.__dict__.update(
        channel=ours, limits=Limits(timeout=1), attempts=[], deadline=time.monotonic() + 0.01
    )
    with pytest.raises(Lost, match="it took over"):
        running.exchange({"ask": 1})
    message, _ = wire.receive(theirs, time.monotonic() + 5)
    wire.send(theirs, {"id": message["id"], "value": 1})
    running.deadline = time.monotonic() + 5
    with pytest.raises(Lost, match="its process replied to another message"):
        running.exchange({"ask": 2})
    ours.close()
    theirs.close()


@pytest.mark.parametrize("link", [False, True])
def test_a_report_inside_the_submissions_folder_is_not_graded(tmp_path, monkeypatch, link):
    monkeypatch.setattr(grader, "grade_file", quickly)
    folder = class_of(tmp_path / "in", 2)
    out = folder / "report"
    if link:  # the report's folder is named by a link to it
        out.mkdir()
        (tmp_path / "link").symlink_to(out)
        out = tmp_path / "link"
    first = grade(COURSE, [folder], out, report=write_report, progress=False)
    again = grade(COURSE, [folder], out, report=write_report, progress=False, resume=True)
    assert first == again
    assert [one.student for one in again] == ["student 0", "student 1"]
    assert (folder / "report" / "class.html").is_file()


def test_other_files_in_the_folder_of_a_report_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "grade", lambda *_args, **_options: [])
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert run("grade", tmp_path, "--out", out, "--trust-submissions") == 0
    (out / "grades.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="a report would replace it; choose another folder"):
        run("grade", tmp_path, "--out", out, "--trust-submissions")
    assert (out / "notes.txt").read_text() == (out / "grades.csv").read_text() == "mine"


def test_a_table_that_was_changed_by_hand_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grader, "grade_file", quickly)
    folder, out = class_of(tmp_path / "in", 2), tmp_path / "out"
    command = ["grade", folder, "--out", out, "--resume"]
    assert run(*command) == 0
    table = (out / "grades.csv").read_text()
    assert run(*command) == 0
    assert "changed" not in capsys.readouterr().err
    (out / "grades.csv").write_text("by hand")
    assert run(*command) == 0
    words = "changed since it was written, and kept: grades.csv as grades.csv.changed"
    assert words in capsys.readouterr().err
    assert (out / "grades.csv").read_text() == table
    assert (out / "grades.csv.changed").read_text() == "by hand"


def test_checksums_are_of_files_in_the_folder_only(tmp_path):
    """Anyone may have written them."""
    from marking.checksums import changed_files

    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "outside").write_text("x")
    (out / "inside").write_text("x")
    lines = [f"{'0' * 64}  {name}\n" for name in ("../outside", "inside", "none", "\0", "a b")]
    (out / "checksums.txt").write_text("".join([*lines, "junk\n", f"{'0' * 63}  inside\n"]))
    assert changed_files(out) == ["inside"]


@pytest.fixture
def seeds(monkeypatch, tmp_path):
    """Runs `grade` with options about the seed, and returns the seed that it used."""
    used = []
    monkeypatch.setattr(commands, "grade", lambda *_args, seed, **_options: used.append(seed) or [])

    def read(*options):
        run("grade", tmp_path, "--out", tmp_path / "out", *options)
        return used[-1]

    return read


def test_a_seed_is_read_from_a_file_and_from_a_pipe(seeds, tmp_path, monkeypatch):
    path = tmp_path / "seed.txt"
    path.write_text(" 1815\n")
    assert seeds() == 0
    assert seeds("--seed", "7") == 7
    assert seeds("--seed-file", path) == 1815
    path.write_text(str(2**128))
    assert seeds("--seed-file", path) == 2**128
    pipe = SimpleNamespace(isatty=lambda: False, readline=lambda: "1882\n")
    monkeypatch.setattr(sys, "stdin", pipe)
    assert seeds("--seed-file", "-") == 1882
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(commands.getpass, "getpass", lambda words: "5" if words == "seed: " else "")
    assert seeds("--seed-file", "-") == 5


@pytest.mark.parametrize("content", ["", "-1", "1.5", "١٢", "0x10", "1 2", "secret", "9" * 101])
def test_a_seed_that_is_none_is_refused_and_not_repeated(seeds, tmp_path, content):
    path = tmp_path / "seed.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="expected one whole number of at most 100 ") as told:
        seeds("--seed-file", path)
    assert not content or content not in str(told.value).partition(" in ")[0]
    with pytest.raises(FileNotFoundError, match=r"with the seed, got .*none, which does not exist"):
        seeds("--seed-file", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="which is a folder"):
        seeds("--seed-file", tmp_path)
    with pytest.raises(SystemExit):
        seeds("--seed-file", path, "--seed", "1")


def test_the_same_seed_gives_the_same_grades_however_it_is_given(hand_in, tmp_path):
    folder = hand_in(ada=solved())
    (tmp_path / "seed.txt").write_text("7")
    for out, *options in (("a", "--seed", "7"), ("b", "--seed-file", tmp_path / "seed.txt")):
        assert run("grade", folder, "--out", tmp_path / out, *options, "--jobs", "1") == 0
    tables = [(tmp_path / out / "grades.csv").read_text() for out in "ab"]
    assert tables[0] == tables[1]
    assert len(list(csv.reader(tables[0].splitlines()))) == 4
