"""Wrong answers made by a machine: a right answer's source with one thing changed, in ways that
know nothing of formulas: an operator, a constant, a name, a call or a statement.
"""

import ast
import inspect
import sys

OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def changes(node, names):
    """Other nodes to put in place of one, each with the kind of the change."""
    match node:
        case ast.BinOp(left, op, right):
            for other in OPERATORS:
                if type(op) is not other:
                    yield "operator", ast.BinOp(left, other(), right)
            yield "operand dropped", left
            yield "operand dropped", right
            yield "operands swapped", ast.BinOp(right, op, left)
        case ast.UnaryOp(_, operand):
            yield "sign dropped", operand
        case ast.Compare(left, [op], [right]):
            for other in COMPARISONS:
                if type(op) is not other:
                    yield "comparison", ast.Compare(left, [other()], [right])
        case ast.Constant(value) if type(value) in (int, float):
            for other in dict.fromkeys((value + 1, value - 1, 2 * value, value / 2)):
                if other != value and not (isinstance(value, int) and other != int(other)):
                    yield "constant", ast.Constant(type(value)(other))
        case ast.Name(name, ast.Load()) if name in names:
            for other in names:
                if other != name:
                    yield "name", ast.Name(other, ast.Load())
        case ast.Call(ast.Attribute(whole, _), arguments, _):
            if isinstance(whole, ast.Name) and whole.id in ("torch", "math", "np"):
                if arguments:
                    yield "call dropped", arguments[0]
            else:
                yield "call dropped", whole
            if len(arguments) > 1:
                swapped = [arguments[1], arguments[0], *arguments[2:]]
                yield "arguments swapped", ast.Call(node.func, swapped, node.keywords)
        case ast.Call(ast.Name(_), arguments, _) if len(arguments) > 1:
            swapped = [arguments[1], arguments[0], *arguments[2:]]
            yield "arguments swapped", ast.Call(node.func, swapped, node.keywords)
            yield "call dropped", arguments[0]
        case ast.Subscript(whole, _):
            yield "index dropped", whole
        case ast.Tuple([first, second], ast.Load()):
            yield "results swapped", ast.Tuple([second, first], ast.Load())


class Put(ast.NodeTransformer):
    """Puts another node in place of the one at some place, or removes it."""

    def __init__(self, place, new):
        self.place, self.new, self.count = place, new, -1

    def visit(self, node):
        self.count += 1
        if self.count == self.place:
            return self.new
        return self.generic_visit(node)


class Visit(ast.NodeTransformer):
    """The nodes in the order in which Put counts them."""

    def __init__(self):
        self.nodes = []

    def visit(self, node):
        self.nodes.append(node)
        return self.generic_visit(node)


def sources(function_source):
    """Each mutant's kind and source; the source is of one function definition."""
    visit = Visit()
    tree = ast.parse(function_source)
    visit.visit(tree)
    names = [arg.arg for arg in tree.body[0].args.args]
    for place, node in enumerate(visit.nodes):
        for kind, new in changes(node, names):
            changed = Put(place, new).visit(ast.parse(function_source))
            yield kind, ast.unparse(ast.fix_missing_locations(changed))
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            changed = Put(place, ast.Pass()).visit(ast.parse(function_source))
            yield "statement removed", ast.unparse(ast.fix_missing_locations(changed))


def mutants(source, scope, name):
    """Each mutant's kind and function; mutants that are written alike come once."""
    seen = {ast.unparse(ast.parse(source))}
    for kind, text in sources(source):
        if text in seen:
            continue
        seen.add(text)
        own = dict(scope)
        try:
            exec(compile(text, "<mutant>", "exec"), own)
        except SyntaxError:
            continue
        yield kind, text, own[name]


def source_of_reference(exercise):
    """The reference of an exercise as the source of a function, and the names that it uses."""
    module = sys.modules[exercise.reference.__module__]
    tree = ast.parse(inspect.getsource(module))
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Exercise"
        and ast.literal_eval(node.args[0]) == exercise.name
    )
    (reference,) = (word.value for word in call.keywords if word.arg == "reference")
    if isinstance(reference, ast.Name):
        return inspect.getsource(module.__dict__[reference.id]), module.__dict__, reference.id
    text = f"def answer({ast.unparse(reference.args)}):\n    return {ast.unparse(reference.body)}\n"
    return text, module.__dict__, "answer"
