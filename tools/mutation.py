"""Mutants: functions with one small mistake in them, such as a plus in place of a minus.

Docstrings, annotations and the messages of errors stay as they are.
"""

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

SWAPPED = (
    *((ast.Add, ast.Sub), (ast.Sub, ast.Add), (ast.Mult, ast.Div), (ast.Div, ast.Mult)),
    *((ast.Pow, ast.Mult), (ast.FloorDiv, ast.Mult), (ast.Mod, ast.FloorDiv)),
    *((ast.Lt, ast.LtE), (ast.LtE, ast.Lt), (ast.Gt, ast.GtE), (ast.GtE, ast.Gt)),
    *((ast.Eq, ast.NotEq), (ast.NotEq, ast.Eq), (ast.Is, ast.IsNot), (ast.IsNot, ast.Is)),
    *((ast.In, ast.NotIn), (ast.NotIn, ast.In), (ast.And, ast.Or), (ast.Or, ast.And)),
)
OTHER: dict[type, Any] = dict(SWAPPED)  # which operator stands in place of each
UNTOUCHED = {"annotation", "returns"}
SPACES = {"torch", "F", "nn", "math", "np", "self", "cls"}  # what torch.log(x) is called on is no x


class Key(NamedTuple):
    """What a mutant is called, whatever its line: the line of code that is wrong, and where."""

    where: str
    right: str
    wrong: str

    @property
    def module(self) -> str:
        """The module that it is in."""
        return self.where.partition(".")[0]


class Mutant(NamedTuple):
    """A function or class with a mistake in it."""

    first: int  # line of the function or class, its decorators included
    line: int  # of the mistake
    last: int
    key: Key
    right: str  # the source of the whole function or class, without comments
    wrong: str

    @property
    def module(self) -> str:
        """The module that it is in."""
        return self.key.module

    @property
    def name(self) -> str:
        """Of the function or class."""
        return self.key.where.split(".")[1]


def mutants(module: str, source: str) -> list[Mutant]:
    """Every mutant of a module's functions and classes, in the order of their lines; none twice."""
    found = {}
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue
        whole = ast.Module([statement], [])
        right = ast.unparse(whole)
        first = min(node.lineno for node in (statement, *statement.decorator_list))
        last = statement.end_lineno or first
        again = rebindings(statement)
        for holder, place, node, where in slots(whole, module):
            for mistake in (*mistakes(node), *([ast.Pass()] if node in again else [])):
                holder[place] = mistake
                wrong = ast.unparse(ast.fix_missing_locations(whole))
                key = Key(where, *first_difference(right, wrong))
                found[key] = Mutant(first, node.lineno, last, key, right, wrong)
            holder[place] = node
    return sorted(found.values(), key=lambda mutant: mutant.line)


def first_difference(right: str, wrong: str) -> tuple[str, str]:
    """The first line that differs, in two texts, without its indentation."""
    pairs = zip(right.split("\n"), wrong.split("\n"))
    one, other = next((one, other) for one, other in pairs if one != other)
    return one.strip(), other.strip()


def slots(parent: ast.AST, where: str) -> Iterator[tuple[Any, Any, Any, str]]:
    """Every node that may be replaced: what holds it, its place there, and in which function."""
    if isinstance(parent, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{parent.name}"
    for field, value in ast.iter_fields(parent):
        if field in UNTOUCHED or isinstance(parent, ast.Raise | ast.JoinedStr):
            continue
        whole = isinstance(value, list)
        places: list[Any] = list(range(len(value))) if whole else [field]
        holder = value if whole else vars(parent)
        for place in places:
            if isinstance(node := holder[place], ast.AST):
                if not isinstance(parent, ast.Expr):  # which is left out as a whole
                    yield holder, place, node, where
                yield from slots(node, where)


def mistakes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node by mistake."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in OTHER:
            yield ast.BinOp(left, OTHER[type(op)](), right)
        case ast.AugAssign(target, op, value):
            yield ast.AugAssign(target, OTHER[type(op)](), value)
            yield ast.Pass()
        case ast.Compare(left, [op], right):
            yield ast.Compare(left, [OTHER[type(op)]()], right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(OTHER[type(op)](), values)
        case ast.UnaryOp(_, operand):
            yield operand
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(float(value)):
            yield ast.Constant(2 * value or 1.0)
        case ast.IfExp(test, body, other):
            yield ast.IfExp(test, other, body)
        case ast.If(test, body, other):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, other)
        case ast.For(target, _, body, other):
            yield ast.For(target, ast.Tuple([]), body, other)
        case ast.Call():
            yield from mistakes_in_call(node)
        case ast.Raise() | ast.Expr(ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield ast.Pass()


def mistakes_in_call(call: ast.Call) -> Iterator[ast.AST]:
    """What stands in place of a call if a function, or a keyword, is forgotten."""
    function, arguments, keywords = call.func, call.args, call.keywords
    root = function
    while isinstance(root, ast.Attribute):
        root = root.value
    name = root.id if isinstance(root, ast.Name) else ""
    if isinstance(function, ast.Attribute) and name not in SPACES and not name[:1].isupper():
        yield function.value  # x.sqrt() -> x
    elif len(arguments) == 1 and not ast.unparse(function).split(".")[-1][0].isupper():
        yield arguments[0]  # torch.log(x) -> x, but no Identity(x) -> x
    for keyword in keywords:
        yield ast.Call(function, arguments, [other for other in keywords if other is not keyword])


def rebindings(tree: ast.AST) -> set[ast.Assign]:
    """The assignments to what has had a value before, which the code may run without."""
    found = set()
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        bound = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
        assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        for assign in sorted(assigned, key=lambda node: node.lineno):
            targets = [node for target in assign.targets for node in ast.walk(target)]
            stored = [node for node in targets if isinstance(getattr(node, "ctx", 0), ast.Store)]
            names = {ast.unparse(node) for node in stored if not isinstance(node, ast.Subscript)}
            names = {name for name in names if "." not in name or name.startswith("self.")}
            if names <= bound:
                found.add(assign)
            bound |= names
    return found
