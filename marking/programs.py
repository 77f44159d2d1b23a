"""Wrong answers as the right one, written as a short program, with one thing changed: a call or a
line left out, two lines swapped, another name, another number.

For answers that are no formula, because they are put together from functions that they are given.
"""

from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult,),
}
# functions and methods that are taken for each other
MISTAKEN = {
    "silu": ("relu", "sigmoid", "tanh", "gelu"),
    "mean": ("sum",),
    "sum": ("mean",),
    "sqrt": ("square",),
    "square": ("abs", "sqrt"),
}


@dataclass(frozen=True)
class Slip:
    """A program that differs from the right one in one thing.

    Args:
        said: the difference in words, which follow "you".
        function: the program.
    """

    said: str
    function: Callable[..., Any]


@cache
def variants(program: str, arguments: Sequence[str]) -> tuple[Slip, ...]:
    """The programs that are one change away, each once.

    Args:
        program: the body of a function; it may use torch and F.
        arguments: of the function.
    """
    tree = ast.parse(program)
    seen = {ast.unparse(tree)}
    found = []
    for said, changed in [*changes_of_lines(tree, arguments), *in_one_round(tree, arguments)]:
        text = ast.unparse(ast.fix_missing_locations(changed))
        if text not in seen:
            seen.add(text)
            found.append(Slip(said, function_with(text, arguments)))
    return tuple(found)


def function_with(body: str, arguments: Sequence[str]) -> Callable[..., Any]:
    """A function of these arguments."""
    lines = "".join(f"    {line}\n" for line in (body or "pass").splitlines())
    names: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of a number that is called, say
        exec(f"def answer({', '.join(arguments)}):\n{lines}", names)
    answer: Callable[..., Any] = names["answer"]
    return answer


Change = tuple[str, ast.Module]


def changes_of_lines(tree: ast.Module, arguments: Sequence[str]) -> Iterator[Change]:
    """All single changes: of whole lines first, then of their parts."""
    yield from moved_lines(tree)
    names = [*arguments, *assigned(tree)]
    functions = {call.func for call in ast.walk(tree) if isinstance(call, ast.Call)}
    called = {ast.unparse(call.func): call for call in calls_in(tree) if len(call.args) == 1}
    for place, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.Return):
            for name in arguments:
                yield f"return {name}", replaced_at(tree, place, ast.Return(loaded_name(name)))
    for place, node in enumerate(ast.walk(tree)):
        for said, new in other_parts(node, names, arguments, functions):
            yield said or instead_in(tree, node, new), replaced_at(tree, place, new)
    for text in called:
        yield f"never call {text}", with_calls(tree, text, None)
        for other in MISTAKEN.get(text.rpartition(".")[2], ()):
            new_text = f"{text.rpartition('.')[0]}.{other}"
            yield f"call {new_text} where {text} is expected", with_calls(tree, text, new_text)
    for place, node in enumerate(ast.walk(tree)):
        if isinstance(node, (ast.Assign, ast.Return)) and node.value is not None:
            for said, value in other_values(node, list(called)):
                changed = copy.copy(node)
                changed.value = value
                yield said, replaced_at(tree, place, changed)
        elif isinstance(node, ast.For):
            loop = copy.copy(node)
            loop.iter = called_with("reversed", called_with("list", node.iter))
            yield f"go through {ast.unparse(node.iter)} backwards", replaced_at(tree, place, loop)


def loaded_name(name: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(name, ast.Load())


def called_with(function: str, part: ast.expr) -> ast.expr:
    """A call of a function with one argument."""
    return ast.Call(ast.parse(function, mode="eval").body, [part], [])


def instead_in(tree: ast.Module, node: ast.AST, new: ast.AST) -> str:
    """What a part of a line is and should be, in words, with enough around it to be found."""
    around = enclosing(tree, node)
    other = replaced_in(around, node, new)
    if isinstance(around, (ast.Assign, ast.Return)) and isinstance(other, type(around)):
        assert around.value is not None and other.value is not None
        verb = "return" if isinstance(around, ast.Return) else "have"
        return f"{verb} {ast.unparse(other.value)} where {ast.unparse(around.value)} is expected"
    return f"have {ast.unparse(other)} where {ast.unparse(around)} is expected"


def other_values(
    line: ast.Assign | ast.Return, called: Sequence[str]
) -> Iterator[tuple[str, ast.expr]]:
    """What a line can set or return instead."""
    value = line.value
    assert value is not None
    text = ast.unparse(value)
    for function in called:
        yield f"call {function} on {text} as well", called_with(function, value)
    yield f"square {text}", ast.BinOp(value, ast.Pow(), ast.Constant(2))
    if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
        name = line.targets[0].id
        yield f"add {text} to {name}", ast.BinOp(loaded_name(name), ast.Add(), value)
        said = f"subtract {text} from {name}"
        yield said, ast.BinOp(loaded_name(name), ast.Sub(), value)


def in_one_round(tree: ast.Module, arguments: Sequence[str]) -> Iterator[Change]:
    """The only loop of a program ended after its first round, and one name changed."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    if len(loops) != 1:
        return
    once: ast.Module = Replaced(loops[0], first_round(loops[0])).visit(copy.copy(tree))
    names = [*arguments, *assigned(tree)]
    for place, node in enumerate(ast.walk(once)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for name in names:
                new = loaded_name(name)
                said = f"end the loop after its first round, and {instead_in(once, node, new)}"
                yield said, replaced_at(once, place, new)


def assigned(tree: ast.AST) -> list[str]:
    """The names that a program sets."""
    return list(
        dict.fromkeys(
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
    )


def calls_in(tree: ast.AST) -> list[ast.Call]:
    """The calls of functions, and not of methods, that a program makes."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (isinstance(node.func, ast.Name) or ast.unparse(node.func).startswith("F."))
        and ast.unparse(node.func) not in ("len", "range", "zip")
    ]


def other_parts(
    node: ast.AST, names: Sequence[str], arguments: Sequence[str], functions: Container[ast.AST]
) -> Iterator[tuple[str, ast.expr]]:
    """What can stand in place of a part of a line, and how that is said; if that is empty, it is
    said by what it stands in.

    Args:
        node: the part.
        names: those that the program can use.
        arguments: those that it is handed.
        functions: the parts that are called.
    """
    match node:
        case ast.Name(name, ast.Load()) if name in names:
            for other in names:
                if other != name:
                    yield "", loaded_name(other)
            if node in functions:
                return
            for op, number in ((ast.Sub(), 1), (ast.Add(), 1), (ast.Mult(), 2)):
                yield "", ast.BinOp(loaded_name(name), op, ast.Constant(number))
            yield "", ast.UnaryOp(ast.USub(), loaded_name(name))
            yield "", ast.Constant(1)
        case ast.Call(ast.Attribute(whole, method), parts) if ast.unparse(whole) != "F":
            if not isinstance(whole, ast.Name) or method == "sqrt":
                yield f"leave out {method} of {ast.unparse(whole)}", whole
            for other in MISTAKEN.get(method, ()):
                yield "", ast.Call(ast.Attribute(whole, other, ast.Load()), parts, node.keywords)
            if method == "pop" and not parts:
                yield "", ast.Call(node.func, [ast.Constant(0)], [])
        case ast.Call(function, [first, *more], keywords):
            text = ast.unparse(function)
            if text in arguments or text.startswith("F."):
                yield f"leave out {text} of {ast.unparse(first)}", first
            if more and text != "zip":
                yield "", ast.Call(function, [more[0], first, *more[1:]], keywords)
            if text in arguments:
                for part in more:
                    yield "", part
            if isinstance(function, ast.Attribute):
                for other in MISTAKEN.get(function.attr, ()):
                    named = ast.Attribute(function.value, other, ast.Load())
                    yield "", ast.Call(named, node.args, keywords)
        case ast.BinOp(left, op, right):
            for other_op in OPERATORS.get(type(op), ()):
                yield "", ast.BinOp(left, other_op(), right)
            yield "", left
            yield "", right
            if isinstance(op, ast.Sub):
                yield "", ast.BinOp(right, op, left)
        case ast.Constant(int() as value):
            for changed in (value + 1, value - 1, 2 * value):
                if changed != value:
                    yield "", ast.Constant(changed)
            for name in arguments:
                yield "", loaded_name(name)
        case ast.List([first, second], ast.Load()):
            yield "", ast.List([second, first], ast.Load())
            yield "", ast.List([first], ast.Load())


def enclosing(tree: ast.AST, node: ast.AST) -> ast.AST:
    """The smallest expression around a part in which a reader recognises its place."""
    around: ast.AST = node
    for outer in ast.walk(tree):
        inside = isinstance(outer, (ast.Call, ast.BinOp, ast.Subscript, ast.Return, ast.Assign))
        if inside and outer is not node and any(part is node for part in ast.walk(outer)):
            around = outer  # walked from the outside in, so that the last is the smallest
    return around


class Replaced(ast.NodeTransformer):
    """Puts something in place of one part."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def replaced_in(around: ast.AST, old: ast.AST, new: ast.AST) -> ast.AST:
    """A copy of an expression with one part replaced."""
    place = next(count for count, part in enumerate(ast.walk(around)) if part is old)
    other = copy.deepcopy(around)
    target = next(part for count, part in enumerate(ast.walk(other)) if count == place)
    changed: ast.AST = Replaced(target, new).visit(other)
    return changed


def replaced_at(tree: ast.Module, place: int, new: ast.AST) -> ast.Module:
    """A copy of a program with the part at a place replaced."""
    other = copy.deepcopy(tree)
    target = next(part for count, part in enumerate(ast.walk(other)) if count == place)
    changed: ast.Module = Replaced(target, copy.deepcopy(new)).visit(other)
    return changed


def with_calls(tree: ast.Module, text: str, other: str | None) -> ast.Module:
    """A copy of a program that calls another function in place of one, or none."""

    class Other(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            if not node.args or ast.unparse(node.func) != text:
                return node
            return node.args[0] if other is None else called_with(other, node.args[0])

    changed: ast.Module = Other().visit(copy.deepcopy(tree))
    return changed


def moved_lines(tree: ast.Module) -> Iterator[Change]:
    """Lines left out, written twice, swapped, or on the wrong side of a loop's end."""
    loopless = copy.deepcopy(tree)
    loopless.body = [line for line in loopless.body if not isinstance(line, ast.For)]
    yield "leave out all loops", loopless
    bodies = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.For))]
    for count, outer in enumerate(bodies):

        def with_lines(lines: Sequence[ast.stmt], at: int = count) -> ast.Module:
            other = copy.deepcopy(tree)
            loops = [one for one in ast.walk(other) if isinstance(one, (ast.Module, ast.For))]
            loops[at].body = copy.deepcopy(list(lines)) or [ast.Pass()]
            return other

        lines = outer.body
        for place, line in enumerate(lines):
            text = ast.unparse(line).partition("\n")[0]
            before, after = lines[:place], lines[place + 1 :]
            if not isinstance(line, ast.Return):
                yield f"leave out the line {text}", with_lines([*before, *after])
                yield f"run the line {text} twice", with_lines([*before, line, *lines[place:]])
            if isinstance(line, ast.For):
                once = [*before, first_round(line), *after]
                yield f"end the loop {text} after its first round", with_lines(once)
            for end in range(1, len(after) + 1):
                if isinstance(after[end - 1], ast.Return):
                    break
                last = ast.unparse(after[end - 1]).partition("\n")[0]
                moved = [*before, *after[:end], line, *after[end:]]
                yield f"have the line {text} after {last}", with_lines(moved)
                back = [*before, after[end - 1], line, *after[: end - 1], *after[end:]]
                yield f"have the line {last} before {text}", with_lines(back)
                yield (
                    f"leave out the lines from {text} to {last}",
                    with_lines([*before, *after[end:]]),
                )
            if isinstance(line, ast.For) and len(line.body) > 1:
                inner = line.body[-1]
                shorter = copy.copy(line)
                shorter.body = line.body[:-1]
                told = f"have the line {ast.unparse(inner)} after the loop, and not in it"
                yield told, with_lines([*before, shorter, inner, *after])


def first_round(loop: ast.For) -> ast.For:
    """A loop that ends with its first round."""
    shorter = copy.copy(loop)
    shorter.body = [*loop.body, ast.Break()]
    return shorter
