"""The checks of a question in one notebook: how many are judged at their places, and which of them
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from marking.attempts import BEST, rank_of, remarks_as_one
from marking.engine import Verdict
from marking.exercise import Choice, Question
from marking.words import counted

MOST_CHECKS = 10  # of one question; otherwise a loop could try all numbers


@dataclass(frozen=True)
class Judged:
    """What became of an answer at one of its checks.

    Args:
        verdict: the judgement.
        remark: anything a teacher should know about it.
    """

    verdict: Verdict
    remark: str


def most_checks(question: Question) -> int:
    """How many checks of a question are judged, each at its place. Where there are more, only the
    last counts; of the letters of a prediction, no more than half can be tried.
    """
    return max(1, len(question.options) // 2) if isinstance(question, Choice) else MOST_CHECKS


def letters_tried(judged: Iterable[Judged], question: Question) -> str:
    """The letters of a prediction that its checks try; none of another question."""
    if not isinstance(question, Choice):
        return ""
    verdicts = [one.verdict for one in judged]
    wrong = {one.mistake.partition(":")[0] for one in verdicts if one.mistake}
    return "".join(sorted(wrong.union(question.right for one in verdicts if one.passed)))


def counting_check(
    judged: Mapping[int, Judged], question: Question, attempts: str
) -> tuple[int, Judged]:
    """Which of the checks of a question counts, and what became of it, with a remark if others came
    out differently.

    Args:
        judged: the checks by their places; the one after the most that are judged is the last.
        question: what was checked.
        attempts: `attempts.BEST` or `attempts.NEWEST`.
    """
    most = most_checks(question)
    if most in judged:
        last = judged[most]
        remark = f"checked more than {counted(most, 'time')}: only the last check counts"
        return most, Judged(last.verdict, remarks_as_one(last.remark, remark))
    place = max(judged, key=lambda at: rank_of(judged[at].verdict.passed, at, attempts))
    return place, with_others(judged[place], list(judged.values()), attempts)


def with_others(one: Judged, every: Sequence[Judged], attempts: str) -> Judged:
    """The check that counts, with a remark if others came out differently."""
    right = sum(other.verdict.passed for other in every)
    if right in (0, len(every)):
        return one
    which = "the best" if attempts == BEST else "the newest"
    words = f"{counted(len(every), 'check')}, {right} of them right: {which} counts"
    return Judged(one.verdict, remarks_as_one(one.remark, words))
