"""The pages and the table that a teacher reads: everything is escaped, counted, and legible."""

import csv
import itertools
import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from urllib.parse import unquote

import pytest

from marking import files
from marking.files import write_atomically
from marking.grades import Graded, Row
from marking.groups import Fingerprint
from marking.pages import templates
from marking.report import as_csv, class_page, feedback, feedback_files, write_report
from marking.roster import read_roster
from marking.words import counted, harmless, on_one_line

EVIL = """<script>alert("x")</script> 'q' {{ 7 * 7 }} {% raw %}"""
ESCAPED = "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &#39;q&#39; {{ 7 * 7 }} {% raw %}"
EVIL_ROW = Row(
    EVIL, 0, 2, mistake=EVIL, remark=f"remark {EVIL}", summary=EVIL, explanation=EVIL, message=EVIL
)
EVIL_FORM = Fingerprint(EVIL, (), (), (), 0.1)
EVIL_ROWS = [  # what a teacher says, and what a student's code says
    replace(EVIL_ROW, kind="named", reason=EVIL),
    replace(EVIL_ROW, group=EVIL, code=EVIL, sample=EVIL, reason=EVIL, fingerprint=EVIL_FORM),
]
EVIL_GRADED = Graded(EVIL, EVIL, "key", (EVIL_ROW,), (EVIL,))


def test_everything_is_escaped_on_every_page(tmp_path):
    write_report(tmp_path, [EVIL_GRADED], True)
    (page,) = (tmp_path / "feedback").glob("*.html")
    for path, times in ((page, 8), (tmp_path / "class.html", 11)):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert '"x"' not in text
        assert "49" not in text
        assert text.count(ESCAPED) == times, path


@pytest.mark.parametrize("row", EVIL_ROWS)
def test_groups_and_reasons_are_escaped(tmp_path, row):
    write_report(tmp_path, [replace(EVIL_GRADED, rows=(row,))], True)
    for path in tmp_path.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert '"x"' not in text
        assert "49" not in text
        assert text.count(ESCAPED) >= 8


def test_each_place_of_a_students_page():
    page = feedback("Ada", [EVIL_GRADED])
    assert f"<h2>{ESCAPED}: 0 of 2 points</h2>" in page
    assert f"<p>{ESCAPED}</p>" in page
    assert f"<tr><td><b>{ESCAPED}</b></td>" in page
    assert f"✗ {ESCAPED}<br>{ESCAPED}<br>remark {ESCAPED}</td>" in page


def test_names_of_students_become_names_of_files(tmp_path):
    students = ["Ada Lovelace", "ada/lovelace", "../..", "ADA LOVELACE"]
    write_report(tmp_path, [Graded(student, "n", "k") for student in students], True)
    names = sorted(path.name for path in (tmp_path / "feedback").iterdir())
    assert names == ["ADA_LOVELACE__.html", "Ada_Lovelace.html", "_.html", "ada_lovelace_.html"]


EMOJI = ["🦊", "🐻", "👩🏽\u200d🔬", "❤️", "李 小龙", "Zoë", "Ålesund-Ærø", "أَمِينَة"]


def test_names_of_emoji_and_of_any_alphabet_stay(tmp_path):
    write_report(tmp_path, [Graded(student, "n", "k") for student in EMOJI], True)
    names = {path.name for path in (tmp_path / "feedback").iterdir()}
    assert names == {f"{student.replace(' ', '_')}.html" for student in EMOJI}


def test_no_two_students_share_a_page(tmp_path):
    students = ["Zoë", "Zoe\u0308", "a:b", "a?b", "a\u202eb", "a\ud800b", "?", "*", "x" * 300]
    students += ["x" * 301, "李" * 100, "李" * 101]
    files = feedback_files(students)
    folded = {unicodedata.normalize("NFC", file).casefold() for file in files.values()}
    assert len(folded) == len(students)
    assert all(len(file.encode()) <= 220 for file in files.values())  # file systems allow 255
    write_report(tmp_path, [Graded(student, "n", "k") for student in students], True)
    assert {path.name for path in (tmp_path / "feedback").iterdir()} == set(files.values())
    for student, file in files.items():
        title = student.replace("\ud800", "\\ud800").replace("\u202e", "\\u202e")
        page = (tmp_path / "feedback" / file).read_text(encoding="utf-8")
        assert f"<h1>{title}</h1>" in page


def test_the_class_page_links_to_each_students_page(tmp_path):
    students = ["Ada Lovelace", "🦊", "100%", "a#b"]
    rows = (Row("solve.roots", 2, 3), Row("solve.by_hand", 1, 1))
    graded = [Graded(student, f"n{place}", "k", rows) for student in students for place in (1, 2)]
    write_report(tmp_path, graded, True)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    links = re.findall(
        r'<tr><td><a href="([^"]+)">([^<]+)</a></td><td class="number">([^<]+)<', page
    )
    assert [(student, points) for _, student, points in links] == [
        (student, "6 of 8 points") for student in students
    ]
    for link, student, _ in links:
        linked = (tmp_path / unquote(link)).read_text(encoding="utf-8")
        assert f"<h1>{student}</h1>" in linked
        assert "#" not in link


def test_remarks_of_single_answers_stand_on_the_class_page():
    rows = (Row("solve.roots", 0, 3, remark="not passed to check"), Row("solve.by_hand", 1, 1))
    page = class_page([Graded("Ada", "n", "k", rows), Graded("Ben", "n", "k", rows[1:])], True)
    remarks = page.partition("<h2>Remarks</h2>")[2]
    assert "<b>Ada</b></td><td>n</td><td>solve.roots: not passed to check</td>" in remarks
    assert "Ben" not in remarks
    both = class_page([Graded("Ada", "n", "k", rows, ("tried to import x",))], True)
    assert "<td>tried to import x; solve.roots: not passed to check</td>" in both


def cells_of(folder):
    with (folder / "grades.csv").open(newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_of_the_table_is_a_formula(tmp_path, sign):
    row = Row("solve.roots", 0, 3, mistake=f"{sign}2", remark=f"\t{sign}3")
    write_report(tmp_path, [Graded(f"{sign}1", f"\n {sign}a\nb", "k", (row,))], True)
    cells = cells_of(tmp_path)
    assert cells["student"] == f"'{sign}1"
    assert cells["notebook"] == f"'{sign}a b"
    assert cells["mistake"] == f"'{sign}2"
    assert cells["remark"] == f"'{sign}3"
    assert cells["points"] == "0"


def test_signs_inside_a_cell_stay(tmp_path):
    write_report(tmp_path, [Graded("Anna-Lena", "a\nb", "k", remarks=("1 + 1 = 2", "@x"))], True)
    cells = cells_of(tmp_path)
    assert cells["student"] == "Anna-Lena"
    assert cells["notebook"] == "a b"
    assert cells["remark"] == "1 + 1 = 2; @x"


SIGNS = ["=", "+", "-", "@", "\t=", "\r=", "\n+", "＝", "＋", "－", "＠", "\ufeff=", "\x00-"]


@pytest.mark.parametrize("sign", SIGNS)
def test_no_cell_of_any_table_is_a_formula_or_steers_a_terminal(tmp_path, sign):
    words = f"{sign}cmd|' /C calc'!A0\x1b]0;x\x07\u202egnp.exe\u2066\u200f\x9b2J"
    row = Row("solve.roots", 0, 3, mistake=words, remark=words, group=words, reason=words)
    graded = [Graded(words, words, "k", (row,), (words,)), Graded(f"{words} 2", words, "k2")]
    graded += [Graded(f"{words} 3", "", "", remarks=(words,), absent=True)]
    graded += [Graded(f"{words} 4", "", "k4", remarks=(words,), broken=True)]
    write_report(tmp_path, graded, True)
    tables = sorted(tmp_path.glob("*.csv"))
    assert [path.name for path in tables] == ["grades.csv", "totals.csv"]
    for path in tables:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
        assert len(lines) == 5
        for cell in itertools.chain.from_iterable(lines):
            assert not cell.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r"))
            assert cell.isprintable()
    for path in (tmp_path / "feedback").iterdir():
        assert path.name.isprintable()


@pytest.mark.parametrize("name", ["=Ann", "-Bo Ek", "+1", "@dan", "'t Hooft", "’Abd", "Ann=Marie"])
def test_a_name_from_a_table_is_the_same_in_a_roster(tmp_path, name):
    path = tmp_path / "roster.csv"
    path.write_text(as_csv(("id", "name"), [("@17", name), ("18", "Ada")]), encoding="utf-8")
    assert [(one.name, one.ids) for one in read_roster(path)] == [
        (name, ("@17",)),
        ("Ada", ("18",)),
    ]


def test_what_joins_letters_and_emoji_stays():
    for name in (
        *EMOJI,
        "نام\u200cخانوادگی",
        "ಕ್\u200dರ",
        "🏴\U000e0067\U000e0062\U000e007f",
        "a\tb\nc",
    ):
        assert harmless(name) == name
    assert harmless("a\r\nb") == "a\nb"
    assert on_one_line(" a\r\nb\u2028c\x1b ") == r"a b c\x1b"


def test_whose_numbers_they_were_is_said_on_every_page(tmp_path):
    remark = "the numbers belong to 'Emmy Noether'"
    row = Row("solve.by_hand", 1, 1, summary="right", remark=remark)
    write_report(tmp_path, [Graded("Ada", "n", "k", (row,))], True)
    assert cells_of(tmp_path)["remark"] == remark
    for path in (tmp_path / "class.html", tmp_path / "feedback" / "Ada.html"):
        assert "the numbers belong to &#39;Emmy Noether&#39;" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("whole", range(5))  # of the five files before the one that fails
def test_a_report_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch, whole):
    """As when the disk is full: no file of a new report stands beside those of the old one."""
    left = iter(range(whole))

    def fill_up(_descriptor):
        if next(left, None) is None:
            raise OSError("no space left on device")

    write_report(tmp_path, [Graded("Ada", "old.ipynb", "k", remarks=("old",))], True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    monkeypatch.setattr(files.os, "fsync", fill_up)
    with pytest.raises(OSError, match="no space left"):
        write_report(tmp_path, [Graded("Ada", "new.ipynb", "k", remarks=("new",))], False)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert after == before


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "deeper" / "grades.csv"
    write_atomically(path, "old")
    seen = []
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: seen.append(path.read_text()))
    old = path.stat().st_ino
    write_atomically(path, "new")
    assert seen == ["old"]
    assert path.stat().st_ino != old  # another file has taken its name
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_one_of_a_kind_is_said_in_the_singular():
    page = class_page(answers(1, 0, 0), True)
    assert "<p>1 notebook of 1 student.</p>" in page
    one = (Row("solve.by_hand", 0, 1),)
    assert "<h2>n: 0 of 1 point</h2>" in feedback("Ada", [Graded("Ada", "n", "k", one)])
    assert "0 of 1 point<" in class_page([Graded("Ada", "n", "k", one)], True)
    assert counted(0, "point") == "0 points"
    assert counted(2, "point") == "2 points"


def test_a_mistake_of_no_bank_is_a_sentence_of_its_own():
    row = Row("solve.roots", 0, 3, mistake="you leave out <a>", summary="the result is wrong")
    page = feedback("Ada", [Graded("Ada", "n", "k", (row,))])
    assert "✗ the result is wrong<br>You leave out &lt;a&gt;.</td>" in page
    assert "A known mistake" not in page


def answers(right, mistaken, other):
    rows = [Row("solve.roots", 3, 3, summary="right")] * right
    rows += [
        Row("solve.roots", 0, 3, mistake="the sign of b", summary="wrong", kind="known mistake")
    ] * mistaken
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


def test_what_is_known_of_an_answer_is_told_apart():
    rows = [
        Row("solve.roots", 3, 3),
        Row("solve.roots", 0, 3, mistake="the sign of b", kind="known mistake"),
        *[Row("solve.roots", 0, 3, mistake="you add", kind="changed formula")] * 2,
        Row("solve.roots", 0, 3, mistake="twice the right one", kind="related result"),
        Row("solve.roots", 0, 3, mistake="as in class", kind="named"),
        Row("solve.roots", 1, 3, mistake="as in class", kind="named", reason="as in class"),
        Row("solve.roots", 0, 3, summary="the result is wrong", kind="unexplained"),
    ]
    page = class_page([Graded(f"s{n}", "n", f"{n}", (row,)) for n, row in enumerate(rows)], True)
    counts = re.findall(r'class="swatch (\w+)"></span> (.*?)</span>', page)
    assert counts == [
        ("solved", "1 solved"),
        ("mistaken", "1 made a known mistake"),
        ("named", "2 in a group that you named"),
        ("explained", "3 explained by their numbers"),
        ("other", "1 otherwise wrong, or not written"),
    ]
    assert "solve.roots: 1 of 8 solved it" in page
    one = class_page([Graded("s", "n", "k", (rows[2],))], True)
    assert "1 explained by its numbers" in one
    assert "in a group that you named" not in one


@pytest.mark.parametrize("contained", [True, False])
def test_a_report_says_whether_submissions_were_contained(tmp_path, contained):
    write_report(tmp_path, answers(1, 0, 0), contained)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert ("<b>Not contained:</b>" in page) == (not contained)


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
    parts = ("solved", "mistaken", "named", "explained", "other")
    bars = dict(re.findall(rf"\.({'|'.join(parts)}) \{{ background: (#\w{{6}}) \}}", source))
    assert [bars[part] for part in parts[:4]] == ["#009E73", "#D55E00", "#F0E442", "#0072B2"]
    # the neighbours in a bar differ in lightness too, which every eye sees
    assert contrast(bars["mistaken"], bars["other"]) > 2
    assert all(contrast(bars[a], bars[b]) > 2 for a, b in pairwise(parts[1:]))
