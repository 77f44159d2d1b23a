"""Try the walls of the machine on which a class is graded: hand in every hostile submission, and
say which walls are up.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from marking.course import Course
from marking.exercise import Exercise, function_of, lesson_of
from marking.grader import grade_submission
from marking.grades import Graded
from marking.hostile import (
    GOT_THROUGH,
    Hostile,
    Target,
    as_notebook,
    hostile_cells,
    hostile_notebooks,
)
from marking.hostile.trial import (
    AREA,
    ATTACKED,
    HALF,
    IN_ONE_PROCESS,
    MANY,
    OTHER,
    OTHER_OF_MANY,
    trial_course,
)
from marking.intake import read_submission
from marking.sandbox.parent import Limits, Sandbox, bubblewrap, prepared_sandbox
from marking.words import counted

LIMITS = Limits(timeout=15, memory=1536, cell=2)  # on a machine that has nothing else to do
AT_FIRST = replace(LIMITS, timeout=120)  # for a solved notebook, which shows how fast it is
PAIRS_IN_ONE_PROCESS = 4  # each of them waits for the other
SLACK = 10  # seconds in which a submission must be over after its time is up
MOST_MEMORY = 500  # megabytes that all replies may cost the grader


@dataclass(frozen=True)
class Wall:
    """What a wall keeps, and what follows where it is down.

    Args:
        up: what holds where it is up.
        down: what a submission can do where it is down.
        needs_bubblewrap: whether it is missing where there is no bubblewrap.
    """

    up: str
    down: str
    needs_bubblewrap: bool = True


WALLS = {
    "points": Wall(
        "what a submission changes in its own process earns it nothing",
        "a submission can set its own points",
        needs_bubblewrap=False,
    ),
    "channel": Wall(
        "forged and crafted replies earn nothing and cost only their own student",
        "a submission can earn points by a forged reply, or make the grader fail",
        needs_bubblewrap=False,
    ),
    "answers": Wall(
        "a submission can neither import nor read the right answers",
        "a submission can read the right answers and hand them in",
    ),
    "files": Wall(
        "a submission sees none of your files and changes nothing on this machine",
        "a submission can read or change files of this machine, other students' work included",
    ),
    "processes": Wall(
        "a submission starts no other process, and nothing of it is left when it is over",
        "a submission can start programs that go on after it, and change grades later",
    ),
    "memory": Wall(
        "a submission gets no more memory than its limit",
        "a submission can fill this machine's memory and stop the grading of a class",
    ),
    "disk": Wall(
        "a submission cannot fill the disk, the terminal or the report",
        "a submission can fill this machine's disk or make a report that nobody can open",
    ),
    "time": Wall(
        "a submission that waits or computes without end is ended in time",
        "a submission can make the grader wait without end",
        needs_bubblewrap=False,
    ),
    "network": Wall(
        "a submission reaches no network and no server of this machine",
        "a submission can fetch its answers from elsewhere, and send out what it finds",
    ),
    "kernel": Wall(
        "a submission cannot call what grading does not need of the kernel",
        "a submission can use rare system calls, through which others have broken out before",
    ),
    "neighbours": Wall(
        "two submissions that run at once share nothing",
        "two students whose submissions run at once can pass answers to each other",
    ),
}


@dataclass(frozen=True)
class Tried:
    """What came of a hostile submission.

    Args:
        hostile: the submission.
        harm: what it earned or harmed, in words; nothing if the wall is up.
        odd: what else was not as expected: no remark, or points that it lost elsewhere.
    """

    hostile: Hostile
    harm: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class WallReport:
    """What came of all of them.

    Args:
        tried: each hostile submission that fits this machine.
        harm: what nobody in particular did, by wall.
        honest: the points of a solved notebook, each time that it was handed in between them.
        seconds: how long it took.
    """

    tried: tuple[Tried, ...]
    harm: tuple[tuple[str, str], ...]
    honest: tuple[float, ...]
    seconds: float

    def harm_at(self, wall: str) -> list[str]:
        """What got through a wall, a line each."""
        lines = [
            f"{one.hostile.name}: {what}"
            for one in self.tried
            if one.hostile.wall == wall
            for what in one.harm
        ]
        return lines + [what for where, what in self.harm if where == wall]

    def cheated(self) -> list[float]:
        """What the solved notebook got where it did not get everything."""
        full = ATTACKED.points + OTHER.points
        return [points for points in self.honest if points != full]

    def holds(self) -> bool:
        """Whether nothing earned anything or did harm."""
        return not (self.harm or self.cheated() or any(one.harm for one in self.tried))


class Bench:
    """Where hostile submissions are tried: a sandbox, and what they must not reach."""

    def __init__(self, sandbox: Sandbox, folder: Path, port: int, module: str) -> None:
        self.sandbox = sandbox
        self.hurried = sandbox
        self.folder = folder
        self.port = port
        self.module = module
        self.seed = secrets.randbelow(2**32)
        self.out = folder / "report" / "grades.csv"
        self.out.parent.mkdir()
        self.out.write_text("student,points\n", encoding="utf-8")
        found = places_of(sandbox.course.hidden)
        self.secrets = (*found, str(self.out.parent), str(folder / "handed-in"))

    def set_limits(self, limits: Limits) -> None:
        """Limit what comes from now on; what computes until its time is up gets half of it."""
        half = max(limits.timeout // 2, 8)
        self.sandbox = replace(self.sandbox, limits=limits)
        self.hurried = replace(self.sandbox, limits=replace(limits, timeout=half))

    def seconds_of_an_honest_one(self) -> float:
        """How long a solved notebook takes on this machine."""
        start = time.monotonic()
        self.honest()
        return time.monotonic() - start

    def victim(self, name: str) -> Path:
        """The file that a submission must not change."""
        return self.folder / f"victim-{name}.txt"

    def target(self, name: str, side: int) -> Target:
        """What a submission of this name attacks."""
        return Target(
            self.sandbox.course,
            ATTACKED,
            AREA,
            self.port,
            str(self.victim(name)),
            str(self.out),
            self.secrets,
            self.seed,
            self.sandbox.limits.memory,
            side,
            self.module,
        )

    def graded(self, name: str, cells: Sequence[str], lesson: str, sandbox: Sandbox) -> Graded:
        """Hand in a notebook of these cells, and grade it."""
        path = self.folder / "handed-in" / name / f"{lesson}_notebook.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(as_notebook(cells), encoding="utf-8")
        submission = read_submission(sandbox.course, path, name, path.name)
        return grade_submission(submission, sandbox, self.seed)

    @property
    def head(self) -> str:
        """The cell that imports the course."""
        return f"import torch\nfrom {self.sandbox.course.package} import check"

    def honest(self) -> float:
        """What a solved notebook gets."""
        cells = [self.head, AREA, f"check({ATTACKED.name!r}, area)", *solves(OTHER)]
        graded = self.graded(f"honest-{secrets.token_hex(4)}", cells, "trial", self.sandbox)
        return sum(row.points for row in graded.rows)

    def handed_in(self, some: Sequence[Hostile]) -> list[Tried]:
        """Have one process make these attempts, each against an exercise of its own, or two at once
        where they are pairs; where that does not tell whose doing something is, each is handed in
        alone.
        """
        sides = (0, 1) if some[0].paired else (0,)
        with ThreadPoolExecutor(len(sides)) as pool:
            both = list(pool.map(lambda side: self.side_of(some, side), sides))
        tried = [together(each) for each in zip(*both)]
        if len(some) > 1 and any(one.odd or any(map(is_nobodys, one.harm)) for one in tried):
            return [alone for one in some for alone in self.handed_in([one])]
        return tried

    def side_of(self, some: Sequence[Hostile], side: int) -> list[Tried]:
        """Hand in a notebook that makes these attempts, and see what came of each."""
        first = some[0]
        name = f"{first.wall}-{first.name}-{len(some)}-{side}"
        victim = self.victim(name)
        victim.write_text("whole", encoding="utf-8")
        target = self.target(name, side)
        if len(some) == 1:
            attacked, other = [ATTACKED], OTHER
            cells = hostile_cells(first, target, self.head, solves(OTHER))
        else:
            attacked, other = MANY, OTHER_OF_MANY
            cells = [target.facts(), self.head]
            for one, exercise in zip(some, attacked):
                area = function_of(exercise.name)
                cells += [one.before, f"{one.answer}\n{area} = answer"]
                cells += [f"check({exercise.name!r}, {area})", f"confess({one.name!r})"]
            cells = [*filter(None, cells), *solves(other)]
        patient = first.wall != "time" or first.spares_the_rest
        sandbox = self.sandbox if patient else self.hurried
        start = time.monotonic()
        try:
            graded = self.graded(name, cells, lesson_of(other.name), sandbox)
        except Exception as error:  # whatever a submission brings about, it is its doing
            failed = f"the grader failed: {type(error).__name__}: {error}"[:200]
            return [Tried(one, (failed,)) for one in some]
        late = time.monotonic() - start - sandbox.limits.timeout
        harm = [f"it held the grader {late:.0f} s past its time"] if late > SLACK else []
        if not victim.exists() or victim.read_text(encoding="utf-8") != "whole":
            harm.append("it changed a file")
        return [judged(one, mine, other, graded, harm) for one, mine in zip(some, attacked)]


def together(sides: Sequence[Tried]) -> Tried:
    """What came of a submission that was handed in once, or twice at once."""
    harm = [what for tried in sides for what in tried.harm]
    odd = [what for tried in sides for what in tried.odd]
    return Tried(sides[0].hostile, tuple(harm), tuple(odd))


def limits_for(seconds: float) -> Limits:
    """The limits of a hostile submission where a solved one takes so many seconds."""
    return replace(
        LIMITS,
        timeout=max(LIMITS.timeout, math.ceil(8 * seconds)),
        cell=max(LIMITS.cell, math.ceil(seconds)),
    )


def places_of(packages: Sequence[str]) -> Iterator[str]:
    """The folders of installed packages, or the files of those that are single modules."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is not None:
            found = spec.submodule_search_locations or [spec.origin or ""]
            yield from (os.path.realpath(place) for place in found)


def module_of_answers(course: Course) -> str:
    """A module in which right answers of a course lie."""
    exercises = (one for one in course.bank.values() if isinstance(one, Exercise))
    return next((one.reference.__module__ for one in exercises), course.package)


def solves(exercise: Exercise) -> list[str]:
    """The cells that solve the exercise which hostile submissions do not attack."""
    return [HALF, f"check({exercise.name!r}, half)"]


def judged(
    one: Hostile, attacked: Exercise, other: Exercise, graded: Graded, harm: Sequence[str]
) -> Tried:
    """What came of a submission.

    Args:
        one: the submission.
        attacked: the exercise that it attacks.
        other: the exercise that it solves.
        graded: its grades, which may be those of several submissions.
        harm: what is known already.
    """
    points = {row.exercise: row.points for row in graded.rows}
    remarks = [*graded.remarks, *(row.remark for row in graded.rows)]
    through = [match for match in map(GOT_THROUGH.search, remarks) if match]
    told = [f"got through: {match[2]}" for match in through if match[1] == one.name]
    harm = [*harm, *dict.fromkeys(told)]
    if points.get(attacked.name) != 0 and not through:  # one that got through helps the others
        harm.append(f"earned {points.get(attacked.name)} points for what it did not solve")
    odd = []
    if one.spares_the_rest and points.get(other.name) != other.points:
        odd.append(f"the exercise that it solved lost its points: {'; '.join(remarks)}")
    if one.remark not in "\n".join(remarks):
        odd.append(f"expected a remark with {one.remark!r}, got {'; '.join(remarks)!r}")
    return Tried(one, tuple(harm), tuple(odd))


def is_nobodys(harm: str) -> bool:
    """Whether harm was done by one of several submissions, nobody knows which."""
    return not harm.startswith(("got through: ", "earned "))


def units(notebooks: Sequence[Hostile]) -> list[list[Hostile]]:
    """What one process tries, or two at once: a submission alone, or several at the same wall."""
    made = [[one] for one in notebooks if not one.together]
    for wall in WALLS:
        some = [one for one in notebooks if one.together and one.wall == wall]
        most = PAIRS_IN_ONE_PROCESS if any(one.paired for one in some) else IN_ONE_PROCESS
        number = -(-len(some) // most)
        made += [some[start::number] for start in range(number)]
    return sorted(made, key=lambda unit: list(WALLS).index(unit[0].wall))


def try_walls(course: Course, notebooks: Sequence[Hostile], progress: bool = False) -> WallReport:
    """Hand in hostile submissions, and a solved notebook after those at each wall.

    Args:
        course: whose answers they look for; they attack an exercise of the engine's own.
        notebooks: the submissions.
        progress: show a bar.
    """
    start = time.monotonic()
    fitting = [one for one in notebooks if one.fits()]  # others are not counted as tried
    handed = units(fitting)
    tried: list[Tried] = []
    honest = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="marking-trial-")))
        sandbox = stack.enter_context(prepared_sandbox(trial_course(course), AT_FIRST))
        port, heard = stack.enter_context(listening())
        bench = Bench(sandbox, folder, port, module_of_answers(course))
        bench.set_limits(limits_for(bench.seconds_of_an_honest_one()))
        before = resident_memory(peak=False)
        pool = stack.enter_context(ThreadPoolExecutor(min(2 * (os.cpu_count() or 1), 8)))
        bar = stack.enter_context(tqdm(total=len(fitting), disable=not progress, unit="attack"))
        waiting = []
        for _, batch in groupby(handed, key=lambda unit: unit[0].wall):
            waiting += [pool.submit(bench.handed_in, unit) for unit in batch]
            honest.append(pool.submit(bench.honest))
        for done in waiting:
            tried += done.result()
            bar.update(len(tried) - bar.n)
        got = tuple(one.result() for one in honest)
        harm = list(harm_done(bench, heard, before))
    return WallReport(tuple(tried), tuple(harm), got, time.monotonic() - start)


def harm_done(bench: Bench, heard: Sequence[bytes], before: float) -> Iterator[tuple[str, str]]:
    """Harm that nobody in particular did, with the wall that it got through."""
    if heard:
        yield "network", f"a server heard from a submission: {heard[0][:40]!r}"
    if bench.out.read_text(encoding="utf-8") != "student,points\n":
        yield "files", "the table of grades was changed"
    known = {"report", "handed-in"}
    new = [
        path.name
        for path in bench.folder.iterdir()
        if path.name not in known and not path.name.startswith("victim-")
    ]
    if new:
        yield "files", f"new files lie beside the grades: {new[:3]}"
    left = survivors(bench.sandbox.room)
    if left:
        yield "processes", f"{len(left)} of its processes outlived the grading"
    cost = resident_memory(peak=True) - before
    if cost > MOST_MEMORY:
        yield "channel", f"replies cost the grader {cost:.0f} MB"


def survivors(room: Path, seconds: float = 3.0) -> list[int]:
    """The processes that still see the room of a sandbox a while after it was closed; they are
    ended.
    """
    end = time.monotonic() + seconds
    while found := list(processes_in(room)):
        if time.monotonic() > end:
            break
        time.sleep(0.1)
    for process in found:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
    return found


def processes_in(room: Path) -> Iterator[int]:
    """The processes that see the room of a sandbox."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            mounts = (path / "mountinfo").read_text(encoding="utf-8")
        except OSError:
            continue
        if f"{room.parent.name}/{room.name}" in mounts:
            yield int(path.name)


def resident_memory(peak: bool) -> float:
    """The megabytes of this process, or the most it has had since this was asked without `peak`."""
    if not peak:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the old peak
    name = "VmHWM:" if peak else "VmRSS:"
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
    return 0.0


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """Servers of this machine that must not hear from anyone: their port, and what they hear."""
    heard: list[bytes] = []
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = stream.getsockname()[1]
        servers = [stream]
        for family, kind, address in (
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
            (socket.AF_INET6, socket.SOCK_STREAM, ("::1", port)),
            (socket.AF_INET6, socket.SOCK_DGRAM, ("::1", port)),
            (socket.AF_UNIX, socket.SOCK_STREAM, f"\0hostile-{port}"),
        ):
            with contextlib.suppress(OSError):  # not every machine has them all
                server = stack.enter_context(socket.socket(family, kind))
                server.bind(address)
                if kind == socket.SOCK_STREAM:
                    server.listen()
                servers.append(server)

        def listen(server: socket.socket) -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    if server.type == socket.SOCK_DGRAM:
                        heard.append(server.recv(100))
                    else:
                        connection, _ = server.accept()
                        with connection:
                            connection.settimeout(1)
                            heard.append(b"a connection")

        threads = []
        for server in servers:
            server.settimeout(0.2)
            threads.append(threading.Thread(target=listen, args=(server,)))
            threads[-1].start()
        try:
            yield port, heard
        finally:
            over.set()
            for thread in threads:
                thread.join()


def walls_in_words(trial: WallReport) -> Iterator[str]:
    """What came of a trial, line by line: each wall, and what it means."""
    through = sum(bool(one.harm) for one in trial.tried)
    number = counted(len(trial.tried), "hostile submission")
    yield f"{number} in {trial.seconds:.0f} s, {through} got through"
    for name, wall in WALLS.items():
        harm = trial.harm_at(name)
        tried = sum(one.hostile.wall == name for one in trial.tried)
        if harm:
            yield f"down  {name}: {wall.down}"
            yield from (f"        {line}" for line in harm)
        elif tried:
            yield f"up    {name}: {wall.up} ({tried} tried)"
    times = counted(len(trial.honest), "time")
    cheated = trial.cheated()
    full = ATTACKED.points + OTHER.points
    if cheated:
        yield f"a solved notebook, handed in {times}, got {cheated[0]:g} of {full} points: the"
        yield "  hostile submissions before it were felt, and so a class would lose points"
    else:
        yield f"a solved notebook, handed in {times} between them, got all its points each time"
    yield from (f"note  {one.hostile.name}: {what}" for one in trial.tried for what in one.odd)


def without_bubblewrap() -> Iterator[str]:
    """What is said where hostile submissions cannot be run, line by line."""
    yield "not run: there is no bubblewrap here that works, and without it they could do harm"
    for name, wall in WALLS.items():
        if wall.needs_bubblewrap:
            yield f"missing  {name}: {wall.down}"
    kept = ", ".join(name for name, wall in WALLS.items() if not wall.needs_bubblewrap)
    yield f"not tried  {kept}: these do not need bubblewrap"


def run_self_test(course: Course) -> int:
    """Try the walls of this machine and print what is up.

    Returns: 0 if nothing earned anything or did harm, else 1.
    """
    if bubblewrap() is None:
        print("\n".join(without_bubblewrap()))
        return 1
    trial = try_walls(course, hostile_notebooks(), progress=True)
    print("\n".join(walls_in_words(trial)))
    return 0 if trial.holds() else 1
