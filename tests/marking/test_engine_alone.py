"""The engine knows no course: neither in its imports nor in its words. Importing it stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import marking

PACKAGE = Path(marking.__file__).parent
FILES = [path for path in sorted(PACKAGE.rglob("*")) if path.suffix in (".py", ".txt", ".html")]
MODULES = sorted(PACKAGE.rglob("*.py"))
# the words of the course about diffusion, and names of its lessons
FOREIGN = re.compile(
    r"minddpm|diffusion|ddpm|posterior|beta|alpha(?!bet)|noise|denois|schedule|digit|mnist|[\"'/]\d\d[._]",
    re.IGNORECASE,
)


def name_of(path):
    return str(path.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_engine_has_no_word_of_diffusion(path):
    found = FOREIGN.search(path.read_text(encoding="utf-8"))
    assert found is None, found


FOREIGN_WORDS = [
    "import minddpm",
    "a diffusion model",
    "DDPM",
    "the posterior variance",
    "beta_t",
    "alpha_bar",
    "an alpha",
    "noise",
    "denoised",
    "the Schedule",
    "ten digits",
    "MNIST",
    "check('03.variance')",
    '"01_schedule"',
    "bank/04_loss",
]


@pytest.mark.parametrize("text", FOREIGN_WORDS)
def test_a_word_of_diffusion_would_be_found(text):
    assert FOREIGN.search(text) is not None


def test_words_of_any_course_are_no_words_of_diffusion():
    assert FOREIGN.search("an alphabet, 0.03, 1_000, version 3.11, 'roots.discriminant'") is None


def imports(path):
    """The modules of the engine that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_no_module_imports_itself_through_others():
    names = {}
    for path in MODULES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    left = {name: (imports(path) & set(names)) - {name} for name, path in names.items()}
    while leaves := [name for name, used in left.items() if not used & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, f"these import each other in a circle: {sorted(left)}"


def test_importing_the_engine_brings_no_notebook_and_no_plotting():
    code = (
        "import sys, marking.commands, marking.notebook\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "marking" in loaded
    assert not loaded & {"matplotlib", "IPython", "jinja2", "nbformat", "minddpm", "minddpm_course"}
