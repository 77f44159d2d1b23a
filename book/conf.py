"""How Sphinx builds the book from what `tools/build_book.py` has laid out for it."""

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from minddpm import __version__  # noqa: E402

project = "minddpm"
author = "The minddpm authors"
copyright = "The minddpm authors"
release = version = __version__
language = "en"
exclude_patterns = ["downloads"]  # exercises as they are handed out

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "rendering",
    "docstrings",
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
nb_execution_mode = "off"  # what is stored was run and compared by the tests
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
math_numfig = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and ranges
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
autosummary_generate = True
templates_path = [str(HERE / "templates")]

html_theme = "sphinx_book_theme"
html_title = "minddpm"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = [(f"{name}.js", {"defer": "defer"}) for name in ("prediction", "found", "paper")]
html_math_renderer = "katex"
html_sidebars = {"**": ["navbar-logo", "search-button-field", "machine", "sbt-sidebar-nav"]}
html_use_index = False  # the reference is in the order of the lessons, and the search finds names
html_domain_indices = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navbar_persistent": [],  # the sidebar has the search
    "use_download_button": False,
    "use_fullscreen_button": False,
}


def name_by_text(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    """Let folded cells be named by the text that is seen, as people say it to their computers."""
    if "body" in context:
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("html-page-context", name_by_text)
