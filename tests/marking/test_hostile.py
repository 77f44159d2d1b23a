"""Hostile submissions: each earns nothing for what it has not solved, harms nothing, and the next
is graded right.
"""

import csv
import os
import socket
import threading

import pytest
from algebra import discriminant
from quadratics import COURSE, HEAD, SOLVED, solved

from marking.grader import grade
from marking.hostile import Target, as_notebook, cells_of, hostile_notebooks
from marking.report import write_report
from marking.sandbox import seccomp
from marking.sandbox.parent import Limits, bubblewrap

LIMITS = Limits(timeout=25, cell=5)
REST = solved(discriminant=None)[1:]


@pytest.fixture(scope="module")
def listener():
    """A server that must not hear from anyone."""
    heard = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    running = True

    def listen():
        while running:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            heard.append(connection.recv(100))

    thread = threading.Thread(target=listen)
    thread.start()
    yield server.getsockname()[1], heard
    running = False
    thread.join()
    server.close()


def test_the_corpus_is_read_whole():
    notebooks = hostile_notebooks()
    assert len(notebooks) >= 39
    assert len({one.before + one.answer + one.after for one in notebooks}) == len(notebooks)
    assert sum(one.spares_the_rest for one in notebooks) >= 22
    named = {one.name: one for one in notebooks}
    assert named["loops"].before == ""
    assert "while True" in named["loops"].answer
    assert "time.sleep" in named["sleeps"].after
    assert named["imports_the_package"].remark == "tried to import"


def test_a_target_tells_what_there_is_to_attack():
    target = Target(COURSE, discriminant, SOLVED["discriminant"], 9, "victim", "grades.csv")
    scope = {}
    exec(target.facts(), scope)
    assert scope["QUESTION"] == "solve.discriminant"
    assert scope["MODULE"] == scope["LIBRARY"] == "algebra"
    assert scope["PACKAGE"] == "quadratics"
    exec(scope["RIGHT"], scope)
    assert scope[scope["FUNCTION"]](1, 2, -3) == 16


@pytest.mark.skipif(bubblewrap() is None, reason="without bubblewrap a submission can do harm")
def test_no_hostile_notebook_earns_what_it_has_not_solved(tmp_path, listener):
    port, heard = listener
    victim = tmp_path / "victim.txt"
    out = tmp_path / "report"
    victim.write_text("whole")
    table = str(out / "grades.csv")
    target = Target(COURSE, discriminant, SOLVED["discriminant"], port, str(victim), table)
    notebooks = hostile_notebooks()
    submissions = {one.name: cells_of(one, target, HEAD, REST) for one in notebooks}
    for name, cells in {**submissions, "zz_honest": solved()}.items():
        folder = tmp_path / "in" / name
        folder.mkdir(parents=True)
        (folder / "solve_quadratics.ipynb").write_text(as_notebook(cells))
        module = "raise SystemExit('a module that lies beside the notebook')"
        (folder / "algebra.py").write_text(module)
    before = set(os.listdir(tmp_path))
    options = {"jobs": 2, "limits": LIMITS, "seed": 7, "progress": False}
    grade(COURSE, [tmp_path / "in"], out, report=write_report, **options)
    with (out / "grades.csv").open(newline="") as file:
        rows = {(row["student"], row["exercise"]): row for row in csv.DictReader(file)}
    for one in notebooks:
        row = rows[one.name, "solve.discriminant"]
        assert row["points"] == "0", row
        assert one.remark in row["remark"], row
        if one.spares_the_rest:
            assert rows[one.name, "solve.roots"]["points"] == "3", row
        if seccomp.program() is not None:  # without the filter each would say something else
            assert one.remark_under_seccomp in row["remark"], row
    assert rows["zz_honest", "solve.discriminant"]["points"] == "2"
    assert rows["zz_honest", "solve.roots"]["points"] == "3"
    assert victim.read_text() == "whole"
    assert set(os.listdir(tmp_path)) == before | {"report"}
    assert heard == []
