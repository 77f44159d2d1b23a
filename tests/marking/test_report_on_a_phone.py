"""The pages of a report fit a phone, whatever the class is called and writes."""

import shutil
from dataclasses import replace

import pytest

from marking.grades import Graded, Row
from marking.groups import Fingerprint
from marking.report import write_report

sync_api = pytest.importorskip("playwright.sync_api")
WIDTH = 390
NAMES = (
    "Ada Lovelace",
    "x" * 300,
    "ก" * 81,
    "กำ" * 40,
    "李" * 100,
    "Wolfeschlegelsteinhausenbergerdorff-" * 4,
    "<img src=x onerror=alert(1)>" + "<b>" * 40,
    "\u202emoc.live\u202c " * 10,
    "\u200fשלום עולם\u200f" * 12,
    "محمد عبد الله " * 12,
    "one\ntwo\r\nthree\u2028four\tfive\x1b[2J\x00\x07",
    "=HYPERLINK(" + "A" * 200 + ")",
    "👩🏽\u200d🔬" * 60,
    "a/b\\c" * 50,
)
LONG = "0123456789abcdef" * 40
ROW = Row("solve.roots", 1, 3, summary="wrong")
FORM = Fingerprint("solve.roots", (), (), (), 0.1)


def rows(words):
    """Rows of every kind, with the words wherever a student's may stand."""
    return (
        replace(ROW, mistake=words, explanation=words, message=words, kind="known mistake"),
        replace(ROW, exercise="solve.vertex", summary=words, remark=words, line=words),
        replace(ROW, exercise="solve.by_hand", remark=f"the numbers belong to {words!r}"),
        replace(ROW, exercise="solve.tall", mistake=words, kind="named", reason=words),
        replace(
            ROW,
            exercise="solve.wide",
            group=f"solve.wide/{words}",
            code=f"def f():\n    return {words}",
            sample=words,
            fingerprint=FORM,
        ),
    )


@pytest.fixture(scope="module")
def browser():
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    graded = [
        Graded(name, f"{name}_{LONG}.ipynb", f"key {place}", rows(words), (words, LONG))
        for place, name in enumerate(NAMES)
        for words in [NAMES[(place + 1) % len(NAMES)]]
    ]
    graded += [Graded(f"{name} 2", "", "", absent=True) for name in NAMES]
    write_report(out, graded, False)
    return out


def pages(report):
    return [report / "class.html", *sorted((report / "feedback").iterdir())]


def test_no_page_scrolls_sideways(report, browser):
    page = browser.new_page(viewport={"width": WIDTH, "height": 800})
    assert len(pages(report)) == len(NAMES) + 1
    for path in pages(report):
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= WIDTH, path.name
        cut_off = page.evaluate(
            """Array.from(document.querySelectorAll('h1, h2, p, li, td, th, summary'))
            .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5)
            .map(one => one.outerHTML.slice(0, 200))"""
        )
        assert cut_off == [], path.name
    page.close()


def test_no_name_is_markup_or_moves_what_stands_beside_it(report, browser):
    page = browser.new_page(viewport={"width": WIDTH, "height": 800})
    said = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    for path in pages(report):
        page.goto(path.as_uri())
        assert page.locator("img, script").count() == 0
        text = page.evaluate("document.documentElement.innerText")
        for unseen in "\u202e\u202c\u200f\x1b\x00\x07":
            assert unseen not in text, path.name
    assert said == []
    page.goto((report / "class.html").as_uri())
    text = page.locator("body").inner_text()
    assert r"\u202emoc.live\u202c" in text
    assert r"one two three\u2028four five\x1b[2J\x00\x07" in text
    page.close()
