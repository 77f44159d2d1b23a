"""The same cells in Jupyter and in the grader: magics, `Out`, packages that are absent, and answers
of odd kinds come out alike, in verdict and in message.
"""

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bug_hunts import HEAD as HUNTING
from bug_hunts import RIGHT as TESTS
from bug_hunts import WRONG as WRONG_TESTS
from quadratics import COURSE, HEAD, SOLVED

from marking.checks import MOST_CHECKS
from marking.grader import BY_NAME, Judging
from marking.hostile import as_notebook
from marking.intake import read_submission
from marking.sandbox.parent import Limits, prepared_sandbox

HERE = Path(__file__).parent
RIGHT = SOLVED["discriminant"]
NAME = "solve.discriminant"
CHECK = f"check('{NAME}', discriminant)"
ROOTS = "check('solve.roots', roots)"
FOUR = "def discriminant(a, b, c):\n    return b * b - four * a * c"  # right if four is 4
pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")

# cells after which the discriminant is right
RIGHT_CELLS = {
    "%%time": [f"%%time\n{RIGHT}", CHECK],
    "%%time around the check": [RIGHT, f"%%time\n{CHECK}"],
    "%%time below an empty line": [f"\n%%time\n{RIGHT}", CHECK],
    "the value of %%time": ["%%time\nx = 3\nx + 1", f"four = _\n{FOUR}", CHECK],
    "%time": [RIGHT, "%time four = 4", FOUR, CHECK],
    "the value of %time": ["four = %time 2 + 2", FOUR, CHECK],
    "%%capture": [f"%%capture\n{RIGHT}", CHECK],
    "%%capture into a name": [
        "%%capture said\nprint(4)",
        f"four = int(said.stdout)\n{FOUR}",
        CHECK,
    ],
    "%%capture of errors": [
        "%%capture --no-stdout said\nimport sys\nprint(4, file=sys.stderr)",
        f"four = int(said.stderr)\n{FOUR}",
        CHECK,
    ],
    "%%capture around the check": [RIGHT, f"%%capture\n{CHECK}"],
    "%%timeit": [
        RIGHT,
        "seen = []",
        "%%timeit -n 1 -r 1\nseen.append(4)",
        "four = seen[0]",
        FOUR,
        CHECK,
    ],
    "%%timeit with a setup": [
        "seen = []",
        "%%timeit -n1 -r1 start = 4\nseen.append(start)",
        f"four = seen[0]\n{FOUR}",
        CHECK,
    ],
    "%%timeit defines nothing": ["four = 4", "%%timeit -n 1 -r 1\nfour = 5", FOUR, CHECK],
    "%timeit": ["seen = []", "%timeit -n 1 -r 1 seen.append(4)", f"four = seen[0]\n{FOUR}", CHECK],
    "%timeit -o": [
        "t = %timeit -n 1 -r 1 -o -q sum(range(9))",
        f"four = 4 if t.best > 0 and len(t.all_runs) else 5\n{FOUR}",
        CHECK,
    ],
    "%%prun": [f"%%prun -q\n{RIGHT}", CHECK],
    "%matplotlib": [f"%matplotlib inline\n%config InlineBackend.dpi = 80\n{RIGHT}", CHECK],
    "a command": [f"!echo hello\n{RIGHT}", CHECK],
    "commands": ["%%bash\necho hello", f"%env COLOUR=red\n{RIGHT}", CHECK],
    "%env": ["%env FOUR=4", f"import os\nfour = int(os.environ['FOUR'])\n{FOUR}", CHECK],
    "the output of a command": [
        "files = !true",
        f"four = len(files) + 4\nassert (files.n, files.s, files.l) == ('', '', [])\n{FOUR}",
        CHECK,
    ],
    "lines of a command": [
        "files = !true",
        "more = [f for f in files if f] + files.grep('x') + files.fields(0)",
        f"four = 4 + len(more)\n{FOUR}",
        CHECK,
    ],
    "a question mark": [f"len?\n{RIGHT}", CHECK],
    "Out": ["2 + 2", f"four = Out[2]\n{FOUR}", CHECK],
    "Out by its number": ["2 + 2", f"four = _2\n{FOUR}", CHECK],
    "_": ["2 + 2", f"four = _\n{FOUR}", CHECK],
    "__ and ___": ["4", "5", "6", f"four = ___ + __ - 5\n{FOUR}", CHECK],
    "_ of a cell that gives nothing": ["2 + 2", "x = 1", "None", f"four = _\n{FOUR}", CHECK],
    "a semicolon gives nothing": ["4", "5;", f"four = _\n{FOUR}", CHECK],
    "a semicolon in a comment": ["4", "2 + 2  # a; b", f"four = _\n{FOUR}", CHECK],
    "_ that is the student's": ["_ = 4", "5", f"four = _\n{FOUR}", CHECK],
    "In": ["four = 4", f"exec(In[2])\n{FOUR}", CHECK],
    "_i": ["four = 4", f"exec(_i)\n{FOUR}", CHECK],
    "get_ipython": [
        "ip = get_ipython()\nip.run_line_magic('matplotlib', 'inline')",
        "ip.run_cell('four = 4')",
        f"assert ip.user_ns['four'] == ip.ev('four') == 4\n{FOUR}",
        CHECK,
    ],
    "get_ipython of IPython": [
        "from IPython import get_ipython",
        "get_ipython().run_cell_magic('time', '', 'four = 4')",
        f"{FOUR}\nip = get_ipython()\nip.events.register('post_run_cell', lambda *_: None)",
        CHECK,
    ],
    "the number of a cell": [f"four = get_ipython().execution_count + 1\n{FOUR}", CHECK],
    "%%writefile": [f"%%writefile mine.py\n{RIGHT}", "from mine import discriminant", CHECK],
    "%%writefile twice": [
        f"%%writefile test.py\n{RIGHT}",
        "%%writefile -a test.py\nfour = 4",
        f"from test import four\n{FOUR}",
        CHECK,
    ],
    "%%writefile of data": [
        "%%writefile four.txt\n4",
        f"four = int(open('four.txt').read())\n{FOUR}",
        CHECK,
    ],
    "%run": [f"%%writefile mine.py\nfour = 4\n{FOUR}", "four = 5", "%run mine.py", CHECK],
    "%run keeps what the file saw": [
        f"%%writefile mine.py\nfour = 4\n{FOUR}",
        "%run mine.py\nfour = 5",
        CHECK,
    ],
    "%run -i": ["four = 4", f"%%writefile mine.py\n{FOUR}", "%run -i mine.py", CHECK],
    "%cd": [
        "import os\nos.mkdir('below')",
        "%cd below",
        "four = 4 if os.getcwd().endswith('below') else 5",
        FOUR,
        CHECK,
    ],
    "display": [f"display(3)\nh = display(3, display_id=True)\nh.update(4)\n{RIGHT}", CHECK],
    "IPython.display": [
        "from IPython.display import display, HTML, Markdown, Image, clear_output, Math",
        f"display(HTML('<b>x</b>'), Markdown('x'))\nclear_output(wait=True)\n{RIGHT}",
        CHECK,
    ],
    "await": ["import asyncio\nawait asyncio.sleep(0)\nfour = 4", FOUR, CHECK],
    "exit": [f"exit()\nquit()\n{RIGHT}", CHECK],
    "an error between": [f"{RIGHT}\n1 / 0", CHECK],
    "several statements and a check": [f"four = 4;\n{FOUR}\n{CHECK}"],
    "an import that waits for the error": [
        "try:\n    import no_such_package\nexcept ImportError:\n    four = 4",
        FOUR,
        CHECK,
    ],
    "an import that waits for more errors": [
        "try:\n    from no_such_package import x\nexcept (ValueError, ModuleNotFoundError) as e:\n"
        "    four = 4",
        FOUR,
        CHECK,
    ],
    "an import in a function that waits": [
        "def find():\n    try:\n        import no_such_package\n"
        "    except Exception:\n        return 4",
        f"four = find()\n{FOUR}",
        CHECK,
    ],
    "an import that is suppressed": [
        "import contextlib\nfour = 5\nwith contextlib.suppress(ImportError):\n"
        "    import no_such_package\n    four = 6\nfour -= 1",
        FOUR,
        CHECK,
    ],
}
# answers, and what they return: wrong, or of a wrong kind
RESULTS = [
    *("0", "None", "...", "'x'", "[]", "{}", "float('nan')", "float('inf')", "1j", "10**400"),
    *("True", "torch.zeros(0)", "torch.zeros(0, 3)", "[[1, 2], [3]]", "(x for x in [1, 2])"),
    *("torch.empty(3, device='meta')", "torch.eye(3).to_sparse()", "b.half()", "b.int()", "b > 0"),
    *(
        "b * torch.ones(1, requires_grad=True)",
        "b.numpy().astype(object)",
        "b.numpy().astype('u4')",
    ),
    *("(b,)", "(b, b, b)", "[b, [b]]", "len", "int", "ValueError('x')", "b.to(torch.int16)"),
    *("1 / 0", "undefined", "exit()", "b.pow_(2).sub_(4 * a * c)", "b / 0", "b[:1]"),
    *(
        "torch.nothing",
        "{'a': b}",
        "b.double() + 1",
        "'y' * 10**4",
        "exec('raise ValueError(9 * str(a))')",
    ),
]
ODD_ANSWERS = ["'text'", "None", "...", "' '", "3", "[1]", "torch.ones(3)"]


def seed_of(name, place):
    again = f" {place}" if place > 0 else ""
    digest = hashlib.sha256(f"0 {name}{again}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


# what a notebook's checks say, with the inputs that the grader draws
AT_HOME = """
import json, os, sys, tempfile
sys.path.insert(0, HERE)
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
import quadratics, marking.notebook, marking.engine
from test_jupyter import seed_of

said = {}
def judge(question, answer, seed, student="", **options):
    some = said.setdefault(question.name, [])
    seed = seed_of(question.name, len(some))
    verdict = marking.engine.judge(question, answer, seed, student, **options)
    some.append((verdict.passed, verdict.message))
    return verdict
marking.notebook.judge = judge
marking.notebook.SECONDS = 10
import torch, numpy, IPython.core.magics.execution
InteractiveShell.enable_gui = lambda *_: None  # a kernel has both
InteractiveShell.ask_exit = lambda *_: None
for name, cells in json.load(sys.stdin).items():
    folder = tempfile.mkdtemp()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.chdir(folder)
        sys.path.insert(0, "")
        shell = InteractiveShell.instance()
        with capture_output():
            for cell in cells:
                shell.run_cell(cell, store_history=True)
        with os.fdopen(writer, "w") as file:
            json.dump(said, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        print(json.dumps([name, file.read()]), flush=True)
    os.wait()
"""


def at_home(notebooks, folder):
    """What the checks of each notebook say in IPython."""
    code = AT_HOME.replace("HERE", repr(str(HERE)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(notebooks),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MPLBACKEND": "agg",
            "IPYTHONDIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=900,
        cwd=folder,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(notebooks), done.stderr
    return {name: json.loads(said) if said else {} for name, said in lines}


@pytest.fixture(scope="module")
def in_class(tmp_path_factory):
    """Says what the grader makes of each check of a notebook, and its remarks."""
    folder = tmp_path_factory.mktemp("class")

    @functools.cache
    def judged_in(cells):
        path = folder / "solve_it.ipynb"
        path.write_text(as_notebook([HEAD, *cells]), encoding="utf-8")
        submission = read_submission(COURSE, path, "ada", path.name)
        judging = Judging(sandbox, submission, list(COURSE.bank.values()), 0)
        running = judging.run()
        assert running is not None, judging.lost
        running.close()
        said = {
            question: {
                place: (one.verdict.passed, one.verdict.message) for place, one in some.items()
            }
            for question, some in judging.judged.items()
        }
        return said, "; ".join(judging.remarks)

    with prepared_sandbox(COURSE, Limits(timeout=120, cell=10)) as sandbox:
        yield lambda cells: judged_in(tuple(cells))


def cases():
    """Every notebook of this file, by what it is about."""
    some = dict(RIGHT_CELLS)
    for start in range(0, len(RESULTS), MOST_CHECKS):
        cells = []
        for result in RESULTS[start : start + MOST_CHECKS]:
            body = f"(a, b, c):\n    # of mine\n    return {result}"
            cells += [f"def discriminant{body}\ndef roots{body}", CHECK, ROOTS]
        some[f"what is returned, from {start}"] = cells
    for answer in ODD_ANSWERS:
        some[f"hands in {answer}"] = [
            f"check('solve.by_hand', {answer}, student=STUDENT)",
            f"check('graph.which_way', {answer})",
        ]
    some["several checks"] = [RIGHT, CHECK, "discriminant = lambda a, b, c: b", CHECK]
    some["tests"] = [HUNTING]
    for source in [*TESTS.values(), *(wrong for wrong, _ in WRONG_TESTS.values())][:MOST_CHECKS]:
        some["tests"] += [source, "check('graph.catch_the_bug', test)"]
    return some


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """What the checks of each notebook say in IPython."""
    notebooks = {about: [HEAD, *cells] for about, cells in cases().items()}
    return at_home(notebooks, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("about", cases())
def test_class_and_home_say_the_same(about, home, in_class):
    there, remarks = in_class(cases()[about])
    assert home[about], about
    for question, said in home[about].items():
        assert list(there[question]) == list(range(len(said))), remarks
        for place, (passed, message) in enumerate(said):
            assert there[question][place] == (passed, message), remarks
    unchecked = {question for question in there if question not in home[about]}
    assert not any(there[question][BY_NAME][0] for question in unchecked)


@pytest.mark.parametrize("about", RIGHT_CELLS)
def test_what_is_right_in_jupyter_is_right_in_class(about, home, in_class):
    there, remarks = in_class(RIGHT_CELLS[about])
    assert there[NAME][0][0], (there[NAME], remarks)
    assert home[about][NAME][0][0]


ABSENT = {  # cells that import what is not there, and the points of the discriminant
    "import": [f"import seaborn_x\n{RIGHT}", CHECK],
    "import as": [f"import seaborn_x as sns, math\nmath.pi\n{RIGHT}", CHECK],
    "import of a part": [f"import seaborn_x.objects as so\nimport xml.nothing\n{RIGHT}", CHECK],
    "from": [f"from seaborn_x import color_palette as palette, set_theme\n{RIGHT}", CHECK],
    "from, everything": [f"from seaborn_x import *\n{RIGHT}", CHECK],
    "from one that is there": [f"from torch import nothing_of_it\n{RIGHT}", CHECK],
    "in a condition": [f"if True:\n    import seaborn_x as sns\n    four = 4\n{FOUR}", CHECK],
    "used in the cell": [
        f"import seaborn_x as sns\nsns.set_theme()\nx = sns.load(1)\nfor y in sns.names:\n"
        f"    print(y)\nfour = 4\n{FOUR}",
        CHECK,
    ],
    "used by what is defined of it": [
        f"import seaborn_x as sns\nx = sns.load()\nz = x.y[3] + 1\n{RIGHT}",
        CHECK,
    ],
    "used in another cell": ["import seaborn_x as sns", f"sns.set_theme()\n{RIGHT}", CHECK],
    "a base class": [f"from seaborn_x import Plot\nclass Mine(Plot): pass\n{RIGHT}", CHECK],
    "a decorator": [f"import numba_x\n@numba_x.njit\ndef f(): pass\n{RIGHT}", CHECK],
}


NEEDED = {  # answers that need one
    "the answer": ["import seaborn_x as sns\ndef discriminant(a, b, c):\n    return sns.f(a)"],
    "what is handed in": ["from seaborn_x import f as discriminant"],
    "a decorated answer": [f"import numba_x\n@numba_x.njit\n{RIGHT}"],
}


@pytest.mark.parametrize("about", ABSENT)
def test_an_absent_package_costs_only_what_needs_it(about, in_class):
    there, remarks = in_class(ABSENT[about])
    assert there[NAME][0][0], (there[NAME], remarks)
    if "seaborn" in str(ABSENT[about]):
        assert "seaborn_x is not installed where this notebook is graded" in remarks


@pytest.mark.parametrize("about", NEEDED)
def test_an_answer_that_needs_an_absent_package_says_so(about, in_class):
    there, _ = in_class([*NEEDED[about], CHECK])
    ((passed, message),) = there[NAME].values()
    assert not passed
    assert re.search(
        "NotInstalledHere: .*_x is not installed where this notebook is graded", message
    )


DRAWS = {  # what a notebook shows goes nowhere, and costs nothing
    "matplotlib": [
        "import warnings\nwarnings.simplefilter('error')\nimport matplotlib.pyplot as plt\n"
        f"plt.plot([1, 2])\nplt.show()\nfig, ax = plt.subplots()\nplt.savefig('x.png')\n{RIGHT}",
        CHECK,
    ],
    "widgets": [
        "import ipywidgets as widgets\nfrom IPython.display import display\n"
        "slider = widgets.IntSlider(4)\ndisplay(slider)\nout = widgets.Output()\n"
        "with out:\n    print(3)\nwidgets.interact(lambda x: print(x), x=(0, 9))\n"
        f"four = slider.value\n{FOUR}",
        CHECK,
    ],
}


@pytest.mark.parametrize("what", DRAWS)
def test_pictures_and_widgets_go_nowhere(what, in_class):
    there, remarks = in_class(DRAWS[what])
    assert there[NAME][0][0], remarks
    assert remarks == ""


def test_input_says_what_to_do_instead(in_class):
    there, remarks = in_class([RIGHT, "x = input('how many? ')", CHECK])
    assert there[NAME][0][0]
    words = "input() cannot ask anyone while a notebook is graded: write the value into the cell"
    assert words in remarks
