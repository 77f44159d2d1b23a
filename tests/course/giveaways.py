"""Find an expression of a solution in a text, whatever its spacing, its order and its names."""

import ast
import itertools
import keyword
import re
from collections.abc import Iterator

OPERATORS = {*"+-*/%()[],:<>=@.", "**", "//", "<=", ">=", "==", "!="}
LONGEST = 150  # tokens of an expression in a text
SYMBOLS = {"−": "-", "–": "-", "·": "*", "×": "*", "÷": "/", "√": "sqrt", "²": "**2", "^": "**"}
TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d]\w*|\*\*|//|[<>=!:]=|\.(?=\w)|[-+*/%()\[\],:<>=@]|\S")
MODULES = {"torch", "F", "math", "np", "numpy", "nn", "functional"}
SAME = {"list", "int", "float", "tuple", "tensor", "as_tensor", "double"}  # change no number
ALIASES = {"range": "arange", "concat": "cat", "concatenate": "cat", "multiply": "mul"}
POWERS = {"sqrt": 0.5, "rsqrt": -0.5, "square": 2.0, "reciprocal": -1.0}
WITHOUT_MEANING = {"dtype", "device"}
FUNCTIONS = {*POWERS, *SAME, *ALIASES, *ALIASES.values(), "log", "exp", "sin", "cos", "mean", "sum"}


def given_away(text, expressions):
    """The expressions that stand in a text, each as Python."""
    names = {node.id for one in expressions for node in ast.walk(one) if isinstance(node, ast.Name)}
    found = [tree_of(node) for node in expressions_in(text, names)]
    return [
        ast.unparse(wanted)
        for wanted in expressions
        if any(matches(tree_of(wanted), tree) for tree in found)
    ]


def expressions_of(function):
    """What the statements of a function work out: what they assign, return, call or go through."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.Return(value=value):
                yield from parts(value)
            case ast.AugAssign(target, op, value):
                yield from parts(value)
                yield ast.BinOp(target, op, value)
            case ast.Expr(value=value) | ast.For(iter=value) | ast.While(test=value):
                yield from parts(value)
            case ast.If(test=value) | ast.Yield(value=value) | ast.YieldFrom(value=value):
                yield from parts(value)


def parts(value):
    """An expression, or those that a tuple or a condition is made of; no bare names or numbers."""
    match value:
        case None:
            return
        case ast.Tuple(elements) | ast.List(elements):
            for element in elements:
                yield from parts(element)
        case ast.IfExp(_, body, orelse):
            yield value
            yield from parts(body)
            yield from parts(orelse)
        case ast.Name() | ast.Constant():
            return
        case _ if any(isinstance(node, ast.Name) for node in ast.walk(value)):
            yield value


def expressions_in(text, symbols) -> Iterator[ast.expr]:
    """Everything in a text that can be read as an expression of Python; a product of symbols,
    numbers and brackets needs no sign.
    """
    for symbol, python in SYMBOLS.items():
        text = text.replace(symbol, python)
    tokens = TOKEN.findall(text)
    seen = set()
    for run in [*runs(tokens), *runs(multiplied(tokens, symbols))]:
        for start, stop in itertools.combinations(range(len(run) + 1), 2):
            window = run[start:stop]
            source = " ".join(window)
            if len(window) < 3 or len(window) > LONGEST or not balanced(window) or source in seen:
                continue
            seen.add(source)
            try:
                yield ast.parse(source, mode="eval").body
            except (SyntaxError, ValueError):
                continue


def is_operand(token):
    return token[:1].isalnum() or token[:1] == "_"


def is_word(token):
    return is_operand(token) and not keyword.iskeyword(token)


def runs(tokens):
    """The tokens in pieces that may be Python: no two operands in a row, nothing unknown."""
    run = []
    for token in tokens:
        known = is_operand(token) or token in OPERATORS
        if not known or (run and is_word(token) and (is_word(run[-1]) or run[-1] in ")]")):
            yield run
            run = []
        if known:
            run.append(token)
    yield run


def mathematical(token, symbols):
    """Whether a word is a symbol, a number or a function rather than a word of a sentence."""
    short = token[0].isdigit() or "_" in token or len(token) == 1
    return short or token in symbols or token in FUNCTIONS


def multiplied(tokens, symbols):
    """The tokens with the products written out that a formula in a text leaves to the reader."""
    done = []
    for token in tokens:
        before = done[-1] if done else ""
        bracket = before in (")", "]")
        left = bracket or (
            is_word(before) and mathematical(before, symbols) and before not in FUNCTIONS
        )
        right = token == "(" or (is_word(token) and (bracket or mathematical(token, symbols)))
        if left and right:
            done.append("*")
        done.append(token)
    return done


def balanced(tokens):
    depth = 0
    for token in tokens:
        depth += (token in "([") - (token in ")]")
        if depth < 0:
            return False
    return (
        depth == 0
        and (is_operand(tokens[0]) or tokens[0] in "([-")
        and (is_operand(tokens[-1]) or tokens[-1] in ")]")
    )


def tree_of(node):
    """An expression in a form in which equal ones are alike: sums, products and powers."""
    match node:
        case ast.Constant(value=bool() | None):
            return "constant", str(node.value)
        case ast.Constant(value=int() | float()):
            return "number", float(node.value)
        case ast.Name(id=name):
            return "name", name
        case ast.UnaryOp(ast.USub(), part):
            return product(("number", -1.0), tree_of(part))
        case ast.BinOp(left, ast.Add(), right):
            return total(tree_of(left), tree_of(right))
        case ast.BinOp(left, ast.Sub(), right):
            return total(tree_of(left), product(("number", -1.0), tree_of(right)))
        case ast.BinOp(left, ast.Mult(), right):
            return product(tree_of(left), tree_of(right))
        case ast.BinOp(left, ast.Div(), right):
            return product(tree_of(left), power(tree_of(right), -1.0))
        case ast.BinOp(left, ast.Pow(), right):
            return raised(tree_of(left), tree_of(right))
        case ast.List(elements) | ast.Tuple(elements):
            return "row", *map(tree_of, elements)
        case ast.Call(function, args, keywords):
            return call_of(function, args, keywords)
    children = [tree_of(child) for child in ast.iter_child_nodes(node) if is_part(child)]
    name = getattr(node, "attr", "")
    operators = [type(op).__name__ for op in getattr(node, "ops", [])]
    operators += [type(node.op).__name__] if hasattr(node, "op") else []
    return "other", type(node).__name__, name, *operators, *children


def is_part(child):
    return isinstance(child, (ast.expr, ast.comprehension))


def call_of(function, args, keywords):
    """A call; a method is a function of its object."""
    given = [tree_of(arg) for arg in args]
    given += [tree_of(one.value) for one in keywords if one.arg not in WITHOUT_MEANING]
    match function:
        case ast.Attribute(base, name):
            root = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
            given = given if root in MODULES else [tree_of(base), *given]
        case ast.Name(name):
            pass
        case _:
            return "other", "call", tree_of(function), *given
    name = ALIASES.get(name, name)
    if name in SAME and len(given) == 1:
        return given[0]
    if name in POWERS and len(given) == 1:
        return power(given[0], POWERS[name])
    if name == "pow" and len(given) == 2:
        return raised(*given)
    return "call", name, *given


def total(*terms):
    flat = [part for term in terms for part in (term[1:] if term[0] == "sum" else (term,))]
    return "sum", *flat


def product(*factors):
    """A product; its numbers become one, and a minus before a single sum goes into it."""
    flat = [part for one in factors for part in (one[1:] if one[0] == "product" else (one,))]
    number = 1.0
    for _, value in (one for one in flat if one[0] == "number"):
        number *= value
    rest = [one for one in flat if one[0] != "number"]
    sums = [place for place, one in enumerate(rest) if one[0] == "sum"]
    if number == -1.0 and sums:
        terms = rest[sums[0]][1:]
        rest[sums[0]] = total(*(product(("number", -1.0), term) for term in terms))
        number = 1.0
    parts = [*([("number", number)] if number != 1.0 or not rest else []), *rest]
    return parts[0] if len(parts) == 1 else ("product", *parts)


def power(base, exponent):
    if base[0] == "product":
        return product(*(power(factor, exponent) for factor in base[1:]))
    if base[0] == "power" and base[2][0] == "number":
        return power(base[1], base[2][1] * exponent)
    if base[0] == "number" and base[1] > 0:
        return "number", base[1] ** exponent
    return base if exponent == 1.0 else ("power", base, ("number", exponent))


def raised(base, exponent):
    return power(base, exponent[1]) if exponent[0] == "number" else ("power", base, exponent)


def matches(one, other):
    """Whether two trees are alike but for the names in them."""
    return any(True for _ in unified(one, other, {}))


def unified(one, other, names) -> Iterator[dict]:
    """The ways to name the names of one tree so that it becomes the other."""
    if one[0] == other[0] == "name":
        bound = names.get(one[1])
        if bound == other[1] or (bound is None and other[1] not in names.values()):
            yield {**names, one[1]: other[1]}
        return
    if one[0] != other[0] or len(one) != len(other):
        return
    if one[0] not in ("sum", "product"):
        yield from in_order(one[1:], other[1:], names)
        return
    first, *rest = one[1:]
    for place, candidate in enumerate(other[1:], 1):
        for found in unified(first, candidate, names):
            remaining = other[1:place] + other[place + 1 :]
            if not rest:
                yield found
            else:
                yield from unified((one[0], *rest), (one[0], *remaining), found)


def in_order(ones, others, names) -> Iterator[dict]:
    """The ways to make the parts of one tree those of the other, in their order."""
    if not ones:
        yield names
        return
    if not isinstance(ones[0], tuple):
        if ones[0] == others[0]:
            yield from in_order(ones[1:], others[1:], names)
        return
    if isinstance(others[0], tuple):
        for found in unified(ones[0], others[0], names):
            yield from in_order(ones[1:], others[1:], found)
