"""The line of an answer that holds what is edited of the right formula, found in its syntax tree.

A line is told only where no other can be meant: the only statement of a function, or the only one
that holds the edited part of the formula. Variables are followed to where they are set.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marking.editor import Edited, replaced
from marking.formula import OPERATIONS, SYMBOLS, Term, applied

LONGEST_STATEMENT = 160  # characters of a statement that is shown
MOST_FOLLOWED = 500  # operations, names and numbers of an expression that is followed
MODULES = {"torch", "math", "np", "numpy"}
# calls that change the form of a value, and not its numbers
FORMS = {"clone", "contiguous", "detach", "double", "expand", "float", "item", "numpy", "reshape"}
FORMS |= {"squeeze", "tensor", "to", "unsqueeze", "view"}
POWERS = {"square": 2.0, "rsqrt": -0.5, "reciprocal": -1.0}
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Traced:
    """A part of what a student returns, and the statement in which its operation stands.

    Args:
        key: the expression, with variables replaced by what they are set to.
        statement: in which its outermost operation stands.
        parts: what that is applied to.
        size: how many operations, names and numbers there are.
    """

    key: Key
    statement: ast.stmt
    parts: tuple[Traced, ...] = ()
    size: int = 1


def line_of_edit(edited: Edited, arguments: Sequence[str], source: str) -> str:
    """The line of an answer that holds what is edited, in words; empty if it cannot be told.

    Args:
        edited: the right formula, changed.
        arguments: those of the formula, in the order of the function's.
        source: the text of the function, and of nothing else.
    """
    try:
        return line_in(edited, arguments, textwrap.dedent(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # part of a statement, for one
        return ""


def line_in(edited: Edited, arguments: Sequence[str], text: str) -> str:
    """The line in a text that can be read as Python. Raises: SyntaxError where it cannot."""
    tree = ast.parse(text)
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.Lambda)]
    if len(functions) != 1 or len(tree.body) != 1:
        return ""
    (function,) = functions
    if isinstance(function, ast.Lambda):
        return statement_in_words(text, tree.body[0], "")
    body = [one for one in function.body if not tells_nothing(one)]
    if len(body) == 1 and isinstance(body[0], ast.Return):
        return statement_in_words(text, body[0], function.name)
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    if len(names) < len(arguments):
        return ""
    results = Tracer(dict(zip(names, arguments))).results(body)
    told = set()
    for place, (right, own) in enumerate(expanded(edited)):
        if results and formula_key(right) != formula_key(own):
            whole = results if len(results) != len(edited.results) else (results[place],)
            told.add(statement_with(right, own, whole))
    if len(told) != 1 or None in told:
        return ""
    (statement,) = told
    assert statement is not None
    return statement_in_words(text, statement, function.name)


def tells_nothing(statement: ast.stmt) -> bool:
    """Whether a statement works out nothing: a docstring, an import, an assertion."""
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return text or isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert | ast.Pass)


def statement_in_words(text: str, statement: ast.stmt, name: str) -> str:
    """A statement with the number of its line; empty if it is too long to be read at a glance."""
    line = " ".join((ast.get_source_segment(text, statement) or "").split())
    if not line or len(line) > LONGEST_STATEMENT:
        return ""
    of_function = f" of {name}" if name else ""
    return f"In your code, line {statement.lineno}{of_function}: {line}"


def expanded(edited: Edited) -> Iterator[tuple[Term, Term]]:
    """Each result of the right formula and of the edited one, in terms of the arguments alone."""
    setting = edited.setting
    for right, own in zip(edited.right, edited.results):
        in_arguments = spelt_out(own, setting.where)
        yield spelt_out(right, edited.where), replaced(in_arguments, setting.args)


def spelt_out(term: Term, where: Mapping[str, Term]) -> Term:
    """A formula with definitions in place of the symbols that they define."""
    if term.op == "name":
        return spelt_out(where[term.name], where) if term.name in where else term
    if not term.parts:
        return term
    return applied(term.op, *(spelt_out(part, where) for part in term.parts))


def statement_with(right: Term, own: Term, results: Sequence[Traced]) -> ast.stmt | None:
    """The only statement that holds the edited part, which is looked for in the smallest part of
    the edited formula that the right one has not and that stands in one statement alone.
    """
    parts = list(edited_parts(right, own))
    known = list(keys_in(formula_key(right)))
    for place in reversed(range(len(parts))):
        wanted = formula_key(parts[place])
        if not parts[place].parts or any(holds(key, one) for key in known for one in both(wanted)):
            continue
        found = list(found_in(results, wanted))
        places = {id(one.statement): one for one in found}
        if len(places) == 1:
            (one,) = places.values()
            inside = formula_key(parts[place + 1]) if place + 1 < len(parts) else None
            return statement_of(one, inside)
    return None


def statement_of(found: Traced, inside: Key | None) -> ast.stmt | None:
    """The statement of the edited part of an expression.

    Args:
        found: the expression.
        inside: the part of it that is edited, if that is smaller.
    """
    at = {id(one.statement): one.statement for one in operands(found) if one.key == inside}
    if not at:
        at = {id(one.statement): one.statement for one in (found, *operands(found))}
    return next(iter(at.values())) if len(at) == 1 else None


def operands(found: Traced) -> Iterator[Traced]:
    """What an operation is applied to; of a sum or a product all terms."""
    for part in found.parts:
        if part.key[0] == found.key[0] and part.key[0] in ("sum", "product"):
            yield from operands(part)
        else:
            yield part


def edited_parts(right: Term, own: Term) -> Iterator[Term]:
    """The edited formula, and its parts down to the smallest that holds all that is edited."""
    yield own
    if right.op != own.op or len(right.parts) != len(own.parts):
        return
    pairs = zip(right.parts, own.parts)
    different = [(one, other) for one, other in pairs if formula_key(one) != formula_key(other)]
    if len(different) == 1:
        yield from edited_parts(*different[0])


def keys_in(key: Key) -> Iterator[Key]:
    """A formula and its parts."""
    yield key
    for part in key[1:]:
        if key[0] in ("sum", "product"):
            part = part[1]
        if isinstance(part, tuple):
            yield from keys_in(part)


def both(key: Key) -> tuple[Key, ...]:
    """A formula; a sum with all signs changed, a product upside down."""
    if key[0] not in ("sum", "product"):
        return (key,)
    turned = [(-sign, one) for sign, one in key[1:]]
    return key, sorted_terms(str(key[0]), turned)


def found_in(results: Sequence[Traced], wanted: Key) -> Iterator[Traced]:
    """The parts of what is returned that hold a part of a formula."""
    for one in results:
        if holds(one.key, wanted):
            yield one
        yield from found_in(one.parts, wanted)


def holds(key: Key, wanted: Key) -> bool:
    """Whether an operation is another one, or a sum or product that contains its terms."""
    if key == wanted:
        return True
    if key[0] != wanted[0] or key[0] not in ("sum", "product"):
        return False
    return not Counter(wanted[1:]) - Counter(key[1:])


def formula_key(term: Term) -> Key:
    """A formula, equal for two that are written in another order."""
    if term.op == "number":
        return "number", float(term.value)
    if term.op == "name":
        return "name", term.name
    return operation(term.op, [formula_key(part) for part in term.parts])


def operation(op: str, keys: Sequence[Key]) -> Key:
    """An operation on parts: sums and products as their terms, in any order."""
    if op == "neg":
        return sorted_terms("sum", signed(keys[0], -1))
    if op in ("+", "-"):
        return sorted_terms("sum", [*signed(keys[0], 1), *signed(keys[1], 1 if op == "+" else -1)])
    if op in ("*", "/"):
        factors = [*raised(keys[0], 1), *raised(keys[1], 1 if op == "*" else -1)]
        return sorted_terms("product", factors)
    if op == "**" and keys[1] == ("number", 0.5):
        return "sqrt", keys[0]
    return (op, *keys)


def signed(key: Key, sign: int) -> list[Key]:
    """The terms of a sum, or a single one, with their signs."""
    if key[0] == "sum":
        return [(sign * s, one) for s, one in key[1:]]
    return [(sign, key)]


def raised(key: Key, power: int) -> list[Key]:
    """The factors of a product, or a single one, with their powers 1 or -1."""
    if key[0] == "product":
        return [(power * p, one) for p, one in key[1:]]
    return [(power, key)]


def sorted_terms(kind: str, terms: Sequence[Key]) -> Key:
    """Terms in an order that does not depend on how they are written."""
    return (kind, *sorted(terms, key=repr))


class Tracer:
    """Follows what a function returns to the statements that work it out.

    Args:
        arguments: the formula's names of the function's arguments.
    """

    def __init__(self, arguments: Mapping[str, str]) -> None:
        self.arguments = arguments
        self.variables: dict[str, Traced] = {}

    def results(self, body: Sequence[ast.stmt]) -> tuple[Traced, ...]:
        """What is returned; nothing if the function does more than to set variables and return."""
        for statement in body:
            match statement:
                case ast.Return(value=ast.Tuple(elts=values) | ast.List(elts=values)):
                    return tuple(self.traced(value, statement) for value in values)
                case ast.Return(value=ast.expr() as value):
                    return (self.traced(value, statement),)
                case ast.Assign([ast.Tuple(elts=names)], ast.Tuple(elts=values)) if len(
                    names
                ) == len(values):
                    parts = [self.traced(value, statement) for value in values]
                    pairs = list(zip(names, parts))
                case ast.Assign([ast.Name() as name], value):
                    pairs = [(name, self.traced(value, statement))]
                case ast.AnnAssign(ast.Name() as name, _, ast.expr() as value):
                    pairs = [(name, self.traced(value, statement))]
                case ast.AugAssign(ast.Name() as name, op, value):
                    changed = ast.BinOp(ast.Name(name.id, ast.Load()), op, value)
                    pairs = [(name, self.traced(changed, statement))]
                case _:
                    return ()
            for target, part in pairs:
                if not isinstance(target, ast.Name):
                    return ()
                self.variables[target.id] = part
        return ()

    def traced(self, node: ast.expr, statement: ast.stmt) -> Traced:
        """An expression of a statement."""
        match node:
            case ast.Constant(value=int() | float() as value):
                return Traced(("number", float(value)), statement)
            case ast.Name(id=name):
                known = self.variables.get(name)
                return known or Traced(("name", self.arguments.get(name, f"own {name}")), statement)
            case ast.BinOp(left, op, right) if type(op) in SYMBOLS:
                return self.applied(SYMBOLS[type(op)], [left, right], statement)
            case ast.Compare(left, [comparison], [right]) if type(comparison) in SYMBOLS:
                return self.applied(SYMBOLS[type(comparison)], [left, right], statement)
            case ast.UnaryOp(ast.USub(), part):
                return self.applied("neg", [part], statement)
            case ast.Subscript(part, index) if adds_axes(index):
                return self.traced(part, statement)
            case ast.Call(ast.Attribute(ast.Name(id=module), attr=name), parts) if (
                module in MODULES
            ):
                return self.called(name, parts, statement)
            case ast.Call(ast.Attribute(part, attr=name), more):
                return self.called(name, [part, *more], statement)
            case ast.Call(ast.Name(id=name), parts):
                return self.called(name, parts, statement)
        inside = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
        return self.applied(f"some {type(node).__name__}", inside, statement)

    def called(self, name: str, parts: Sequence[ast.expr], statement: ast.stmt) -> Traced:
        """A call of a function or method of tensors."""
        if name in FORMS and parts:
            return self.traced(parts[0], statement)
        if name in POWERS and len(parts) == 1:
            return self.applied("**", [parts[0], ast.Constant(POWERS[name])], statement)
        if name == "pow" and len(parts) == 2:
            return self.applied("**", parts, statement)
        if name in OPERATIONS and parts:  # an axis stands in no formula
            return self.applied(name, parts[:1], statement)
        return self.applied(f"call of {name}", parts, statement)

    def applied(self, op: str, parts: Sequence[ast.expr], statement: ast.stmt) -> Traced:
        """An operation on parts."""
        traced = tuple(self.traced(part, statement) for part in parts)
        size = 1 + sum(part.size for part in traced)
        if size > MOST_FOLLOWED:  # it doubles with each x = x + x
            return Traced(("too large",), statement, size=size)
        return Traced(operation(op, [part.key for part in traced]), statement, traced, size)


def adds_axes(index: ast.expr) -> bool:
    """Whether an index only adds axes: x[:, None], x[..., None]."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(
        (isinstance(part, ast.Constant) and part.value in (None, ...))
        or (isinstance(part, ast.Slice) and not (part.lower or part.upper or part.step))
        for part in parts
    )
