"""Calls of a function under test come from a submission, which may send anything: they cost that
submission alone, and nothing of the function comes back but its results.
"""

import json
import math
import os
import socket
import threading
import time

import numpy as np
import pytest
import torch
from algebra import catch_the_bug
from bug_hunts import HEAD, RIGHT
from hypothesis import given
from hypothesis import strategies as st
from quadratics import COURSE
from quadratics import HEAD as IMPORTS

from marking.grader import grade
from marking.hostile import as_notebook
from marking.hunting import Answering
from marking.sandbox import parent, wire
from marking.sandbox.parent import Limits, Lost, Running

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")


def there_and_back(value):
    """A value as it arrives, through JSON and bytes."""
    arrays = []
    tree = json.loads(json.dumps(wire.tree_of(value, arrays)))
    bytes_ = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    kinds = [{"dtype": str(array.dtype), "shape": list(array.shape)} for array in arrays]
    return wire.value_of(tree, wire.split(bytes_, kinds))


VALUES = {
    "nothing": None,
    "a number": 0.1,
    "a whole number": 3,
    "not a number": math.nan,
    "infinite": -math.inf,
    "a truth": True,
    "a tensor": torch.randn(2, 3),
    "a tensor that requires a gradient": torch.randn(3, requires_grad=True),
    "a tensor that is turned": torch.randn(2, 3).T,
    "one number for many": torch.ones(1).expand(4),
    "an empty tensor": torch.zeros(0, 2),
    "integers": torch.arange(3),
    "half precision": torch.ones(2).half(),
    "a tensor without axes": torch.tensor(2.0),
    "an array": np.arange(6.0).reshape(2, 3),
    "a number of NumPy": np.float32(2.5),
    "a pair": (torch.ones(2), 3.0),
    "a list of pairs": [(1, torch.ones(1)), (2, np.ones(1))],
}


@pytest.mark.parametrize("what", VALUES)
def test_values_arrive_as_they_are_sent(what):
    value, arrived = VALUES[what], there_and_back(VALUES[what])
    assert type(arrived) is type(value)
    if isinstance(value, torch.Tensor):
        assert arrived.dtype == value.dtype
        assert torch.equal(arrived, value.detach())
    elif isinstance(value, np.ndarray | np.generic):
        assert arrived.dtype == value.dtype
        assert np.array_equal(arrived, value)
    else:
        assert str(arrived) == str(value)


@pytest.mark.parametrize(
    "value",
    [
        *("text", b"bytes", {"a": 1}, {1}, object(), print, torch.nn.Linear(1, 1), 1j, [1.0], (1,)),
        *(torch.ones(2) > 0, torch.ones(2).bfloat16(), torch.ones(2) * 1j, np.array(["a"])),
        *(np.array([{}]), torch.ones(2).to_sparse(), torch.ones(2, device="meta"), 2**70),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_an_argument_is_an_error_where_it_is_handed_over(value):
    asked = []
    with wire.remote_function(["x"], lambda *call: asked.append(call)) as function:
        with pytest.raises((TypeError, ValueError, NotImplementedError, RuntimeError)):
            function(value)
    assert asked == []


MALFORMED = [
    *(None, 3, "text", {}, [], [1, 2], [[1.0]], ["text"], [{}], [{"tensor": 0}], [{"tensor": -1}]),
    *([{"tensor": True}], [{"tensor": "0"}], [{"tensor": 0.0}], [{"array": 10**30}]),
    *([{"list": [1.0]}], [{"tuple": [1.0]}], [{"made": "import os"}], [{"a": 1, "b": 2}]),
    *([{"name": "f", "words": "", "code": "1 / 0", "tensors": {}}],),
]


@pytest.mark.parametrize("call", MALFORMED, ids=str)
def test_what_is_no_call_is_unreadable_and_reaches_no_function(call):
    reached = []
    with pytest.raises(wire.Unreadable):
        Answering(reached.append, 1)(call, [])
    assert reached == []


def nested(leaves):
    return st.lists(leaves, max_size=3) | st.dictionaries(st.text(max_size=6), leaves, max_size=3)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
ANYTHING = st.recursive(LEAVES, nested, max_leaves=6)


@given(ANYTHING, st.integers(0, 2))
def test_anything_that_is_sent_is_a_call_or_unreadable(call, arrays):
    answering = Answering(lambda x, y: x * y, 2)
    try:
        reply, _ = answering(call, [np.ones(3)] * arrays)
    except wire.Unreadable:
        return
    assert set(reply) in ({"error", "error_name"}, {"value", "changed"})


TOO_LARGE = {
    "many numbers": (torch.zeros(2**20 + 1),),
    "many numbers in two": (torch.zeros(2**19), torch.zeros(2**19 + 1)),
    "a row and a column": (torch.zeros(2**14, 1), torch.zeros(2**14)),
    "what is broadcast": (torch.zeros(2**12, 1), torch.zeros(1, 2**12)),
    "what a reshape would broadcast": (torch.zeros(2**12), torch.zeros(1, 1, 1, 2**13)),
    "with an empty one": (torch.zeros(2**14, 1), torch.zeros(2**14), torch.zeros(0)),
    "one number broadcast": (torch.zeros(1).expand(2**21),),
    "a whole number": (2**21,),
    "the least whole number": (-(2**63),),
    "a whole number in a tensor": (torch.tensor(2**40),),
    "the least of a tensor": (torch.tensor([0, -(2**63)]),),
    "a whole number of NumPy": (np.int64(2**40),),
    "two whole numbers": (2**13, 2**13),
    "numbers and a whole number": (torch.zeros(2**16), 2**10),
    "many dimensions": (torch.zeros([1] * 9),),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_what_would_grow_too_large_is_refused_on_both_sides(what):
    args = TOO_LARGE[what]
    with pytest.raises(ValueError, match="the function under test"):
        wire.check_sizes(args)
    asked = []
    names = [f"x{place}" for place in range(len(args))]
    with wire.remote_function(names, lambda *call: asked.append(call)) as function:
        with pytest.raises(ValueError, match="the function under test"):
            function(*args)
    assert asked == []
    arrays = []
    tree = [wire.tree_of(arg, arrays) for arg in args]
    reached = []
    reply, _ = Answering(lambda *some: reached.append(some), len(args))(tree, arrays)
    assert reply["error_name"] == "ValueError"
    assert reached == []


def test_calls_of_the_usual_size_are_not_refused():
    batch = torch.zeros(64, 1, 28, 28)
    wire.check_sizes((batch, torch.zeros(64), batch.clone()))
    wire.check_sizes((torch.zeros(16, 1, 28, 28), torch.zeros(1000), 1000))
    wire.check_sizes((torch.zeros(1000), 1000))
    wire.check_sizes((torch.zeros(1, 1, 1000, 300), torch.zeros(1)))
    wire.check_sizes((1000, 0.1, True, None))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), ValueError),
        (KeyError("no"), KeyError),
        (ZeroDivisionError("no"), ZeroDivisionError),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), RuntimeError),
        (type("OwnError", (Exception,), {})("no"), RuntimeError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_error_of_the_function_is_raised_again_without_its_code(error, kind):
    def failing(x):
        raise error

    with wire.remote_function(["x"], Answering(failing, 1)) as function:
        with pytest.raises(kind) as caught:
            function(1.0)
    assert "no" in str(caught.value)
    frames = [entry.name for entry in caught.traceback]
    assert "failing" not in frames
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "name", ["SystemExit", "KeyboardInterrupt", "print", "open", "", "__import__"]
)
def test_only_an_error_can_be_raised_by_its_name(name):
    assert type(wire.builtin_error(name, "no")) is RuntimeError


class Talking:
    """A Running whose submission is a function here: it is given the channel."""

    def __init__(self, submission):
        ours, self.theirs = socket.socketpair()
        self.running = object.__new__(Running)
        self.running.channel = ours
        self.running.deadline = time.monotonic() + 5
        self.running.limits = Limits()
        self.running.attempts = []
        self.thread = threading.Thread(target=self.talk, args=(submission,))
        self.thread.start()

    def talk(self, submission):
        try:
            submission(self)
        except (OSError, EOFError):  # we have hung up
            pass

    def receive(self):
        message, arrays = wire.receive(self.theirs, time.monotonic() + 5)
        self.id = message["id"]
        return message, arrays

    def send(self, arrays=(), **message):
        wire.send(self.theirs, {"id": self.id, **message}, arrays)

    def converse(self, function=lambda x: x + 1):
        self.answering = Answering(function, 1)
        try:
            return self.running.converse({"kind": "test"}, self.answering)
        finally:
            self.running.channel.close()
            self.thread.join()
            self.theirs.close()


def test_calls_are_answered_until_the_reply():
    answers = []

    def submission(line):
        line.receive()
        line.send([np.ones(2)], call=[{"tensor": 0}])
        answers.append(line.receive())
        line.send(refused=False)

    assert Talking(submission).converse()["refused"] is False
    ((message, arrays),) = answers
    assert message["kind"] == "answer"
    assert set(message) == {"id", "kind", "value", "changed"}
    assert arrays[0].tolist() == [2, 2]


def test_calls_without_end_are_answered_so_often_and_no_more(monkeypatch):
    monkeypatch.setattr(parent, "MOST_ANSWERS", 30)

    def submission(line):
        line.receive()
        while True:
            line.send(call=[1.0])
            line.receive()

    talking = Talking(submission)
    with pytest.raises(Lost, match="does not stop to call"):
        talking.converse()
    assert talking.answering.calls == 30


@pytest.mark.parametrize("call", MALFORMED[:6], ids=str)
def test_an_unreadable_call_costs_the_submission(call):
    def submission(line):
        line.receive()
        line.send(call=call)

    with pytest.raises(Lost, match="unreadable call"):
        Talking(submission).converse()


def raw(content):
    def submission(line):
        line.receive()
        line.theirs.sendall(content)

    return submission


def another_message(line):
    line.receive()
    line.id = "another"
    line.send(call=[1.0])


def hangs_up_after_a_call(line):
    line.receive()
    line.send(call=[1.0])
    line.receive()
    line.theirs.close()


@pytest.mark.parametrize(
    ("submission", "words"),
    [
        pytest.param(raw(b"\xff" * 8), "unreadable", id="announces 8 GB"),
        pytest.param(raw(b"\x01\x00\x00\x00\x00\x00\x00\x00{"), "unreadable", id="no JSON"),
        pytest.param(lambda line: line.theirs.close(), "ended", id="hangs up"),
        pytest.param(hangs_up_after_a_call, "ended", id="hangs up after a call"),
        pytest.param(another_message, "another message", id="another message"),
    ],
)
def test_whatever_else_a_submission_says_costs_it_alone(submission, words):
    with pytest.raises(Lost, match=words):
        Talking(submission).converse()


def test_a_submission_that_says_nothing_is_lost_in_time():
    talking = Talking(lambda line: line.receive())
    talking.running.deadline = time.monotonic() + 0.2
    with pytest.raises(Lost, match="took over"):
        talking.converse()


LINE = (  # to the grader, as the process of a submission has it
    "import sys\n"
    "frame = sys._getframe()\n"
    "while frame.f_code.co_name != 'serve': frame = frame.f_back\n"
    "line = frame.f_locals['line']\n"
)
# what a submission does to pass without a test: before its check cell, and the test
ATTACKS = {
    "claims that all is well": (
        "import sys\nmain = sys._getframe()\nwhile main.f_back: main = main.f_back\n"
        "g = main.f_globals\n"
        "g['attempt_of'] = lambda test, function, seed: type('A', (), {'refused': False})()\n",
        "def test(function):\n    function(X.clone(), 2.0, -1, 0.5)\n",
    ),
    "claims at random": (
        "import sys\nmain = sys._getframe()\nwhile main.f_back: main = main.f_back\n"
        "g = main.f_globals\nimport os\n"
        "class A:\n    def __init__(self): self.refused = os.urandom(1)[0] < 128\n"
        "g['attempt_of'] = lambda test, function, seed: A()\n",
        "def test(function):\n    function(X.clone(), 2.0, -1, 0.5)\n",
    ),
    "looks for the functions in memory": (
        "",
        "def test(function):\n    import gc\n"
        "    names = [str(getattr(o, '__module__', '')) for o in gc.get_objects()]\n"
        "    if 'algebra' in names:\n        return\n"
        "    words = [o for o in gc.get_objects() if isinstance(o, str) and 'is left' in o]\n"
        "    assert words or function(X.clone(), 2.0, -1, 0.5) is None\n",
    ),
    "sends what is no call": (
        LINE,
        "def test(function):\n    line.ask([{'list': [1.0]}], [])\n",
    ),
    "sends a huge call": (
        f"{LINE}import numpy\n",
        "def test(function):\n    big = [numpy.ones((1, 2**20)), numpy.ones((2**20, 1))]\n"
        "    call = [{'tensor': 0}, {'tensor': 1}, 2**40, 2**40]\n"
        "    for _ in range(9):\n        line.ask(call, big)\n"
        "    assert line.ask(call, big)[0]['error_name'] == 'ValueError'\n",
    ),
    "replies twice": (
        LINE,
        "def test(function):\n    line.reply({'refused': False}, [])\n"
        "    line.reply({'refused': True}, [])\n",
    ),
    "hangs": (
        "",
        "def test(function):\n    function(X.clone(), 2.0, -1, 0.5)\n    while True: pass\n",
    ),
    "calls without end": (
        "",
        "def test(function):\n    while True:\n        try:\n"
        "            function(X.clone(), 2.0, -1, 0.5)\n"
        "        except BaseException:\n            pass\n",
    ),
    "calls from a thread": (
        "",
        "def test(function):\n    import threading\n"
        "    def call():\n        while True: function(X.clone(), 2.0, -1, 0.5)\n"
        "    for _ in range(3): threading.Thread(target=call, daemon=True).start()\n"
        "    call()\n",
    ),
}


LEARNS = (  # from the functions under test, among which is the right one
    "SEEN = []\ndef test(function):\n    SEEN.append(function(X.clone(), 2.0, -1, 0.5))\n"
)
PARABOLA = "def parabola(x, a, b, c):\n    return a * x * x + b * x + c"
HUNT = "check('graph.catch_the_bug', test)"
LEARNERS = {
    "an answer": [
        LEARNS,
        HUNT,
        f"{PARABOLA} if SEEN else x\n",
        "check('graph.parabola', parabola)",
    ],
    "an answer without a check": [LEARNS, HUNT, f"{PARABOLA} if SEEN else x\n"],
    "another test": [
        LEARNS,
        HUNT,
        f"{RIGHT['asserts']}    assert SEEN\n".replace(
            "def test(function):\n", "def test(function):\n    if not SEEN: return\n"
        ),
        HUNT,
    ],
}


ENDS = "import os\nos._exit(0)"


@not_on_windows
@pytest.mark.parametrize("last", ["", ENDS], ids=["to the end", "ends its process"])
@pytest.mark.parametrize("name", LEARNERS)
def test_what_a_test_learns_of_the_right_function_helps_no_other_answer(name, last, tmp_path):
    path = tmp_path / "graph_it.ipynb"
    path.write_text(as_notebook([IMPORTS, HEAD, *LEARNERS[name], last]), encoding="utf-8")
    (result,) = grade(COURSE, [path], tmp_path / "out", progress=False)
    assert [row.points for row in result.rows] == [0] * len(result.rows), result.rows


@not_on_windows
@pytest.mark.parametrize("last", ["", ENDS], ids=["to the end", "ends its process"])
@pytest.mark.parametrize("attempts", ["best", "newest"])
def test_each_check_of_a_test_is_judged_with_what_was_defined_then(attempts, last, tmp_path):
    path = tmp_path / "graph_it.ipynb"
    near = "def near(a, b):\n    assert (a - b).abs().max() < 1e-4\n"
    right = [near, RIGHT["has a helper and a global constant"], HUNT]
    cells = [IMPORTS, HEAD, *right, "def near(a, b): pass", HUNT, last]
    path.write_text(as_notebook(cells), encoding="utf-8")
    (result,) = grade(COURSE, [path], tmp_path / "out", progress=False, attempts=attempts)
    row = next(row for row in result.rows if row.exercise == catch_the_bug.name)
    assert row.points == (2 if attempts == "best" else 0)
    assert "2 checks, 1 of them right" in row.remark


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """What each attack earns, and an honest notebook beside it."""
    folder = tmp_path_factory.mktemp("attacks")
    for name, (before, test) in {**ATTACKS, "honest": ("", RIGHT["asserts"])}.items():
        cells = [IMPORTS, HEAD, before, test, "check('graph.catch_the_bug', test)"]
        cells += ["def parabola(x, a, b, c):\n    return a * x * x + b * x + c\n"]
        cells += ["check('graph.parabola', parabola)"]
        (folder / name).mkdir()
        (folder / name / "graph_it.ipynb").write_text(as_notebook(cells), encoding="utf-8")
    limits = Limits(timeout=25, cell=5)
    results = grade(COURSE, [folder], folder / "out", limits=limits, progress=False, jobs=2)
    assert not any(result.broken for result in results)
    return {result.student: {row.exercise: row for row in result.rows} for result in results}


@not_on_windows
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_earns_nothing_and_costs_nobody_else(name, attacked):
    row = attacked[name][catch_the_bug.name]
    assert row.points == 0, row
    assert attacked[name]["graph.parabola"].points == 2
    assert attacked["honest"][catch_the_bug.name].points == 2
