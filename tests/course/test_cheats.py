"""Hostile submissions: each earns nothing for what it has not solved, harms nothing, and the next
is graded right.
"""

import csv
import os
import socket
import threading
from pathlib import Path

import pytest
from handed_in import solved

from marking.grader import grade
from marking.sandbox import seccomp
from marking.sandbox.parent import Limits, bubblewrap

LIMITS = Limits(timeout=25, cell=5)
TARGET = "posterior_variance"  # left unsolved in each; the two others are solved
STUB = f"def {TARGET}(beta_t, alpha_bar_t, alpha_bar_prev):\n    ...\n"
FOLDER = Path(__file__).with_name("cheats")
# these spoil no more than what they have not solved: the rest of them is graded as it is
HARMLESS = (
    "redefines_check patches_IPython returns_a_lying_object imports_the_reference imports_the_package "
    "walks_the_stack remembers_inputs loops loops_in_a_cell sleeps prints_1_GB allocates_100_GB "
    "raises_SystemExit writes_files recurses kills_its_parent forks_and_forks_again starts_a_program "
    "fills_memory_outside_its_process reads_the_answer_in_a_thread ends_its_process_when_called "
    "shadows_the_package"
).split()


def cells_of(path):
    """A cheat as the cells of a submission: first its own, then the exercises, then what comes
    after.
    """
    parts = {"": "", " answer": STUB, " after": ""}
    for part in path.read_text().split("# %%")[1:]:
        kind, _, source = part.partition("\n")
        parts[kind] = source
    head, *rest = solved(**{TARGET: parts[" answer"]})
    return [cell for cell in (head, parts[""], *rest, parts[" after"]) if cell]


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


def points(out):
    with (out / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["student"], row["exercise"]): int(row["points"]) for row in rows}, rows


@pytest.mark.skipif(bubblewrap() is None, reason="without bubblewrap a submission can do harm")
def test_no_cheat_earns_what_it_has_not_solved(hand_in, tmp_path, listener):
    port, heard = listener
    victim, out = tmp_path / "victim.txt", tmp_path / "report"
    victim.write_text("whole")
    cheats = {path.stem: cells_of(path) for path in sorted(FOLDER.glob("*.py"))}
    assert len(cheats) >= 30
    facts = f"PORT = {port}\nVICTIM = {str(victim)!r}\nOUT = {str(out / 'grades.csv')!r}\n"
    folder = hand_in(
        **{name: [facts, *cells] for name, cells in cheats.items()}, zz_honest=solved()
    )
    for name in cheats:
        (folder / name / "minddpm.py").write_text(
            "raise SystemExit('a module that lies beside the notebook')"
        )
    before = set(os.listdir(tmp_path))
    grade([folder], out, jobs=2, limits=LIMITS, seed=7, progress=False)
    earned, rows = points(out)
    for name in cheats:
        assert earned[name, f"03.{TARGET}"] == 0, name
        if name in HARMLESS:
            assert earned[name, "03.posterior_coefficients"] == 3, (
                name,
                [r for r in rows if r["student"] == name],
            )
            assert earned[name, "03.product_of_gaussians"] == 3, name
    assert earned["zz_honest", f"03.{TARGET}"] == 2
    assert earned["zz_honest", "03.posterior_coefficients"] == 3
    assert victim.read_text() == "whole"
    assert set(os.listdir(tmp_path)) == before | {"report"}
    assert heard == []
    remarks = {row["student"]: row["remark"] for row in rows}
    assert "minddpm.posterior" in remarks["imports_the_package"]
    assert "minddpm_course.bank" in remarks["imports_the_reference"]
    assert "tried to read" in remarks["reads_the_answer_in_a_thread"]
    assert "Read-only file system" in remarks["fills_memory_outside_its_process"]
    if seccomp.program() is not None:  # without the filter each of these would say something else
        for name in (
            "starts_a_program",
            "forks_and_forks_again",
            "fills_memory_outside_its_process",
        ):
            assert "PermissionError: [Errno 1]" in remarks[name], remarks[name]
