"""Where a function of yours stands in your package, and what calls it there."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import minddpm
from marking.exercise import function_of, lesson_of
from minddpm_course.joins import JOINS, ROOMS

LIBRARY = Path(minddpm.__file__).parent
PACKAGE = "mine"  # as `minddpm assemble` calls it unless told otherwise


def where_used(question: str) -> str:
    """Where the function of an exercise stands in your package and what calls it, in words."""
    function, room = function_of(question), ROOMS[lesson_of(question)]
    place = f"In your package it stands in {PACKAGE}/{room}/yours.py"
    if question not in JOINS:
        offer = f"{PACKAGE}.{room} offers it: from {PACKAGE}.{room} import {function}"
        return f"{place}. The rest of the package does not call it; {offer}."
    join = JOINS[question]
    caller = caller_of(question)
    calls = f"{caller} in {PACKAGE}.{join.module} calls it"
    larger = [function_of(name) for name in JOINS if lies_inside(question, name)]
    if larger:
        calls += f", until your {listed(larger)} takes its place"
    elif further := further_callers(caller):
        calls += f", and is called by {listed(further)} in turn"
    return f"{place}. {calls}."


def caller_of(question: str) -> str:
    """The function of the library in which a join calls yours: "q_posterior", "Schedule.snr"."""
    join = JOINS[question]
    text = library_source(join.module)
    line = text[: text.index(join.lines)].count("\n") + 1
    for name, function in functions_in(text):
        if function.lineno <= line <= (function.end_lineno or 0):
            return name
    raise LookupError(f"the join of {question} lies in no function of {join.module}")


def lies_inside(question: str, other: str) -> bool:
    """Whether the lines that one function stands in for are among those of another one."""
    inner, outer = JOINS[question], JOINS[other]
    return question != other and inner.module == outer.module and inner.lines in outer.lines


@functools.cache
def further_callers(name: str) -> tuple[str, ...]:
    """The functions of the library that call one of its functions, whoever wrote the others."""
    modules = sorted(path.stem for path in LIBRARY.glob("*.py"))
    borrowed = (call for module in modules for call in callers(name, library_source(module)))
    joined = {call for module in modules for call in callers(name, with_all_joins(module))}
    return tuple(caller for caller in borrowed if caller in joined)


def library_source(module: str) -> str:
    """The source of a module of the library."""
    return (LIBRARY / f"{module}.py").read_text(encoding="utf-8")


def with_all_joins(module: str) -> str:
    """The source of a module as it is where every function is yours."""
    text = library_source(module)
    for join in JOINS.values():
        if join.module == module:
            text = text.replace(join.lines, join.yours)
    return text


def callers(name: str, text: str) -> Iterator[str]:
    """The functions in a source that call a function by its plain name."""
    for caller, function in functions_in(text):
        calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
        if any(isinstance(call.func, ast.Name) and call.func.id == name for call in calls):
            yield caller


@functools.cache
def functions_in(text: str) -> tuple[tuple[str, ast.FunctionDef], ...]:
    """The functions and methods of a source; those inside of one are a part of it."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, node))
        elif isinstance(node, ast.ClassDef):
            methods = (inner for inner in node.body if isinstance(inner, ast.FunctionDef))
            found += [(f"{node.name}.{method.name}", method) for method in methods]
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
