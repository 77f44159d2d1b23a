"""What README and its neighbours name exists, and workflows and hooks do what they should."""

import re
import runpy
from operator import attrgetter
from pathlib import Path

import pytest
import yaml

import minddpm

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("*.md"))
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


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_links_lead_to_files(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if not link.startswith(("http", "#")):
            assert (ROOT / link.partition("#")[0]).exists(), link


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
    named = set(
        re.findall(
            r"(?:`|^)make ([a-z]+)",
            "".join(map(read, ("README.md", "CONTRIBUTING.md"))),
            re.MULTILINE,
        )
    )
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
