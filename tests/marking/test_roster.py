"""The list of a class: read in every usual form, and matched with names that platforms make."""

import csv

import pytest
from quadratics import COURSE

from marking.grader import grade
from marking.platforms import Owner, placed_in
from marking.report import write_report
from marking.roster import Person, matched, read_roster

PEOPLE = [Person("Ada Lovelace", ("1815",)), Person("Émilie du Châtelet", ("1706",))]
PLAIN = "id,name\n1815,Ada Lovelace\n1706,Émilie du Châtelet\n"
FORMS = {
    "commas": PLAIN.encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "a mark": PLAIN.encode("utf-8-sig"),
    "cp1252": PLAIN.encode("cp1252"),
    "UTF-16": PLAIN.encode("utf-16"),
    "Windows lines": PLAIN.replace("\n", "\r\n").encode(),
    "old Mac lines": PLAIN.replace("\n", "\r").encode(),
    "blank lines": ("\n\n" + PLAIN.replace("\n", "\n\n") + ",\n").encode(),
    "quotes": b'"ID";"Name"\n"1815";"Ada Lovelace"\n"1706";"\xc3\x89milie du Ch\xc3\xa2telet"\n',
    "loud": PLAIN.replace("id,name", " ID , Full Name ").encode(),
    "more columns": "name,group,id\nAda Lovelace,1,1815\nÉmilie du Châtelet,,1706\n".encode(),
    "two columns of names": (
        "First name,Surname,ID number\nAda,Lovelace,1815\nÉmilie,du Châtelet,1706\n".encode()
    ),
}


def roster(tmp_path, content):
    path = tmp_path / "class.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_roster_is_read_in_any_form(tmp_path, form):
    assert read_roster(roster(tmp_path, FORMS[form])) == PEOPLE


def test_several_columns_of_ids_are_read(tmp_path):
    text = "email,id,name,Username\na@x.org,1815,Ada,al\n,7,Ben,\n"
    ada, ben = read_roster(roster(tmp_path, text))
    assert ada == Person("Ada", ("1815", "a@x.org", "al"))
    assert ben == Person("Ben", ("7",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("id,name\n", "expected a line for each student, got only titles"),
        (
            "1815,Ada\n",
            "line 1: expected a first line with the titles .* id and name; got 1815, Ada",
        ),
        ("id\n1815\n", "among them id and name; got id"),
        ("name\nAda\n", "among them id and name; got name"),
        ("id,name\n1815,Ada\n,Ben\n", "line 3: expected an id, got none in: , Ben"),
        ("id,name\n1815\n", "line 2: expected a name, got none in: 1815"),
        ("id,name\n7,Ada\n8,Ben\n7,Cleo\n", "line 4: the id 7 stands in line 2 too"),
        (b"PK\x03\x04rest", "got a spreadsheet or a zip: save it as CSV"),
        (b"id,name\n\0\0,\0\n", "a file that is no text"),
        (b"\x81\x8d\x8f", "a file that is no text"),
    ],
)
def test_a_bad_roster_is_refused_in_words(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        read_roster(roster(tmp_path, content))


def test_a_roster_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a roster, got .*, which does not exist"):
        read_roster(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="which is a folder"):
        read_roster(tmp_path)


def owner(name, *ids, export="", key=None):
    return Owner((key or name,), (name,), ids or (name,), export)


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (owner("Ada Lovelace"), 0),
        (owner("Lovelace, Ada"), 0),
        (owner("ada_lovelace"), 0),
        (owner("lovelaceada", "99"), 0),
        (owner("adalovelace"), 0),
        (owner("EMILIE DU CHATELET"), 1),
        (owner("Emilie du Cha\u0302telet"), 1),
        (owner("duchateletemilie"), 1),
        (owner("1815"), 0),
        (owner("1815_ada"), 0),
        (owner("Participant", "1706"), 1),
        (owner("Ada Byron"), None),
        (owner("ada"), None),
        (owner("18151"), None),
        (owner("Ada Lovelace", "1706"), None),  # the id is another's
    ],
)
def test_names_are_matched_with_people(one, found):
    result = matched(PEOPLE, [one])
    if found is None:
        assert result.people == {}
        assert result.remarks[one.key]
        assert len(result.absent) == 2 or "Ada Lovelace" in result.remarks[one.key]
    else:
        assert result.people == {one.key: PEOPLE[found]}
        assert result.absent == (PEOPLE[1 - found],)


def test_people_of_one_name_need_an_id():
    two = [Person("Ada", ("1",)), Person("Ada", ("2",))]
    result = matched(two, [owner("Ada", "9"), owner("x", "2")])
    assert result.people == {("x",): two[1]}
    assert result.remarks == {("Ada",): "the roster has 2 people called Ada"}
    assert result.shown == {two[0]: "Ada (1)", two[1]: "Ada (2)"}


def test_a_number_of_moodle_tells_only_people_of_one_name_apart():
    """It is counted for each assignment, and may be the id of somebody else."""
    folders = [(f"{name}_assignsubmission_file_", "a.ipynb") for name in ("Eve_1815", "Ben_7")]
    owners = [one.owner for one in placed_in(COURSE, folders, {})]
    result = matched([*PEOPLE, Person("Ben", ("6",)), Person("Ben", ("7",))], owners)
    assert {key[1]: one.ids for key, one in result.people.items()} == {"Ben": ("7",)}
    assert list(result.remarks.values()) == ["not in the roster"]
    assert PEOPLE[0] in result.absent


@pytest.mark.parametrize(
    "inside",
    [
        ["1815", "x"],
        ["Ada Lovelace_1815_assignsubmission_file_"],
        ["Ada Lovelace", "Ada Lovelace (1)"],
        ["solve_quadratics_1815"],
    ],
)
def test_a_folder_in_ones_own_folder_claims_nobody(inside):
    """Eve hands in folders that are called like Ada, or have her id."""
    paths = [("eve", name, "solve_quadratics.ipynb") for name in inside]
    paths.append(("Ben", "solve_quadratics.ipynb"))
    owners = [one.owner for one in placed_in(COURSE, paths, {})]
    people = [Person("Ada Lovelace", ("1815",)), Person("Ben", ("6",))]
    result = matched(people, owners)
    assert [one.name for one in result.people.values()] == ["Ben"]
    assert people[0] in result.absent


def test_two_of_one_name_in_an_export_are_not_one_person():
    one, two = owner("Ada Lovelace", "5", key="a"), owner("Ada Lovelace", "6", key="b")
    result = matched(PEOPLE, [one, two])
    assert result.people == {}
    assert set(result.remarks.values()) == {
        "several are called Ada Lovelace, and the roster has one"
    }
    other = owner("Ada Lovelace", "6", export="lesson 2", key="b")
    assert set(matched(PEOPLE, [one, other]).people.values()) == {PEOPLE[0]}


def test_a_group_is_all_of_its_members():
    result = matched(PEOPLE, [owner("Ada Lovelace and Émilie du Châtelet", "99")])
    assert result.absent == ()
    assert result.remarks == {}


def test_who_handed_in_nothing_is_listed(tmp_path):
    path = roster(tmp_path, PLAIN + "7,<b>Zoë</b>\n")
    folder = tmp_path / "in" / "lovelaceada"
    folder.mkdir(parents=True)
    (folder / "solve_quadratics.ipynb").write_text("{")
    (tmp_path / "in" / "stranger").mkdir()
    out = tmp_path / "out"
    every = grade(COURSE, [tmp_path / "in"], out, report=write_report, roster=path, progress=False)
    assert [one.student for one in every if one.absent] == ["<b>Zoë</b>", "Émilie du Châtelet"]
    tables = {}
    for name in ("grades", "totals"):
        with (out / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            tables[name] = {row["student"]: row for row in csv.DictReader(file)}
    for table in tables.values():
        assert table["Émilie du Châtelet"]["remark"] == "handed in nothing"
        assert "not in the roster" in table["stranger"]["remark"]
        assert "Ada Lovelace" in table
    assert tables["totals"]["Émilie du Châtelet"]["of"] == "6"
    assert tables["totals"]["Émilie du Châtelet"]["notebooks"] == "0"
    page = (out / "class.html").read_text(encoding="utf-8")
    assert "<h2>Handed in nothing</h2>\n<p>2 students of the roster.</p>" in page
    assert "<li>&lt;b&gt;Zoë&lt;/b&gt;</li>" in page
    assert len(list((out / "feedback").iterdir())) == 2
