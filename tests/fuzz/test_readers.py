"""What fuzzing has found and the inputs that it kept: each reader takes them with no other error
than those that it documents, in little time and memory.

`tools/fuzz_readers.py` makes such inputs. A file of the corpus holds one in each line, in base64.
"""

import base64
import contextlib
import gzip
import io
import json
import socket
import struct
import time
import tracemalloc
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_bytes

from marking.course import Course
from marking.exercise import Choice
from marking.grader import attempt_from, outcome_from
from marking.groups import grouped
from marking.handed_in import all_handed_in, as_on_disk
from marking.hunting import Answering
from marking.intake import Broken, cell_of_answer, lessons_named, submission_in
from marking.names import numbers_beside, of_question, read_names
from marking.platforms import names_of_owners, one_key_each, placed_in
from marking.roster import Person, matched, read_roster
from marking.sandbox import wire
from marking.sandbox.parent import items_of
from minddpm import Schedule, UNet, UNetConfig, checkpoints
from minddpm.archives import read_idx

CORPUS = Path(__file__).parent / "corpus"
WHICH_WAY = Choice(
    "graph.which_way",
    question="Which way does -x^2 + 3 open?",
    options={"A": "up", "B": "down"},
    right="B",
    replies={"A": "Its height at x = 10 is -97.", "B": "The factor of x^2 is negative."},
)
COURSE = Course("fuzz", "quadratics", {WHICH_WAY.name: WHICH_WAY})
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
SECONDS = 10  # for one input


def reads_a_notebook(data, folder):
    try:
        found = submission_in(COURSE, lambda: io.BytesIO(data), len(data), "ada", "a.ipynb", "")
    except Broken:
        lessons_named(COURSE, data)
        return
    cell_of_answer(found.cells, WHICH_WAY.name, "which_way")


def reads_a_zip(data, folder):
    for name in ("ada", "ben"):
        (folder / "in" / name).mkdir(parents=True, exist_ok=True)
    (folder / "in" / "ben" / "graph_a.ipynb").write_text(NOTEBOOK)
    (folder / "in" / "ada" / "a.zip").write_bytes(data)
    (folder / "class.zip").write_bytes(data)
    with ExitStack() as stack:
        found, _ = all_handed_in(COURSE, [folder / "in"], stack, folder / "out")
        assert {one.student for one in found if one.digest()} >= {"ada", "ben"}
    with ExitStack() as stack:
        try:
            found, _ = all_handed_in(COURSE, [folder / "class.zip"], stack, folder / "out")
        except ValueError as error:
            if not str(error).startswith("expected a zip, got"):
                raise
        else:
            assert all(one.digest() for one in found)


def reads_names_in_an_export(data, folder):
    lines = dict.fromkeys(data.decode("utf-8", "surrogateescape").split("\n"))
    pairs = [line.partition("\t")[::2] for line in lines]
    texts = {
        as_on_disk(tuple(path.split("/"))): text.replace("\r", "\n") for path, text in pairs if path
    }
    placed = one_key_each(placed_in(COURSE, list(texts), texts, "class"))
    owners = {one.owner.key: one.owner for one in placed}
    assert len(set(names_of_owners(owners).values())) == len(owners)
    matched([Person("Ada Lovelace", ("12345", "ada"))], list(owners.values()))


def reads_a_roster(data, folder):
    path = folder / "roster.csv"
    path.write_bytes(data)
    with only(ValueError, path):
        assert read_roster(path)


def reads_names_of_groups(data, folder):
    path = folder / "names.txt"
    text, cut, numbers = data.partition(b"\0")
    path.write_bytes(text)
    numbers_beside(path).unlink(missing_ok=True)
    if cut:
        numbers_beside(path).write_bytes(numbers)
    with only(ValueError, folder):
        known = of_question(read_names(COURSE, path).known, "solve.half")
        grouped("solve.half", list(known.values()), known)


def reads_a_message(data, folder):
    if data[:1] == b"f":  # its lengths are made to fit
        header, _, body = data[1:].partition(b"\n")
        data = struct.pack("<II", len(header), len(body)) + header + body
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(wire.Unreadable, EOFError):
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        reply, arrays = wire.receive(ours, time.monotonic() + SECONDS)
        outcome_from(reply, arrays, 3)
        attempt_from(reply, 1)
        assert all(isinstance(str(one), str) for one in items_of(reply, "attempts"))
        with contextlib.suppress(wire.Unreadable):
            Answering(lambda a, b: a, 2)(reply.get("call"), arrays)
        wire.value_of(reply.get("value"), arrays)


def tiny():
    return UNet(UNetConfig(channels=(2, 2), time_dim=2, groups=1))


def reads_a_checkpoint(data, folder):
    path = folder / "run.safetensors"
    if data[:1] == b"h":  # the header alone
        with contextlib.suppress(Exception):
            header = {str(name): str(value) for name, value in json.loads(data[1:]).items()}
            data = to_bytes(tiny().state_dict(), metadata=header)
    path.write_bytes(data)
    for read in (checkpoints.load, checkpoints.load_training):
        with only(ValueError, path):
            read(path)


def reads_an_idx_file(data, folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(data[1:]) if data[:1] == b"z" else data)
    for rank in (1, 3):
        with only(ValueError, path):
            assert read_idx(path, rank).ndim == rank


@contextlib.contextmanager
def only(kind, place):
    """Nothing but one kind of error, which says where it found what it did not expect."""
    try:
        yield
    except kind as error:
        assert str(place) in str(error)  # noqa: PT017


READERS = {
    "notebooks": reads_a_notebook,
    "zips": reads_a_zip,
    "exports": reads_names_in_an_export,
    "rosters": reads_a_roster,
    "names": reads_names_of_groups,
    "messages": reads_a_message,
    "checkpoints": reads_a_checkpoint,
    "idx": reads_an_idx_file,
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", READERS)
def test_what_fuzzing_kept_is_read(name, tmp_path):
    lines = (CORPUS / f"{name}.txt").read_text().split()
    assert lines
    for line in lines:
        started = time.thread_time()
        READERS[name](base64.b64decode(line), tmp_path)
        assert time.thread_time() - started < SECONDS, line


# --- each find, by hand ---

NUMBERS = {
    "form": "f(2,)",
    "numbers": [1.0, 2.5],
    "lengths": [2],
    "scales": [2.5],
    "tolerance": 1e-5,
    "at_random": False,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("form", 8),
        ("form", ["f"]),
        ("numbers", [1.0]),
        ("numbers", ["a", "b"]),
        ("numbers", [[1.0], [2.0]]),
        ("numbers", None),
        ("lengths", [2**31]),
        ("lengths", [2.0]),
        ("lengths", [3, -1]),
        ("lengths", []),
        ("scales", [0.0]),
        ("scales", [float("inf")]),
        ("scales", ["2.5"]),
        ("scales", [2.5, 2.5]),
        ("tolerance", 0),
        ("tolerance", -1.0),
        ("tolerance", 10**400),
        ("tolerance", None),
        ("at_random", "no"),
        ("more", 1),
    ],
)
def test_numbers_of_groups_that_do_not_fit_together_are_refused(tmp_path, key, value):
    path = tmp_path / "names.txt"
    path.write_text("")
    for record, whole in ((NUMBERS, True), ({**NUMBERS, key: value}, False)):
        numbers_beside(path).write_text(json.dumps({"solve.half/4f2a1c": record}))
        if whole:
            assert len(read_names(COURSE, path).known) == 1
            continue
        with pytest.raises(ValueError, match="which holds something else: delete it"):
            read_names(COURSE, path)


def received(header, body=b""):
    data = struct.pack("<II", len(header), len(body)) + header + body
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        return wire.receive(ours, time.monotonic() + SECONDS)


def test_a_message_of_many_arrays_is_cut_without_copies():
    """A copy of what is left, for each array, would take a reply of 64 MB hours."""
    count = 8_000
    content = memoryview(bytes(2**22 + count))
    kinds = [{"dtype": "uint8", "shape": [1]}] * count + [{"dtype": "uint8", "shape": [2**22]}]
    started = time.thread_time()
    arrays = wire.split(content, kinds)
    assert time.thread_time() - started < 1
    assert len(arrays) == count + 1
    assert arrays[-1].size == 2**22


@pytest.mark.parametrize("depth", [101, 480, 900, 5000])
@pytest.mark.parametrize("kind", ["[%s]", '{"list": [%s]}', '{"a": %s}'])
def test_a_message_that_is_nested_without_end_is_no_message(depth, kind):
    before, after = kind.split("%s")
    nested = before * depth + "1" + after * depth
    with pytest.raises(wire.Unreadable):
        received(b'{"message": {"error": %s}, "arrays": []}' % nested.encode())
    nested = before * 10 + "1" + after * 10
    reply, _ = received(b'{"message": {"error": %s}, "arrays": []}' % nested.encode())
    assert str(reply["error"])


def saved(tmp_path, **changes):
    """A checkpoint of a tiny network, with other values in its header."""
    schedule = Schedule.from_betas([0.1, 0.2])
    path = checkpoints.save(tmp_path / "run.safetensors", tiny(), schedule)
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])["__metadata__"]
    config = json.loads(header["config"])
    header["config"] = json.dumps({**config, **changes.pop("config", {})})
    path.write_bytes(to_bytes(tiny().state_dict(), metadata={**header, **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {"blocks": 2**63}}, "its network has at least .* weights"),
        ({"config": {"blocks": 10**6}}, "its network has at least .* weights"),
        ({"config": {"channels": [2] * 10_000}}, "its network has at least .* weights"),
        ({"config": {"channels": [10**6, 10**6]}}, "its network has at least .* weights"),
        ({"config": {"channels": [2, 10**12]}}, "its network has at least .* weights"),
        ({"config": {"classes": 10**12}}, "its network has at least .* weights"),
        ({"config": {"time_dim": 2 * 10**12}}, "its network has at least .* weights"),
        ({"config": {"image_channels": 10**12}}, "its network has at least .* weights"),
        ({"config": {"channels": [2, 4]}}, "do not match its config"),
        ({"betas": f"[{10**400}]"}, "do not match its config"),
        ({"betas": "[1e999]"}, "do not match its config"),
        ({"metadata": "[" * 5000 + "]" * 5000}, "damaged header"),
    ],
)
def test_a_checkpoint_takes_no_more_memory_than_its_weights(tmp_path, changes, words):
    assert isinstance(checkpoints.load(saved(tmp_path))[0], UNet)
    with pytest.raises(ValueError, match=words):
        checkpoints.load(saved(tmp_path, **changes))


def test_an_idx_file_is_read_no_further_than_it_announces(tmp_path):
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    header = bytes([0, 0, 8, 1]) + struct.pack(">I", 3)
    # 256 MB of zeros in 250 kB, of which it announces three
    piece = gzip.compress(b"\0" * 2**24)
    path.write_bytes(gzip.compress(header) + piece * 16)
    assert peak_of(lambda: read_idx(path, 1)) < 2**22


def peak_of(call):
    """The most memory that Python takes while it refuses a file."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="expected 3 bytes after the header, got 4 or more"):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sides", [(2**32 - 1, 2**32 - 1, 0), (2**32 - 1,) * 3, (2**31, 1, 1)])
def test_an_idx_file_that_announces_more_than_there_can_be_is_refused(tmp_path, sides):
    path = tmp_path / "images"
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">III", *sides))
    with pytest.raises(ValueError, match=str(path)):
        read_idx(path, 3)


def test_a_zip_of_odd_bytes_is_the_teachers_to_see(tmp_path):
    path = tmp_path / "class.zip"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("ada/graph_a.ipynb", NOTEBOOK)
    path.write_bytes(made.getvalue()[:-8])
    with ExitStack() as stack, pytest.raises(ValueError, match=f"expected a zip, got {path}"):
        all_handed_in(COURSE, [path], stack, tmp_path / "out")


def test_arrays_that_arrive_are_those_that_were_sent():
    arrays = [np.arange(3.0), np.ones((2, 0, 4), np.int8), np.array(7)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(theirs, {"id": "1"}, arrays)
        _, got = wire.receive(ours, time.monotonic() + SECONDS)
    for one, other in zip(arrays, got):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert torch.from_numpy(got[0].copy()).sum() == 3
