"""Whatever a submission's process sends costs the grader little: it is bounded first."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from marking.sandbox import wire

MB = 2**20


def as_sent(header, body=b""):
    """A message as bytes."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<II", len(head), len(body)) + head + body


def received(content, **options):
    """What arrives where someone sends these bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=push, args=(theirs, content))
        sender.start()
        try:
            return wire.receive(ours, time.monotonic() + 30, **options)
        finally:
            ours.close()
            sender.join()


def push(channel, content):
    try:
        channel.sendall(content)
        channel.shutdown(socket.SHUT_WR)
    except OSError:  # nobody listens any more
        pass


def array(shape, dtype="float64"):
    return {"dtype": dtype, "shape": shape}


def padded(start, piece, end, most):
    return start + piece * ((most - len(start) - len(end)) // len(piece)) + end


WORDS = wire.MOST_WORDS
EMPTY = b'{"message": {}, "arrays": [%s]}'
CRAFTED = {
    "empty lists": padded(b'{"message": {"a": [', b"[],", b'1]}, "arrays": []}', WORDS),
    "empty objects": padded(b'{"message": {"a": [', b"{},", b'1]}, "arrays": []}', WORDS),
    "small objects": padded(b'{"message": {"a": [', b'{"":{}},', b'1]}, "arrays": []}', WORDS),
    "numbers": padded(b'{"message": {"a": [', b"1.5,", b'1]}, "arrays": []}', WORDS),
    "many megabytes of lists": padded(
        b'{"message": {"a": [', b"[],", b'1]}, "arrays": []}', 60 * MB
    ),
    "a deep list": b'{"message": {"a": ' + b"[" * 40 + b"]" * 40 + b'}, "arrays": []}',
    "a very deep list": padded(b'{"message": {"a": ', b"[", b"", WORDS),
    "deep objects": b'{"message":' + b'{"a":' * 50 + b"1" + b"}" * 51,
    "many arrays": EMPTY
    % b",".join([b'{"dtype":"int8","shape":[0]}'] * (wire.ARRAYS_IN_MESSAGE + 1)),
    "no list of arrays": b'{"message": {}, "arrays": {"a": 1}}',
    "more numbers than bytes": EMPTY % b'{"dtype":"int8","shape":[1000000000]}',
    "many numbers together": EMPTY % b",".join([b'{"dtype":"int8","shape":[4194304]}'] * 4),
    "an empty array with long sides": EMPTY % b'{"dtype":"int8","shape":[0,8388608,8388608]}',
    "a long side": EMPTY % b'{"dtype":"int8","shape":[0,4611686018427387904]}',
    "many sides": EMPTY % b'{"dtype":"int8","shape":[1,1,1,1,1,1,1,1,1]}',
    "a side that is negative": EMPTY % b'{"dtype":"int8","shape":[-1]}',
    "a side that is true": EMPTY % b'{"dtype":"int8","shape":[true]}',
    "a side that is fractional": EMPTY % b'{"dtype":"int8","shape":[1.0]}',
    "objects": EMPTY % b'{"dtype":"object","shape":[1]}',
    "a name twice": b'{"message": {"a": 1, "a": 2}, "arrays": []}',
    "two messages": b'{"message": {}, "message": {}, "arrays": []}',
    "no JSON": b"import os",
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "a list": b"[]",
    "a message that is a list": b'{"message": [], "arrays": []}',
}
# which can be read, and must not cost much either
READ = ("empty lists", "empty objects", "small objects", "numbers")


@pytest.mark.parametrize("what", [what for what in CRAFTED if what not in READ])
def test_what_is_no_message_or_too_much_is_unreadable(what):
    with pytest.raises(wire.Unreadable):
        received(as_sent(CRAFTED[what], b"0"))


def test_what_is_announced_is_bounded_before_it_arrives():
    for head, body in ((WORDS + 1, 0), (10, wire.LIMIT), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(wire.Unreadable, match="bytes, this message announces"):
            received(struct.pack("<II", head, body))
    with pytest.raises(EOFError):
        received(struct.pack("<II", 10, 10) + b"{}")


def test_numbers_of_any_size_are_read_and_none_costs_time():
    digits = b"9" * (WORDS // 2)
    content = b'{"message": {"a": [%s, -%s, 1e999, %s]}, "arrays": []}'
    message, _ = received(as_sent(content % (digits, b"9" * 5000, b"9" * 30)))
    assert message["a"] == [float("inf"), float("-inf"), float("inf"), int("9" * 30)]


def test_arrays_arrive_whole_where_their_bytes_are_not_aligned():
    arrays = [np.arange(3, dtype="int8"), np.arange(4.0), np.ones((2, 2), "float16"), np.arange(5)]
    kinds = [array(list(one.shape), str(one.dtype)) for one in arrays]
    body = b"".join(one.tobytes() for one in arrays)
    _, got = received(as_sent({"message": {}, "arrays": kinds}, body))
    for sent, one in zip(arrays, got, strict=True):
        assert one.dtype == sent.dtype
        assert one.flags.aligned
        np.testing.assert_array_equal(one, sent)


def test_the_cells_of_a_long_notebook_reach_the_process():
    cells = [[1, "x = 1\n" * 200_000]]
    content = as_sent({"message": {"cells": cells}, "arrays": []})
    assert received(content, words=wire.LIMIT)[0]["cells"] == cells
    with pytest.raises(wire.Unreadable):
        received(content)


MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_wire import *

def peak():
    status = dict(line.split(':', 1) for line in open('/proc/self/status'))
    return int(status['VmHWM'].split()[0]) / 1024

full = as_sent({'message': {'several': True}, 'arrays': [array([2**20])] * 7}, bytes(7 * 8 * 2**20))
narrow = as_sent({'message': {}, 'arrays': [array([2**23], 'int8')]}, bytes(2**23))
messages = {**{name: as_sent(one) for name, one in CRAFTED.items()}, 'full': full, 'narrow': narrow}
costs = {}
for name, content in messages.items():
    open('/proc/self/clear_refs', 'w').write('5')
    before = peak()
    try:
        reply, arrays = received(content)
        outcome_from(reply, arrays, 1)
    except wire.Unreadable:
        pass
    reply = arrays = None
    costs[name] = peak() - before
print(json.dumps(costs))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux"
)
def test_no_message_makes_the_grader_take_much_memory():
    code = MEASURE.replace("def peak", "from marking.grader import outcome_from\n\ndef peak")
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    costs = json.loads(done.stdout)
    assert set(costs) >= set(CRAFTED)
    assert max(costs.values()) < 150, costs
