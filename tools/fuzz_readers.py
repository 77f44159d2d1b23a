"""Fuzz what reads files and messages that come from anyone, guided by coverage.

pip install atheris
python tools/fuzz_readers.py zips --seconds 600 --out runs/fuzz

A target hands bytes to a reader. A reader may raise the errors that its docstring names, and
nothing else; it may take 10 seconds and 500 MB. Whatever else happens is a find: its bytes are
kept in OUT/finds/TARGET, with the traceback beside them, one for each place in the code. The corpus
grows in OUT/corpus/TARGET and is used again by the next run; it begins with seeds made here.

The process that fuzzes ends at a hang or where it takes too much memory. It is then started again,
until the time is over. In the end a line says how many inputs were run, how many edges of the code
they reached, and how many finds there were.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import math
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS_EACH = 10  # that one input may take
MEGABYTES = 500  # that the process may take, its imports included
LONGEST = 2**14  # bytes of an input
INSTRUMENTED = ["marking", "minddpm"]
STANDARD = ["zipfile", "gzip", "csv"]  # of Python's own modules, what readers hand bytes to
WITH_JSON = ("notebooks", "messages", "names", "checkpoints")
STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)")


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Args:
        make: imports the readers, and returns what hands them bytes in a folder.
        seeds: the first inputs.
        words: that inputs may contain, for the fuzzer to try.
    """

    make: Callable[[Path], Callable[[bytes], None]]
    seeds: Callable[[], list[bytes]]
    words: tuple[str, ...] = ()


def course() -> Any:
    """A course of two questions, small enough to leave the memory to the readers."""
    import torch

    from marking.course import Course
    from marking.exercise import Case, Choice, Exercise, Inputs, Mistake

    def cases(draw: Inputs) -> Iterator[Case]:
        yield Case("a few", (draw.uniform(1.0, 2.0, 3),))

    half = Exercise(
        "solve.half",
        arguments=("x",),
        returns="half of it, shape (n,)",
        reference=lambda x: x / 2,
        cases=cases,
        mistakes=(
            Mistake(
                "doubled",
                lambda x: 2 * x,
                "You double it: half of 4 is {right}; yours is {wrong}.",
                (torch.tensor([4.0]),),
            ),
        ),
    )
    way = Choice(
        "graph.which_way",
        question="Which way does -x^2 + 3 open?",
        options={"A": "up", "B": "down"},
        right="B",
        replies={"A": "Its height at x = 10 is -97.", "B": "The factor of x^2 is negative."},
    )
    return Course("fuzz", "quadratics", {one.name: one for one in (half, way)})


def notebook(cells: Sequence[Any], **more: Any) -> bytes:
    """The bytes of a notebook with code cells of these sources."""
    made = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": one} for one in cells]
    content = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}
    return json.dumps(content).encode()


SOLVED = notebook(
    ["from quadratics import check", "def half(x):\n    return x / 2\ncheck('solve.half', half)"]
)


def expect(condition: bool, error: Exception) -> None:
    """Take an error for a find unless a condition on its message holds."""
    if not condition:
        raise AssertionError("the message does not say what it is about") from error


# --- notebooks: marking/intake.py ---


def make_notebooks(folder: Path) -> Callable[[bytes], None]:
    """Reads a notebook, and looks for answers in it."""
    from marking.intake import Broken, cell_of_answer, lessons_named, submission_in

    known = course()

    def run(data: bytes) -> None:
        try:
            found = submission_in(known, lambda: io.BytesIO(data), len(data), "ada", "a.ipynb", "")
        except Broken:
            lessons_named(known, data)
            return
        for name in known.bank:
            cell_of_answer(found.cells, name, known.variable_of(name))

    return run


def seeds_of_notebooks() -> list[bytes]:
    """Notebooks of the course, and odd ones."""
    smallest = sorted((ROOT / "exercises").glob("*.ipynb"), key=lambda path: path.stat().st_size)
    return [
        smallest[0].read_bytes(),
        SOLVED,
        notebook([["x = 1\n", "y = 2"], "from minddpm import q_posterior\n", "%%time\nz = 3"]),
        notebook([], metadata={"kernelspec": {"name": "python3", "language": "python"}}),
        notebook([], metadata={"kernelspec": {"name": "ir"}}),
        b"\xef\xbb\xbf" + SOLVED,
        SOLVED.decode().encode("utf-16"),
        b'{"cells": [' + b"[" * 200 + b"]" * 200 + b"]}",
        b'{"worksheets": [], "nbformat": 3}',
    ]


# --- zips: marking/handed_in.py, the bytes of a zip ---


def make_zips(folder: Path) -> Callable[[bytes], None]:
    """Lists and reads a zip that a student handed in, beside another student's notebook; then the
    same bytes as the zip of the class.
    """
    from marking.handed_in import all_handed_in

    known = course()
    handed = folder / "in"
    (handed / "ben").mkdir(parents=True)
    (handed / "ada").mkdir()
    (handed / "ben" / "solve_half.ipynb").write_bytes(SOLVED)
    own, whole = handed / "ada" / "a.zip", folder / "class.zip"

    def run(data: bytes) -> None:
        own.write_bytes(data)
        whole.write_bytes(data)
        with ExitStack() as stack:
            found, _ = all_handed_in(known, [handed], stack, folder / "out")
            for one in found:
                one.digest()
            assert {"ada", "ben"} <= {one.student for one in found}, "a student is missing"
        with ExitStack() as stack:
            try:
                found, _ = all_handed_in(known, [whole], stack, folder / "out")
            except ValueError as error:
                expect(str(error).startswith("expected a zip, got"), error)
                return
            for one in found:
                one.digest()

    return run


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The bytes of a zip of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def seeds_of_zips() -> list[bytes]:
    """Zips in all ways of compressing, with folders, links and zips in them."""
    one = {"solve_half.ipynb": SOLVED}
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    link = zipfile.ZipInfo("link.ipynb")
    link.external_attr = 0o120777 << 16
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("empty/", "")
    return [
        *(zipped(one, method) for method in methods),
        zipped({}),
        zipped({"ada/b.zip": zipped({"c.zip": zipped(one)}), "ada/a.txt": b"x"}),
        zipped({"../up.ipynb": SOLVED, "/etc/a.ipynb": SOLVED, "C:\\a.ipynb": SOLVED}),
        zipped(
            {
                f"{name}_1{place}_assignsubmission_file_/a.ipynb": b"{}"
                for place, name in enumerate(("Ada", "Ben"))
            }
        ),
        made.getvalue(),
        zipped({"a.ipynb": b"\0" * 2**20}),
    ]


# --- exports: marking/platforms.py and roster.py, the names in a zip of the class ---


def make_exports(folder: Path) -> Callable[[bytes], None]:
    """Takes each line as a path and, after a tab, the text of that file: whose is it?"""
    from marking.handed_in import as_on_disk
    from marking.platforms import Owner, names_of_owners, one_key_each, placed_in
    from marking.roster import Person, matched

    known = course()
    people = [
        Person("Ada Lovelace", ("12345", "ada")),
        Person("Ben", ("2",)),
        Person("Ben", ("3",)),
    ]

    def run(data: bytes) -> None:
        lines = dict.fromkeys(data.decode("utf-8", "surrogateescape").split("\n"))
        pairs = [line.partition("\t")[::2] for line in lines]
        texts = {
            as_on_disk(tuple(path.split("/"))): text.replace("\r", "\n")
            for path, text in pairs
            if path
        }
        placed = one_key_each(placed_in(known, list(texts), texts, "class"))
        assert len(placed) == len(texts)
        owners: dict[Any, Owner] = {one.owner.key: one.owner for one in placed}
        names = names_of_owners(owners)
        assert len({*names.values()}) == len(owners), "two students share a name"
        matched(people, list(owners.values()))

    return run


def seeds_of_exports() -> list[bytes]:
    """The names that platforms give, as the tests have them."""
    every = [
        "Ada L_12_assignsubmission_file_/solve_half.ipynb\nBen_13_assignsubmission_file_/a.ipynb",
        "Participant_1234567_assignsubmission_file_/a.ipynb\nParticipant_2_assignsubmission_file_/",
        "adalovelace_123_45678_solve_half.ipynb\nben_LATE_124_45679_solve_half-1.ipynb",
        "anon_Ab1xY_LATE_456_solve_half.ipynb\nanon_Zz9zz_457_solve_half.ipynb",
        "HW 1_ada_attempt_2026-11-03-10-11-12_work.ipynb\n"
        "HW 1_ada_attempt_2026-11-03-10-11-12.txt\tName: Ada Lovelace (ada)\r",
        "submission_123/solve_half.ipynb\nsubmission_124/a.ipynb\n"
        "submission_metadata.yml\tsubmission_123:\r  :submitters:\r  - :name: Ada\r    :sid: '1'\r",
        "ada+hw+2026-11-03 10:11:12 UTC+x/solve_half.ipynb\nben+hw+2026-11-03 10:11:12 UTC/b.ipynb",
        "1-2 - Ada L - Nov 3, 2026 1011 AM/solve_half.ipynb\n3-4 - Ben - Nov 3, 2026 1/a.ipynb",
        "handed-in/ada/solve_half.ipynb\nhanded-in/ben/attempt 2/solve_half-Copy1.ipynb",
        "12345_ada_solve_half.ipynb\nsolve_half - Ben (2).ipynb\nCopy of solve_half v3.ipynb",
        "mon/ada/a.ipynb\nmon/ben/a.ipynb\ntue/ada/a.ipynb\ntue/x.zip/a.ipynb\ngrades.csv",
    ]
    return [one.encode() for one in every]


# --- rosters: marking/roster.py ---


def make_rosters(folder: Path) -> Callable[[bytes], None]:
    """Reads the list of a class, and looks three students up in it."""
    from marking.platforms import Owner
    from marking.roster import matched, read_roster

    path = folder / "roster.csv"
    owners = [
        Owner(("plain", name), (name,), (one,))
        for name, one in (("Ada Lovelace", "ada"), ("12345_ada", "12345_ada"), ("A and B", ""))
    ]

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            people = read_roster(path)
        except ValueError as error:
            expect(str(error).startswith(str(path)), error)
            return
        assert people
        matched(people, owners)

    return run


def seeds_of_rosters() -> list[bytes]:
    """Lists as platforms export them, in several encodings."""
    plain = "id,name\n12345,Ada Lovelace\n2,Ben\n"
    return [
        plain.encode(),
        plain.encode("utf-16"),
        plain.encode("utf-8-sig"),
        plain.replace(",", ";").encode(),
        plain.replace(",", "\t").encode(),
        b"Student ID,First name,Last name,Email\n1,Ada,Lovelace,ada@example.org\n",
        b'OrgDefinedId,Username,"Full name"\r\n#1,ada,"Love""lace,\nAda"\r\n',
        "id;name\n1;José\n".encode("cp1252"),
    ]


# --- names: marking/names.py ---


def make_names(folder: Path) -> Callable[[bytes], None]:
    """Reads a file with names of groups, and the file of numbers beside it: what is before the
    first NUL, and what is after it.
    """
    from marking.groups import grouped
    from marking.names import numbers_beside, of_question, read_names

    known = course()
    path = folder / "names.txt"

    def run(data: bytes) -> None:
        text, cut, numbers = data.partition(b"\0")
        path.write_bytes(text)
        numbers_beside(path).unlink(missing_ok=True)
        if cut:
            numbers_beside(path).write_bytes(numbers)
        try:
            names = read_names(known, path)
        except ValueError as error:
            expect(str(folder) in str(error), error)
            return
        for name in known.bank:
            some = of_question(names.known, name)
            grouped(name, list(some.values()), some)

    return run


def seeds_of_names() -> list[bytes]:
    """Lines of each form."""
    lines = (
        '# what the class got wrong\nsolve.half/4f2a1c = "You double it."\n'
        'solve.half/4f2a1c-2 = 0.5, "right but for the sign"\n'
    )
    numbers = {
        "solve.half/4f2a1c": {
            "form": "1",
            "numbers": [1.0, 2.5],
            "lengths": [2],
            "scales": [2.5],
            "tolerance": 1e-5,
            "at_random": False,
        }
    }
    return [
        lines.encode(),
        'graph.which_way/A = 1, "Look at 10."'.encode("utf-8-sig"),
        f"{lines}\0{json.dumps(numbers)}".encode(),
        b'\0{"solve.half/4f2a1c": {}}',
    ]


# --- messages: marking/sandbox/wire.py, what each side reads of the other ---


def make_messages(folder: Path) -> Callable[[bytes], None]:
    """Sends bytes down a channel, and reads them as the grader does and as a submission's process
    does. The first byte says whether the lengths before them are made to fit.
    """
    import numpy as np
    import torch

    from marking.grader import attempt_from, outcome_from
    from marking.hunting import Answering
    from marking.outcome import Made
    from marking.sandbox import wire
    from marking.sandbox.parent import items_of

    torch.set_num_threads(1)
    answering = Answering(lambda a, b: a, 2)

    def received(data: bytes) -> tuple[dict[str, Any], list[Any]]:
        if data[:1] == b"f":  # framed
            header, _, body = data[1:].partition(b"\n")
            data = struct.pack("<II", len(header), len(body)) + header + body
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            return wire.receive(ours, time.monotonic() + 5)

    def run(data: bytes) -> None:
        try:
            reply, arrays = received(data)
        except (wire.Unreadable, EOFError):
            return
        # the grader: the outcome of a call, of a test, and a call that comes back
        for array in arrays:
            assert isinstance(array, np.ndarray)
        outcome_from(reply, arrays, 3)
        attempt_from(reply, 1)
        [str(one) for name in ("attempts", "errors") for one in items_of(reply, name)]
        with contextlib.suppress(wire.Unreadable):
            answering.calls = 0
            answering(reply.get("call"), arrays)
        # the process of a submission: arguments of a call, from a grader that is trusted to send
        # what `pack` makes, so that only messages that hold it are read
        if isinstance(reply.get("value"), dict | list | int | float | None):
            with contextlib.suppress(wire.Unreadable):
                wire.value_of(reply.get("value"), arrays)
        packed, more = wire.pack([torch.ones(2), 1.5])
        wire.unpack(packed, more, Made)

    return run


def seeds_of_messages() -> list[bytes]:
    """Messages of each kind."""
    from marking.sandbox import wire

    def sent(message: dict[str, Any], *arrays: Any) -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire.send(theirs, message, arrays)
            return ours.recv(2**16)

    import numpy as np

    some = np.arange(3, dtype=np.float32), np.ones((2, 2), dtype=np.int64)
    messages = [
        sent({"id": "1", "several": True, "changed": [0, 1], "handed": True}, *some),
        sent({"id": "1", "error": "ValueError: no", "error_name": "ValueError", "attempts": ["x"]}),
        sent({"call": [{"tensor": 0}, {"array": 1}]}, *some),
        sent({"call": [1.5, {"tensor": 0}]}, some[0]),
        sent({"value": {"list": [1, None, {"tuple": [{"tensor": 0}, True]}]}}, some[0]),
        sent({"passed": True, "message": "m", "calls": 3, "source": "def f(): ..."}),
    ]
    framed = [b"f" + one[8:].replace(b"]}", b"]}\n", 1) for one in messages]
    return [*messages, *framed, b"f" + b'{"message": {"error": ' + b"[" * 300 + b"]" * 300 + b"}}"]


# --- checkpoints: minddpm/checkpoints.py ---


def tiny() -> tuple[Any, Any]:
    """A network with few weights, and a schedule of four steps."""
    import torch

    from minddpm.schedule import Schedule
    from minddpm.unet import UNet, UNetConfig

    torch.manual_seed(0)
    network = UNet(UNetConfig(channels=(2, 2), time_dim=2, groups=1))
    return network, Schedule.from_betas(torch.linspace(0.1, 0.4, 4, dtype=torch.float64))


def make_checkpoints(folder: Path) -> Callable[[bytes], None]:
    """Loads a checkpoint. Where the first byte is an h, the rest is the header's JSON, and the
    weights of a tiny network are put behind it.
    """
    import torch
    from safetensors.torch import save as to_bytes

    from minddpm.checkpoints import load, load_training

    torch.set_num_threads(1)
    path = folder / "run.safetensors"
    network, _ = tiny()
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}

    def content(data: bytes) -> bytes:
        if data[:1] != b"h":
            return data
        try:
            header = json.loads(data[1:])
            texts = {str(name): str(value) for name, value in header.items()}
        except (ValueError, AttributeError, RecursionError):
            return data
        try:
            return to_bytes(weights, metadata=texts)
        except Exception:  # text that UTF-8 cannot hold
            return data

    def run(data: bytes) -> None:
        path.write_bytes(content(data))
        for read in (load, load_training, lambda path: load(path, model=network)):
            try:
                read(path)
            except ValueError as error:
                expect(str(path) in str(error), error)

    return run


def seeds_of_checkpoints() -> list[bytes]:
    """A checkpoint, its training state, and headers."""
    from minddpm import checkpoints

    network, schedule = tiny()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        state = {"step": schedule.beta.clone()}
        checkpoints.save(path, network, schedule, metadata={"seed": 1}, training=state)
        files = [path.read_bytes(), checkpoints.training_file(path).read_bytes()]
    size = struct.unpack("<Q", files[0][:8])[0]
    header = json.loads(files[0][8 : 8 + size])["__metadata__"]
    return [
        *files,
        b"h" + json.dumps(header).encode(),
        b"h" + json.dumps({"format": "minddpm 1"}).encode(),
        b"h" + json.dumps({"minddpm": "1"}).encode(),
        b"h" + json.dumps({**header, "config": '{"channels": [4, 8, 16]}'}).encode(),
        struct.pack("<Q", 2) + b"{}",
        files[0][:-3],
    ]


# --- IDX files: minddpm/archives.py ---


def make_idx(folder: Path) -> Callable[[bytes], None]:
    """Reads images and labels, gzipped or not; where the first byte is a z, the rest is gzipped."""
    from minddpm.archives import read_idx

    path = folder / "train-images-idx3-ubyte"

    def run(data: bytes) -> None:
        path.write_bytes(gzip.compress(data[1:]) if data[:1] == b"z" else data)
        for rank in (1, 3):
            try:
                assert read_idx(path, rank).ndim == rank
            except ValueError as error:
                expect(str(path) in str(error), error)

    return run


def seeds_of_idx() -> list[bytes]:
    """Two images, two labels, and what is torn."""
    images = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 3) + bytes(range(18))
    labels = bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + b"\1\2"
    pressed = gzip.compress(images)
    return [
        images,
        labels,
        pressed,
        gzip.compress(labels),
        pressed[:-5],
        pressed + pressed,
        b"z" + images,
        bytes([0, 0, 8, 3]) + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1),
        gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + b"\0" * 2**20),
    ]


TARGETS = {
    "notebooks": Target(
        make_notebooks,
        seeds_of_notebooks,
        ('"cells"', '"source"', '"cell_type"', '"code"', "kernelspec", "language", "check(", "[[["),
    ),
    "zips": Target(
        make_zips, seeds_of_zips, ("PK\\x01\\x02", "PK\\x03\\x04", "PK\\x05\\x06", "../")
    ),
    "exports": Target(
        make_exports,
        seeds_of_exports,
        (
            *("_assignsubmission_file_", "_attempt_2026-11-03-10-11-12", "submission_", "_LATE_"),
            *("submission_metadata.yml", "timestamp.txt", "-Copy1", " (2)", ".zip/", ".ipynb"),
        ),
    ),
    "rosters": Target(
        make_rosters,
        seeds_of_rosters,
        ("first name", "last name", "email", "sis id", '\\"', "name"),
    ),
    "names": Target(
        make_names, seeds_of_names, ("solve.half/", "graph.which_way/", '= "', "4f2a1c", "1e5, ")
    ),
    "messages": Target(
        make_messages,
        seeds_of_messages,
        (
            *(
                '\\"tensor\\"',
                '\\"array\\"',
                '\\"list\\"',
                '\\"tuple\\"',
                '\\"call\\"',
                '\\"error\\"',
            ),
            *('\\"dtype\\"', '\\"float64\\"', '\\"shape\\"', "[[[[", "1e999", "NaN"),
        ),
    ),
    "checkpoints": Target(
        make_checkpoints,
        seeds_of_checkpoints,
        (
            *("__metadata__", "channels", "blocks", "time_dim", "groups", "classes", "betas"),
            *("data_offsets", "F64", "BF16", "I64", "minddpm", "format", "1e999", "NaN"),
        ),
    ),
    "idx": Target(make_idx, seeds_of_idx, ("\\x00\\x00\\x08\\x03", "\\x1f\\x8b\\x08")),
}


ODD: list[Any] = [  # what JSON may hold where something else is expected
    *(None, True, False, 0, -1, 1, 2, 8, 2**31, 2**63, -(2**64), 10**30, 10**400, 10**4400),
    *(0.5, 1e-320, 1e308, math.inf, -math.inf, math.nan, "", "x", "\0", "\ud800", "é" * 300),
    *([], {}, [[]], [None], {"": ""}, [0, 1], {"tensor": 0}, {"list": [0]}, ["1" * 5000]),
]


def nested(depth: int) -> Any:
    """Lists in lists."""
    made: Any = []
    for _ in range(depth):
        made = [made]
    return made


def with_another_value(tree: Any, draw: random.Random, mutate: Callable[[bytes], bytes]) -> Any:
    """JSON with one value replaced, left out, doubled or moved, at any depth; and in a string that
    is JSON itself, in there.
    """
    places: list[tuple[Any, Any]] = []
    level = [tree]
    while level:
        inner = level.pop()
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        places += [(inner, key) for key in keys]
        level += [inner[key] for key in keys if isinstance(inner[key], dict | list)]
    if not places:
        return draw.choice(ODD)
    inner, key = draw.choice(places)
    value = inner[key]
    kind = draw.randrange(8)
    if isinstance(value, str) and kind < 5:
        with contextlib.suppress(ValueError, RecursionError):
            below = json.loads(value)
            if isinstance(below, dict | list):
                inner[key] = json.dumps(with_another_value(below, draw, mutate))
                return tree
        inner[key] = mutate(value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    elif kind == 0:
        inner[key] = nested(draw.choice((3, 30, 300, 480, 700, 900)))
    elif kind == 1:
        del inner[key]
    elif kind == 2:
        other, place = draw.choice(places)
        inner[key] = json.loads(json.dumps(other[place]))
    elif kind == 3 and isinstance(inner, list):
        inner += [value] * draw.choice((1, 3, 40))
    elif kind == 4 and isinstance(inner, dict):
        inner[draw.choice([*inner, "x", ""])] = value
    else:
        inner[key] = draw.choice(ODD)
    return tree


def mutated_json(
    data: bytes, draw: random.Random, mutate: Callable[[bytes], bytes]
) -> bytes | None:
    """An input with other JSON in it: from its beginning, its second byte, or after a NUL; None
    where it holds none.
    """
    text = data.decode("utf-8", "surrogateescape")
    for start in (0, 1, text.find("\0") + 1):
        with contextlib.suppress(ValueError, RecursionError):
            tree, end = json.JSONDecoder().raw_decode(text, start)
            if isinstance(tree, dict | list):
                after = json.dumps(with_another_value(tree, draw, mutate))
                changed = text[:start] + after + text[end:]
                return changed.encode("utf-8", "surrogateescape")
    return None


def place_of(error: BaseException) -> str:
    """What tells one find from another: the kind of the error, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if str(ROOT) in frame.filename and "fuzz" not in frame.filename
    ]
    last = own[-1] if own else frames[-1]
    return f"{type(error).__name__} {Path(last.filename).name}:{last.lineno}"


def fuzz(name: str, out: Path, options: Sequence[str]) -> None:
    """Run a target in this process until atheris ends it."""
    import atheris

    for module in STANDARD:  # they are imported already, by this file
        sys.modules.pop(module, None)
    with atheris.instrument_imports(include=[*INSTRUMENTED, *STANDARD]):
        folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=out))
        target = TARGETS[name].make(folder)
    finds = out / "finds" / name
    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            target(data)
        except Exception as error:
            place = place_of(error)
            if place not in seen:
                seen.add(place)
                digest = hashlib.sha256(place.encode()).hexdigest()[:12]
                (finds / digest).write_bytes(data)
                (finds / f"{digest}.txt").write_text(traceback.format_exc(), errors="replace")
                print(f"FIND {place}", file=sys.stderr, flush=True)

    def mutate(data: bytes, largest: int, seed: int) -> bytes:
        draw = random.Random(seed)

        def of_bytes(some: bytes) -> bytes:
            return bytes(atheris.Mutate(some, len(some) + 64))

        try:
            changed = mutated_json(data, draw, of_bytes) if draw.random() < 0.7 else None
        except (RecursionError, ValueError):  # a number of too many digits
            changed = None
        if changed is None or len(changed) > largest:
            return bytes(atheris.Mutate(data, largest))
        return changed

    own = {"custom_mutator": mutate} if name in WITH_JSON else {}
    atheris.Setup([sys.argv[0], *options], one, **own)
    atheris.Fuzz()


def prepared(name: str, out: Path) -> list[str]:
    """Write seeds and dictionary of a target; return the options that name its folders."""
    corpus, finds = out / "corpus" / name, out / "finds" / name
    for folder in (corpus, finds):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[name].seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = out / f"{name}.dict"
    lines = [word.replace('"', '\\"') for word in TARGETS[name].words]
    words.write_text("".join(f'"{line}"\n' for line in lines))
    return [str(corpus), f"-dict={words}", f"-artifact_prefix={finds}/"]


def run_for(name: str, seconds: int, out: Path) -> None:
    """Fuzz a target for so long, in processes that are started again where one ends."""
    options = prepared(name, out)
    end = time.monotonic() + seconds
    executions = edges = features = inputs = 0
    log = out / f"{name}.log"
    while (left := int(end - time.monotonic())) > 0:
        command = [
            *(sys.executable, __file__, name, "--out", str(out), "--one-process", *options),
            *(f"-max_total_time={left}", f"-timeout={SECONDS_EACH}", f"-max_len={LONGEST}"),
            *(f"-rss_limit_mb={MEGABYTES}", "-len_control=10"),
        ]
        with log.open("wb") as file:
            subprocess.run(command, stderr=file, stdout=file, env=own_environment(), check=False)
        said = STATUS.findall(log.read_text(errors="replace"))
        if not said:
            raise SystemExit(f"it ended before it fuzzed: see {log}")
        count, *last = map(int, said[-1])
        executions += count
        edges, features, inputs = max(edges, last[0]), max(features, last[1]), last[2]
    finds = [path for path in (out / "finds" / name).iterdir() if path.suffix != ".txt"]
    print(
        f"{name}: {seconds} s, {executions} executions, {edges} edges, {features} features,"
        f" {inputs} inputs kept, {len(finds)} finds"
    )


def own_environment() -> dict[str, str]:
    """The environment, with one thread and the packages of this repository."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600, help="how long (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="default: %(default)s")
    parser.add_argument("--one-process", action="store_true", help=argparse.SUPPRESS)
    args, options = parser.parse_known_args()
    out = args.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if args.one_process:
        os.nice(19)
        fuzz(args.target, out, options)
    else:
        run_for(args.target, args.seconds, out)


if __name__ == "__main__":
    main()
