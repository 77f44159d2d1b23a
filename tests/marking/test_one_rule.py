"""What a number is, and a letter: a notebook's check and the grader say the same, word for word."""

import contextlib
import dataclasses
import io
import os

import pytest
from algebra import BANK
from odd_objects import NO_FUNCTIONS, RESULTS, SETUP
from quadratics import HEAD

from marking.course import Course
from marking.grader import grade
from marking.hostile import as_notebook
from marking.notebook import CheckFailed, Tutor
from marking.outcome import NoNumber, NotNumbers, number_of, plain_answer, received, to_send
from marking.sandbox.parent import Limits

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS"),
    pytest.mark.filterwarnings("ignore"),  # what odd objects warn of is no matter here
]
STUDENT = "Ada"
SYMPY = """
try:
    import sympy
except ImportError:
    sympy = None
def area(): return 0.5
class Lying:
    def __init__(self, words): self.words = words
    def __repr__(self): return str(self.words)
class Half(float): pass
class Told(str):
    def __str__(self): return "no"
    def __getitem__(self, place): return "no"
"""
# expressions that are the right number, RIGHT
NUMBERS = (
    *("RIGHT", "Fraction(str(RIGHT))", "Decimal(str(RIGHT))", "np.float32(RIGHT)", "Half(RIGHT)"),
    *("np.float64(RIGHT)", "np.longdouble(RIGHT)", "np.array(RIGHT)", "np.array([RIGHT])"),
    *("np.array([[RIGHT]])", "np.array(RIGHT, dtype=object)", "torch.tensor(RIGHT)", "[RIGHT]"),
    *(
        "torch.tensor([[RIGHT]])",
        "torch.tensor(RIGHT, requires_grad=True)",
        "(RIGHT,)",
        "[[RIGHT]]",
    ),
    *("nn.Parameter(torch.tensor(RIGHT))", "collections.deque([RIGHT])", "complex(RIGHT, 0)"),
    *("complex(RIGHT, -0.0)", "np.complex128(RIGHT)", "torch.tensor(complex(RIGHT, 0))"),
    *("[complex(RIGHT, 0)]", "np.array([RIGHT + 0j])", "torch.tensor([RIGHT + 0j]).conj()"),
    *("'RIGHT'", "' RIGHT\\n'", "'+RIGHT'", "np.str_('RIGHT')", "Told('RIGHT')", "'RIGHTe0'"),
    *("RIGHT if sympy is None else sympy.Float(RIGHT)", "[Fraction(str(RIGHT))]"),
    *("RIGHT if sympy is None else sympy.Rational(str(RIGHT))", "only(float=lambda s: RIGHT)"),
    "RIGHT if sympy is None else sympy.sqrt(sympy.Rational(str(RIGHT)) ** 2)",
)
# expressions that are none, and what is said of them
OTHERS = (
    ("[RIGHT, 99]", "expected a number, got [RIGHT, 99], which holds 2 numbers"),
    ("(RIGHT, 99)", "expected a number, got (RIGHT, 99), which holds 2 numbers"),
    ("torch.ones(3)", "expected a number, got tensor([1., 1., 1.]), which holds 3 numbers"),
    ("'0,134'", "did you mean 0.134? Write a point before the decimals, not a comma"),
    ("(0, 134)", "did you mean 0.134? Write a point before the decimals, not a comma"),
    ("'x = 0.134'", "did you mean 0.134? Write the number alone"),
    ("'0.134 nats'", "did you mean 0.134? Write the number alone"),
    ("'13.4 %'", "did you mean 0.134? Write a share as a number, without the percent sign"),
    ("'many'", "expected a number, got 'many'"),
    ("'nan'", "expected a number, got 'nan'"),
    ("float('nan')", "expected a number, got nan"),
    ("float('-inf')", "expected a number, got -inf"),
    ("torch.tensor(float('nan'))", "expected a number, got tensor(nan)"),
    ("'1e400'", "expected a number, got '1e400'"),
    ("10**400", "expected a number, got 100000000000000000...0000000000000000000"),
    ("10**30", "1e+30 is not the answer for the values of 'Ada'"),
    ("True", "expected a number, got True"),
    ("np.bool_(True)", "expected a number, got np.True_"),
    ("torch.tensor(True)", "expected a number, got tensor(True)"),
    ("0.5 + 1j", "expected a number, got (0.5+1j)"),
    ("[1j]", "expected a number, got [1j]"),
    ("complex(1, float('nan'))", "expected a number, got (1+nanj)"),
    ("area", "expected a number, got the function area: call it, as in area()"),
    ("len", "expected a number, got the function len: call it, as in len()"),
    ("torch.tensor(0.5).item", "expected a number, got the function item: call it, as in item()"),
    ("lambda: 0.5", "expected a number, got the function <lambda>, not its result"),
    ("int", "expected a number, got the class int"),
    ("object()", "expected a number, got <object object>"),
    ("Lying(RIGHT)", "expected a number, got RIGHT"),
    ("[]", "expected a number, got []"),
    ("{0.5}", "expected a number, got {0.5}"),
    ("{'a': 0.5}", "expected a number, got {'a': 0.5}"),
    ("b'0.5'", "expected a number, got b'0.5'"),
    ("['0.5']", "expected a number, got ['0.5']"),
    ("iter([0.5])", "expected a number, got <list_iterator object>"),
    ("np.float16(0.5)", "expected float32 or float64, got float16: half precision is too coarse"),
    ("torch.tensor(0.5).half()", "expected float32 or float64, got float16: half precision"),
    ("None", "not answered yet"),
    ("...", "not answered yet"),
    ("''", "not answered yet"),
    ("' '", "not answered yet"),
)
IMPORTS = "from fractions import Fraction\nfrom decimal import Decimal\n"
# `exit` is another object in IPython than in Python, which stands for home here
NAMED = [expression for expression in NO_FUNCTIONS if expression != "exit"]
ALL = (*NUMBERS, *(expression for expression, _ in OTHERS), *RESULTS, *NAMED)


def course_of(name):
    """A course that asks one question once for each expression, and a number of whoever asks."""
    questions = [
        dataclasses.replace(BANK[name], name=f"{name}_{place}") for place in range(len(ALL))
    ]
    return Course("quadratics", "quadratics", {one.name: one for one in questions}, {}, str)


def written(question, expression):
    """The expression for a question: the right number stands in it."""
    if not hasattr(question, "values_for"):
        return expression.replace("RIGHT", "1.5")
    right = question.answer(**question.values_for(STUDENT))
    return expression.replace("RIGHT", f"{right:.3f}".rstrip("0"))


def at_home(course):
    """What check says of each answer, where it can be evaluated at all."""
    names = {"__name__": "__main__"}
    exec(IMPORTS + SETUP + SYMPY, names)
    tutor = Tutor(lambda: course, "")
    for question, expression in zip(course.bank.values(), ALL):
        try:
            answer = eval(written(question, expression), names)
        except BaseException:  # it is one that raises when it is called
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                tutor.check(question.name, answer, student=STUDENT)
        except CheckFailed as failed:
            yield expression, question, False, str(failed)
        else:
            yield expression, question, True, ""


@pytest.fixture(scope="module", params=["solve.by_hand", "graph.which_way"])
def both(request, tmp_path_factory):
    """What is said of each expression: at home, and in class."""
    course = course_of(request.param)
    folder = tmp_path_factory.mktemp("class")
    cells = [HEAD, IMPORTS + SETUP + SYMPY]
    for question, expression in zip(course.bank.values(), ALL):
        own = written(question, expression)
        cells.append(f"check('{question.name}', {own}, student='{STUDENT}')")
    (folder / "ada.ipynb").write_text(as_notebook(cells), encoding="utf-8")
    limits = Limits(timeout=120, cell=5)
    (graded,) = grade(course, [folder / "ada.ipynb"], folder / "out", limits=limits, progress=False)
    assert not graded.broken, graded.remarks
    rows = {row.exercise: row for row in graded.rows}
    return request.param, [(*one, rows[one[1].name]) for one in at_home(course)]


def test_check_and_grade_say_the_same(both):
    name, compared = both
    assert len(compared) > 250
    differing = [
        (expression, message, row.message)
        for expression, _, passed, message, row in compared
        if (row.points > 0) != passed or (not passed and row.message != message)
    ]
    assert differing == []
    if name != "solve.by_hand":
        return
    assert [one for one, _, passed, *_ in compared if passed] == list(NUMBERS)
    said = dict(OTHERS)
    for expression, question, _, message, _ in compared:
        if expression in said:
            assert message.startswith(f"{question.name}: {written(question, said[expression])}")


@pytest.mark.parametrize("expression", [*RESULTS, *NO_FUNCTIONS])
def test_a_plain_answer_stays_what_it_is_when_it_is_sent(expression):
    names = {"__name__": "__main__"}
    exec(SETUP, names)
    try:
        answer = eval(expression, names)
    except BaseException:
        return
    once = plain_answer(answer)
    assert once is None or isinstance(once, float | str | NoNumber)
    assert plain_answer(once) == received(to_send(once)) == once


@pytest.mark.parametrize("value", [{}, {"shown": 3}, {"why": ["x" * 10**6]}, [1, 2], True, 10**400])
def test_whatever_a_submission_sends_instead_of_an_answer_is_no_number(value):
    answer = plain_answer(received(value))
    with pytest.raises(NotNumbers):
        number_of(answer)
    assert len(answer.why) < 1000


def test_a_text_is_cut_off_in_the_same_place_everywhere():
    long = f"{'0' * 150}.5{'0' * 150}"
    assert number_of(long) == number_of(plain_answer(long)) == 0.5
    assert plain_answer(" " * 500) is None
