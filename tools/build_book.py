"""Build the web book: python tools/build_book.py _book"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marking.exercise import Choice
from minddpm_course.course import load_course

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
PAGES = (
    *("notebooks/*.ipynb", "exercises/*.ipynb", "solutions/*.ipynb", "docs/*.md"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("benchmarks/README.md", "minddpm/assets/README.md"),
)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
ASKED = re.compile(r'ask\("([\w.]+)"\)')
Notebook = dict[str, Any]


def install() -> None:
    """Fetch what pages are rendered with, as package-lock.json says, unless it is there."""
    if not (BOOK / "node_modules" / "katex").is_dir():
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("the book needs Node.js with npm: https://nodejs.org")
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=BOOK, check=True)


def in_the_book(found: re.Match[str]) -> str:
    """A link as the book has it: a folder is listed on the first page, and a notebook's heading
    "#By-hand" is called "#by-hand".
    """
    path, anchor = found[1], found[2] or ""
    if path.endswith("/"):
        return "/index.md"
    if path.endswith(".ipynb"):
        anchor = re.sub(r"[^\w\-#]", "", anchor.lower())
    return path + anchor


def markdown_cell(text: str, name: str) -> Notebook:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def prediction(question: Choice) -> str:
    """A question with buttons to answer it; prediction.js shows the reply to the one chosen."""
    options = "".join(
        f'<button type="button" value="{letter}" aria-pressed="false"><b>{letter}</b>'
        f" {html.escape(option)}</button>"
        for letter, option in question.options.items()
    )
    replies = {
        letter: f"{'Right.' if letter == question.right else 'Not so.'}"
        f" {question.replies.get(letter, '')}".strip()
        for letter in question.options
    }
    data = json.dumps({"right": question.right, "replies": replies}).replace("<", r"\u003c")
    return (
        f'<div class="prediction" role="group" aria-label="{question.name}">'
        f"<p>{html.escape(question.question)}</p>{options}"
        '<p class="reply" role="status"></p>'
        f'<script type="application/json">{data}</script></div>'
    )


def with_predictions(notebook: Notebook) -> None:
    """Let predictions be answered where they are asked."""
    bank = load_course().bank
    for cell in notebook["cells"]:
        asked = ASKED.fullmatch("".join(cell["source"]))
        if asked and isinstance(question := bank[asked[1]], Choice):
            data = {"text/html": prediction(question)}
            cell["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]


def how_to_open(path: Path, launch: str) -> str:
    """The line below an exercise's title."""
    ways = [f"[download the notebook](path:../downloads/{path.name})"]
    if launch:
        ways.append(f"[open it in the browser]({launch}{path.as_posix()})")
    return f"To write your answers: {' or '.join(ways)}."


def laid_out(path: Path, launch: str) -> Notebook:
    """A notebook as the book shows it."""
    notebook: Notebook = json.loads((ROOT / path).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = LINK.sub(in_the_book, "".join(cell["source"]))
        elif cell["metadata"].get("jupyter", {}).get("source_hidden"):
            cell["metadata"].setdefault("tags", []).append("hide-input")
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/png", None)  # the same picture is in the HTML
    if path.parts[0] == "exercises":
        with_predictions(notebook)
        notebook["cells"].insert(1, markdown_cell(how_to_open(path, launch), "how-to-open"))
    if path.parts[0] == "solutions":  # found by the links of the exercises alone
        notebook["metadata"] |= {"orphan": True, "nosearch": True}
    return notebook


def lay_out(folder: Path, launch: str) -> None:
    """Write all pages into a folder, and the files that they show or link to."""
    pages = [path.relative_to(ROOT) for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    linked = set()
    for path in pages:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            text = json.dumps(laid_out(path, launch))
        else:
            text = LINK.sub(in_the_book, (ROOT / path).read_text(encoding="utf-8"))
        target.write_text(text, encoding="utf-8")
        found = (ROOT / path.parent / link for link, _ in LINK.findall(text))
        linked |= {one.resolve().relative_to(ROOT) for one in found if one.is_file()}
    for path in linked - set(pages):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    shutil.copytree(ROOT / "exercises", folder / "downloads")
    for path in BOOK.glob("*.md"):
        shutil.copy(path, folder)


def build(out: Path, launch: str = "", machine: bool = False) -> None:
    """Build the book into a folder.

    Args:
        out: the folder.
        launch: an address that opens a notebook in the browser once its path is added to it.
        machine: whether to link the digit machine, which `tools/build_machine.py` writes to
            `machine/` in that folder.

    Raises: CalledProcessError for a warning of Sphinx; FileNotFoundError without npm.
    """
    install()
    with tempfile.TemporaryDirectory() as scratch:
        # the book is built there too, since MyST-NB writes notebooks beside what it builds
        pages, built = Path(scratch) / "pages", Path(scratch) / "built"
        lay_out(pages, launch)
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E"]
        if machine:
            command += ["-A", "machine=1"]
        places = ["-c", BOOK, "-d", Path(scratch) / "doctrees", pages, built]
        subprocess.run([*command, *map(str, places)], check=True)
        shutil.copytree(built, out, dirs_exist_ok=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--launch", default="", help="address that opens a notebook by its path")
    parser.add_argument("--machine", action="store_true", help="link OUT/machine/index.html")
    options = parser.parse_args(arguments)
    build(options.out, options.launch, options.machine)


if __name__ == "__main__":
    main()
