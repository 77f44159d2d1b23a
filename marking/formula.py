"""Formulas as trees: read from Python text, worked out in float64, and written as text again.

Shapes are matched from the left, as a reader matches them: a number for each row multiplies that
row, however many axes follow. `Scope.from_the_right` matches them as arrays do.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from marking.outcome import Array

MOST_NUMBERS = 100_000
NO_VALUE = (ValueError, IndexError, KeyError, TypeError, OverflowError)  # where sizes do not fit


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a formula: a number, a name, or an operation on parts.

    Args:
        op: "number", "name", an operator, "index" for x[i], "until" for x[:i], or a function.
        parts: what it is applied to.
        value: the number.
        name: the name.
    """

    op: str
    parts: tuple[Term, ...] = ()
    value: float = 0
    name: str = ""


def numeral(value: float) -> Term:
    """A constant."""
    return Term("number", value=value)


def named(name: str) -> Term:
    """A symbol."""
    return Term("name", name=name)


def applied(op: str, *parts: Term) -> Term:
    """An operation on parts."""
    return Term(op, parts)


def first_true(mask: Array) -> Array:
    """The index of the first entry that is true. Raises: IndexError where there is none."""
    return np.asarray(float(np.flatnonzero(mask)[0]))


def picked(values: Array, index: Array) -> Array:
    """Entries along the first axis."""
    return np.asarray(values[index.astype(int)])


def stepped(*ends: Array) -> Array:
    """Numbers in equal steps. Raises: ValueError where there would be too many."""
    given = [float(end) for end in ends]
    start, stop, step = [0.0, *given, 1.0] if len(given) == 1 else [*given, 1.0][:3]
    if not step or not abs((stop - start) / step) <= MOST_NUMBERS:
        raise ValueError(f"expected at most {MOST_NUMBERS} numbers")
    return np.arange(start, stop, step)


def concatenated(first: Array, second: Array, axis: Array) -> Array:
    """Two arrays side by side along an axis."""
    return np.concatenate([first, second], axis=int(axis))


def alternating(first: Array, second: Array, axis: Array) -> Array:
    """The entries of two arrays in turn along an axis."""
    place = int(axis)
    both = np.stack([first, second], axis=place + 1)
    return both.reshape(*first.shape[:place], -1, *first.shape[place + 1 :])


# entry by entry
UNARY: dict[str, Callable[..., Array]] = {
    "neg": np.negative,
    "sqrt": np.sqrt,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
    "radians": np.radians,
    "clip": lambda x: np.clip(x, -1, 1),
    "clip01": lambda x: np.clip(x, 0, 1),
}
BINARY: dict[str, Callable[..., Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "<": lambda a, b: (a < b).astype(float),
    "<=": lambda a, b: (a <= b).astype(float),
    ">": lambda a, b: (a > b).astype(float),
    ">=": lambda a, b: (a >= b).astype(float),
    "==": lambda a, b: (a == b).astype(float),
}
# of whole arrays
WHOLE: dict[str, Callable[..., Array]] = {
    "index": picked,
    "until": lambda x, stop: x[: int(stop)],
    "cumprod": lambda x: np.cumprod(x, axis=0),
    "cumsum": lambda x: np.cumsum(x, axis=0),
    "prod": lambda x: np.asarray(x.prod()),
    "sum": lambda x: np.asarray(x.sum()),
    "mean": lambda x: np.asarray(x.mean()),
    "mean_of_rows": lambda x: np.asarray(x.mean(axis=0)),
    "sum_of_rows": lambda x: np.asarray(x.sum(axis=0)),
    "mean_within_rows": lambda x: x.reshape(len(x), -1).mean(axis=1),
    "sum_within_rows": lambda x: x.reshape(len(x), -1).sum(axis=1),
    "column": lambda x: x[:, :1],
    "median": lambda x: np.asarray(np.sort(x, axis=None)[(x.size - 1) // 2]),
    "max": lambda x: np.asarray(x.max()),
    "min": lambda x: np.asarray(x.min()),
    "flip": lambda x: np.flip(x, axis=0),
    "arange": stepped,
    "outer": lambda a, b: np.multiply.outer(a, b),
    "cat": concatenated,
    "stack": lambda a, b, axis: np.stack([a, b], axis=int(axis)),
    "alternate": alternating,
    "first_true": first_true,
}
OPERATIONS = {**UNARY, **BINARY, **WHOLE}
SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
}
BINDS = {"<": 0, "<=": 0, ">": 0, ">=": 0, "==": 0, "+": 1, "-": 1, "*": 2, "/": 2, "neg": 2.5}
TIGHTEST = 4.0


def parse(text: str) -> Term:
    """The formula that a text of Python describes.

    Raises: ValueError where it holds anything but numbers, names and the operations above.
    """
    return tree(ast.parse(text, mode="eval").body)


def tree(node: ast.expr) -> Term:
    """The formula of a node of Python."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return numeral(value)
        case ast.Name(id=name):
            return named(name)
        case ast.BinOp(left, op, right) if type(op) in SYMBOLS:
            return applied(SYMBOLS[type(op)], tree(left), tree(right))
        case ast.UnaryOp(ast.USub(), part):
            return applied("neg", tree(part))
        case ast.Compare(left, [op], [right]) if type(op) in SYMBOLS:
            return applied(SYMBOLS[type(op)], tree(left), tree(right))
        case ast.Call(ast.Name(id=name), parts, []) if name in OPERATIONS:
            return applied(name, *map(tree, parts))
        case ast.Subscript(whole, ast.Slice(None, ast.expr() as stop, None)):
            return applied("until", tree(whole), tree(stop))
        case ast.Subscript(whole, ast.expr() as index) if not isinstance(index, ast.Slice):
            return applied("index", tree(whole), tree(index))
    raise ValueError(f"expected a formula of numbers, names and functions, got {ast.unparse(node)}")


def written(term: Term) -> str:
    """A formula as text, with no more brackets than it needs."""
    return text_of(term)[0]


def text_of(term: Term) -> tuple[str, float]:
    """The text of a formula, and how tightly its outermost operation binds."""
    if term.op == "number" and term.value == np.pi:
        return "pi", TIGHTEST
    if term.op == "number":
        whole = float(term.value).is_integer() and abs(term.value) < 1e6
        text = str(int(term.value)) if whole else f"{term.value:g}"
        return text, TIGHTEST if term.value >= 0 else BINDS["neg"]
    if term.op == "name":
        return term.name, TIGHTEST
    if term.op in ("index", "until"):
        colon = ":" if term.op == "until" else ""
        return f"{bracketed(term.parts[0], TIGHTEST)}[{colon}{written(term.parts[1])}]", TIGHTEST
    if term.op == "neg":
        return f"-{bracketed(term.parts[0], 2)}", BINDS["neg"]
    if term.op == "**":
        left, right = bracketed(term.parts[0], TIGHTEST), bracketed(term.parts[1], 3)
        return f"{left} ** {right}", 3
    if term.op in BINARY:
        tight = BINDS[term.op]
        after = tight + (0 if term.op in "+*" else 0.1)
        left, right = bracketed(term.parts[0], tight), bracketed(term.parts[1], after)
        return f"{left} {term.op} {right}", tight
    if term.op in ("clip", "clip01"):
        return f"clip({written(term.parts[0])}, {-1 if term.op == 'clip' else 0}, 1)", TIGHTEST
    return f"{term.op}({', '.join(map(written, term.parts))})", TIGHTEST


def bracketed(term: Term, tight: float) -> str:
    """The text of a part, in brackets if it binds less tightly than its surroundings."""
    text, own = text_of(term)
    return text if own >= tight else f"({text})"


@dataclass(frozen=True)
class Scope:
    """The arrays that the names of a formula stand for.

    Args:
        values: by name.
        from_the_right: whether shapes are matched from the right.
    """

    values: Mapping[str, Array]
    from_the_right: bool = False
    known: dict[Term, Array] = field(default_factory=dict)

    def value(self, term: Term) -> Array:
        """The value of a formula. Raises: ValueError or IndexError where sizes do not fit."""
        if term not in self.known:
            self.known[term] = self.work_out(term)
        return self.known[term]

    def work_out(self, term: Term) -> Array:
        if term.op == "number":
            return np.asarray(float(term.value))
        if term.op == "name":
            return self.values[term.name]
        parts = [self.value(part) for part in term.parts]
        if term.op in BINARY and not self.from_the_right:
            parts = list(from_the_left(*parts))
        return np.asarray(OPERATIONS[term.op](*parts))


def from_the_left(one: Array, other: Array) -> tuple[Array, Array]:
    """Two arrays, the one with fewer axes given more at its end."""
    missing = one.ndim - other.ndim
    if missing > 0:
        return one, other.reshape((*other.shape, *[1] * missing))
    return one.reshape((*one.shape, *[1] * -missing)), other


def as_array(arg: Any) -> Array:
    """An argument of an exercise, in float64."""
    if isinstance(arg, Tensor):
        return arg.detach().cpu().double().numpy()
    return np.asarray(arg, dtype=float)


def scope_of(
    values: Mapping[str, Array], where: Mapping[str, Term], from_the_right: bool = False
) -> Scope:
    """The arguments, and the symbols that are defined by them, in order.

    A symbol that cannot be worked out is left out.
    """
    known = dict(values)
    for name, term in where.items():
        try:
            known[name] = Scope(known, from_the_right).value(term)
        except NO_VALUE:
            continue
    return Scope(known, from_the_right)
