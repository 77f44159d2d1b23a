"""What a teacher says in a file about wrong answers: told to everyone, or refused in words."""

import csv
import json
import re
from dataclasses import replace

import pytest
from quadratics import COURSE
from results_files import as_line, read_results
from test_groups import ONE, OTHERS, SEVEN, found

from marking.diagnosis import KNOWN
from marking.engine import judge
from marking.grader import row_of
from marking.grades import Graded, Row
from marking.groups import BORDER, identifiers
from marking.names import numbers_beside, read_names, with_groups
from marking.notebook import call_here
from marking.report import write_report

NAME = ONE.name


def row_with(answer):
    """The grade of an answer, with what it computes, as the grader makes it."""
    verdict = judge(ONE, lambda args: call_here(answer, args), 5)
    row = row_of(ONE, verdict, "")
    if row.kind in ("", KNOWN):
        return row
    made, sample = found(answer)
    return replace(row, fingerprint=made, sample=sample, code="code")


def a_class(**answers):
    return [Graded(student, "n", student, (row_with(one),)) for student, one in answers.items()]


@pytest.fixture(scope="module")
def graded():
    return a_class(
        ada=SEVEN["plain"],
        ben=SEVEN["float64"],
        cleo=OTHERS[0],
        dan=lambda a, b, c: (b**2 - 4 * a * c) * 1.5,
        eve=ONE.reference,
        fay=ONE.mistakes[0].wrong,
    )


@pytest.fixture
def file(tmp_path):
    """Writes the file of names; returns its path."""

    def write(text, name="names.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rows(graded, names=None):
    said = names and read_names(COURSE, names)
    return {one.student: one.rows[0] for one in with_groups(graded, said)}


def test_everyone_in_a_group_is_told_its_name(graded, file):
    plain = rows(graded)
    assert plain["ada"].group == plain["ben"].group != plain["cleo"].group
    # a known mistake has its name, and a right answer needs none
    assert all(re.fullmatch(rf"{NAME}/[0-9a-f]{{6}}", plain[who].group) for who in ("ada", "dan"))
    names = file(f'# what I saw\n\n  {plain["ada"].group} = "You take 7 a. Say "b^2 - 4 a c"."\r\n')
    told = rows(graded, names)
    for student in ("ada", "ben"):
        assert told[student].mistake == 'You take 7 a. Say "b^2 - 4 a c".'
        assert told[student].kind == "named"
        assert told[student].points == 0
    for student in ("cleo", "dan", "eve", "fay"):
        assert told[student] == plain[student]
    assert plain == rows(graded)  # a line that is taken away says nothing any more


def test_a_named_group_is_recognised_in_a_later_class(graded, file):
    names = file(f'{rows(graded)["ada"].group} = "sevens"')
    rows(graded, names)
    later = a_class(zoe=SEVEN["numpy"], yan=OTHERS[1])
    assert {who: row.mistake for who, row in rows(later, names).items()}["zoe"] == "sevens"
    assert rows(a_class(yan=OTHERS[1]), names)["yan"].kind != "named"  # nobody is in it: no error
    # the file alone will do where somebody is in it
    numbers_beside(names).unlink()
    assert rows(later, names)["zoe"].mistake == "sevens"


def test_a_named_group_is_recognised_where_it_would_be_called_otherwise(graded, file):
    """On a machine that rounds otherwise."""
    plain = rows(graded)["ada"]
    middle = plain.fingerprint
    moved = plain
    for step in range(1, 20_000):
        numbers = tuple(number + 1e-6 * step for number in middle.numbers)
        moved = replace(plain, fingerprint=replace(middle, numbers=numbers), group="")
        here, *others = identifiers(NAME, moved.fingerprint)
        if others:
            break
    elsewhere = next(other for other in others if other != here)
    only = [Graded("ada", "n", "k", (moved,))]
    assert rows(only, file(f'{NAME}/{elsewhere} = "sevens"'))["ada"].mistake == "sevens"
    both = file(f'{NAME}/{elsewhere} = "sevens"\n{NAME}/{here} = "once more"', "both.txt")
    with pytest.raises(ValueError, match=r"line 2: expected each group once, and line 1 is about"):
        rows(only, both)
    assert BORDER > 0


def test_parts_of_credit_have_their_reason_beside_them(graded, file, tmp_path):
    plain = rows(graded)
    names = file(
        f'{plain["ada"].group} = 1, "right but for the factor"\n'
        f'{NAME}/plus for minus = 0.5, "=the sign alone"\n'
        f'{NAME}/related result = 2, "as good as right"\n'
        f'solve.by_hand/the half is missing = .5, "half"\n'
        f'graph.which_way/A = 0, "no"\n'
    )
    more = [
        Row("solve.by_hand", 0, 1, mistake="the half is missing", kind="known mistake"),
        Row("graph.which_way", 0, 1, mistake="A: up", kind="known mistake", explanation="No."),
        Row("graph.parabola", 3, 3),
    ]
    every = [*graded, Graded("gus", "n", "gus", tuple(more))]
    done = with_groups(every, read_names(COURSE, names))
    points = {one.student: [row.points for row in one.rows] for one in done}
    assert points == {
        "ada": [1],
        "ben": [1],
        "cleo": [0],
        "dan": [2],
        "eve": [2],
        "fay": [0.5],
        "gus": [0.5, 0, 3],
    }
    solved = {one.student for one in done if one.rows[0].solved}
    assert solved == {"eve"}  # points with a reason are for a wrong answer
    write_report(tmp_path / "out", done, True)
    with (tmp_path / "out" / "grades.csv").open(newline="", encoding="utf-8") as table:
        lines = {line["student"]: line for line in reversed(list(csv.DictReader(table)))}
    assert lines["ada"]["points"] == "1"
    assert lines["ada"]["reason"] == "right but for the factor"
    assert lines["fay"]["points"] == "0.5"
    assert lines["fay"]["reason"] == "'=the sign alone"  # which no spreadsheet works out
    assert lines["eve"]["reason"] == lines["cleo"]["reason"] == ""
    page = (tmp_path / "out" / "class.html").read_text(encoding="utf-8")
    assert '<td class="number">3.5 of 5 points</td>' in page
    assert f"{NAME}: 1 of 6 solved it" in page
    page = (tmp_path / "out" / "feedback" / "fay.html").read_text(encoding="utf-8")
    assert "<h2>n: 0.5 of 2 points</h2>" in page
    assert "✗ the result is wrong" in page
    assert "<br>0.5 of 2 points: =the sign alone</td>" in page
    page = (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "<br>right but for the factor<br>1 of 2 points</td>" in page


@pytest.mark.parametrize("line", ["no quotes", f'{NAME}/plus for minus = -1, "x"'])
def test_a_file_that_is_refused_says_so_before_anything_else(line, file):
    with pytest.raises(ValueError, match=r"names\.txt, line 3: "):
        read_names(COURSE, file(f"# one\n\n{line}\n"))


REFUSED = {
    "hello": 'expected QUESTION/GROUP = "words" or .* got hello',
    f"{NAME}/4f2a1c = words": "in straight quotes and on one line",
    f"{NAME}/4f2a1c = “words”": "in straight quotes",
    f'{NAME}/4f2a1c "words"': "expected QUESTION/GROUP",
    f'{NAME}/4f2a1c = "words" and more': "expected QUESTION/GROUP",
    f'{NAME} = "words"': "expected QUESTION/GROUP",
    f'{NAME}/4f2a1c = ""': "expected words between the quotes, got none",
    f'{NAME}/4f2a1c = 1, "  "': "expected words between the quotes",
    'solve.discriminent/4f2a1c = "words"': "such as solve.discriminant, got 'solve.discriminent'",
    f'{NAME}/4f2a1 = "words"': "expected a group such as .*'plus for minus'.*, got '4f2a1'",
    f'{NAME}/minus for plus = 1, "x"': "one of 'plus for minus', .* got 'minus for plus'",
    f'{NAME}/plus for minus = "words"': "expected points too, as in .*/plus for minus = 1",
    'solve.by_hand/4f2a1c = "words"': "expected one of 'the smaller root', .* got '4f2a1c'",
    'graph.which_way/B = 1, "x"': "expected one of 'A' of graph.which_way, got 'B'",
}
REFUSED |= {
    f'{NAME}/4f2a1c = {points}, "x"': f"expected points from 0 to 2, .* got '{points}'"
    for points in ("3", "-1", "2.01", "nan", "inf", "one", "1 1", "")
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_said_is_refused_with_its_line(line, file):
    with pytest.raises(ValueError, match=f"line 1: .*{REFUSED[line]}"):
        read_names(COURSE, file(line))


def test_one_thing_is_said_once(file):
    lines = f'{NAME}/4f2a1c = "a"\n\n{NAME}/4f2a1c = 1, "b"\n'
    with pytest.raises(ValueError, match=r"line 3: expected solve.* once, and line 1 is about it"):
        read_names(COURSE, file(lines))


def test_a_group_of_nobody_is_refused_and_the_grades_are_kept(graded, file):
    names = file(f'\n{NAME}/000000 = "words"')
    with pytest.raises(ValueError, match=r"line 2: expected one of .*, got .*000000.* are kept"):
        rows(graded, names)
    assert not numbers_beside(names).exists()
    with pytest.raises(ValueError, match="expected a group that was named before"):
        rows(graded[-2:-1], names)


def test_files_that_are_none_are_refused(file, tmp_path):
    with pytest.raises(FileNotFoundError, match="names of groups, got .*nothing.*does not exist"):
        read_names(COURSE, tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="which is a folder"):
        read_names(COURSE, tmp_path)
    with pytest.raises(ValueError, match="line 2: expected UTF-8 text"):
        read_names(COURSE, file("# a\n# ä".encode("latin-1")))
    assert len(read_names(COURSE, file(f'\ufeff{NAME}/4f2a1c = "ä"')).lines) == 1
    for content in ("no JSON", "[1]", '{"a": {}}'):
        file(content, "names.numbers.json")
        with pytest.raises(ValueError, match="expected the numbers of named groups"):
            read_names(COURSE, file(""))


EVIL = "</pre><script>alert(1)</script>\ud800"


def test_a_students_code_and_errors_are_escaped_on_the_class_page(tmp_path):
    def answer(a, b, c):
        raise ValueError(EVIL)

    (one,) = a_class(**{EVIL: answer})
    hostile = replace(one, rows=(replace(one.rows[0], code=f"# =1+1 {EVIL}"),))
    write_report(tmp_path, with_groups([hostile]), True)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;/pre&gt;&lt;script&gt;") >= 3
    (group,) = json.loads((tmp_path / "groups.json").read_text(encoding="utf-8"))
    assert group["students"] == [EVIL]
    assert group["group"].startswith(f"{NAME}/")


def test_the_class_page_shows_groups_with_the_line_that_names_them(graded, file, tmp_path):
    done = with_groups(graded)
    write_report(tmp_path, done, True)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    group = done[0].rows[0].group
    assert f"<summary><b>{group}</b>, 2 students: the result is wrong</summary>" in page
    assert f"<pre>{group} = &#34;...&#34;</pre>" in page
    assert "1 made a known mistake" in page
    assert "explained by" in page
    assert "in a group that you named" not in page
    assert page.index(f"<b>{group}</b>") < page.index(f"<b>{done[2].rows[0].group}</b>")
    line = f'{group} = "sevens"'
    write_report(tmp_path, with_groups(graded, read_names(COURSE, file(line))), True)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert "2 in a group that you named" in page
    assert f"<b>{group}</b>, 2 students: sevens</summary>" in page
    assert f"<li>{NAME}: sevens (2)</li>" in page


def test_answers_that_draw_are_said_not_to_be_comparable(tmp_path):
    def answer(a, b, c):
        return a.new_empty(len(a)).normal_()

    write_report(tmp_path, with_groups(a_class(ada=answer)), True)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert "their numbers cannot be compared: they need not be alike" in page


def test_grades_and_fingerprints_come_back_from_their_file(graded, tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("".join(map(as_line, graded)), encoding="utf-8")
    assert list(read_results(path)) == graded
