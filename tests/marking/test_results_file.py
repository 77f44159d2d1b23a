"""The results file: whole after a kill, a full disk and a forger, and never doubled."""

import errno
import json
import os

import pytest
from results_files import read_results

from marking.files import PART, remove_parts, written_together
from marking.grades import Graded, Row
from marking.report_folder import make_report_folder, refuse_foreign_report
from marking.results import Results, secret_of

resource = pytest.importorskip("resource", reason="submissions run on Linux and macOS")
SECRET = secret_of(5)
CLASS = {
    key: Graded(f"student {key} \ud800", "n.ipynb", key, (Row("solve.roots", 0.1, 3, code="é"),))
    for key in "abc"
}


def kept(folder, secret=SECRET, wanted=CLASS):
    with Results(folder, secret, wanted) as results:
        return results.known


@pytest.fixture
def written(tmp_path):
    with Results(tmp_path, SECRET, CLASS) as results:
        for graded in CLASS.values():
            results.append(graded)
    return tmp_path / "results.jsonl"


def test_results_are_read_again_as_they_were_written(written):
    assert kept(written.parent) == CLASS
    assert {one.key: one for one in read_results(written)} == CLASS
    assert kept(written.parent, wanted={"a"}) == {"a": CLASS["a"]}
    assert written.stat().st_mode & 0o77 == 0  # for the teacher alone


def test_a_line_that_was_cut_off_anywhere_costs_only_itself(written, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand times would take half a minute
    content = written.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content)):
        written.write_bytes(content[:size])
        whole = sum(end <= size for end in ends)
        with Results(written.parent, SECRET, CLASS) as results:
            assert len(results.known) == whole
            for key in CLASS.keys() - results.known.keys():
                results.append(CLASS[key])
            assert results.refused == 0
        lines = [json.loads(line)["key"] for line in written.read_bytes().splitlines()]
        assert sorted(lines) == ["a", "b", "c"]


ODD = (
    b"\0" * 500,
    b"\xff\xfe",
    b"123",
    b"null",
    b"[" * 100_000,
    b'{"key": 1}',
    b'{"rows": 1}',
    b"",
)


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_lines_of_something_else_are_left_out(written, odd):
    first, *rest = written.read_bytes().splitlines()
    written.write_bytes(b"\n".join([first, odd, *rest]) + b"\n")
    assert kept(written.parent) == CLASS
    assert len(list(read_results(written))) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"points": 0.1', b'"points": 3'),
        (b'"key": "a"', b'"key": "b"'),
        (b'"seal": "', b'"seal": "0'),
        (b', "seal": "', b', "lane": "'),
        (b'"of": 3', b'"of": 3, "of": 9'),
    ],
)
def test_a_forged_line_is_refused(written, old, new):
    first, *rest = written.read_bytes().splitlines()
    assert old in first
    written.write_bytes(b"\n".join([*rest, first.replace(old, new)]) + b"\n")
    with Results(written.parent, SECRET, CLASS) as results:
        assert results.known == {key: CLASS[key] for key in "bc"}
        assert results.refused == 1


def test_who_does_not_know_the_seed_signs_nothing(written):
    with Results(written.parent, secret_of(6), CLASS) as results:
        assert results.known == {}
        assert results.refused == 3


def test_a_file_that_was_changed_meanwhile_is_written_again(written):
    with Results(written.parent, SECRET, CLASS) as results:
        assert not results.restore()
        with written.open("ab") as file:
            file.write(b"forged\n")
        assert results.restore()
        written.unlink()
        assert results.restore()
    assert kept(written.parent) == CLASS


@pytest.mark.parametrize("room", [0, 1, 100, 400])
def test_where_there_is_no_room_no_half_line_stays(tmp_path, room):
    """A limit on the size of files stands for a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Results(tmp_path, SECRET, CLASS) as results:
        results.append(CLASS["a"])
        size = results.size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
            with pytest.raises(OSError) as full:
                results.append(CLASS["b"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        words = str(results.stopped(full.value, 3))
        assert words.startswith("there is no room to write: 1 of 3 notebooks are graded and kept")
        assert words.endswith("make room, and go on with resume=True")
        assert results.path.stat().st_size == size
        results.append(CLASS["b"])
    assert kept(tmp_path) == {key: CLASS[key] for key in "ab"}


def test_a_full_disk_is_said_in_words(tmp_path):
    with Results(tmp_path, SECRET, CLASS) as results:
        for number, words in (
            (errno.ENOSPC, "the disk is full: 0 of 3 "),
            (errno.EDQUOT, "there is no room to write: 0 of 3 "),
            (errno.EMFILE, "Too many open files: 0 of 3 "),
        ):
            reason = OSError(number, os.strerror(number))
            assert str(results.stopped(reason, 3)).startswith(words)


def test_files_written_together_are_all_old_or_all_new(tmp_path):
    one, two = tmp_path / "one", tmp_path / "deeper" / "two"
    with written_together() as write:
        write(one, "old")
        write(two, "old")
        assert not one.exists()
    with pytest.raises(RuntimeError), written_together() as write:
        write(one, "new")
        write(two, "new")
        raise RuntimeError
    assert one.read_text() == two.read_text() == "old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="which is a folder"), written_together() as write:
        write(one, "new")
        write(tmp_path / "folder", "new")
    assert one.read_text() == "old"
    assert not [path for path in tmp_path.rglob("*") if PART.search(path.name)]


def test_what_a_killed_grader_left_aside_is_removed_and_nothing_else(tmp_path):
    names = ("grades.csv.123.part", "grades.csv", "a.part", "notes.12.part.txt", "1.part")
    for name in names:
        (tmp_path / name).write_text("")
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
    remove_parts(tmp_path / "nowhere")


def test_a_folder_where_there_can_be_no_report_is_named(tmp_path):
    handed = tmp_path / "handed"
    handed.mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "astray").symlink_to(tmp_path / "nowhere")
    (tmp_path / "same").symlink_to(handed)
    for out, words in (
        ("file", "file, which is a file: choose another folder"),
        ("astray", "astray, a link to .*nowhere, which does not exist: choose another folder"),
        ("handed", "handed, which holds the submissions: choose another folder, such as .*report"),
        ("same", "same, which holds the submissions"),
        ("handed/../handed", "which holds the submissions"),
        ("file/deeper", "expected a folder for the report that can be written to, .*Not a dir"),
    ):
        with pytest.raises((OSError, ValueError), match=words):
            make_report_folder(tmp_path / out, [handed])
    for out in ("new/deeper", "handed/report", "."):
        make_report_folder(tmp_path / out, [handed])
        assert (tmp_path / out).is_dir()


def test_a_report_replaces_no_strangers_files(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    refuse_foreign_report(tmp_path, ["grades.csv"])
    (tmp_path / "grades.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"grades\.csv exists, and there are no results"):
        refuse_foreign_report(tmp_path, ["grades.csv"])
    (tmp_path / "results.jsonl").write_text("")
    refuse_foreign_report(tmp_path, ["grades.csv"])
    refuse_foreign_report(tmp_path / "nowhere", ["grades.csv"])
    (tmp_path / "feedback").write_text("mine")
    with pytest.raises(FileExistsError, match="folder for pages, got .*feedback, a file: choose"):
        refuse_foreign_report(tmp_path, ["grades.csv"])
