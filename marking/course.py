"""All that the engine needs to know about a course."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marking.exercise import BugHunt, Question, Stretch, function_of, lesson_of
from marking.grades import Row
from marking.validation import validate

USUAL = ("ask", "beside", "check", "hint")  # what the package of any course offers
ENGINE = "marking"  # this package, which no submission may see


def missing(error: ImportError, install: str) -> str:
    """What to install where a package is missing, in one line."""
    package = (error.name or str(error)).partition(".")[0]
    return f"this command needs {package}, which is not installed: {install}"


@dataclass(frozen=True, eq=False)
class Course:
    """A course: its questions, and what its notebooks may import.

    Its questions are tried when it is made (`marking.validation`).

    A notebook of exercises belongs to the lesson with which its file name begins: LESSON, an
    underscore and a letter, as in "roots_of_equations.ipynb" of the lesson "roots". Before that may
    stand the student's name, with an underscore, a hyphen or a space after it:
    "ada_roots_of_equations.ipynb". A submission under another name is graded too, on the lessons
    whose questions its code names.

    A notebook with a number to work out by hand defines STUDENT = "the student's name" and hands it
    to `ask` and `check`: both draw the values from it. Where `check` was not given a name, the
    grader takes that variable's.

    Args:
        name: short, for nbgrader: "algebra".
        package: the package that its notebooks import `ask`, `beside`, `check`, `hint` from.
        bank: the questions by name.
        stretches: the ungraded questions by name.
        draw_beside: draws an answer (the first outcome) beside the target (the second) with a
            caption, in the way that `Picture.how` says, and returns HTML. Under other names than
            "yours" and "target" they come with `titles`. A course without pictures needs none.
        answers: more packages that hold answers: a submission can neither import nor read them
            while it is graded. `package` and the engine are always among them.
        answer_files: words in the names of files with answers; a submission that looks for such a
            file is reported.
        variables: the variable that holds an answer, where it is not called as the question is:
            {"predict": "prediction"} for questions named "LESSON.predict".
        after_progress: what `progress` adds below its list, from the notebooks and their grades.
        after_solving: what `check` adds below a function that is right, from the exercise's name:
            where it is used.
        solved: for a few exercises, by name, a cell that answers it and must earn all its points,
            with the imports that it needs. Before a class is graded, a submission of these is
            tried, so that a broken machine costs no student a point.

    Raises: ValueError for a question that cannot be asked, checked or graded, naming it.
    """

    name: str
    package: str
    bank: Mapping[str, Question]
    stretches: Mapping[str, Stretch] = field(default_factory=dict)
    draw_beside: Callable[..., str] | None = None
    answers: tuple[str, ...] = ()
    answer_files: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    after_progress: Callable[[Sequence[tuple[Path, Row]]], str] | None = None
    after_solving: Callable[[str], str] | None = None
    solved: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validate(self.bank, self.stretches, self.variable_of, self.draw_beside is not None)
        unknown = [name for name in self.solved if name not in self.bank]
        if unknown:
            raise ValueError(f"solved must name questions of the bank, got {unknown[0]!r}")

    @property
    def hidden(self) -> tuple[str, ...]:
        """The packages that a submission cannot use while it is graded."""
        return tuple(dict.fromkeys([ENGINE, self.package, *self.answers]))

    @functools.cached_property
    def offered(self) -> Mapping[str, bool]:
        """The names that notebooks can import from the package, each with whether it is an error to
        catch.
        """
        try:
            package = importlib.import_module(self.package)
        except ImportError:  # the engine is tried on a course of which there is no package
            return dict.fromkeys(USUAL, False)
        public = [name for name in vars(package) if not name.startswith("_")]
        names = getattr(package, "__all__", public)
        values = {name: getattr(package, name, None) for name in names}
        return {
            name: isinstance(value, type) and issubclass(value, Exception)
            for name, value in values.items()
            if callable(value)
        }

    @property
    def lessons(self) -> tuple[str, ...]:
        """The lessons that have questions, in the order of the bank."""
        return tuple(dict.fromkeys(lesson_of(name) for name in self.bank))

    def variable_of(self, name: str) -> str:
        """The function or variable in which the answer to a question is found."""
        question = self.bank.get(name)
        if isinstance(question, BugHunt):
            return question.variable
        return self.variables.get(function_of(name), function_of(name))

    def notebooks_in(self, folder: Path) -> list[Path]:
        """The notebooks LESSON_*.ipynb in a folder, sorted."""
        starts = tuple(f"{lesson}_" for lesson in self.lessons)
        return sorted(path for path in folder.glob("*.ipynb") if path.name.startswith(starts))
