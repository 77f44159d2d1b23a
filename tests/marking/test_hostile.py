"""Hostile submissions: each earns nothing for what it has not solved, harms nothing, and what is
solved is graded right. The same code tries them on a teacher's machine.
"""

import os
import platform
import re
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from algebra import discriminant
from quadratics import COURSE, SOLVED
from test_commands import run

from marking import hostile, self_test
from marking.grades import Graded, Row
from marking.hostile import CORPUS, Hostile, Target, hostile_notebooks, read_hostile
from marking.hostile.trial import ATTACKED, OTHER, trial_course
from marking.sandbox import parent, seccomp
from marking.sandbox.parent import Limits, Running, bubblewrap
from marking.sandbox.walls import Walls
from marking.self_test import (
    LIMITS,
    WALLS,
    Tried,
    WallReport,
    judged,
    try_walls,
    units,
    walls_in_words,
)

ALL = hostile_notebooks()
NAMED = {one.name: one for one in ALL}
contained = pytest.mark.skipif(
    bubblewrap() is None, reason="without bubblewrap a submission can do harm"
)


@contained
def test_no_hostile_submission_earns_or_harms_anything():
    trial = try_walls(COURSE, ALL)
    assert trial.holds(), "\n".join(walls_in_words(trial))
    assert [(one.hostile.name, one.odd) for one in trial.tried if one.odd] == []
    assert len(trial.tried) >= 120
    assert len(trial.honest) == len(WALLS)


def torn_down(monkeypatch, *options):
    """Give the command of each sandbox more options, after all that it has."""
    build = Walls.command

    def command(*args, **named):
        words = build(*args, **named)
        place = words.index("--remount-ro", len(words) - words[::-1].index("--remount-ro") - 1)
        return [*words[:place], *options, *words[place:]]

    monkeypatch.setattr(Walls, "command", command)


@contained
@pytest.mark.parametrize(
    ("name", "wall"),
    [("starts_a_program", "processes"), ("makes_files_without_a_name", "kernel")],
)
def test_a_filter_that_is_gone_is_noticed(name, wall, monkeypatch):
    if seccomp.program() is None:
        pytest.skip("there is no filter for this machine")
    monkeypatch.setattr(seccomp, "program", lambda *_, **__: None)
    trial = try_walls(COURSE, [NAMED[name]])
    assert not trial.holds()
    assert name in trial.harm_at(wall)[0]
    assert f"down  {wall}: {WALLS[wall].down}" in list(walls_in_words(trial))


@contained
def test_a_network_that_is_shared_is_noticed(monkeypatch):
    monkeypatch.setattr(seccomp, "program", lambda *_, **__: None)  # it refuses sockets too
    torn_down(monkeypatch, "--share-net")
    trial = try_walls(COURSE, [NAMED["opens_a_socket"], NAMED["sends_datagrams"]])
    assert any("a server heard from a submission" in line for line in trial.harm_at("network"))


@contained
@pytest.mark.skipif(
    Path(sys.prefix).is_relative_to(tempfile.gettempdir()), reason="Python itself lies there"
)
def test_files_that_can_be_written_are_noticed(monkeypatch):
    torn_down(monkeypatch, "--bind", tempfile.gettempdir(), tempfile.gettempdir())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # or each would be a user of its own
    some = [NAMED["follows_links_out"], NAMED["opens_where_answers_lie"], NAMED["leaves_a_file"]]
    trial = try_walls(COURSE, some)
    assert "follows_links_out: it changed a file" in trial.harm_at("files")
    assert any("grades was changed" in line for line in trial.harm_at("files"))
    assert "leaves_a_file: got through: a file of a neighbour" in trial.harm_at("neighbours")


@contained
def test_one_of_several_that_are_tried_together_is_named(monkeypatch):
    monkeypatch.setattr(seccomp, "program", lambda *_, **__: None)
    some = [NAMED[name] for name in ("leaves_zombies", "goes_before_others", "becomes_a_daemon")]
    assert len(units(some)) == 1
    trial = try_walls(COURSE, some)
    through = {one.hostile.name for one in trial.tried if one.harm}
    assert through == {"leaves_zombies"}
    assert trial.honest == (5.0,)


def test_the_corpus_is_read_whole():
    assert len(ALL) >= 120
    assert len(NAMED) == len(ALL)
    assert len({one.before + one.answer + one.after for one in ALL}) == len(ALL)
    assert {one.wall for one in ALL} == set(WALLS)
    assert sum(one.spares_the_rest for one in ALL) > len(ALL) / 2
    assert sum(one.paired for one in ALL) >= 10
    assert NAMED["loops"].before == ""
    assert "while True" in NAMED["loops"].answer
    assert "time.sleep" in NAMED["sleeps"].after
    assert NAMED["imports_the_package"].remark == "tried to import"
    assert NAMED["calls_as_another_architecture"].on == "x86_64"


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_each_submission_says_what_is_expected_and_is_python(one):
    assert one.title
    assert one.harm
    assert one.paired == (one.wall == "neighbours")
    assert not (one.together and one.after)
    for cell in (one.before, one.answer, one.after):
        compile(cell, one.name, "exec")


def test_the_kit_is_python_and_knows_the_calls_of_both_machines():
    scope = {}
    exec(hostile.KIT, scope)
    x86, arm = scope["NUMBERS"].values()
    assert x86.keys() == arm.keys()
    used = {
        name
        for one in ALL
        for name in re.findall(r"(?:system|reaches_the_kernel)\('(\w+)'", one.before + one.after)
    }
    assert len(used) > 30
    assert used <= x86.keys()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="has other numbers")
def test_the_kits_system_calls_are_those_of_this_machine():
    scope = {}
    exec(hostile.KIT, scope)
    assert scope["system"]("pidfd_open", os.getpid(), 0) != -38
    assert scope["system"]("pidfd_open", -1, 0) == -22
    assert scope["readable"](str(CORPUS / "kit.txt"))
    assert not scope["readable"](str(CORPUS / "none.txt"))


@pytest.mark.parametrize(
    "text",
    [
        "# a title\n# %%\npass\n",
        "# a title\n# the rest: graded\n# %%\npass\n",
        "# a title\n# the rest: graded\n# harm: some\n# remakr: x\n# %%\npass\n",
        "# a title\n# the rest: graded\n# harm: some\n# %% befroe\npass\n",
    ],
)
def test_a_file_that_does_not_say_what_is_expected_is_refused(text, tmp_path):
    path = tmp_path / "odd.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"odd\.txt: expected"):
        read_hostile(path)


def test_a_target_tells_what_there_is_to_attack():
    target = Target(COURSE, discriminant, SOLVED["discriminant"], 9, "victim", "grades.csv")
    scope = {}
    exec(target.facts(), scope)
    assert scope["QUESTION"] == "solve.discriminant"
    assert scope["MODULE"] == scope["LIBRARY"] == "algebra"
    assert scope["PACKAGE"] == "quadratics"
    assert scope["right"](1, 2, -3) == 16
    assert "4711" not in replace(target, seed=4711).facts()


def test_what_the_trial_hides_is_what_the_course_hides():
    trial = trial_course(COURSE)
    assert trial.hidden == COURSE.hidden
    assert trial.answer_files == COURSE.answer_files
    assert {ATTACKED.name, OTHER.name} <= set(trial.bank)
    assert self_test.module_of_answers(COURSE) == "algebra"


@contained
def test_no_submission_can_see_the_corpus():
    look = f"import os; os.listdir({str(CORPUS)!r})"
    with parent.prepared_sandbox(COURSE, Limits()) as sandbox:
        assert not [path for path in sandbox.room.iterdir() if "hostile" in path.name]
        running = Running(sandbox, [(1, look)], self_test.time.monotonic() + 40)
        running.close()
    assert "FileNotFoundError" in running.errors[0]


ROWS = (Row(ATTACKED.name, 0, 2), Row(OTHER.name, 3, 3))
ONE = Hostile("x", "points", "a title", "", "", "", True, "harm")


@pytest.mark.parametrize(
    ("one", "graded", "harm", "odd"),
    [
        (ONE, Graded("x", "", "", ROWS), 0, 0),
        (ONE, Graded("x", "", "", (Row(ATTACKED.name, 2, 2), ROWS[1])), 1, 0),
        (ONE, Graded("x", "", "", ()), 1, 1),
        (ONE, Graded("x", "", "", ROWS, ("cell 3: RuntimeError: got through (x): all",)), 1, 0),
        (ONE, Graded("x", "", "", (ROWS[0], Row(OTHER.name, 0, 3))), 0, 1),
        (replace(ONE, spares_the_rest=False), Graded("x", "", "", ROWS[:1]), 0, 0),
        (replace(ONE, remark="took over"), Graded("x", "", "", ROWS), 0, 1),
        (replace(ONE, remark="took over"), Graded("x", "", "", ROWS, ("it took over 1 s",)), 0, 0),
    ],
)
def test_what_a_submission_did_is_told_from_its_grades(one, graded, harm, odd):
    tried = judged(one, ATTACKED, OTHER, graded, [])
    assert (len(tried.harm), len(tried.odd)) == (harm, odd), tried


def test_a_slow_machine_gives_more_time():
    assert self_test.limits_for(0.9) == LIMITS
    slow = self_test.limits_for(6.5)
    assert (slow.timeout, slow.cell, slow.memory) == (52, 7, LIMITS.memory)


def trial_of(tried, harm=(), honest=(5.0,)):
    return WallReport(tuple(tried), tuple(harm), honest, 61.4)


def test_the_words_of_a_trial_say_what_is_up_and_what_is_down():
    down = Tried(NAMED["fills_pipes"], ("got through: 256 MB in pipes",))
    trial = trial_of([Tried(NAMED["loops"]), down])
    assert list(walls_in_words(trial)) == [
        "2 hostile submissions in 61 s, 1 got through",
        f"down  memory: {WALLS['memory'].down}",
        "        fills_pipes: got through: 256 MB in pipes",
        f"up    time: {WALLS['time'].up} (1 tried)",
        "a solved notebook, handed in 1 time between them, got all its points each time",
    ]
    assert not trial.holds()
    assert trial_of([Tried(NAMED["loops"])]).holds()


def test_harm_without_an_author_and_a_solved_notebook_that_loses_are_said():
    trial = trial_of([Tried(NAMED["loops"])], [("network", "a server heard")], (5.0, 3.0))
    lines = list(walls_in_words(trial))
    assert "        a server heard" in lines
    assert "a solved notebook, handed in 2 times, got 3 of 5 points: the" in lines
    assert not trial.holds()
    assert not trial_of([], [("network", "a server heard")]).holds()
    assert not trial_of([], honest=(3.0,)).holds()


def test_what_is_only_odd_is_said_and_no_fault():
    trial = trial_of([Tried(NAMED["loops"], odd=("expected a remark",))])
    assert list(walls_in_words(trial))[-1] == "note  loops: expected a remark"
    assert trial.holds()


def test_the_servers_hear_what_is_sent_to_them():
    with self_test.listening() as (port, heard):
        with socket.create_connection(("127.0.0.1", port)):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"cheat", ("127.0.0.1", port))
        self_test.time.sleep(0.5)
    assert sorted(heard) == [b"a connection", b"cheat"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_growing_memory_is_seen():
    before = self_test.resident_memory(peak=False)
    block = bytearray(64 * 2**20)
    assert len(block) and self_test.resident_memory(peak=True) - before > 50


def test_the_self_test_needs_neither_submissions_nor_a_folder(monkeypatch, capsys):
    monkeypatch.setattr(self_test, "bubblewrap", lambda: "bwrap")
    monkeypatch.setattr(self_test, "try_walls", lambda *_, **__: trial_of([Tried(ONE)]))
    assert run("grade", "--self-test") == 0
    assert "up    points: what a submission changes" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run("grade")
    said = capsys.readouterr().err
    assert "the following arguments are required: submissions, --out" in said
    assert re.search(r"^ +\S.* grade --self-test$", said, re.MULTILINE)  # nothing beside it


def test_a_wall_that_is_down_is_an_exit_code(monkeypatch, capsys):
    fallen = trial_of([Tried(ONE, ("earned 2 points for what it did not solve",))])
    monkeypatch.setattr(self_test, "bubblewrap", lambda: "bwrap")
    monkeypatch.setattr(self_test, "try_walls", lambda *_, **__: fallen)
    assert run("grade", "--self-test") == 1
    assert "down  points: a submission can set its own points" in capsys.readouterr().out


def test_without_bubblewrap_nothing_is_run_and_what_is_missing_is_said(monkeypatch, capsys):
    monkeypatch.setattr(self_test, "bubblewrap", lambda: None)
    monkeypatch.setattr(self_test, "try_walls", lambda *_, **__: pytest.fail("it was run"))
    assert run("grade", "--self-test") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("not run: there is no bubblewrap here that works")
    assert f"missing  network: {WALLS['network'].down}" in lines
    assert lines[-1] == "not tried  points, channel, time: these do not need bubblewrap"
