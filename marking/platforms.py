"""Whose each file is, from the names of all that was handed in together: learning platforms put the
student's name, and often a number, before a file or on its folder.

Two files belong to one student only where their names say so. What a platform adds is left out of a
name as long as no two students meet in what remains.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from marking.course import Course

Parts = tuple[str, ...]  # of a path; the last is empty for a folder that is empty

ON_FOLDERS = {  # how platforms name a student's folder, or a file or zip in its place
    "Moodle": r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)",
    "Gradescope": r"(?P<name>submission)_(?P<id>\d+)(?:\.zip)?",
    "nbgrader": r"(?P<name>.+)\+[^+]+\+(?P<when>\d{4}-\d\d-\d\d\D\d\d\D?\d\d[^+]*)(?:\+[^+]*)?",
    "Brightspace": r"(?P<id>\d+)-\d+ ?- (?P<name>.+?) ?- (?P<file>[A-Z].*\d.*)",
}
ON_FILES = {  # how platforms name files that lie side by side
    "Moodle": ON_FOLDERS["Moodle"],
    "Canvas": (
        r"(?P<name>[^_]+)(?:_LATE)?_(?P<id>\d+)_\d{3,}_(?P<file>.+)"
        r"|(?P<anonymous>anon)_(?P<code>[A-Za-z0-9]{5})(?:_LATE)?_\d{3,}_(?P<rest>.+)"
    ),
    "Blackboard": (
        r"(?P<head>.+)_attempt_(?P<when>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt|\.zip)?"
    ),
}
ANONYMOUS = re.compile(r"(participant|anon|submission|teilnehmer|student)\b.*", re.IGNORECASE)
NOTEBOOK = re.compile(r"(?:\.ipynb(?:\.\w{1,5})?|\.json)$", re.IGNORECASE)
COPY = re.compile(  # what Jupyter, browsers and people add to the name of another attempt
    r"(?:-Copy(?P<jupyter>\d+)|(?: - | )copy(?: ?\(?(?P<windows>\d+)\)?)?|[ _]?\((?P<browser>\d+)\)"
    r"|[-_ ]v(?:ersion)?[-_ ]?(?P<version>\d+)|[-_ ](?:attempt|try)[-_ ]?(?P<attempt>\d+))$",
    re.IGNORECASE,
)
LARGEST_NUMBER = 10**9  # of a copy; Python reads no number of thousands of figures
COPY_OF = re.compile(r"^(?:copy|kopie|copie|copia) (?:of|von|de|di) ", re.IGNORECASE)
COPY_BEFORE = re.compile(r"(?:^| - )(?:copy|kopie|copie|copia) (?:of|von|de|di)$", re.IGNORECASE)
ATTEMPT = re.compile(
    r"(?:attempt|version|submission|try|versuch|copy|old|new|final|draft|backup|v)?[-_ #]*\d*"
    r"|\d{4}-\d\d-\d\d.*"
    # a student may hand in all folders of the course
    r"|(?:notebook|exercise|solution|lesson|assignment|homework)s?[-_ #]*\d*",
    re.IGNORECASE,
)
METADATA = "submission_metadata.yml"  # of Gradescope
TIMESTAMP = "timestamp.txt"  # of nbgrader
OF_SYSTEMS = {"__macosx", ".ipynb_checkpoints", ".ds_store", "thumbs.db", "desktop.ini", ".git"}
ABOUT_THE_CLASS = (".csv", ".yml", ".yaml", ".html", ".md", ".toml", ".log", ".db", ".xlsx", ".py")


@dataclass(frozen=True)
class Owner:
    """Whose a file is.

    Args:
        key: equal for all that one student handed in.
        names: of the student, the shortest first; a longer one serves where two would meet.
        ids: what else a roster may know the student by.
        export: in which folder of students the file was found.
        apart: whether its numbers are no ids of a roster, but tell people of one name apart.
    """

    key: Parts
    names: tuple[str, ...]
    ids: tuple[str, ...] = ()
    export: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Placed:
    """What the name of a file says.

    Args:
        owner: whose it is.
        when: orders a student's attempts: the time that the platform gives, and the number of the
            copy.
        platform: whose way of naming it is; empty for plain folders and files.
        named: whether the name tells a student at all.
        beside: whether it lies beside what students handed in, and is nobody's.
        file: its name as the student had it, where the platform has put more before it.
    """

    owner: Owner
    when: tuple[str, int] = ("", 0)
    platform: str = ""
    named: bool = True
    beside: bool = False
    file: str = ""


def is_system(name: str) -> bool:
    """Whether a system made this file or folder, and no student."""
    return name.lower() in OF_SYSTEMS or name.startswith("._")


def is_notebook(name: str) -> bool:
    """Whether a name is that of a notebook, or of one that a browser saved under another."""
    return bool(NOTEBOOK.search(name))


def is_zip(name: str) -> bool:
    """Whether a name is that of a zip."""
    return name.lower().endswith(".zip")


def without_zip(parts: Parts) -> Parts:
    """The parts of a path in zips, called as the folders that they would unpack to."""
    return tuple(part[:-4] if is_zip(part) else part for part in parts)


def stem_and_copy(name: str) -> tuple[str, int]:
    """The name of a notebook without its ending and the marks of a copy, and the copy's number."""
    stem = COPY_OF.sub("", NOTEBOOK.sub("", name).lstrip("."))
    number = 0
    while found := COPY.search(stem):
        if not found.start():
            break
        number = max(number, *map(number_in, found.groups("1")))
        stem = stem[: found.start()]
    return stem, number


def number_in(text: str) -> int:
    """The number of a copy or an attempt."""
    return min(int(text[:20]), LARGEST_NUMBER)


def lesson_in(course: Course, stem: str) -> re.Match[str] | None:
    """The lesson in a file's name, as group 1: "roots" in "ada_roots_of_equations"."""
    words = "|".join(map(re.escape, course.lessons)) or "(?!)"
    return re.match(rf"(?:^|.*[_\- ])({words})_[^\W\d_]+", stem, re.IGNORECASE)


def lesson_of_parts(course: Course, parts: Parts) -> str:
    """The lesson that a path names, in its file's name or else in a folder's; or nothing."""
    for part in reversed(parts):
        found = lesson_in(course, stem_and_copy(part)[0])
        if found:
            return next(one for one in course.lessons if one.lower() == found[1].lower())
    return ""


def name_in_file(course: Course, name: str) -> str:
    """The student in the name of a file: before the lesson, or after it and a hyphen."""
    stem, _ = stem_and_copy(name)
    found = lesson_in(course, stem)
    if not found:
        return ""
    before = stem[: found.start(1)].rstrip("_- ")
    before = COPY_BEFORE.sub("", before)
    if before:
        return before
    after = re.match(r"\w+ - (.+)", stem[found.start(1) :])
    return after[1].strip() if after else ""


def same_text(name: str) -> str:
    """A name in the one form that Unicode has for it."""
    return unicodedata.normalize("NFC", name).strip()


def platform_of(names: Iterable[str], patterns: Mapping[str, str]) -> str:
    """The platform that named at least half of these; empty if none did."""
    every = set(names)
    for platform, pattern in patterns.items():
        hits = sum(bool(re.fullmatch(pattern, name, re.DOTALL)) for name in every)
        if hits and 2 * hits >= len(every):
            return platform
    return ""


def placed_in(
    course: Course, paths: Sequence[Parts], texts: Mapping[Parts, str], root: str = ""
) -> list[Placed]:
    """What the names of all files of a folder say, in their order.

    Args:
        course: its lessons are known in the names.
        paths: below the folder.
        texts: the contents of what platforms put beside notebooks.
        root: the folder's own name.
    """
    found: dict[int, Placed] = {}
    Reader(course, paths, texts, root, found).read(list(range(len(paths))), 0, whole=False)
    return [found[place] for place in range(len(paths))]


@dataclass(frozen=True)
class Reader:
    """Reads the names below one folder, descending into it; `found` fills up."""

    course: Course
    paths: Sequence[Parts]
    texts: Mapping[Parts, str]
    root: str
    found: dict[int, Placed]
    heads: dict[int, set[str]] = field(default_factory=dict)  # of Blackboard's names, by depth

    def read(self, places: Sequence[int], depth: int, *, whole: bool) -> None:
        """Read the paths at these places, of which `depth` parts are above the students.

        Args:
            places: in `paths`.
            depth: how many parts of each are the same.
            whole: whether a name needs its folders, because others below them may be alike.
        """
        folders: dict[str, list[int]] = {}
        files: dict[str, list[int]] = {}
        for place in places:
            parts = self.paths[place]
            group = folders if len(parts) > depth + 1 and not is_zip(parts[depth]) else files
            group.setdefault(parts[depth], []).append(place)
        students = [name for name in files if not self.beside(name)]
        on_folders = platform_of(folders, ON_FOLDERS)
        on_files = platform_of(students, ON_FILES)
        zips = {name: files[name] for name in students if is_zip(name)}
        # where most zips are of one student, so is another, whatever folders it has
        if not on_files and self.are_sections(zips.values(), depth + 1):
            folders |= zips
            files = {name: inside for name, inside in files.items() if name not in zips}
            students = [name for name in students if name in files]
        tops = [*folders, *students]
        if len(tops) == 1 and not on_folders and not on_files:
            inside = folders.get(tops[0]) or files.pop(tops[0])
            if len(self.paths[inside[0]]) > depth + 1 and self.holds_students(inside, depth + 1):
                for some in files.values():
                    self.place_files(some, depth, "", whole)
                self.read(inside, depth + 1, whole=whole)
                return
            if tops[0] not in folders:
                files[tops[0]] = inside
        sections = any(self.is_section(inside, depth + 1) for inside in folders.values())
        grouped = {
            name
            for name, inside in folders.items()
            if self.has_folders(inside, depth + 1) or self.has_owners(inside, depth + 1)
        }
        every = {**folders, **files}
        exports = {name for name in every if self.is_export(name, every[name], depth + 1)}
        beside_students = not exports.issuperset(tops)

        def read_export(inside: Sequence[int]) -> None:
            # beside students it may be one's own, whatever its files are called: nobody else's
            if beside_students:
                self.place_apart(inside, depth + 1)
            else:
                self.read(inside, depth + 1, whole=whole)

        for name, inside in folders.items():
            if on_folders and re.fullmatch(ON_FOLDERS[on_folders], name, re.DOTALL):
                self.place_folder(name, inside, depth, on_folders, whole)
            elif name in exports:
                read_export(inside)
            elif sections and name in grouped:
                apart = self.parting(inside, depth + 1)
                if grouped == set(folders):
                    self.read(inside, depth + 1, whole=True)
                elif any(map(is_zip, self.paths[inside[0]][depth + 1 : apart])):
                    # beside students' folders, a zip in a folder is what that student handed in
                    self.place_folder(name, inside, depth, "", whole)
                else:
                    self.place_apart(inside, apart)
            else:
                self.place_folder(name, inside, depth, "", whole)
        for name, inside in files.items():
            known = on_files and re.fullmatch(ON_FILES[on_files], name, re.DOTALL)
            if not known and name in exports:
                read_export(inside)
            else:
                self.place_files(inside, depth, on_files, whole)

    def beside(self, name: str) -> bool:
        """Whether a file lies beside the students', and is nobody's."""
        if is_notebook(name) or name_in_file(self.course, name):
            return False
        low = name.lower()
        about = low.endswith(ABOUT_THE_CLASS) or low.startswith(("readme", "license"))
        return about or name == TIMESTAMP or is_system(name)

    def subfolders(self, places: Sequence[int], depth: int) -> dict[str, list[Parts]]:
        """The folders at a depth, each with its paths."""
        groups: dict[str, list[Parts]] = {}
        for place in places:
            parts = self.paths[place]
            if len(parts) > depth + 1:
                groups.setdefault(parts[depth], []).append(parts)
        return groups

    def notebooks(self, places: Sequence[int], depth: int) -> list[str]:
        """The notebooks that lie at a depth, in no deeper folder."""
        paths = [self.paths[place] for place in places]
        return [parts[-1] for parts in paths if len(parts) == depth + 1 and is_notebook(parts[-1])]

    def subject(self, parts: Parts) -> str:
        """What a notebook is about: its lesson, or else its name."""
        return lesson_of_parts(self.course, parts[-1:]) or stem_and_copy(parts[-1])[0]

    def is_assignment(self, name: str, paths: Iterable[Parts]) -> bool:
        """Whether a folder is one assignment or attempt of a student, and no student's own."""
        if ATTEMPT.fullmatch(name) or lesson_of_parts(self.course, (name,)):
            return True
        own = [parts[-1] for parts in paths if parts[-2] == name]
        return any(file == TIMESTAMP or stem_and_copy(file)[0] == name for file in own)

    def holds_students(self, places: Sequence[int], depth: int) -> bool:
        """Whether the only folder is one of students, and no student's."""
        groups = self.subfolders(places, depth)
        names = self.notebooks(places, depth)
        flat = [self.paths[place][depth] for place in places]
        if platform_of(groups, ON_FOLDERS) or platform_of(flat, ON_FILES):
            return True
        if any(name_in_file(self.course, name) for name in names):
            return True
        if names:
            # several of one lesson, under names that are no copies of one another
            plain = {stem_and_copy(name)[0].casefold(): self.subject((name,)) for name in names}
            return max(Counter(plain.values()).values()) > 1
        return any(not self.is_assignment(name, paths) for name, paths in groups.items()) or any(
            map(is_zip, flat)
        )

    def is_export(self, name: str, places: Sequence[int], depth: int) -> bool:
        """Whether a folder among others holds the students of one assignment."""
        groups = self.subfolders(places, depth)
        inner = [self.paths[place] for place in places if len(self.paths[place]) > depth]
        flat = [parts[depth] for parts in inner if len(parts) == depth + 1]
        if platform_of(groups, ON_FOLDERS) or platform_of(flat, ON_FILES):
            return True
        if not lesson_of_parts(self.course, (name,)):
            return False
        owned = any(name_in_file(self.course, one) for one in self.notebooks(places, depth))
        return owned or any(not self.is_assignment(one, some) for one, some in groups.items())

    def is_section(self, places: Sequence[int], depth: int) -> bool:
        """Whether a folder among others holds several students: notebooks of one lesson in
        different folders, or files with different names of students.
        """
        depth = self.parting(places, depth)
        if self.has_owners(places, depth):
            return True
        if not self.has_folders(places, depth):
            return False
        groups = self.subfolders(places, depth)
        subjects = [
            subject
            for paths in groups.values()
            for subject in {self.subject(parts) for parts in paths if is_notebook(parts[-1])}
        ]
        return len(set(subjects)) < len(subjects)

    def are_sections(self, zips: Collection[Sequence[int]], depth: int) -> bool:
        """Whether zips side by side hold several students each, and at most half of them one."""
        several = sum(self.is_section(inside, depth) for inside in zips)
        return 2 * several >= len(zips) > 0 and all(
            self.has_folders(inside, depth) or self.has_owners(inside, depth) for inside in zips
        )

    def parting(self, places: Sequence[int], depth: int) -> int:
        """The depth from `depth` on at which not all lies in one and the same folder."""
        paths = [self.paths[place] for place in places]
        while all(len(parts) > depth + 1 and parts[depth] == paths[0][depth] for parts in paths):
            depth += 1
        return depth

    def has_owners(self, places: Sequence[int], depth: int) -> bool:
        """Whether the names of notebooks of one lesson at a depth name several students."""
        owners: dict[str, set[str]] = {}
        for name in self.notebooks(places, depth):
            owner = same_text(name_in_file(self.course, name))
            if owner and not ATTEMPT.fullmatch(owner):
                owners.setdefault(self.subject((name,)), set()).add(owner)
        return any(len(some) > 1 for some in owners.values())

    def has_folders(self, places: Sequence[int], depth: int) -> bool:
        """Whether there are folders at a depth that are more than assignments and attempts."""
        groups = self.subfolders(places, depth)
        return any(not self.is_assignment(name, paths) for name, paths in groups.items())

    def place_folder(
        self, name: str, places: Sequence[int], depth: int, platform: str, whole: bool
    ) -> None:
        """Place all that lies in one student's folder."""
        for place in places:
            parts = self.paths[place]
            number = max(stem_and_copy(part)[1] for part in parts[depth + 1 :])
            attempt = [number_in(one) for one in re.findall(r"\d+", "".join(parts[depth + 1 : -1]))]
            if len(attempt) == 1 and not lesson_of_parts(self.course, parts[depth + 1 : -1]):
                number = max(number, *attempt)
            stamp = self.texts.get((*parts[:-1], TIMESTAMP), "").strip()[:40]
            self.put(place, name, depth, platform, whole, (stamp, number))

    def place_apart(self, places: Sequence[int], depth: int) -> None:
        """Place what lies in a folder that may be a student's own: it is nobody else's."""
        for place in places:
            parts = self.paths[place]
            name = parts[depth]
            if len(parts) == depth + 1:
                name = name_in_file(self.course, name) or name
            path = "/".join((*without_zip(parts[:depth]), name))
            names = (path, "/".join(filter(None, (self.root, path))))
            export = self.export(parts, depth)
            key = ("apart", *parts[:depth], name)
            owner = Owner(key, names, export=export, apart=True)
            self.found[place] = Placed(owner, ("", stem_and_copy(parts[-1])[1]))

    def place_files(self, places: Sequence[int], depth: int, platform: str, whole: bool) -> None:
        """Place files, or what is in zips, that lie side by side."""
        for place in places:
            parts = self.paths[place]
            name = parts[depth]
            if platform and re.fullmatch(ON_FILES[platform], name, re.DOTALL):
                again = re.search(r"-(\d+)(?:\.\w+)*$", name) if platform == "Canvas" else None
                copy = stem_and_copy(parts[-1])[1]
                number = max(copy, number_in(again[1]) if again else 0)
                self.put(place, name, depth, platform, whole, ("", number))
                continue
            number = stem_and_copy(parts[-1])[1]
            if len(parts) > depth + 1:  # in a zip
                name = name_in_file(self.course, name[:-4]) or name[:-4]
                self.put(place, name, depth, "", whole, ("", number))
                continue
            owner = name_in_file(self.course, name)
            if owner:
                self.put(place, owner, depth, "", whole, ("", number))
            else:
                self.put_alone(place, depth, number)

    def put_alone(self, place: int, depth: int, number: int) -> None:
        """Place a file whose name tells no student: nobody else's may be joined with it."""
        parts = self.paths[place]
        stem = NOTEBOOK.sub("", parts[-1]) or parts[-1]
        names = (stem, "/".join(parts), "/".join(filter(None, (self.root, *parts))))
        owner = Owner(("alone", self.root, *parts), names, export=self.export(parts, depth))
        nobodys = self.beside(parts[depth])
        self.found[place] = Placed(owner, ("", number), named=False, beside=nobodys)

    def export(self, parts: Parts, depth: int) -> str:
        """The folder of students in which a path was found."""
        return "/".join(filter(None, (self.root, *without_zip(parts[:depth]))))

    def put(
        self,
        place: int,
        name: str,
        depth: int,
        platform: str,
        whole: bool,
        when: tuple[str, int],
    ) -> None:
        """Place a file with the student whom a name names."""
        parts = self.paths[place]
        export = self.export(parts, depth)
        long: Parts = (
            name,
            "/".join((*without_zip(parts[:depth]), name)),
            "/".join(filter(None, (export, name))),
        )
        if not platform:
            above = parts[:depth] if whole else ()
            owner = Owner(
                ("plain", *above, same_text(name)), long[1:] if whole else long, (name,), export
            )
            self.found[place] = Placed(owner, when)
            return
        pattern = ON_FOLDERS.get(platform) or ON_FILES[platform]
        match = re.fullmatch(pattern, name, re.DOTALL)
        assert match is not None
        groups = {key: value for key, value in match.groupdict().items() if value}
        number = groups.get("id") or groups.get("code", "")
        short = (groups.get("name") or groups.get("anonymous") or "").strip()
        when = (groups.get("when") or when[0], when[1]) if platform != "Brightspace" else when
        if platform == "Blackboard":
            short, number = self.user_of_blackboard(groups["head"], name, parts, depth), ""
        if platform == "nbgrader":
            number = ""
        ids: Parts = tuple(one for one in (number or short,) if one)
        key: Parts = (platform, same_text(short), number)
        if platform == "Gradescope":
            told = self.submitters(parts, depth, name)
            if told:
                short, ids = told
                key = (platform, same_text(short), *ids)
                number = ids[0] if ids else number
        names: Parts = (f"{short}_{number}", *long) if number else (short, *long)
        if number and not ANONYMOUS.fullmatch(short):
            names = (short, *names)
        file = groups.get("file") or groups.get("rest", "") if parts[-1] == name else ""
        # Moodle numbers what is handed in to an assignment: in a roster another may have the number
        apart = platform == "Moodle" and not ANONYMOUS.fullmatch(short)
        owner = Owner(key, names, ids, export, apart)
        self.found[place] = Placed(owner, when, platform, file=file)

    def user_of_blackboard(self, head: str, name: str, parts: Parts, depth: int) -> str:
        """The user in "Assignment_user": as the text beside the file says, or else what differs
        between the files of all.
        """
        stamp = re.search(r"_attempt_\d{4}(?:-\d\d){5}", name)
        beside = head + (stamp[0] if stamp else "") + ".txt"
        said = re.search(
            r"^Name:.*\(([^()]+)\)\s*$", self.texts.get((*parts[:depth], beside), ""), re.MULTILINE
        )
        if said and head.endswith(f"_{said[1]}"):
            return said[1]
        if head.count("_") == 1:
            return head.partition("_")[2]
        if depth not in self.heads:
            names = {parts[depth] for parts in self.paths if len(parts) > depth}
            matches = [re.fullmatch(ON_FILES["Blackboard"], one) for one in names]
            self.heads[depth] = {match["head"] for match in matches if match}
        heads = self.heads[depth]
        if len(heads) == 1:
            return head.rpartition("_")[2]
        shared = common_start(heads)
        start = shared.rfind("_") + 1
        return head[start:] if start else head

    def submitters(self, parts: Parts, depth: int, name: str) -> tuple[str, Parts] | None:
        """The names and numbers of who handed in a submission, as Gradescope's metadata say."""
        text = self.texts.get((*parts[:depth], METADATA)) or self.texts.get(
            (*parts[: depth + 1], METADATA), ""
        )
        names, ids = submitters_in(text).get(name.removesuffix(".zip"), ([], []))
        return (" and ".join(names), tuple(ids)) if names else None


@functools.lru_cache(maxsize=4)  # it is asked for each file of a class
def submitters_in(text: str) -> dict[str, tuple[list[str], list[str]]]:
    """The names and the numbers of who handed in each submission, in Gradescope's metadata."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    names: list[str] = []
    ids: list[str] = []
    for line in text.splitlines():
        if re.match(r"\S", line) and not line.startswith(("-", "#")):
            heading = re.match(r"[\"']?(submission_\d+)(?:\.\w+)?[\"']?:", line)
            names, ids = found.setdefault(heading[1], ([], [])) if heading else ([], [])
        said = re.match(r"[\s-]*:?(name|sid|email): *[\"']?(.*?)[\"']?\s*$", line)
        if said and said[2]:
            (names if said[1] == "name" else ids).append(said[2])
    return found


def common_start(names: Iterable[str]) -> str:
    """What all names begin with."""
    every = sorted(names)
    first, last = every[0], every[-1]
    same = (place for place, (a, b) in enumerate(zip(first, last)) if a != b)
    return first[: next(same, min(len(first), len(last)))]


def one_key_each(placed: Sequence[Placed]) -> list[Placed]:
    """The same with one key for each student across all folders."""
    return joined_by_name(kept_apart(placed))


def names_of_owners(owners: Mapping[Parts, Owner], taken: Iterable[str] = ()) -> dict[Parts, str]:
    """The name of each key: as short as it can be without meeting another, or one that is taken."""
    occupied = {same_text(name) for name in taken}
    level = dict.fromkeys(owners, 0)

    def shown(key: Parts) -> str:
        names = owners[key].names
        return names[min(level[key], len(names) - 1)]

    for _ in range(max((len(owner.names) for owner in owners.values()), default=0)):
        counts = Counter(same_text(shown(key)) for key in owners)
        for key in owners:
            name = same_text(shown(key))
            if counts[name] > 1 or name in occupied:
                level[key] += 1
    names: dict[Parts, str] = {}
    for key in owners:
        name = " ".join(shown(key).split()) or "student"
        number = 1
        unique = name
        while same_text(unique) in occupied:
            number += 1
            unique = f"{name} [{number}]"
        occupied.add(same_text(unique))
        names[key] = unique
    return names


def kept_apart(placed: Sequence[Placed]) -> list[Placed]:
    """Names that Unicode or a space alone tells apart in one folder are two students'."""
    written: dict[tuple[str, Parts], set[str]] = {}
    for one in placed:
        if not one.platform and one.named:
            written.setdefault((one.owner.export, one.owner.key), set()).add(one.owner.names[0])
    double = {key for (_, key), names in written.items() if len(names) > 1}
    return [
        replace(one, owner=replace(one.owner, key=(*one.owner.key, one.owner.names[0])))
        if one.owner.key in double
        else one
        for one in placed
    ]


def joined_by_name(placed: Sequence[Placed]) -> list[Placed]:
    """Moodle gives a student another number in each assignment: where no two in one export share a
    name, the name tells who it is.
    """
    numbers: dict[tuple[str, str], set[str]] = {}
    for one in placed:
        if one.platform == "Moodle":
            _, name, number = one.owner.key
            numbers.setdefault((one.owner.export, name), set()).add(number)
    double = {name for (_, name), some in numbers.items() if len(some) > 1}
    return [
        replace(one, owner=replace(one.owner, key=one.owner.key[:2]))
        if one.platform == "Moodle"
        and one.owner.key[1] not in double
        and not ANONYMOUS.fullmatch(one.owner.key[1])
        else one
        for one in placed
    ]
