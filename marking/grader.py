"""Grade submissions: each in a process that answers calls and decides nothing; judged here, with
our own copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from marking.engine import Verdict, judge, unwritten
from marking.exercise import Exercise, HandNumber, Question
from marking.intake import Broken, Submission, digest, found, read_submission, student_of
from marking.outcome import Outcome
from marking.sandbox.parent import Limits, Lost, Running, bubblewrap, prepared_room
from marking.sandbox.wire import pack
from minddpm_course.bank import BANK


@dataclass(frozen=True)
class Row:
    """The grade of one answer."""

    exercise: str
    points: int
    of: int
    mistake: str = ""
    remark: str = ""
    summary: str = ""
    explanation: str = ""
    message: str = ""


@dataclass(frozen=True)
class Graded:
    """The grades of one notebook, and what is to be said of the whole of it."""

    student: str
    notebook: str
    key: str
    rows: tuple[Row, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    broken: bool = False


def grade_submission(
    submission: Submission, key: str, seed: int, limits: Limits, room: Path, bwrap: str | None
) -> Graded:
    """Run one submission and judge each of its answers."""
    questions = [
        question for name, question in BANK.items() if name.partition(".")[0] in submission.lessons
    ]
    remarks = list(submission.remarks)
    if not questions:
        remarks.append("it asks no exercise that is known here")
    rows, deadline = [], time.monotonic() + limits.timeout
    running, lost = None, ""  # once its cells cannot be run, nothing is asked any more
    for question in questions:
        try:
            if lost:
                raise Lost(lost)
            if running is None:  # at first, and after an answer that ended its process
                try:
                    running = Running(room, submission.cells, limits, bwrap, deadline)
                except Lost as reason:
                    lost = str(reason)
                    raise
                remarks += running.errors
            verdict, remark = ask(question, running, seed, submission.student)
        except Lost as reason:
            verdict = Verdict(False, f"{question.name}: {reason}.", summary=f"not graded: {reason}")
            remark = str(reason)
            ended(running, remarks)
            running = None
        points = question.points if verdict.passed else 0
        told = (verdict.summary, verdict.explanation, verdict.message)
        rows.append(
            Row(question.name, points, question.points, verdict.mistake or "", remark, *told)
        )
    ended(running, remarks)
    return Graded(
        submission.student, submission.notebook, key, tuple(rows), tuple(dict.fromkeys(remarks))
    )


def ended(running: Running | None, remarks: list[str]) -> None:
    """End a submission's process, and keep what it tried."""
    if running is not None:
        remarks += [f"tried to {attempt}" for attempt in running.attempts]
        running.close()


def ask(question: Question, running: Running, seed: int, student: str) -> tuple[Verdict, str]:
    """Judge one answer by asking the submission's process.

    Raises: Lost where that does not answer.
    """
    own = int.from_bytes(hashlib.sha256(f"{seed} {question.name}".encode()).digest()[:4], "big")
    handed: list[bool] = []
    if isinstance(question, Exercise):

        def call(args: Sequence[Any]) -> Outcome:
            plain, arrays = pack(args)
            reply, values = running.exchange(
                {"kind": "call", "name": question.name, "args": plain}, arrays
            )
            handed.append(bool(reply.get("handed", True)))
            if "error" in reply:
                return Outcome(
                    None,
                    error=str(reply["error"])[:500],
                    error_name=str(reply.get("error_name", ""))[:100],
                )
            changed = reply.get("changed")
            places = (
                tuple(place for place in changed if place in range(len(args)))
                if isinstance(changed, list)
                else ()
            )
            return Outcome(tuple(values), bool(reply.get("several")), changed=places)

        verdict = judge(question, call, own)
    else:
        reply, _ = running.exchange({"kind": "value", "name": question.name})
        handed.append(bool(reply.get("handed", True)))
        name = str(reply.get("student", ""))[:200]
        verdict = judge(question, reply.get("value"), own, name)
        if isinstance(question, HandNumber) and verdict.passed and not akin(name, student):
            return verdict, f"the numbers are those of {name!r}"
    if verdict.summary == unwritten(question).summary or all(handed):
        return verdict, ""
    return verdict, "graded by the name of the function: it was not handed to check"


def akin(one: str, other: str) -> bool:
    """Whether two ways to write a student's name have a word in common."""
    a, b = (
        one.casefold(),
        other.casefold(),
    )  # platforms run the words of a name together: adalovelace
    return any(word in b for word in re.findall(r"[^\W_]+", a)) or any(
        word in a for word in re.findall(r"[^\W_]+", b)
    )


def grade(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    jobs: int | None = None,
    limits: Limits = Limits(),
    seed: int = 0,
    resume: bool = False,
    progress: bool = True,
) -> list[Graded]:
    """Grade notebooks, folders of them and zips, writing each result as it comes.

    Args:
        paths: notebooks, folders or zips. The folders in them, or else the file names' beginnings,
            name the students.
        out: folder for the results and the report.
        jobs: how many submissions at once; as many as processors if None.
        limits: what each may use.
        seed: of the inputs; keep it secret to keep them so.
        resume: take what `out` already holds of unchanged submissions as graded.
        progress: show a bar.

    Returns: the grades, sorted by student and notebook.
    Raises: FileNotFoundError for a path that does not exist or for no notebook at all;
        FileExistsError for results in `out` without `resume`.
    """
    from marking.report import write_report

    out = Path(out)
    results = out / "results.jsonl"
    if results.exists() and not resume:
        raise FileExistsError(f"{results} exists: resume, or choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the processes of the submissions share the machine
    with ExitStack() as stack:
        room, bwrap = stack.enter_context(prepared_room()), bubblewrap()
        files = list(found(paths, stack, out))
        if not files:
            raise FileNotFoundError(f"wanted notebooks in {', '.join(map(str, paths))}, got none")
        settings = f"{seed} {limits}"
        done = dict(kept(results)) if resume else {}
        keys = {}
        for path, root in files:
            name = str(path.relative_to(root))
            keys[path] = hashlib.sha256(f"{settings} {name} ".encode() + digest(path)).hexdigest()
        wanted = [(path, root) for path, root in files if keys[path] not in done]

        def one(path: Path, root: Path) -> Graded:
            student, notebook = student_of(path, root), path.name
            try:
                submission = read_submission(path, student, notebook)
            except (Broken, OSError) as reason:
                return Graded(student, notebook, keys[path], remarks=(str(reason),), broken=True)
            try:
                return grade_submission(submission, keys[path], seed, limits, room, bwrap)
            except (
                Exception
            ) as error:  # a fault of ours costs this submission's grade, not the others'
                fault = f"could not be graded: {type(error).__name__}: {error}"[:300]
                return Graded(student, notebook, keys[path], remarks=(fault,), broken=True)

        pool = stack.enter_context(ThreadPoolExecutor(jobs or os.cpu_count() or 1))
        bar = stack.enter_context(
            tqdm(
                total=len(files),
                initial=len(files) - len(wanted),
                disable=not progress,
                unit="notebook",
            )
        )
        file = stack.enter_context(results.open("a", encoding="utf-8"))
        if results.stat().st_size:
            file.write("\n")  # in case the last line was cut off
        try:
            for future in as_completed([pool.submit(one, path, root) for path, root in wanted]):
                file.write(json.dumps(asdict(future.result())) + "\n")
                file.flush()
                bar.update()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for running in list(
                Running.all
            ):  # else it would go on until the last of them has had its time
                running.interrupt()
            raise
    now = set(keys.values())
    graded = sorted(
        (result for key, result in kept(results) if key in now),
        key=lambda result: (result.student, result.notebook, result.key),
    )
    write_report(out, graded, contained=bwrap is not None)
    return graded


def kept(results: Path) -> Iterator[tuple[str, Graded]]:
    """The results of a file, by their keys; a last line that was cut off is left out."""
    if not results.exists():
        return
    with results.open(encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            rows = tuple(Row(**row) for row in record.pop("rows"))
            yield (
                record["key"],
                Graded(**{**record, "rows": rows, "remarks": tuple(record["remarks"])}),
            )
