"""What README and its neighbours name exists, and workflows and hooks do what they should."""

import ast
import re
import runpy
import tomllib
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from pages import blocks, dead_links, dead_paths, spans, wrong_commands, wrong_tools

import minddpm
from marking.engine import SECONDS
from minddpm.__main__ import build_parser
from minddpm.data import load_mnist
from minddpm.metrics import drawn_distance, held_out_figures

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", ".github/*.md", "minddpm/assets/*.md")
    for path in sorted(ROOT.glob(pattern))
]
LESSONS = [
    path
    for folder in ("notebooks", "solutions")
    for path in sorted((ROOT / folder).glob("py/*.py"))
]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading."""
    lines = page.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


EQUATIONS = rows(read("README.md"), "equation")


@pytest.mark.parametrize("row", EQUATIONS, ids=[row[0] for row in EQUATIONS])
def test_each_equation_has_a_function_a_notebook_and_a_test(row):
    _, _, functions, notebooks, tests = row
    names = re.findall(r"`([\w.]+)`", functions)
    paths = re.findall(r"`([\w./]+)`", tests)
    assert names
    assert paths
    together = "".join(read(path) for path in paths)
    for name in names:
        attrgetter(name)(minddpm)
        assert re.search(rf"\b{name.split('.')[-1]}\b", together), f"no test names {name}"
    for number in notebooks.split(", "):
        (lesson,) = (ROOT / "notebooks" / "py").glob(f"{number}_*.py")
        assert lesson.is_file()


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("path", PAGES, ids=page_name)


@every_page
def test_links_lead_to_files_and_headings(path):
    assert list(dead_links(path)) == []


@pytest.mark.parametrize("path", LESSONS, ids=page_name)
def test_links_of_lessons_lead_to_files(path):
    beside = path.parents[1]  # where the notebook lies
    for link in re.findall(r"\]\((\.\./[^)]+|[\w.]+\.ipynb)\)", path.read_text(encoding="utf-8")):
        assert (beside / link.partition("#")[0]).is_file(), link


@every_page
def test_paths_exist(path):
    assert list(dead_paths(path.read_text(encoding="utf-8"), ROOT)) == []


@every_page
def test_commands_and_options_exist(path):
    page = path.read_text(encoding="utf-8")
    assert list(wrong_commands(page, build_parser())) == []
    assert list(wrong_tools(page, ROOT)) == []


@every_page
def test_extras_exist(path):
    words = " ".join([*blocks(page := path.read_text(encoding="utf-8")), *spans(page)])
    named = re.findall(r"(?:minddpm|\.)\[(\w+)\]", words)
    assert set(named) <= PROJECT["project"]["optional-dependencies"].keys()


PAGE = """# A page, `with` a heading

## Twice

## Twice

[right](#twice-1) [right](#a-page-with-a-heading) [right](other.md#there) ![right](picture.png)
[wrong](#thrice) [wrong](other.md#not-there) [wrong](nowhere.md) ![wrong](nowhere.png)
[right](a.ipynb) [right](a.ipynb#By-hand) [wrong](a.ipynb#by-hand) [wrong](a.ipynb#Output)

Right: `tools/right.py`, `right.py`, `tools/`, `tools/*.py`, `notebooks/py/NN_name.py`, `runs/mine`.
Wrong: `tools/wrong.py`, `wrong.py`, `docs/wrong`, `other/right.py`, `bash .ci/wrong --quickly`.
Right: `minddpm train --out`, `--eta 1`, `minddpm --version`, `evaluate --ddim 50`, `minddpm grade`.
Wrong: `minddpm tarin`, `minddpm sample --steps 3`, `--no-such-option`, `train --ddim 5`.
Wrong: `python tools/right.py --wrong`.

```bash
minddpm sample --ddim 50 --out x.png     # right
python -m minddpm sample --ddim fifty --out x.png
minddpm sample --out x.png --digits 3
minddpm draw --out x.png
python tools/right.py --right all
python tools/right.py none
```
"""


NOTEBOOK = """{"cells": [
    {"cell_type": "markdown", "source": ["Text\\n", "## By hand\\n"]},
    {"cell_type": "code", "source": ["# Output"], "outputs": []}
]}"""


def test_what_is_wrong_on_a_page_is_seen(tmp_path, capsys):
    for name, text in {
        "page.md": PAGE,
        "a.ipynb": NOTEBOOK,
        "other.md": "# There",
        "picture.png": "",
        "tools/right.py": 'ALL = ("all", "--right")',
        "notebooks/py/01_one.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    links = ["#thrice", "other.md#not-there", "nowhere.md", "nowhere.png"]
    links += ["a.ipynb#by-hand", "a.ipynb#Output"]
    assert list(dead_links(tmp_path / "page.md")) == links
    paths = ["tools/wrong.py", "wrong.py", "docs/wrong", "other/right.py", ".ci/wrong"]
    assert list(dead_paths(PAGE, tmp_path)) == paths
    assert [line.partition(":")[0] for line in wrong_commands(PAGE, build_parser())] == [
        "python -m minddpm sample --ddim fifty --out x.png",
        "minddpm sample --out x.png --digits 3",
        "minddpm draw --out x.png",
        "minddpm tarin",
        "minddpm sample --steps 3",
        "--no-such-option",
        "train --ddim 5",
    ]
    assert list(wrong_tools(PAGE, tmp_path)) == [
        "python tools/right.py none",
        "python tools/right.py --wrong",
    ]
    assert "invalid choice: 'draw'" in capsys.readouterr().err


def constant(name: str, path: str):
    """The value of a constant in a file that tests may not import."""
    for node in ast.parse(read(path)).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no {name}")


def default(command: str, option: str):
    """The default of an option of a command of minddpm."""
    (commands,) = (one for one in build_parser()._actions if one.nargs == "A...")
    return commands.choices[command].get_default(option)


def digits(split: str) -> int:
    return len(load_mnist(split)[0])


def listed(numbers) -> str:
    """1, 2 and 3."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}"


NUMBERS = [  # on which page, where a number stands, and what it is
    (
        "README.md",
        r"need Python ([\d.]+) or newer",
        lambda: PROJECT["project"]["requires-python"][2:],
    ),
    ("README.md", r"its weights and (\S+) digits", lambda: f"{digits('train') + digits('test'):,}"),
    (
        "README.md",
        r"shipped weights at t = (.+), from",
        lambda: listed(constant("TIMES", "tools/build_pictures.py")),
    ),
    ("README.md", r"beside the (\d+) held-out digits", lambda: digits("test")),
    (
        "CONTRIBUTING.md",
        r"at most (\d+%)",
        lambda: f"{constant('LIMIT', 'tools/measure_import.py'):.0%}",
    ),
    (
        "CONTRIBUTING.md",
        r"a class of (\d+)",
        lambda: constant("STUDENTS", "tools/measure_grading.py"),
    ),
    (
        "CONTRIBUTING.md",
        r"at most (\d+) characters",
        lambda: PROJECT["tool"]["ruff"]["line-length"],
    ),
    (
        "CONTRIBUTING.md",
        r"at most (\d+) lines",
        lambda: constant("MOST_LINES", "tests/project/test_sizes.py"),
    ),
    ("docs/teaching.md", r"timeout above (\d+) s", lambda: SECONDS),
    ("docs/teaching.md", r"may use `--timeout (\d+)`", lambda: default("grade", "timeout")),
    ("docs/teaching.md", r"`--memory (\d+)` megabytes", lambda: default("grade", "memory")),
    ("docs/teaching.md", r"(\d+) s a cell", lambda: default("nbgrader-course", "timeout")),
]


@pytest.mark.parametrize(
    ("page", "pattern", "value"), NUMBERS, ids=[f"{page}: {text}" for page, text, _ in NUMBERS]
)
def test_numbers_on_pages_are_those_of_the_source(page, pattern, value):
    assert set(re.findall(pattern, read(page))) == {str(value())}


def test_the_held_out_column_of_the_readme_is_measured_again():
    real, low = held_out_figures(), held_out_figures().nearest_quantile(0.01)
    table = {row[0]: row[2] for row in rows(read("README.md"), "measure")}
    as_many = f"(as many real digits, drawn at random: {drawn_distance(1000):.2f})"
    assert list(table.items()) == [
        ("the classifier is more than 0.9 sure", f"{real.confident:.1%}"),
        (
            "Fréchet distance to the training digits, on its features",
            f"{real.frechet:.2f} {as_many}",
        ),
        (
            "nearest training image: least distance, median",
            f"{real.nearest[0]:.2f}, {real.nearest_quantile(0.5):.2f}",
        ),
        (
            f"nearer to one than {low:.2f}, as 1% of held-out digits are",
            f"{real.nearer_than(low):.1%}",
        ),
        (
            "shares of the ten digits",
            f"{100 * min(real.class_shares):.1f} to {max(real.class_shares):.1%}",
        ),
    ]


def test_each_claim_has_a_verdict_and_a_place_where_it_is_tested():
    claims = rows(read("docs/claims.md"), "claim")
    assert claims
    for claim, verdict, tested in claims:
        kind, reason = re.fullmatch(r"\*(.+?)\*(.*)", verdict).groups()
        assert kind in {"holds", "holds if", "loose", "not tested here"}, claim
        assert bool(reason) == (kind in {"holds if", "loose"}), claim
        assert ("](../" in tested) == (kind != "not tested here"), claim


def test_what_lies_where_is_true():
    tree = read("README.md").split("## What lies where")[1].split("```")[1]
    folder = ROOT
    for line in tree.splitlines():
        inside = line.startswith("  ") and not line.startswith("   ")
        if name := re.match(r"([\w.]+)/", line):
            folder = ROOT / name[1]
            assert folder.is_dir(), line
        for name in re.findall(r"\b(\w+\.(?:py|md))\b", line):
            assert (folder / name).is_file(), f"{folder.name} has no {name}"
        if inside and (name := re.match(r"  (\w+)/", line)):
            assert (folder / name[1]).is_dir(), line


def test_targets_of_make_exist():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", pages, re.MULTILINE))
    assert named
    assert named <= targets


def test_the_changelog_is_ahead_of_the_version():
    headings = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", minddpm.__version__]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_actions_are_pinned_by_digest_with_their_version_beside(path):
    used = re.findall(r"uses: *(.+)", path.read_text(encoding="utf-8"))
    assert used
    for line in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", line), line


def test_slow_tests_exist():
    slow = runpy.run_path(str(ROOT / "conftest.py"))["SLOW"]
    assert slow
    for name in slow:
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not test or f"def {test}(" in read(path), name


def test_the_lowest_versions_are_a_job_of_their_own():
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    assert any(step.get("run") == "make oldest" for step in jobs["oldest"]["steps"])
    assert "--resolution lowest-direct" in read("Makefile")


def test_hooks_run_the_checks_of_ci():
    (repo,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repo["repo"] == "local"
    hooks = {hook["entry"] for hook in repo["hooks"] if hook["language"] == "system"}
    recipe = re.search(r"^test: .*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)
    checks = re.findall(r"\$\(BIN\)/(ruff .*|mypy.*)", recipe[1])
    assert len(checks) == 3
    assert set(checks) <= hooks
