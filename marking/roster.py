"""The list of a class: who the names of folders and files stand for, and who handed in nothing."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marking.platforms import Owner, Parts

LARGEST_ROSTER = 20 * 2**20  # bytes
# the titles of columns, as the platforms that export such a list write them
IDS = {
    *("id", "student id", "id number", "sid", "user id", "userid", "username", "user name"),
    *("login", "login id", "sis id", "sis user id", "sis login id", "student number"),
    *("email", "email address", "e-mail", "org defined id", "orgdefinedid"),
}
NAMES = {"name", "full name", "student", "student name"}
FIRST = {"first name", "firstname", "given name", "forename"}
LAST = {"last name", "lastname", "surname", "family name"}
MARKED = re.compile(r"^\s*'(?=[=+\-@＝＋－＠])")  # as a report keeps a cell from being a formula
EXPECTED = "expected a first line with the titles of columns, among them id and name"


@dataclass(frozen=True)
class Person:
    """Someone in the class.

    Args:
        name: as the roster writes it.
        ids: the first is the one that tells people of one name apart.
    """

    name: str
    ids: tuple[str, ...]


def read_roster(path: str | Path) -> list[Person]:
    """Read the list of a class: a CSV file with a column of ids and one of names.

    It is separated by commas, semicolons or tabs, in UTF-8, UTF-16 or cp1252, with or without a
    mark at its beginning. An id may stand in several columns, such as `id`, `username` and `email`;
    a name in two, `first name` and `last name`. Other columns are left alone.

    Raises: FileNotFoundError if there is no such file; ValueError for one that is no such list,
        naming the line.
    """
    path = Path(path)
    if not path.is_file():
        got = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"expected a roster, got {path}, which {got}")
    if path.stat().st_size > LARGEST_ROSTER:
        raise ValueError(f"{path}: a roster may have at most {LARGEST_ROSTER // 2**20} MB")
    text = decoded(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        lines = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    if not lines:
        raise ValueError(f"{path}: {EXPECTED}; the file is empty")
    titles = [" ".join(re.sub(r"[_\s]+", " ", title).split()).casefold() for title in lines[0][1]]
    ids = [place for place, title in enumerate(titles) if title in IDS]
    ids.sort(key=lambda place: titles[place] != "id")
    whole = [[place] for place, title in enumerate(titles) if title in NAMES][:1]
    parts = [
        [place for place, title in enumerate(titles) if title in some][:1] for some in (FIRST, LAST)
    ]
    names = whole[0] if whole else [*parts[0], *parts[1]] if all(parts) else []
    if not ids or not names:
        got = ", ".join(title.strip() for title in lines[0][1])[:200]
        raise ValueError(f"{path}, line {lines[0][0]}: {EXPECTED}; got {got}")
    people = [person_in(path, number, line, ids, names) for number, line in lines[1:]]
    if not people:
        raise ValueError(f"{path}: expected a line for each student, got only titles")
    refuse_shared_ids(path, people, [number for number, _ in lines[1:]])
    return people


def decoded(path: Path) -> str:
    """The text of a roster.

    Raises: ValueError for a file that is no text.
    """
    raw = path.read_bytes()
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ValueError(f"{path}: expected CSV, got a spreadsheet or a zip: save it as CSV")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise ValueError(f"{path}: expected CSV in UTF-8 or cp1252, got a file that is no text")


def person_in(
    path: Path, number: int, line: Sequence[str], ids: Iterable[int], names: Iterable[int]
) -> Person:
    """The person in a line.

    Raises: ValueError for a line without an id or a name.
    """
    cells = {place: " ".join(MARKED.sub("", cell).split()) for place, cell in enumerate(line)}
    own = tuple(dict.fromkeys(cell for place in ids if (cell := cells.get(place, ""))))
    name = " ".join(cell for place in names if (cell := cells.get(place, "")))
    for what, found in (("an id", own), ("a name", name)):
        if not found:
            got = ", ".join(line)[:200]
            raise ValueError(f"{path}, line {number}: expected {what}, got none in: {got}")
    return Person(name, own)


def refuse_shared_ids(path: Path, people: Sequence[Person], numbers: Sequence[int]) -> None:
    """Raises: ValueError for an id that two people have."""
    first: dict[str, int] = {}
    for person, number in zip(people, numbers):
        for one in {same_id(one) for one in person.ids}:
            if one in first:
                raise ValueError(
                    f"{path}, line {number}: the id {one} stands in line {first[one]} too;"
                    " expected another for each student"
                )
            first[one] = number


def same_id(text: str) -> str:
    """Equal for two ways to write an id."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name without accents, sorted: "Lovelace, Ada" has those of "Ada Lovelace"."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(one for one in plain if not unicodedata.combining(one))
    words = re.findall(r"[^\W_]+", bare)
    # a name in letters that are all marks, or all signs, is its own word
    return tuple(sorted(words)) or (bare.strip(),)


def run_together(name: str) -> set[str]:
    """The ways in which a platform runs the words of a name together: adalovelace, lovelaceada."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(one for one in plain if not unicodedata.combining(one))
    words = re.findall(r"[^\W_]+", bare)
    return {"".join([*words[turn:], *words[:turn]]) for turn in range(len(words))}


@dataclass(frozen=True)
class Matched:
    """Who the owners of what was handed in are.

    Args:
        people: by the keys of the owners; those who could not be found are left out.
        remarks: why not, by the key.
        absent: who handed in nothing.
        shown: the name of each person in the report: with the id where two have one name.
    """

    people: Mapping[Parts, Person]
    remarks: Mapping[Parts, str]
    absent: tuple[Person, ...]
    shown: Mapping[Person, str]


def matched(people: Sequence[Person], owners: Sequence[Owner]) -> Matched:
    """Find each owner in the roster: by an id, or else by the name where only one person has it."""
    by_id = {same_id(one): person for person in people for one in person.ids}
    found: dict[Parts, Person] = {}
    remarks: dict[Parts, str] = {}
    by_name: dict[tuple[str, Person], list[Parts]] = {}
    seen: set[Person] = set()
    for owner in {one.key: one for one in owners}.values():
        exact = {by_id[one] for one in map(same_id, owner.ids) if one in by_id}
        named = people_named(people, owner)
        if owner.apart:
            exact &= named
        if not exact and not named and not owner.apart:
            exact = people_in_words(by_id, owner)
        if len(exact) == 1 and (not named or exact & named):
            (found[owner.key],) = exact
        elif exact:
            (one, *_), other = sorted(exact, key=str), sorted(exact | named, key=str)[-1]
            remarks[owner.key] = f"the roster has {one.name} and {other.name} for its id and name"
        elif len(named) == 1:
            (person,) = named
            by_name.setdefault((owner.export, person), []).append(owner.key)
        elif named:
            (one, *_) = named
            remarks[owner.key] = f"the roster has {len(named)} people called {one.name}"
        else:
            several = members(people, owner)
            seen |= several
            if not several:
                remarks[owner.key] = "not in the roster"
    taken = {(owner.export, found[owner.key]) for owner in owners if owner.key in found}
    for (export, person), keys in by_name.items():
        if len(keys) == 1 and (export, person) not in taken:
            found[keys[0]] = person
        else:
            for key in keys:
                remarks[key] = f"several are called {person.name}, and the roster has one"
    names = [person.name for person in people]
    shown = {
        person: person.name if names.count(person.name) == 1 else f"{person.name} ({person.ids[0]})"
        for person in people
    }
    here = {*found.values(), *seen}
    return Matched(found, remarks, tuple(one for one in people if one not in here), shown)


def people_named(people: Sequence[Person], owner: Owner) -> set[Person]:
    """Who has the name of an owner, in any order of its words, or run together."""
    name = owner.names[0]
    wanted = words_of(name)
    together = "".join(words_of(name)) if len(wanted) == 1 else ""
    return {
        person
        for person in people
        if words_of(person.name) == wanted or (together and together in run_together(person.name))
    }


def people_in_words(by_id: Mapping[str, Person], owner: Owner) -> set[Person]:
    """Whose id is one of the words in the name of a plain folder or file: "12345_ada"."""
    words = {same_id(word) for word in re.split(r"[\s_,;()]+", owner.names[0])}
    words |= {same_id(word) for word in re.split(r"[\W_]+", owner.names[0])}
    return {person for one, person in by_id.items() if one in words}


def members(people: Sequence[Person], owner: Owner) -> set[Person]:
    """The people of a group that handed in one submission, where all are in the roster."""
    names = owner.names[0].split(" and ")
    some = [
        {person for person in people if words_of(person.name) == words_of(name)} for name in names
    ]
    return set().union(*some) if len(names) > 1 and all(len(one) == 1 for one in some) else set()
