"""What nbval compares in notebooks, and which files of tests are slow."""

import pytest

SLOW = (  # each of them starts kernels, sandboxes or a browser
    "notebooks",
    "solutions",
    "tests/browser",
    "tests/course/test_cheats.py",
    "tests/course/test_nbgrader.py",
    "tests/marking/test_grader.py",
    "tests/marking/test_hostile.py",
    "tests/notebooks/test_seeded_mistakes.py",
)


def pytest_collectstart(collector):
    """A figure's pixels differ between machines, its caption does not."""
    if hasattr(collector, "skip_compare"):  # one of nbval's notebooks
        collector.skip_compare += ("text/html",)


def pytest_ignore_collect(collection_path, config):
    """Notebooks are not even read where no slow test is wanted."""
    unwanted = config.option.markexpr == "not slow" and collection_path.suffix == ".ipynb"
    return unwanted or None


def pytest_collection_modifyitems(config, items):
    slow = [config.rootpath / name for name in SLOW]
    for item in items:
        if any(item.path.is_relative_to(path) for path in slow):
            item.add_marker(pytest.mark.slow)
