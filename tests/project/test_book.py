"""The web book is whole: its links, its search, its formulas, its size, and nothing from afar."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest
from book_pages import dead_links, from_afar, pages_of, repeated_ids

ROOT = Path(__file__).parents[2]
MOST_BYTES = 25_000_000  # of all files, each gzipped
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def pages(book):
    return pages_of(book)


@pytest.fixture(scope="module")
def index(book):
    """Sphinx's search index."""
    text = (book / "searchindex.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))


def found_in(index, word):
    """The pages whose text or title has a word, given by its stem."""
    found = []
    for kind in ("terms", "titleterms"):
        numbers = index[kind].get(word, [])
        found += numbers if isinstance(numbers, list) else [numbers]
    return {index["docnames"][number] for number in found}


def test_links_and_anchors_lead_somewhere(pages):
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert list(dead_links(pages)) == []


def test_every_page_leads_to_the_digit_machine(book, pages):
    own = set(pages) - {book / "machine" / "index.html"}
    assert all(
        any(link.endswith("machine/index.html") for link in pages[path].links) for path in own
    )


def test_no_id_occurs_twice_on_a_page(pages):
    assert list(repeated_ids(pages)) == []


def test_nothing_is_fetched_from_afar(book, pages):
    assert list(from_afar(book, pages)) == []


def test_nothing_is_left_beside_the_book(book):
    assert list(book.parent.iterdir()) == [book]


def test_every_lesson_exercise_and_page_is_there(pages, book):
    written = {path.relative_to(book).with_suffix("").as_posix() for path in pages}
    for folder in ("notebooks", "exercises", "solutions", "docs"):
        sources = [*(ROOT / folder).glob("*.ipynb"), *(ROOT / folder).glob("*.md")]
        assert sources
        assert {f"{folder}/{path.stem}" for path in sources} <= written


@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_each_figure_of_a_lesson_is_shown_once(book, path):
    outputs = [
        output
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    page = (book / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    assert page.count("<figure style=") == len(outputs)
    assert "data:image/png" not in page


def test_formulas_are_rendered(book):
    page = (book / "notebooks" / "03_posterior.html").read_text(encoding="utf-8")
    assert page.count('class="katex"') > 50
    assert page.count("<math") == page.count('class="katex"')
    text = re.sub(r"<annotation.*?</annotation>|<pre.*?</pre>|<img[^>]*>", "", page, flags=re.S)
    assert "\\frac" not in text


def test_a_formula_or_graph_with_a_mistake_is_said(book):
    wrong = [{"formula": r"\frac{1}", "display": False}, {"graph": "digraph {"}]
    right = {"formula": "x_0", "display": False}
    asked = "".join(f"{json.dumps(one)}\n" for one in [*wrong, right])
    command = ["node", ROOT / "book" / "render.mjs"]
    told = subprocess.run(command, input=asked, capture_output=True, encoding="utf-8", check=True)
    kinds = [list(json.loads(line)) for line in told.stdout.splitlines()]
    assert kinds == [["error"], ["error"], ["html"]]


def test_a_reply_is_in_no_text_and_no_index(book, index):
    page = (book / "exercises" / "03_posterior.html").read_text(encoding="utf-8")
    reply = "1 is about the variance at the other end"
    assert reply in page
    assert reply not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert "exercises/03_posterior" in found_in(index, "predict")
    assert not any(name.startswith("solutions/") for name in found_in(index, "predict"))


def test_an_exercise_can_be_downloaded_as_it_is_handed_out(book):
    page = (book / "exercises" / "03_posterior.html").read_text(encoding="utf-8")
    (link,) = re.findall(r'href="(\.\./_downloads/[^"]+/03_posterior\.ipynb)"', page)
    handed_out = (ROOT / "exercises" / "03_posterior.ipynb").read_bytes()
    assert (book / "exercises" / link).read_bytes() == handed_out


def test_a_word_is_found_in_the_lesson_that_defines_it(index):
    assert "notebooks/01_schedule" in found_in(index, "timestep")
    assert "notebooks/03_posterior" in found_in(index, "posterior")


def test_the_reference_has_all_that_is_exported(book):
    import minddpm

    reference = "".join(path.read_text(encoding="utf-8") for path in (book / "api").glob("*.html"))
    for name in set(minddpm.__all__) - {"__version__"}:
        assert re.search(rf'id="minddpm\.\w+\.{name}"', reference), name


def test_the_whole_book_is_small(book):
    files = [path for path in book.rglob("*") if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < MOST_BYTES


PAGE = """<h1 id="top">A page</h1><p id="top"><a href="#top">right</a> <a href="#none">wrong</a>
<a href="other.html#there">right</a> <a href="other.html#not">wrong</a> <a href="no.html">wrong</a>
<a href="https://example.org/">right</a> <script src="https://example.org/a.js"></script>
<img src="data:image/webp;base64,AA"></p>"""


def test_what_is_wrong_with_a_page_is_seen(tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "other.html").write_text('<p id="there"></p>')
    (tmp_path / "a.css").write_text("@import 'b.css'; p {background: url(https://c.org/d.png)}")
    pages = pages_of(tmp_path)
    wrong = ["#none", "other.html#not", "no.html"]
    assert list(dead_links(pages)) == [f"page.html: {link}" for link in wrong]
    assert list(repeated_ids(pages)) == ["page.html: top"]
    afar = ["page.html: https://example.org/a.js", "a.css: b.css", "a.css: https://c.org/d.png"]
    assert list(from_afar(tmp_path, pages)) == afar
