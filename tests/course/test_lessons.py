"""The copy of the lessons that a learner works in."""

import re
from pathlib import Path

import nbformat
import pytest

from minddpm.__main__ import main
from minddpm_course import lessons

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path):
    """The folder of a fresh copy."""
    folder = tmp_path / "my course"
    assert len(lessons.copy_lessons(folder).new) > 60
    return folder


def test_every_notebook_is_copied_as_it_is(copy):
    for name in ("notebooks", "exercises", "solutions"):
        written = sorted((ROOT / name).glob("*.ipynb"))
        assert [path.name for path in written] == sorted(p.name for p in (copy / name).iterdir())
        for path in written:
            ours, copied = (
                nbformat.read(folder / name / path.name, as_version=4) for folder in (ROOT, copy)
            )
            for one, two in zip(ours.cells, copied.cells, strict=True):
                if one.cell_type == "code":
                    assert one == two


def test_every_link_in_the_copy_leads_to_a_file_in_it(copy):
    count = 0
    for page in [*copy.glob("*/*.md"), *copy.glob("*/*.ipynb")]:
        text = page.read_text(encoding="utf-8")
        if page.suffix == ".ipynb":
            cells = nbformat.reads(text, as_version=4).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for link in re.findall(r"\]\(([^()\s#]+)[^()\s]*\)", text):
            if "://" not in link:
                assert (page.parent / link).exists(), (page, link)
                count += 1
    assert count > 400


def test_of_a_link_that_leads_out_of_the_copy_the_words_stay(copy):
    page = "See [README · Two commands](../README.md#two-commands)."
    assert page in (ROOT / "docs/questions.md").read_text(encoding="utf-8")
    copied = (copy / "docs/questions.md").read_text(encoding="utf-8")
    assert "See README · Two commands." in copied


def test_what_a_learner_has_changed_stays(copy, capsys):
    changed, gone = copy / "exercises/03_posterior.ipynb", copy / lessons.FIRST_LESSON
    changed.write_text("mine", encoding="utf-8")
    gone.unlink()
    (copy / "mine.txt").write_text("mine too", encoding="utf-8")
    assert main(["lessons", str(copy)]) == 0
    assert changed.read_text(encoding="utf-8") == "mine"
    assert (copy / "mine.txt").read_text(encoding="utf-8") == "mine too"
    assert gone.exists()
    said = capsys.readouterr().out
    assert f"{copy}: 1 new file\n" in said
    assert f"    {Path('exercises/03_posterior.ipynb')}\n" in said
    assert said.count(".ipynb") == 2  # the other is the one to open
    assert f"cd '{copy}' && jupyter lab" in said


def test_the_default_is_a_folder_here(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lessons"]) == 0
    assert (tmp_path / "course" / lessons.FIRST_LESSON).exists()
    assert "next commands: cd course && jupyter lab" in capsys.readouterr().out


def test_a_folder_in_a_copy_is_refused(copy, capsys, monkeypatch):
    before = sorted(copy.rglob("*"))
    monkeypatch.chdir(copy / "notebooks")
    for place in (".", "mine", "../exercises", str(copy / "docs" / "mine" / "further")):
        assert main(["lessons", place]) == 2
        said = f"{place} lies inside a copy of the lessons: name the copy itself, {copy.resolve()},"
        assert said in capsys.readouterr().err
    assert sorted(copy.rglob("*")) == before
    assert main(["lessons", str(copy.parent / "notebooks")]) == 0  # a name like any other


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        (["lessons"], "folder"),
        (["assemble"], "folder"),
        (["assemble", "--out"], "--out"),
        (["compare"], "package"),
        (["book"], "folder"),
    ],
)
def test_an_empty_path_is_refused(tmp_path, monkeypatch, capsys, command, argument):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([*command, ""])
    assert f"argument {argument}: must not be empty, got ''" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path, capsys):
    path = tmp_path / "course"
    path.write_text("mine", encoding="utf-8")
    assert main(["lessons", str(path)]) == 2
    assert f"expected a folder to write in, got the file {path}" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "mine"


def test_the_lessons_are_not_copied_onto_themselves(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["lessons", "."]) == 2
    assert ". holds the lessons themselves, so the copy needs another place" in (
        capsys.readouterr().err
    )


def test_nor_among_themselves(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for place in ("notebooks", "docs/mine"):
        assert main(["lessons", place]) == 2
        said = f"{Path(place)} lies among the lessons themselves, so the copy needs another place"
        assert said in capsys.readouterr().err
