"""Each answer is judged at the place of its check, as the student saw it: what was defined then
counts, and nothing that a submission does with its checks earns or costs anything else.
"""

import os
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from algebra import BANK
from bug_hunts import HEAD as HUNTING
from bug_hunts import RIGHT as TESTS
from quadratics import COURSE, HEAD, SOLVED, solved

from marking import checks, grader
from marking.attempts import BEST, NEWEST
from marking.checks import Judged, counting_check, most_checks
from marking.course import Course
from marking.engine import Verdict
from marking.exercise import BugHunt, Choice
from marking.grader import Judging, grade, judge_answer
from marking.hostile import as_notebook
from marking.intake import imports
from marking.sandbox import wire
from marking.sandbox.parent import Limits, Lost, Running

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
RIGHT = SOLVED["discriminant"]
WRONG = "def discriminant(a, b, c):\n    return b * b + 4 * a * c\n"
CHECK = "check('solve.discriminant', discriminant)"
NAME = "solve.discriminant"


def graded_cells(cells, tmp_path, **options):
    path = tmp_path / "solve_it.ipynb"
    path.write_text(as_notebook([HEAD, *cells]), encoding="utf-8")
    options = {"limits": Limits(timeout=60, cell=5), "progress": False, **options}
    out = options.pop("out", tmp_path / f"out{len(list(tmp_path.iterdir()))}")
    (graded,) = grade(COURSE, [path], out, **options)
    return {row.exercise: row for row in graded.rows}, "; ".join(graded.remarks)


# cells in which the answer is right at its check, and would not be in the end
RIGHT_THEN = {
    "redefined below": [RIGHT, CHECK, WRONG],
    "deleted below": [RIGHT, CHECK, "del discriminant"],
    "a helper redefined below": [
        "def four(): return 4",
        "def discriminant(a, b, c):\n    return b * b - four() * a * c",
        CHECK,
        "def four(): return 5",
    ],
    "a list changed below": [
        "factors = [4]",
        "def discriminant(a, b, c):\n    return b * b - factors[0] * a * c",
        CHECK,
        "factors[0] = 5",
    ],
    "a default changed below": [
        "def discriminant(a, b, c):\n    return b * b - torch.get_default_dtype().itemsize * a * c",
        CHECK,
        "torch.set_default_dtype(torch.float64)",
    ],
    "a library patched below": [
        "def discriminant(a, b, c):\n    return torch.square(b) - 4 * a * c",
        CHECK,
        "torch.square = lambda x: x",
    ],
    "a cache filled below": [
        "cache = {}\ndef discriminant(a, b, c):\n    return b * b - cache.get('four', 4) * a * c",
        CHECK,
        "cache['four'] = 5",
    ],
    "an attribute changed below": [
        "class Solver:\n    four = 4\n    def __call__(self, a, b, c):\n"
        "        return b * b - self.four * a * c\ndiscriminant = Solver()",
        CHECK,
        "Solver.four = 5",
    ],
    "a file rewritten below": [
        "open('four.txt', 'w').write('4')\n"
        "def discriminant(a, b, c):\n    return b * b - int(open('four.txt').read()) * a * c",
        CHECK,
        "open('four.txt', 'w').write('5')",
    ],
    "in the middle of its cell": [f"{RIGHT}\n{CHECK}\n{WRONG}"],
    "in a function of its own": [RIGHT, f"def check_all():\n    {CHECK}", "check_all()", WRONG],
    "a cell that does not end": [RIGHT, CHECK, "while True: pass"],
    "a process that ends": [RIGHT, CHECK, "import os; os._exit(0)"],
    "a cell that raises": [RIGHT, f"{CHECK}\n1 / 0"],
}
WRONG_THEN = {  # and the other way round
    "redefined below": [WRONG, CHECK, RIGHT],
    "a helper redefined below": [
        "def four(): return 5",
        "def discriminant(a, b, c):\n    return b * b - four() * a * c",
        CHECK,
        "def four(): return 4",
    ],
    "a list changed below": [
        "factors = [5]",
        "def discriminant(a, b, c):\n    return b * b - factors[0] * a * c",
        CHECK,
        "factors[0] = 4",
    ],
    "a helper that comes later": [
        "def discriminant(a, b, c):\n    return helper(a, b, c)",
        CHECK,
        "def helper(a, b, c):\n    return b * b - 4 * a * c",
    ],
}


@not_on_windows
@pytest.mark.parametrize("how", RIGHT_THEN)
def test_what_was_right_at_its_check_is_right(how, tmp_path):
    rows, _ = graded_cells(RIGHT_THEN[how], tmp_path)
    assert rows[NAME].points == 2, rows[NAME]
    assert rows[NAME].remark == ""


@not_on_windows
@pytest.mark.parametrize("how", WRONG_THEN)
def test_what_was_wrong_at_its_check_is_wrong(how, tmp_path):
    rows, _ = graded_cells(WRONG_THEN[how], tmp_path)
    assert rows[NAME].points == 0
    assert rows[NAME].summary not in ("", "right")


@not_on_windows
def test_a_number_and_a_letter_are_those_of_their_checks(tmp_path):
    number = BANK["solve.by_hand"].answer(**BANK["solve.by_hand"].values_for("Ada"))
    cells = [
        f"by_hand = [{number}]",
        "check('solve.by_hand', by_hand, student=STUDENT)",
        "by_hand[0] = 7.0; STUDENT = 'Ben'",
        "opening = 'B'",
        "check('graph.which_way', opening)",
        "opening = 'A'",
    ]
    rows, _ = graded_cells(cells, tmp_path)
    assert rows["solve.by_hand"].points == rows["graph.which_way"].points == 1


@not_on_windows
def test_a_test_is_that_of_its_check(tmp_path):
    cells = [HUNTING, TESTS["asserts"], "check('graph.catch_the_bug', test)"]
    rows, _ = graded_cells([*cells, "X = None", "def test(function): pass"], tmp_path)
    assert rows["graph.catch_the_bug"].points == 2, rows["graph.catch_the_bug"]


@not_on_windows
def test_no_verdict_is_told_and_the_cell_goes_on(tmp_path):
    cells = [
        WRONG,
        f"told = [{CHECK}]\ndef roots(a, b, c):\n    assert told == [None]\n"
        "    half = (b * b - 4 * a * c).sqrt()\n"
        "    return (-b - half) / (2 * a), (-b + half) / (2 * a)",
        "check('solve.roots', roots)",
    ]
    rows, _ = graded_cells(cells, tmp_path)
    assert rows[NAME].points == 0
    assert rows["solve.roots"].points == 3


@not_on_windows
def test_a_cell_is_not_slow_because_its_answers_are(tmp_path):
    slow = RIGHT.replace("    return", "    import time; time.sleep(0.6)\n    return")
    rows, remarks = graded_cells(
        [slow, f"{CHECK}\nafterwards = 1", "check('solve.by_hand', afterwards, student='Ada')"],
        tmp_path,
        limits=Limits(timeout=60, cell=2),
    )
    assert rows[NAME].points == 2
    assert rows["solve.by_hand"].summary.startswith("wrong")
    assert "took over" not in remarks


@not_on_windows
def test_the_time_of_a_cell_goes_on_after_a_check(tmp_path):
    rows, remarks = graded_cells(
        [RIGHT, f"{CHECK}\nwhile True: pass"], tmp_path, limits=Limits(timeout=60, cell=2)
    )
    assert rows[NAME].points == 2
    assert "cell 3 took over 2 s" in remarks


SEVERAL = {  # what is right of a notebook's checks, and the points by the best and by the newest
    "right, then wrong": ([RIGHT, CHECK, WRONG, CHECK], 2, 0),
    "wrong, then right": ([WRONG, CHECK, RIGHT, CHECK], 2, 2),
    "right, then a scratch check": ([RIGHT, CHECK, "check('solve.discriminant', print)"], 2, 0),
    "right, then an empty one": ([RIGHT, CHECK, "check('solve.discriminant', None)"], 2, 0),
}


@not_on_windows
@pytest.mark.parametrize("how", SEVERAL)
def test_of_several_checks_the_one_counts_that_attempts_say(how, tmp_path, monkeypatch):
    cells, best, newest = SEVERAL[how]
    out = tmp_path / "out"
    for attempts, points in ((BEST, best), (NEWEST, newest)):  # the second runs nothing again
        rows, _ = graded_cells(cells, tmp_path, attempts=attempts, out=out, resume=True)
        monkeypatch.setattr(grader, "grade_file", None)
        assert rows[NAME].points == points
        assert rows[NAME].remark == f"2 checks, 1 of them right: the {attempts} counts"


@not_on_windows
def test_checks_that_all_come_out_alike_are_no_remark(tmp_path):
    rows, _ = graded_cells([RIGHT, CHECK, CHECK], tmp_path)
    assert (rows[NAME].points, rows[NAME].remark) == (2, "")


@not_on_windows
@pytest.mark.parametrize("attempts", [BEST, NEWEST])
def test_a_loop_that_tries_all_numbers_earns_nothing(attempts, tmp_path):
    sweep = "for k in range(100_000): check('solve.by_hand', k / 1000, student='Ada')"
    letters = "for letter in 'ABAB': check('graph.which_way', letter)\nopening = 'A'"
    last = "check('graph.which_way', 'A')"
    rows, _ = graded_cells([sweep, letters, last, RIGHT, CHECK], tmp_path, attempts=attempts)
    row = rows["solve.by_hand"]
    assert row.points == 0
    assert row.remark.endswith("checked more than 10 times: only the last check counts")
    assert "99.999 is not the answer" in row.message
    assert rows["graph.which_way"].points == 0
    assert rows["graph.which_way"].remark == (
        "checked more than 1 time: only the last check counts"
    )
    assert rows[NAME].points == 2


@not_on_windows
def test_after_too_many_checks_the_last_is_judged_with_what_it_had(tmp_path):
    many = f"for k in range(30):\n    FOUR = k\n    {CHECK}"
    cells = ["FOUR = 0\ndef discriminant(a, b, c):\n    return b * b - FOUR * a * c"]
    rows, _ = graded_cells([*cells, many, f"FOUR = 4\n{CHECK}", "FOUR = 5"], tmp_path)
    assert rows[NAME].points == 2
    rows, _ = graded_cells([*cells, f"FOUR = 4\n{CHECK}", many], tmp_path)
    assert rows[NAME].points == 0


ODD_CHECKS = {  # cells that check in an odd way, and what is remarked of their error
    "in a thread": (
        "import threading\n"
        f"t = threading.Thread(target=lambda: {CHECK})\nt.start(); t.join()\n"
        "def discriminant(a, b, c): return 7 * a",
        "",
    ),
    "in a thread that goes on": (
        "import threading, time\n"
        f"def go():\n    while True:\n        {CHECK}\n        time.sleep(0.01)\n"
        "threading.Thread(target=go, daemon=True).start()\ntime.sleep(0.1)",
        "",
    ),
    "while an answer is judged": (
        "def roots(a, b, c):\n    check('solve.discriminant', print)\n"
        "    check('solve.roots', print)\n    return a\n"
        f"check('solve.roots', roots)\n{CHECK}",
        "",
    ),
    "a million times by a name that does not exist": (
        "for k in range(10**6):\n    try: check('solve.nothing', 1)\n    except ValueError: pass\n"
        f"{CHECK}",
        "",
    ),
    "by a name that does not exist": (
        f"{CHECK}\ncheck('solve.discriminent', discriminant)",
        "expected the name of an exercise, got 'solve.discriminent'",
    ),
    "by no name": (f"{CHECK}\ncheck(['solve'], 1)", "expected the name of an exercise"),
    "with an alarm of its own": (
        f"import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.001)\n{CHECK}",
        "",
    ),
}


@not_on_windows
@pytest.mark.parametrize("how", ODD_CHECKS)
def test_odd_checks_cost_nothing(how, tmp_path):
    cell, words = ODD_CHECKS[how]
    after = "check('solve.by_hand', 7.0, student='Ada')\nopening = 'B'; 'graph.which_way'"
    rows, remarks = graded_cells([RIGHT, cell, after], tmp_path)
    assert rows["graph.which_way"].remark == "not passed to check: found by its name"
    assert rows[NAME].points == 2, rows[NAME]
    assert rows["solve.by_hand"].summary.startswith("wrong")
    assert words in remarks


@not_on_windows
def test_answers_that_end_their_process_cost_only_themselves(tmp_path):
    ends = "import os\ndef roots(a, b, c):\n    os._exit(0)"
    cells = [
        f"{RIGHT}\nopen('runs', 'a').write('x')\n{CHECK}",
        ends,
        "check('solve.roots', roots)",
        "check('solve.roots', roots)",
        "check('solve.by_hand', 7.0, student='Ada')",
        "def parabola(x, a, b, c):\n    return a * x * x + b * x + c",
        "check('graph.parabola', parabola)",
    ]
    rows, _ = graded_cells(cells, tmp_path)
    assert rows[NAME].points == rows["graph.parabola"].points == 2
    assert rows["solve.roots"].points == 0
    assert rows["solve.roots"].remark == "its process ended before all answers were graded"
    assert rows["solve.by_hand"].summary.startswith("wrong")


@not_on_windows
def test_a_process_that_ends_costs_what_was_not_judged_by_then(tmp_path):
    cells = [RIGHT, CHECK, "import os; os._exit(0)", SOLVED["roots"], "check('solve.roots', roots)"]
    rows, _ = graded_cells(cells, tmp_path)
    assert rows[NAME].points == 2
    assert rows["solve.roots"].points == 0
    assert "its process ended" in rows["solve.roots"].remark


def test_what_never_ends_after_all_checks_costs_nothing_and_is_a_remark(tmp_path):
    endless = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])"
    others = [
        f"check('{name}', 'something else')"
        for name in BANK
        if name not in ("solve.discriminant", "solve.roots")
    ]
    cells = [*solved(), *others, endless, "while True: pass"]
    rows, _ = graded_cells(cells, tmp_path, limits=Limits(timeout=8, cell=3))
    assert [rows[name].points for name in (NAME, "solve.roots")] == [2, 3]
    hunt = next(name for name, question in BANK.items() if isinstance(question, BugHunt))
    assert "it took over 8 s in total" in rows[hunt].remark  # it is judged after the cells


@not_on_windows
def test_wrong_answers_are_grouped_by_the_check_that_counts(tmp_path):
    sevens = "def discriminant(a, b, c):\n    return 7 * a + b * b"
    nines = "def discriminant(a, b, c):\n    return 9 * a + b * b"
    only, _ = graded_cells([sevens, CHECK], tmp_path)
    later, _ = graded_cells([nines, CHECK, sevens, CHECK, nines], tmp_path)
    assert only[NAME].group
    assert only[NAME].group == later[NAME].group


# without a process


def judged(*passed):
    return {place: Judged(Verdict(one, ""), "") for place, one in enumerate(passed)}


def test_the_rule_is_that_of_several_notebooks():
    question = BANK[NAME]
    for attempts, places in ((BEST, (1, 2, 0)), (NEWEST, (1, 2, 2))):
        some = (judged(False, True), judged(True, False, True), judged(True, False, False))
        assert tuple(counting_check(one, question, attempts)[0] for one in some) == places
    assert counting_check(judged(*[True] * 11), question, BEST)[0] == checks.MOST_CHECKS
    assert counting_check(judged(*[True] * 10, False), question, BEST)[1].verdict.passed is False


def test_of_a_predictions_letters_at_most_half_can_be_tried():
    for question in BANK.values():
        most = most_checks(question)
        assert most == (1 if isinstance(question, Choice) else checks.MOST_CHECKS)


class Child:
    """A process that replies as a function says; the Running that talks to it."""

    def __init__(self, reply):
        ours, self.theirs = socket.socketpair()
        self.running = object.__new__(Running)
        self.running.channel = ours
        self.running.deadline = time.monotonic() + 20
        self.running.limits = Limits()
        self.running.attempts = []
        self.running.course = COURSE
        self.thread = threading.Thread(target=self.talk, args=(reply,))
        self.thread.start()

    def close(self):
        self.running.channel.close()
        self.thread.join()
        self.theirs.close()

    def talk(self, reply):
        try:
            while True:
                message, _ = wire.receive(self.theirs, time.monotonic() + 20)
                more, arrays = reply(message)
                wire.send(self.theirs, {"id": message["id"], **more}, arrays)
        except (OSError, EOFError):
            pass


CHECKS_THAT_CANNOT_BE = [
    *({"checked": "solve.nothing", "place": 0}, {"checked": ["solve"], "place": 0}),
    *({"checked": {}, "place": 0}, {"checked": None, "place": 0}, {"checked": NAME}),
    *({"checked": NAME, "place": place} for place in (-1, 11, 0.0, True, "0", None, [])),
    {"checked": "graph.parabola", "place": 0},
]


@pytest.mark.parametrize("reply", CHECKS_THAT_CANNOT_BE, ids=str)
def test_a_check_that_cannot_be_costs_the_process(reply):
    questions = [one for name, one in BANK.items() if name.startswith("solve")]
    submission = SimpleNamespace(cells=(), student="ada", remarks=())
    judging = Judging(SimpleNamespace(course=COURSE), submission, questions, 0)
    running = SimpleNamespace(attempts=[])
    with pytest.raises(Lost, match="told of a check that cannot be"):
        judging.at_check(running, reply["checked"], reply.get("place"))
    assert not any(judging.judged.values())


def test_a_check_is_told_once():
    judging = Judging(SimpleNamespace(course=COURSE), None, [BANK[NAME]], 0)
    judging.judged[NAME][0] = not_asked = Judged(Verdict(True, ""), "")
    judging.at_check(None, NAME, 0)
    with pytest.raises(Lost, match="twice"):
        judging.at_check(None, NAME, 0)
    assert judging.judged[NAME] == {0: not_asked}


ODD_REPLIES = [
    *({}, {"several": "yes"}, {"changed": [0.0, True, "a", None, [], {}, 99, -1]}, {"error": None}),
    *({"error": {"a": 1}, "error_name": []}, {"error": "", "error_name": "Slow"}, {"changed": 3}),
    *({"source": 3}, {"source": {}}, {"value": {}, "student": []}, {"value": [[]] * 9}),
    *({"value": "x" * 10**5}, {"value": 10**400}, {"value": float("nan")}, {"call": 3}),
    *({"checked": NAME, "place": 0}, {"errors": 3}, {"refused": "no", "returned": {}}),
    *({"attempts": {"a": 1}}, {"attempts": [[]] * 50}, {"line": [], "refused": False}),
]
ARRAYS = [[], [()], [(3,)], [(0,)], [(3,), (3,)], [(1,)] * 40, [(2, 2, 2)], [(0, 5)], [()] * 3]


ARRAYS_OF_ONE_KIND = [(shapes, dtype) for shapes in ARRAYS for dtype in ("float64", "uint8")]
REPLIES = [
    *((reply, [(3,)], "float64") for reply in ODD_REPLIES),
    *(({}, *kind) for kind in ARRAYS_OF_ONE_KIND),
]


@pytest.mark.parametrize(
    ("reply", "shapes", "dtype"), REPLIES, ids=[str(one)[:60] for one in REPLIES]
)
def test_whatever_is_replied_is_a_verdict_or_costs_the_process(reply, shapes, dtype):
    arrays = [np.full(shape or (), 3, dtype) for shape in shapes]
    child = Child(lambda message: (reply, arrays))
    for question in BANK.values():
        try:
            verdict, remark = judge_answer(question, child.running, 0, "ada", 0)
        except Lost:
            continue
        assert not verdict.passed
        assert verdict.message
        assert isinstance(remark, str)
    child.close()


def test_solved_notebooks_have_no_remark(hand_in, tmp_path):
    results = grade(COURSE, [hand_in(ada=solved())], tmp_path / "out", progress=False)
    assert [row.remark for row in results[0].rows if row.points] == ["", ""]
    assert results[0].remarks == ()


IMPORTS = {  # what a cell holds, and which of its lines are remarked
    "import algebra": ["import algebra"],
    "import math, algebra.parts as x": ["import math, algebra.parts as x"],
    "if True:\n    from algebra import roots": ["from algebra import roots"],
    "def f():\n    import algebra as x; return x": ["import algebra as x; return x"],
    "%matplotlib inline\nfrom marking.engine import judge": ["from marking.engine import judge"],
    "def f(:\nimport algebra": ["import algebra"],
    "from quadratics import ask, check": [],
    "from quadratics import *": [],
    "from quadratics import (ask,\n    check)": [],
    "from quadratics.bank import BANK": ["from quadratics.bank import BANK"],
    "from quadratics import _bank": ["from quadratics import _bank"],
    "text = '''\nimport algebra\n'''": [],
    "# import algebra": [],
    "import algebraic, math": [],
    "from .algebra import x": [],
    "algebra = 3\nimport math": [],
}


@pytest.mark.parametrize("cell", IMPORTS)
def test_only_an_import_of_answers_is_remarked(cell):
    assert imports(COURSE, ["x = 1", cell]) == IMPORTS[cell]


def test_what_a_package_offers_is_read_from_it():
    assert {"ask", "beside", "check", "hint"} <= COURSE.offered.keys()
    assert not COURSE.offered["check"]
    assert Course("x", "json", BANK, COURSE.stretches, str).offered == {
        **dict.fromkeys(["dump", "dumps", "load", "loads", "JSONDecoder", "JSONEncoder"], False),
        "JSONDecodeError": True,
    }
    assert "check" in Course("x", "no_such_package", BANK, COURSE.stretches, str).offered
