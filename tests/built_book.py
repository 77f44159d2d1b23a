"""The web book, built once for all tests of a session that read it, and what npm brings for it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory):
    """The folder of what book/package-lock.json pins."""
    if shutil.which("npm") is None:
        pytest.skip("the book needs Node.js with npm")
    shared = tmp_path_factory.getbasetemp().parent  # by all workers, of which one installs
    with FileLock(shared / "npm.lock"):
        if not (BOOK / "node_modules" / "axe-core").is_dir():
            command = [shutil.which("npm"), "ci", "--no-audit", "--no-fund"]
            if subprocess.run(command, cwd=BOOK, capture_output=True).returncode:
                pytest.skip("npm's registry is not reachable")
    return BOOK / "node_modules"


@pytest.fixture(scope="session")
def axe(node_modules):
    """axe-core, a script that looks for what keeps a page from being read by everybody."""
    return (node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def book(node_modules, tmp_path_factory):
    """The folder of the built book."""
    for module in ("sphinx", "myst_nb", "sphinx_book_theme"):
        pytest.importorskip(module, reason="the book needs minddpm[book]")
    out = tmp_path_factory.mktemp("book") / "_book"
    machine = out / "machine" / "index.html"  # a page in its place: it has tests of its own
    machine.parent.mkdir(parents=True)
    machine.write_text("<title>machine</title>", encoding="utf-8")
    command = [sys.executable, ROOT / "tools" / "build_book.py", "--machine", out]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert built.returncode == 0, built.stderr
    return out
