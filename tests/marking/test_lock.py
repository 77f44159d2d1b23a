"""One grader at a time on one folder: who comes second is told who is there."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time

import pytest

fcntl = pytest.importorskip("fcntl", reason="submissions run on Linux and macOS")

from marking import lock  # noqa: E402
from marking.lock import LOCK, Held, locked  # noqa: E402

ELSEWHERE = {"pid": 7, "host": "another-machine", "since": "2026-11-27 10:00:00+00:00", "beat": 3}


@pytest.fixture
def impatient(monkeypatch):
    """Signs of life in a second, not in ten."""
    monkeypatch.setattr(lock, "BEAT", 0.1)
    monkeypatch.setattr(lock, "PATIENCE", 1.0)


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP])
def no_locks(request, monkeypatch, impatient):
    """A network folder that knows no locks."""

    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_the_second_is_told_who_is_there(tmp_path):
    with locked(tmp_path):
        with pytest.raises(Held) as told:
            with locked(tmp_path):
                raise AssertionError("two at once")
        words = str(told.value)
        assert f"another grader is at work in {tmp_path} (process {os.getpid()} on " in words
        assert f" on {platform.node()}, since 20" in words
        assert "wait until it has finished, or choose another folder" in words
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def holding(folder):
    """A process that holds a folder."""
    code = (
        "import sys, time; from pathlib import Path; from marking.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('mine', flush=True); time.sleep(100)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "mine\n"
    return process


def test_the_lock_of_a_process_that_was_killed_is_taken_over_at_once(tmp_path):
    process = holding(tmp_path)
    with pytest.raises(Held, match=rf"\(process {process.pid} on "):
        with locked(tmp_path):
            pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    started = time.monotonic()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        pass
    assert time.monotonic() - started < 2


def test_a_process_that_is_stopped_holds_its_lock(tmp_path, impatient):
    process = holding(tmp_path)
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(Held):
            with locked(tmp_path):
                pass
    finally:
        process.kill()
        process.communicate()


def beating(path, stop):
    """Write signs of life, as a grader on another machine does."""
    count = 0
    while not stop.wait(0.1):
        count += 1
        path.write_text(json.dumps({**ELSEWHERE, "beat": count}))


@pytest.mark.parametrize("kind", ["locks of one machine", "no locks"])
def test_a_grader_on_another_machine_is_seen_by_its_signs_of_life(
    tmp_path, impatient, monkeypatch, kind
):
    """A network folder may keep locks for each machine alone, or none."""
    if kind == "no locks":
        monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(37, "none")))
    path, stop = tmp_path / LOCK, threading.Event()
    path.write_text(json.dumps(ELSEWHERE))
    other = threading.Thread(target=beating, args=(path, stop))
    other.start()
    try:
        with pytest.raises(Held, match=r"\(process 7 on another-machine, since 2026-11-27 10:00"):
            with locked(tmp_path):
                pass
    finally:
        stop.set()
        other.join()
    with locked(tmp_path):  # no sign for a while
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_where_there_are_no_locks_graders_of_one_machine_see_each_other(tmp_path, no_locks):
    with locked(tmp_path), pytest.raises(Held, match=rf"process {os.getpid()} "):
        with locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", '{"pid": 1', "null", "[]", "\0" * 200, "\udcff"])
def test_a_lock_that_was_not_written_to_its_end_is_no_ones(tmp_path, content):
    (tmp_path / LOCK).write_text(content, errors="surrogateescape")
    with locked(tmp_path):
        pass


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / LOCK).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        with locked(tmp_path):
            pass
    assert victim.read_text() == "whole"


def test_only_its_holder_removes_it(tmp_path):
    """Somebody has moved it away: another grader may have come since."""
    with locked(tmp_path):
        (tmp_path / LOCK).rename(tmp_path / "moved")
        (tmp_path / LOCK).write_text("another's")
    assert (tmp_path / LOCK).read_text() == "another's"
