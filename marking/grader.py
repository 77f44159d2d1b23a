"""Grade submissions: each runs in a process that answers calls and decides nothing; the judging
happens here, with our own copy of the answers.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import unicodedata
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from marking.attempts import BEST, NEWEST, by_checks, one_attempt_each
from marking.checks import Judged, counting_check, letters_tried, most_checks
from marking.course import Course
from marking.diagnosis import KNOWN
from marking.engine import NOT_ANSWERED, NOT_WRITTEN, Verdict, judge
from marking.exercise import BugHunt, Choice, Exercise, HandNumber, Question, lesson_of
from marking.grades import Graded, Row, as_record
from marking.groups import GROUP_SECONDS, fingerprint_of
from marking.handed_in import Handed, all_handed_in
from marking.hunting import Answering
from marking.intake import (
    Broken,
    Submission,
    cell_of_answer,
    content_of,
    lessons_named,
    submission_in,
)
from marking.lock import locked
from marking.names import read_names, with_groups
from marking.outcome import LONGEST_SOURCE, LONGEST_TOLD, Attempt, Outcome, received
from marking.pool import in_parallel
from marking.rehearsal import rehearse
from marking.report_folder import cannot_write, make_report_folder, remove_leftovers
from marking.results import (
    CHANGED_MEANWHILE,
    OVERLOADED,
    RESULTS,
    Results,
    changed_before,
    report_failed,
    secret_of,
)
from marking.roster import read_roster
from marking.sandbox.bare import Bare, NotContained, give_room, guarded, prepared, refusal
from marking.sandbox.parent import Limits, Lost, Running, Sandbox, hidden_places, prepared_sandbox
from marking.sandbox.wire import pack
from marking.stored import with_claims

ABSENT = "handed in nothing"
BY_NAME = -1  # in place of a check, for an answer that was never checked
# writes pages about the grades into a folder, and says whether submissions were contained
ReportWriter = Callable[[Path, Sequence[Graded], bool], None]


def grade_submission(
    submission: Submission,
    sandbox: Sandbox,
    seed: int,
    key: str = "",
    *,
    compared: bool = False,
) -> Graded:
    """Run one submission and judge each of its answers, at the place of its check; if they are to
    be compared with others', keep what the wrong ones compute that are no known mistake.

    Of several checks of a question the best counts; where the newest would earn another grade, that
    is kept beside it.
    """
    course = sandbox.course
    questions = [
        question for name, question in course.bank.items() if lesson_of(name) in submission.lessons
    ]
    remarks = list(submission.remarks)
    if not questions:
        remarks.append("it contains no exercise of this course")
    judging = Judging(sandbox, submission, questions, seed)
    running = judging.run()
    best, newest = (
        [judging.counting(question, attempts) for question in questions]
        for attempts in (BEST, NEWEST)
    )
    differ = [number for number, both in enumerate(zip(best, newest)) if both[0] != both[1]]
    counting = [*best, *(newest[number] for number in differ)]
    asked = [*questions, *(questions[number] for number in differ)]
    rows = [
        row_of(question, one.verdict, one.remark) for question, (_, one) in zip(asked, counting)
    ]
    remarks += judging.remarks
    if compared and running is not None:
        places = [place for place, _ in counting]
        rows = with_fingerprints(rows, places, submission, running)
    close(running, remarks)
    rows, others = rows[: len(questions)], rows[len(questions) :]
    rows = [
        replace(row, letters=letters_tried(judging.judged[question.name].values(), question))
        for row, question in zip(rows, questions)
    ]
    rows = with_claims(rows, submission.claimed)
    for number, other in zip(differ, others):
        rows[number] = replace(rows[number], newest=as_record(other))
    once = tuple(dict.fromkeys(remarks))
    return Graded(submission.student, submission.notebook, key, tuple(rows), once)


class Judging:
    """Judges the answers of one submission while its cells run, then by name what was never
    checked. Hunts come last, and of each only one check in one process: a test calls the right
    function, and what it learns of that must not help any other answer.

    Args:
        sandbox: where it runs.
        submission: whose answers are judged.
        questions: of its lessons.
        seed: of the inputs.
    """

    def __init__(
        self, sandbox: Sandbox, submission: Submission, questions: Sequence[Question], seed: int
    ) -> None:
        self.sandbox = sandbox
        self.submission = submission
        self.questions = {question.name: question for question in questions}
        self.hunts = [question.name for question in questions if isinstance(question, BugHunt)]
        self.seed = seed
        self.judged: dict[str, dict[int, Judged]] = {name: {} for name in self.questions}
        self.told: set[tuple[str, int]] = set()  # the checks that this process has come to
        self.hunting = False  # at the places of checks: the cells end the process, all else is done
        self.hunted: set[str] = set()  # the hunts of which this process was judged at a check
        self.more = False  # whether it came to another check of one of them
        self.now: tuple[str, int] | None = None  # what is being judged
        self.lost = ""  # why the rest cannot be judged
        self.remarks: list[str] = []

    def run(self) -> Running | None:
        """Run the submission, and again after an answer that ended its process: what is judged by
        then stays as it is.

        Returns: the process, ready for calls; None where there is none any more.
        """
        none = dict.fromkeys(self.sandbox.course.bank, 0)
        cells = self.submission.cells
        deadline = time.monotonic() + self.sandbox.limits.timeout
        while self.questions:
            running = None
            self.told.clear()
            self.hunted.clear()
            self.more = False
            names = self.hunts if self.hunting else list(self.questions)
            most = none | {name: most_checks(self.questions[name]) for name in names}
            late = [] if self.hunting else self.hunts
            try:
                running = Running(self.sandbox, cells, deadline, most, self.at_check, late)
                self.remarks += running.errors
                if self.hunting:
                    raise Lost(self.lost)
                for name, judged in self.judged.items():
                    if not judged and name not in self.hunts:
                        self.judge(running, name, BY_NAME)
                left = [list(self.left_of(name, running.kept[name])) for name in self.hunts]
                for name, places in zip(self.hunts, left):
                    for place in places[:1]:
                        self.judge(running, name, place)
                if any(len(places) > 1 for places in left):
                    close(running, self.remarks)
                    continue
            except Lost as reason:
                close(running, self.remarks)
                if self.now is None:
                    self.lost = self.lost or str(reason)
                    if self.can_hunt():
                        continue
                    if all(self.judged.values()):  # otherwise the exercises that it cost say so
                        self.remarks.append(self.lost)
                    return None
                name, place = self.now
                self.judged[name][place] = not_graded(self.questions[name], str(reason))
                self.now = None
            else:
                return running
        return None

    def can_hunt(self) -> bool:
        """Whether another run can judge a hunt at its check, before the cells end the process."""
        if self.hunting:
            return self.more
        left = [name for name in self.hunts if not self.judged[name]]
        self.hunting = any(name in source for name in left for _, source in self.submission.cells)
        return self.hunting

    def at_check(self, running: Running, name: Any, place: Any) -> None:
        """Judge the answer that a submission says it has come to the check of, unless that is
        judged already.

        Raises: Lost for a check that cannot be; and where the process does not answer.
        """
        question = self.questions.get(name) if isinstance(name, str) else None
        possible = type(place) is int and question is not None
        possible = possible and (name in self.hunts) == self.hunting
        if not possible or not 0 <= place <= most_checks(self.questions[name]):
            raise Lost("its process told of a check that cannot be")
        if (name, place) in self.told:
            raise Lost("its process told of a check twice")
        self.told.add((name, place))
        if place in self.judged[name]:
            return
        if name in self.hunted:
            self.more = True
            return
        if self.hunting:
            self.hunted.add(name)
        self.judge(running, name, place)

    def left_of(self, name: str, kept: int) -> Iterator[int]:
        """The checks of a hunt that are not judged yet: of so many, or of none at all by name."""
        most = most_checks(self.questions[name])
        for place in range(min(kept, most + 1)) if kept > 0 else [BY_NAME]:
            if place not in self.judged[name]:
                yield place

    def judge(self, running: Running, name: str, place: int) -> None:
        """Judge an answer, at a check or by name.

        Raises: Lost where the process does not answer.
        """
        self.now = name, place
        question = self.questions[name]
        try:
            student = self.submission.student
            found = Judged(*judge_answer(question, running, self.seed, student, place))
        except Lost:
            self.remarks += [f"tried to {attempt}" for attempt in running.attempts]
            raise
        except Exception as error:  # a fault of ours costs this answer, not the others
            found = not_graded(question, f"{type(error).__name__}: {error}"[:300])
        self.judged[name][place] = found
        self.now = None

    def counting(self, question: Question, attempts: str) -> tuple[int, Judged]:
        """Which check of a question counts, and what became of it; BY_NAME for none."""
        judged = self.judged[question.name]
        if not judged:
            return BY_NAME, not_graded(question, self.lost)
        if BY_NAME in judged:
            return BY_NAME, judged[BY_NAME]
        return counting_check(judged, question, attempts)


def not_graded(question: Question, why: str) -> Judged:
    """What becomes of an answer that cannot be judged."""
    message = f"{question.name}: {why}."
    return Judged(Verdict(False, message, summary=f"not graded: {why}"), why)


def row_of(question: Question, verdict: Verdict, remark: str) -> Row:
    """The grade that a verdict is worth."""
    return Row(
        question.name,
        points=question.points if verdict.passed else 0,
        of=question.points,
        mistake=verdict.mistake or "",
        remark=remark,
        summary=verdict.summary,
        explanation=verdict.explanation,
        message=verdict.message,
        line=verdict.line,
        kind=verdict.kind,
    )


def with_fingerprints(
    rows: list[Row], places: Sequence[int], submission: Submission, running: Running
) -> list[Row]:
    """The grades, the wrong answers without a known mistake with what they compute. This comes
    after all grades are final: no answer earns or loses anything by it.
    """
    done = list(rows)
    deadline = running.deadline
    for number, (row, place) in enumerate(zip(rows, places)):
        question = running.course.bank[row.exercise]
        if not isinstance(question, Exercise) or row.kind in ("", KNOWN):
            continue
        running.deadline = min(deadline, time.monotonic() + GROUP_SECONDS)
        try:
            found = fingerprint_of(question, partial(called, question, running, place))
        except Lost:  # nothing more can be asked of its process
            break
        variable = running.course.variable_of(row.exercise)
        code = cell_of_answer(submission.cells, row.exercise, variable)
        if found is not None:
            done[number] = replace(row, code=code, sample=found[1], fingerprint=found[0])
    return done


def close(running: Running | None, remarks: list[str]) -> None:
    """End a submission's process, if there is one, and remark on what it tried."""
    if running is not None:
        remarks += [f"tried to {attempt}" for attempt in running.attempts]
        running.close()


def judge_answer(
    question: Question, running: Running, seed: int, student: str, place: int = BY_NAME
) -> tuple[Verdict, str]:
    """Judge one answer by calling it in the submission's process.

    Args:
        question: which is answered.
        running: the submission's process.
        seed: of the inputs.
        student: whose submission it is.
        place: which check of the question has the answer; BY_NAME for the function or variable of
            that name.

    Returns: the verdict, and a remark, which may be empty.
    Raises: Lost where the process does not answer.
    """
    again = f" {place}" if place > 0 else ""  # another check draws other inputs
    digest = hashlib.sha256(f"{seed} {question.name}{again}".encode()).digest()
    own_seed = int.from_bytes(digest[:4], "big")

    def call(args: Sequence[Any]) -> Outcome:
        return called(question, running, place, args)

    def run_test(answering: Answering, test_seed: int) -> Attempt:
        assert isinstance(question, BugHunt)
        names = list(question.exercise.arguments)
        reply = running.converse(
            request_for(question, running, place, "test", arguments=names, seed=test_seed),
            answering,
        )
        return attempt_from(reply, answering.calls)

    def source() -> str:
        reply, _ = running.exchange(request_for(question, running, place, "source"))
        return str(reply.get("source", ""))[:LONGEST_SOURCE]

    if isinstance(question, Exercise):
        verdict = judge(question, call, own_seed, source=source)
    elif isinstance(question, BugHunt):
        verdict = judge(question, run_test, own_seed)
    else:
        reply, _ = running.exchange(request_for(question, running, place, "value"))
        name = str(reply.get("student", ""))[:200]
        verdict = judge(question, received(reply.get("value")), own_seed, name)
        answered = name.strip() and verdict.summary != NOT_ANSWERED
        if isinstance(question, HandNumber) and answered and not akin(name, student):
            return verdict, f"the numbers belong to {name!r}"
    if verdict.summary in (NOT_WRITTEN, NOT_ANSWERED) or place != BY_NAME:
        return verdict, ""
    return verdict, "not passed to check: found by its name"


def request_for(
    question: Question, running: Running, place: int, kind: str, **more: Any
) -> dict[str, Any]:
    """A request about the answer to a question, at one of its checks or BY_NAME."""
    variable = running.course.variable_of(question.name)
    return {"kind": kind, "name": question.name, "variable": variable, "place": place, **more}


def called(question: Question, running: Running, place: int, args: Sequence[Any]) -> Outcome:
    """The outcome of a call of an answer in the submission's process.

    Raises: Lost where the process does not answer.
    """
    values, arrays = pack(args)
    request = request_for(question, running, place, "call", args=values)
    reply, results = running.exchange(request, arrays)
    return outcome_from(reply, results, len(args))


def outcome_from(reply: dict[str, Any], results: Sequence[Any], args: int) -> Outcome:
    """The outcome that a reply describes, whatever else it says."""
    if "error" in reply:
        error = str(reply["error"])[:LONGEST_TOLD]
        return Outcome(None, error=error, error_name=str(reply.get("error_name", ""))[:100])
    if not results:
        return Outcome(None, error="its process sent no numbers", error_name="TypeError")
    changed = reply.get("changed")
    places = [
        place
        for place in (changed if isinstance(changed, list) else [])
        if type(place) is int and 0 <= place < args
    ]
    several = bool(reply.get("several")) or len(results) > 1
    return Outcome(tuple(results), several, changed=tuple(places))


def attempt_from(reply: dict[str, Any], calls: int) -> Attempt:
    """What a test did with a function, as a reply describes it, whatever else it says."""

    def words(name: str, most: int = 100) -> str:
        return str(reply.get(name, ""))[:most]

    return Attempt(
        reply.get("refused") is not False,
        error=words("error", 500),
        error_name=words("error_name"),
        line=words("line", 200),
        returned=words("returned"),
        calls=calls,
    )


def akin(one: str, other: str) -> bool:
    """Whether two ways to write a student's name are the same or have a word in common.

    Platforms run the words of a name together: adalovelace. A single letter, such as an initial,
    is no word, a single sign of another alphabet may be one.
    """
    a, b = (unicodedata.normalize("NFKC", name).casefold().strip() for name in (one, other))
    words = re.compile(r"[^\W_]{2,}|[^\W_a-z0-9]")
    return (
        a == b
        or any(word in b for word in words.findall(a))
        or any(word in a for word in words.findall(b))
    )


def grade(
    course: Course,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    report: ReportWriter | None = None,
    jobs: int | None = None,
    limits: Limits = Limits(),
    seed: int = 0,
    resume: bool = False,
    names: str | Path | None = None,
    roster: str | Path | None = None,
    attempts: str = BEST,
    progress: bool = True,
    trust: bool = True,
    bare: Bare | None = None,
) -> list[Graded]:
    """Grade notebooks, folders of them and zips, keeping each result at once in results.jsonl.

    Args:
        course: whose exercises the notebooks contain.
        paths: notebooks, folders or zips. The names of folders and files in them tell whose each
            is; see `marking.platforms`.
        out: folder for the results and the report.
        report: writes the report; none is written if None.
        jobs: how many submissions at once; as many as there are processors if None.
        limits: how much each may use.
        seed: of the inputs; keep it secret to keep the inputs secret.
        resume: do not grade again the unchanged submissions that `out` already has grades of.
        names: a file with what to say about groups of wrong answers, and points for them; see
            `marking.names`.
        roster: a file with the names and ids of the class; see `marking.roster`.
        attempts: which of a student's several answers to one exercise counts, in several notebooks
            or in one: "best" or "newest".
        progress: show a bar.
        trust: run submissions where bubblewrap cannot contain them, too.
        bare: what keeps them from grades there; what the system has if None.

    Returns: the grades, sorted by student and notebook; last, who handed in nothing.
    Raises: FileNotFoundError for a path that does not exist or if there is no notebook at all;
        FileExistsError for results in `out` without `resume`; ValueError for what cannot be said
        about answers, naming the line; OSError where nothing can be written in `out`, or another
        grader works there; NotContained where there is no bubblewrap and no trust; Stopped where
        the machine cannot go on, which loses nothing; NotReady, a
        RuntimeError, where this machine cannot run submissions.
    """
    out = Path(out)
    said = None if names is None else read_names(course, names)
    people = [] if roster is None else read_roster(roster)
    one_attempt_each([], {}, attempts)  # a word that means nothing is refused before anything runs
    torch.set_num_threads(1)  # the processes of the submissions share the machine
    with ExitStack() as stack:
        sandbox = stack.enter_context(prepared_sandbox(course, limits))
        if sandbox.bwrap is None and not trust:
            raise NotContained(refusal())
        make_report_folder(out, list(map(Path, paths)))
        hold(out, stack, resume)
        if sandbox.bwrap is None:
            bare = bare or prepared(hidden_places(course))
            sandbox = replace(sandbox, bare=bare)
            give_room(sandbox.room)
            stack.enter_context(guarded(out, bare))
        handed, absent = all_handed_in(course, paths, stack, out, people)
        if not handed and not absent:
            raise FileNotFoundError(f"there are no notebooks in {', '.join(map(str, paths))}")
        secret = secret_of(seed)
        keys = {key_of(one, f"{secret.hex()} {limits}"): one for one in handed}
        begun = (out / RESULTS).exists()
        if not begun:  # before there is a file to resume from
            rehearse(sandbox, lambda one, where: grade_submission(one, where, seed))
        results = stack.enter_context(opened_results(out, secret, keys))
        if results.refused:
            warnings.warn(f"{results.path} {changed_before(results.refused)}", stacklevel=2)
        wanted = [(key, one) for key, one in keys.items() if key not in results.known]
        if begun and wanted:
            rehearse(sandbox, lambda one, where: grade_submission(one, where, seed))
        bar = stack.enter_context(
            tqdm(
                total=len(keys),
                initial=len(keys) - len(wanted),
                disable=not progress,
                unit="notebook",
            )
        )
        run = in_parallel(
            lambda item: grade_file(item[1], sandbox, seed, item[0]),
            wanted,
            jobs or os.cpu_count() or 1,
            sandbox.stop,  # otherwise each submission would go on until its time is up
        )
        with closing(run):
            try:
                for graded in run:
                    results.append(graded)
                    bar.update()
                restored = results.restore()
            except OSError as reason:
                raise results.stopped(reason, len(keys)) from reason
        if restored:
            warnings.warn(f"{results.path} {CHANGED_MEANWHILE}", stacklevel=2)
        # whose it is, and what is odd about that, may have changed since: others came, or a roster
        named = [
            replace(
                graded,
                student=keys[key].student,
                notebook=keys[key].notebook,
                remarks=tuple(dict.fromkeys([*keys[key].remarks, *graded.remarks])),
            )
            for key, graded in results.known.items()
        ]
        in_order = sorted(
            by_checks(named, attempts), key=lambda one: (one.student, one.notebook, one.key)
        )
        ages = {key: one.age for key, one in keys.items()}
        letters = {
            name: most_checks(question)
            for name, question in course.bank.items()
            if isinstance(question, Choice)
        }
        in_groups = with_groups(with_lessons(course, in_order), said)
        every = one_attempt_each(in_groups, ages, attempts, letters)
        every += [Graded(name, "", "", remarks=(ABSENT,), absent=True) for name in sorted(absent)]
        if report is not None:
            try:
                report(out, every, sandbox.bwrap is not None)
            except OSError as reason:
                raise report_failed(reason, results.path, len(keys)) from reason
    return every


def hold(out: Path, stack: ExitStack, resume: bool) -> None:
    """Keep other graders out of a report's folder for as long as the stack lasts.

    Raises: FileExistsError for results there without `resume`; Held where another grader works
        there; OSError where nothing can be written.
    """
    try:
        stack.enter_context(locked(out))
        remove_leftovers(out)
    except OSError as error:
        raise cannot_write(out, error) from None
    results = out / RESULTS
    if results.exists() and not resume:
        raise FileExistsError(f"{results} exists: resume, or choose another folder")


def opened_results(out: Path, secret: bytes, wanted: Container[str]) -> Results:
    """The results file of a folder.

    Raises: OSError where it cannot be written.
    """
    try:
        return Results(out, secret, wanted)
    except OSError as error:
        raise cannot_write(out, error) from None


def with_lessons(course: Course, graded: Sequence[Graded]) -> list[Graded]:
    """The grades; where the whole class handed in one lesson, what could not be read and names no
    lesson is of that.
    """
    lessons = {lesson_of(row.exercise) for one in graded for row in one.rows}
    if len(lessons) != 1:
        return list(graded)
    return [
        replace(one, rows=rows_without_answers(course, lessons, one.remarks[-1]))
        if one.broken and not one.rows
        else one
        for one in graded
    ]


def rows_without_answers(course: Course, lessons: Iterable[str], why: str) -> tuple[Row, ...]:
    """No points for each question of the lessons, and why."""
    summary = f"not graded: {why}"
    return tuple(
        Row(name, 0, question.points, summary=summary, message=f"{name}: {summary}.")
        for name, question in course.bank.items()
        if lesson_of(name) in lessons
    )


def key_of(handed: Handed, settings: str) -> str:
    """A key that changes with a submission's place, content, or settings."""
    likely = handed.lesson or handed.lesson_of_class
    place = f"{settings} {likely} {handed.place} ".encode("utf-8", "surrogateescape")
    return hashlib.sha256(place + handed.digest()).hexdigest()


def grade_file(handed: Handed, sandbox: Sandbox, seed: int, key: str) -> Graded:
    """Grade one file; one that cannot be graded is marked as broken, and earns nothing for each
    exercise of its lesson.
    """
    course = sandbox.course
    entry = handed.entry
    likely = handed.lesson or handed.lesson_of_class
    lessons: tuple[str, ...] = (likely,) if likely else ()
    try:
        if handed.problem:
            raise Broken(handed.problem)
        submission = submission_in(
            course,
            entry.opened,
            entry.size,
            handed.student,
            handed.notebook,
            handed.lesson,
            handed.lesson_of_class,
        )
        lessons = submission.lessons
        return grade_submission(submission, sandbox, seed, key, compared=True)
    except (Broken, OSError) as reason:
        if isinstance(reason, OSError) and reason.errno in OVERLOADED:
            raise  # a fault of the machine, which costs nobody anything
        fault = str(reason)
        if not handed.problem and not handed.lesson:
            lessons = lessons_in(course, handed) or lessons
    except Exception as error:  # a fault of ours costs this submission's grade, not the others'
        fault = f"could not be graded: {type(error).__name__}: {error}"[:300]
    rows = rows_without_answers(course, set(lessons), fault)
    return Graded(handed.student, handed.notebook, key, rows, (fault,), broken=True)


def lessons_in(course: Course, handed: Handed) -> tuple[str, ...]:
    """The lessons that a file names in which nothing else can be read."""
    try:
        return lessons_named(course, content_of(handed.entry.opened, handed.entry.size))
    except Broken:
        return ()
