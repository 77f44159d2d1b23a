"""A folder of submissions."""

import pytest

from marking.hostile import as_notebook


@pytest.fixture
def hand_in(tmp_path):
    """Writes submissions: hand_in(student=cells, ...) returns their folder."""

    def write(**students):
        for student, cells in students.items():
            folder = tmp_path / "in" / student
            folder.mkdir(parents=True)
            (folder / "03_posterior.ipynb").write_text(as_notebook(cells), encoding="utf-8")
        return tmp_path / "in"

    return write
