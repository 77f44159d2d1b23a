"""All that the engine needs to know about a course."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marking.exercise import Question, Stretch, function_of, lesson_of
from marking.outcome import Outcome

ENGINE = "marking"  # this package, which no submission may see


@dataclass(frozen=True, eq=False)
class Course:
    """A course: its questions, and what its notebooks may import.

    Args:
        name: short, for nbgrader: "algebra".
        package: the package that its notebooks import `ask`, `beside`, `check` from.
        bank: the questions by name.
        stretches: the ungraded questions by name.
        draw_beside: draws an answer (the first outcome) beside the target (the second) with a
            caption, in the way that `Picture.how` says, and returns HTML.
        answers: more packages that hold answers: a submission can neither import nor read them
            while it is graded. `package` and the engine are always among them.
        answer_files: words in the names of files with answers; a submission that looks for such a
            file is reported.
        variables: the variable that holds an answer, where it is not called as the question is:
            {"predict": "prediction"} for questions named "LESSON.predict".
    """

    name: str
    package: str
    bank: Mapping[str, Question]
    stretches: Mapping[str, Stretch]
    draw_beside: Callable[[Any, Outcome, Outcome, str], str]
    answers: tuple[str, ...] = ()
    answer_files: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The packages that a submission cannot use while it is graded."""
        return tuple(dict.fromkeys([ENGINE, self.package, *self.answers]))

    @property
    def lessons(self) -> tuple[str, ...]:
        """The lessons that have questions, in the order of the bank."""
        return tuple(dict.fromkeys(lesson_of(name) for name in self.bank))

    def variable_of(self, name: str) -> str:
        """The function or variable in which the answer to a question is found."""
        return self.variables.get(function_of(name), function_of(name))

    def notebooks_in(self, folder: Path) -> list[Path]:
        """The notebooks LESSON_*.ipynb in a folder, sorted."""
        starts = tuple(f"{lesson}_" for lesson in self.lessons)
        return sorted(path for path in folder.glob("*.ipynb") if path.name.startswith(starts))
