"""A folder of submissions."""

import sys

import pytest

from marking.hostile import as_notebook


@pytest.fixture
def untraced():
    """Measure no coverage while a test interrupts answers: one that is interrupted inside the
    measuring leaves its lock closed, and whatever runs next waits for ever.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture
def hand_in(tmp_path):
    """Writes submissions: hand_in(student=cells, ...) returns their folder."""

    def write(**students):
        for student, cells in students.items():
            folder = tmp_path / "in" / student
            folder.mkdir(parents=True)
            content = cells if isinstance(cells, (str, bytes)) else as_notebook(cells)
            data = content if isinstance(content, bytes) else content.encode()
            (folder / "solve_quadratics.ipynb").write_bytes(data)
        return tmp_path / "in"

    return write
