"""What is wrong on a page of text: links, paths, commands and options that it names."""

import argparse
import fnmatch
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

FOLDERS = (  # where the paths begin that pages name
    *("minddpm", "marking", "minddpm_course", "tests", "honest", "lab", "tools", "benchmarks"),
    *("docs", "notebooks", "exercises", "solutions", ".ci", ".github"),
)
SOURCES = (".py", ".md", ".toml", ".yml", ".cff", ".ipynb")
# written by a command, in a folder that the reader chooses
MADE = {
    "nbgrader_config.py",
    "~/.jupyter/nbgrader_config.py",
    "source/NN_name/NN_name.ipynb",
    ".ipynb",
}
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def spans(page: str) -> list[str]:
    """The words of a page that stand between backticks, code blocks left out."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", page))


def blocks(page: str) -> list[str]:
    """The lines of the code blocks of a page, those in Python left out."""
    return [
        line.strip()
        for _, language, block in FENCE.findall(page)
        if language != "python"
        for line in block.splitlines()
    ]


def anchors(page: str) -> set[str]:
    """What the links to headings of a page are called, as GitHub does it."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", page)):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        while slug in found:  # a second heading of the same words is numbered
            base, _, number = slug.rpartition("-")
            slug = f"{base}-{int(number) + 1}" if number.isdecimal() else f"{slug}-1"
        found.add(slug)
    return found


def notebook_anchors(notebook: str) -> set[str]:
    """What the links to headings of a notebook are called, as JupyterLab and nbconvert do it: the
    words of the heading, joined by hyphens.
    """
    cells = [cell for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "markdown"]
    texts = (FENCE.sub("", "".join(cell["source"])) for cell in cells)
    return {heading.replace(" ", "-") for text in texts for heading in HEADING.findall(text)}


def dead_links(path: Path) -> Iterator[str]:
    """The links and pictures of a page that lead to no file, or to no heading of it."""
    for link in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        headings = notebook_anchors if target.suffix == ".ipynb" else anchors
        if not target.exists() or (
            anchor and anchor not in headings(target.read_text(encoding="utf-8"))
        ):
            yield link


def dead_paths(page: str, root: Path) -> Iterator[str]:
    """The files and folders of the repository that a page names and that are not there.

    NN stands for two digits, NN_name for a lesson, and a file's bare name for a file anywhere.
    """
    names = {path.name for path in root.iterdir()}
    names |= {path.name for folder in FOLDERS for path in (root / folder).rglob("*")}
    words = [word for text in [*spans(page), *blocks(page)] for word in text.split()]
    for word in words:
        if word in MADE or not re.fullmatch(r"[\w.*~/-]+", word) or word.startswith("/"):
            continue
        pattern = word.replace("NN_name", "[0-9][0-9]_*").replace("NN", "[0-9][0-9]").rstrip("/")
        if "/" in word and (word.startswith(FOLDERS) or word.endswith(SOURCES)):
            if not any(root.glob(pattern)):
                yield word
        elif word.endswith(SOURCES):
            if not fnmatch.filter(names, pattern):
                yield word


def parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, by name."""
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return dict(commands.choices)


def refused(line: str, parser: argparse.ArgumentParser) -> str:
    """Why a command line of a page is refused, or nothing."""
    words = shlex.split(re.sub(r"\$\(.*?\)", "0", line), comments=True)
    try:
        parser.parse_args(words[words.index("minddpm") + 1 :])
    except (SystemExit, argparse.ArgumentError) as error:
        return f"{line}: {error}" if not isinstance(error, SystemExit) or error.code else ""
    return ""


def wrong_commands(page: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """The command lines of minddpm on a page that it does not take, and options of no command.

    Between backticks a command may stand without all that it needs, but with nothing that it does
    not know.
    """
    commands = parsers(parser)
    for line in blocks(page):
        if line.startswith(("minddpm ", "python -m minddpm ")) and (why := refused(line, parser)):
            yield why
    for span in spans(page):
        words = span.removeprefix("python -m ").split()
        if words[0] == "minddpm":
            words = words[1:]
        elif words[0] not in commands and not words[0].startswith("--"):
            continue
        known = parser._option_string_actions.keys()
        if words and words[0] in commands:
            known |= commands[words.pop(0)]._option_string_actions.keys()
        elif words and words[0].startswith("--"):
            known |= {name for one in commands.values() for name in one._option_string_actions}
        elif words:
            yield span
        for word in words:
            if word.startswith("--") and word not in known:
                yield span


def wrong_tools(page: str, root: Path) -> Iterator[str]:
    """The command lines of a tool on a page with a word that its source does not know."""
    for line in [*blocks(page), *spans(page)]:
        if called := re.match(r"(?:PYTHONPATH=. )?python (tools/\w+\.py)(.*)", line):
            path = root / called[1]
            source = path.read_text(encoding="utf-8") if path.exists() else ""
            for word in shlex.split(called[2], comments=True):
                if re.fullmatch(r"--[\w-]+|[a-z]+", word) and f'"{word}"' not in source:
                    yield line
