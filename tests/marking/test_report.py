"""The pages and the table that a teacher reads: everything is escaped, counted, and legible."""

import csv
import re

from marking.grades import Graded, Row
from marking.pages import templates
from marking.report import class_page, feedback, write_report

EVIL = """<script>alert("x")</script> 'q' {{ 7 * 7 }} {% raw %}"""
ESCAPED = "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &#39;q&#39; {{ 7 * 7 }} {% raw %}"
EVIL_ROW = Row(
    EVIL, 0, 2, mistake=EVIL, remark=f"remark {EVIL}", summary=EVIL, explanation=EVIL, message=EVIL
)
EVIL_GRADED = Graded(EVIL, EVIL, "key", (EVIL_ROW,), (EVIL,))


def test_everything_is_escaped_on_every_page(tmp_path):
    write_report(tmp_path, [EVIL_GRADED], True)
    (page,) = (tmp_path / "feedback").glob("*.html")
    for path, times in ((page, 9), (tmp_path / "class.html", 8)):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert '"x"' not in text
        assert "49" not in text
        assert text.count(ESCAPED) == times, path


def test_each_place_of_a_students_page():
    page = feedback("Ada", [EVIL_GRADED])
    assert f"<h2>{ESCAPED}: 0 of 2 points</h2>" in page
    assert f"<p>{ESCAPED}</p>" in page
    assert f"<tr><td><b>{ESCAPED}</b></td>" in page
    assert f"✗ {ESCAPED}<br>A known mistake: {ESCAPED}. {ESCAPED}<br>remark {ESCAPED}</td>" in page


def test_names_of_students_become_names_of_files(tmp_path):
    students = ["Ada Lovelace", "ada/lovelace", "../..", "ADA LOVELACE"]
    write_report(tmp_path, [Graded(student, "n", "k") for student in students], True)
    names = sorted(path.name for path in (tmp_path / "feedback").iterdir())
    assert names == ["ADA_LOVELACE__.html", "Ada_Lovelace.html", "_.html", "ada_lovelace_.html"]


def test_no_cell_of_the_table_is_a_formula(tmp_path):
    write_report(tmp_path, [Graded("=1+1", "a\nb", "k", remarks=("@x", "y"))], True)
    with (tmp_path / "grades.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["student"] == "'=1+1"
    assert row["notebook"] == "a b"
    assert row["remark"] == "'@x; y"


def test_a_mistake_of_no_bank_is_a_sentence_of_its_own():
    row = Row("solve.roots", 0, 3, mistake="you leave out <a>", summary="the result is wrong")
    page = feedback("Ada", [Graded("Ada", "n", "k", (row,))])
    assert "✗ the result is wrong<br>You leave out &lt;a&gt;.</td>" in page
    assert "A known mistake" not in page


def answers(right, mistaken, other):
    rows = [Row("solve.roots", 3, 3, summary="right")] * right
    rows += [Row("solve.roots", 0, 3, mistake="the sign of b", summary="wrong")] * mistaken
    rows += [Row("solve.roots", 0, 3, summary="the result is wrong, off by up to 0.5")] * other
    return [Graded(f"s{place}", "n", f"k{place}", (row,)) for place, row in enumerate(rows)]


def test_the_class_page_counts_who_solved_what():
    page = class_page(answers(5, 2, 1), True)
    assert "<p>8 notebooks of 8 students.</p>" in page
    for words in ("5 solved", "2 made a known mistake", "1 otherwise wrong, or not written"):
        assert words in page
    widths = re.findall(r'<div class="(\w+)" style="width: ([\d.]+)%">', page)
    assert widths == [("solved", "62.5"), ("mistaken", "25.0"), ("other", "12.5")]
    assert "<li>solve.roots: the sign of b (2)</li>" in page
    assert '<tr><td>the sign of b</td><td class="number">2</td></tr>' in page
    assert '<tr><td>the result is wrong</td><td class="number">1</td></tr>' in page
    assert "Not contained" not in page
    assert "Remarks" not in page
    assert "<b>Not contained:</b>" in class_page([], False)


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_pages_are_legible_on_a_telephone_and_with_any_colour_vision():
    source, _, _ = templates().loader.get_source(templates(), "page.html")
    ink, paper = re.search(r"color: (#\w{6}); background: (#\w{6})", source).groups()
    assert contrast(ink, paper) >= 4.5
    assert not re.search(r"[^-]color: ", source.replace(f"color: {ink}", "", 1))  # all text is ink
    assert 'content="width=device-width' in source
    bars = dict(re.findall(r"\.(solved|mistaken|other) \{ background: (#\w{6}) \}", source))
    okabe_ito = {"#009E73", "#D55E00"}
    assert {bars["solved"], bars["mistaken"]} == okabe_ito
    # the neighbours in a bar differ in lightness too, which every eye sees
    assert contrast(bars["mistaken"], bars["other"]) > 2
