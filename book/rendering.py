"""Formulas and flowcharts as HTML and SVG, made when the book is built: pages need no script for
them, and a formula that KaTeX does not know stops the build.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parent
KATEX = HERE / "node_modules" / "katex" / "dist"
LOG = logging.getLogger(__name__)

# the few forms of Mermaid's flowcharts that the course uses
GROUP = re.compile(r'subgraph (\w+)\["(.+)"\]')
BOX = re.compile(r'(\w+)\["(.+)"\]')
ARROW = re.compile(r"(\w+) --> (\w+)")


class Renderer:
    """Node with `render.mjs`, started when it is first needed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, **request: Any) -> str:
        """Ask for HTML. Raises: ValueError with the renderer's message."""
        if self.process is None:
            self.process = subprocess.Popen(
                ["node", str(HERE / "render.mjs")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise ExtensionError(f"node ended while it rendered {request}")
        answer: dict[str, str] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["html"]

    def close(self, *_: Any) -> None:
        """End it."""
        if self.process is not None:
            self.process.communicate()
            self.process = None


rendered = Renderer()


def visit_math(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula; one that stands alone may be scrolled sideways, also from the keyboard."""
    display = isinstance(node, nodes.math_block)
    try:
        formula = rendered(formula=node.astext(), display=display)
    except ValueError as error:
        LOG.warning("%s: %s", error, node.astext(), location=node)
        formula = html.escape(node.astext())
    if display:
        formula = (
            f'<div class="formula" role="group" aria-label="formula" tabindex="0">{formula}</div>'
        )
    translator.body.append(formula)
    raise nodes.SkipNode


def graph_of(flowchart: str) -> str:
    """A flowchart of Mermaid in the language of Graphviz.

    Raises: ValueError for a line of another form.
    """
    lines: list[str] = []
    boxes: list[str] = []
    groups: list[int] = []  # how many boxes stand before each
    for line in map(str.strip, flowchart.splitlines()):
        if group := GROUP.fullmatch(line):
            lines.append(f'subgraph cluster_{group[1]} {{ label="{group[2]}"')
            groups.append(len(boxes))
        elif box := BOX.fullmatch(line):
            lines.append(f'{box[1]} [label="{box[2]}"]')
            boxes.append(box[1])
        elif arrow := ARROW.fullmatch(line):
            lines.append(f"{arrow[1]} -> {arrow[2]}")
        elif line == "end":
            lines.append("}")
        elif line not in ("", "flowchart TD"):
            raise ValueError(f"no line of a flowchart that can be drawn: {line}")
    # each group below the one before, so that the whole is narrow
    lines += [f"{boxes[at - 1]} -> {boxes[at]} [style=invis]" for at in groups if at]
    # book.css shows the words smaller, so that those of a wider font than Arial fit as well
    words = 'fontname="Arial", fontsize=14'
    style = (
        f"graph [newrank=true, bgcolor=transparent, nodesep=0.12, ranksep=0.3, {words}];"
        f'node [shape=box, style=rounded, height=0.3, margin="0.08,0.03", {words}];'
        "edge [arrowsize=0.6];"
    )
    return f"digraph {{ {style} {' '.join(f'{line};' for line in lines)} }}"


class Flowchart(SphinxDirective):
    """A flowchart of Mermaid, drawn as SVG in the colour of the text."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Draw it."""
        try:
            svg = rendered(graph=graph_of("\n".join(self.content)))
        except ValueError as error:
            raise self.error(str(error)) from None
        svg = svg[svg.index("<svg") :]
        box = f'<div class="flowchart" role="group" aria-label="map" tabindex="0">{svg}</div>'
        return [nodes.raw("", box, format="html")]


def copy_katex(app: Sphinx) -> None:
    """Put KaTeX's styles and fonts beside the book's own, in the one format that browsers need."""
    styles = (KATEX / "katex.min.css").read_text(encoding="utf-8")
    styles = re.sub(r',url\(fonts/[\w-]+\.(?:woff|ttf)\) format\("\w+"\)', "", styles)
    folder = Path(app.outdir) / "_static" / "katex"
    shutil.copytree(KATEX / "fonts", folder / "fonts", ignore=unneeded, dirs_exist_ok=True)
    (folder / "katex.css").write_text(styles, encoding="utf-8")


def unneeded(_: str, names: list[str]) -> list[str]:
    """The fonts in formats for browsers of the past."""
    return [name for name in names if not name.endswith(".woff2")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add all of it to Sphinx."""
    if not KATEX.is_dir():
        raise ExtensionError(f"{KATEX} is missing: run `npm ci` in {HERE}")
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math, None))
    app.add_css_file("katex/katex.css")
    app.add_directive("mermaid", Flowchart)
    app.connect("builder-inited", copy_katex)
    app.connect("build-finished", rendered.close)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
