"""A ✓ that the grader cannot confirm, and how a notebook is read without its outputs."""

import csv
import io
import json
import os

import pytest
from quadratics import COURSE, solved
from results_files import as_line, read_results

from marking import skim
from marking.engine import NOT_ANSWERED, NOT_WRITTEN
from marking.grader import grade
from marking.grades import Graded, Row
from marking.hostile import as_notebook
from marking.intake import LARGEST, Broken, submission_in
from marking.notebook import card
from marking.report import class_page, feedback, write_report
from marking.skim import skimmed
from marking.stored import claimed_in, names_shown, with_claims

NAME = "solve.roots"
OTHER = "solve.discriminant"


def card_of(name, words="right, on 4 fresh inputs.\n\nAnd <so> on."):
    """An output as Jupyter keeps it."""
    data = {"text/html": card("✓", f"{name}: {words}"), "text/plain": f"✓ {name}: {words}"}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def notebook(*pairs, **settings):
    """The bytes of a notebook of code cells with their outputs."""
    made = json.loads(as_notebook([source for source, _ in pairs]))
    for cell, (_, outputs) in zip(made["cells"], pairs):
        cell["outputs"] = outputs
    return json.dumps(made, **settings).encode()


def read(data):
    return submission_in(COURSE, lambda: io.BytesIO(data), len(data), "ada", "n.ipynb", "solve")


@pytest.mark.parametrize("form", ["text/plain", "text/html"])
@pytest.mark.parametrize("settings", [{}, {"ensure_ascii": False}, {"indent": 1}])
@pytest.mark.parametrize("lines", [False, True])
def test_a_card_is_found_in_either_form_however_it_was_saved(form, settings, lines):
    output = card_of(NAME)
    text = output["data"][form]
    output["data"] = {form: text.splitlines(keepends=True) if lines else text}
    data = notebook((f"check('{NAME}', roots)", [output]), **settings)
    assert read(data).claimed == (NAME,)


def test_a_tick_counts_only_where_it_is_checked_and_in_the_course():
    elsewhere = [card_of(NAME), card_of("no.such")]
    data = notebook((f"check('{OTHER}', f)", elsewhere), ("check('no.such', 1)", elsewhere))
    assert read(data).claimed == ()
    for next_one in ([], [{}], [{"data": {"text/plain": "x"}}]):
        data = notebook(("x = 1", [card_of(NAME)]), (f"check('{NAME}', roots)", next_one))
        assert read(data).claimed == ()
    assert claimed_in(f'check("{NAME}", roots)', [NAME, OTHER]) == [NAME]
    assert claimed_in(f"for n in ['{NAME}', '{OTHER}']: check(n, 1)", [NAME, OTHER]) == [
        NAME,
        OTHER,
    ]
    assert claimed_in(f"# '{NAME}'", [NAME]) == []


@pytest.mark.parametrize("words", ["wrong", "rightly", "not right yet", ""])
def test_other_words_and_other_signs_are_no_tick(words):
    assert names_shown(f"✓ {NAME}: {words}") == []
    assert names_shown(f"✗ {NAME}: right") == []


def test_a_tick_in_a_picture_of_megabytes_and_at_any_cut_is_found():
    image = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" * 2**18}}
    data = notebook((f"check('{NAME}', roots)", [image, card_of(NAME), image]))
    assert read(data).claimed == (NAME,)
    small = notebook(
        (f"check('{NAME}', 1) # \"\\\\", [card_of(NAME)]), ("x = '\"outputs\": ['", [])
    )
    text = small.decode()
    whole = json.loads(skimmed([text], LARGEST))
    assert whole["cells"][0]["outputs"] == [NAME]
    for size in (1, 2, 3, 7, 50):
        pieces = [text[place : place + size] for place in range(0, len(text), size)]
        assert json.loads(skimmed(pieces, LARGEST)) == whole, size


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        "{}",
        "null",
        "1.5e3",
        '"text \\" ] } \\\\"',
        '[{"a": ["]", {"b": [1, [2]]}]}]',
        ' "a" ',
    ],
)
def test_whatever_is_left_out_ends_where_it_ends(value):
    for text in (f'{{"outputs": {value}, "b": [1, 2]}}', f'{{"b": [1, 2], "outputs" : {value}}}'):
        assert json.loads(skimmed([text], 1000)) == {"outputs": [], "b": [1, 2]}
        assert json.loads(skimmed(iter(text), 1000)) == {"outputs": [], "b": [1, 2]}


def test_words_in_strings_are_no_keys():
    content = {"source": 'x["outputs"] = {"outputs": [1]}', "b": ["outputs", "widgets"], "c\\": 1}
    for settings in ({}, {"indent": 2}):
        text = json.dumps(content, **settings)
        assert json.loads(skimmed(iter(text), 1000)) == content


def test_the_size_is_judged_without_what_is_left_out(monkeypatch):
    image = {"data": {"image/png": "x" * (LARGEST + 10)}}
    assert read(notebook(("x = 1", [image]))).cells == ((1, "x = 1"),)
    with pytest.raises(Broken, match="too large: a notebook may have at most 20 MB without its"):
        read(notebook(("x" * (LARGEST + 10), [])))
    monkeypatch.setattr(skim, "MOST_PARTS", 100)
    with pytest.raises(Broken, match="too large"):
        read(b'{"cells": [' + b"{}," * 100 + b"{}]}")
    assert read(notebook(("[" * 200, [[[]] * 200]))).cells == ((1, "[" * 200),)


def test_outputs_of_many_numbers_are_skipped_in_one_step(monkeypatch):
    steps = []
    one = skim.Skimmer.read_left_out
    monkeypatch.setattr(skim.Skimmer, "read_left_out", lambda *args: steps.append(1) or one(*args))
    pairs = [[number, number] for number in range(200_000)]
    data = notebook((f"check('{NAME}', 1)", [pairs, card_of(NAME)]))
    assert read(data).claimed == (NAME,)
    assert len(steps) < 50_000


ROWS = {
    "the result is wrong, off by up to 3": "the result is wrong, off by up to 3",
    NOT_WRITTEN: "it is not written yet",
    NOT_ANSWERED: "it is not answered yet",
    "wrong": "the number is wrong",
    "wrong: it is too large": "the number is wrong: it is too large",
    "not graded: it took over 60 s in total": "it took over 60 s in total",
    "ValueError: no (line 2: x)\nmore": "it raised ValueError: no (line 2: x)",
    "expected one of A, B, got 'E'": "the grader expected one of A, B, got 'E'",
    "did you mean 4.27? Write it": "it cannot be read as one number: did you mean 4.27? Write it",
}


@pytest.mark.parametrize("summary", ROWS)
def test_a_tick_that_is_not_earned_is_a_remark_and_changes_no_points(summary):
    rows = [Row(NAME, 0, 3, summary=summary), Row(OTHER, 2, 2, summary="right")]
    told, right = with_claims(rows, [NAME, OTHER])
    reason = f"your notebook shows ✓ for {NAME}; here it failed because {ROWS[summary]}"
    assert (told.points, told.of, told.remark, told.shown_right) == (0, 3, reason, True)
    assert right == rows[1]
    assert with_claims(rows, []) == rows


def test_the_student_and_the_teacher_read_of_it(tmp_path):
    row = Row(NAME, 0, 3, summary="the result is wrong", remark="found by its name")
    graded = Graded("ada", "n.ipynb", "key", tuple(with_claims([row], [NAME])))
    words = f"your notebook shows ✓ for {NAME}; here it failed because the result is wrong"
    assert f"{words}; found by its name" in feedback("ada", [graded])
    page = class_page([graded], contained=True)
    assert "Shown as ✓ in the notebook, not right here" in page
    assert f"<b>ada</b>, n.ipynb, {NAME}: the result is wrong" in page
    earned = Graded("ada", "n.ipynb", "key", (Row(NAME, 3, 3, summary="right"),))
    assert "not right here" not in class_page([earned], contained=True)
    (tmp_path / "results.jsonl").write_text(as_line(graded))
    assert list(read_results(tmp_path / "results.jsonl")) == [graded]


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
def test_the_grader_remarks_on_a_tick_that_it_cannot_confirm(hand_in, tmp_path):
    cells = solved(discriminant="def discriminant(a, b, c):\n    return b * b\n")
    shown = [[card_of(name)] if f"'{name}'" in cell else [] for cell in cells for name in [OTHER]]
    folder = hand_in(ada=notebook(*zip(cells, shown)), ben=solved())
    grade(COURSE, [folder], tmp_path / "out", report=write_report, progress=False)
    with (tmp_path / "out" / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["exercise"] == OTHER]
    assert [row["points"] for row in rows] == ["0", "2"]
    words = f"your notebook shows ✓ for {OTHER}; here it failed because the result is wrong, off by"
    assert [row["remark"].startswith(words) for row in rows] == [True, False]
    assert words in (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    page = (tmp_path / "out" / "class.html").read_text(encoding="utf-8")
    assert f"<b>ada</b>, solve_quadratics.ipynb, {OTHER}: the result is wrong, off by" in page


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
def test_check_says_so_too(hand_in, capsys):
    from test_commands import run

    cells = solved(discriminant="def discriminant(a, b, c):\n    return b * b\n")
    shown = [[card_of(OTHER)] if f"'{OTHER}'" in cell else [] for cell in cells]
    folder = hand_in(ada=notebook(*zip(cells, shown)))
    assert run("check", folder / "ada" / "solve_quadratics.ipynb") == 1
    words = f"  your notebook shows ✓ for {OTHER}; here it failed because the result is wrong"
    assert words in capsys.readouterr().out
