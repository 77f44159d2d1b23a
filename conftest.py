"""What nbval compares in notebooks, and which tests are slow."""

import pytest

SLOW = (  # by the beginning of their path: each of them starts kernels, sandboxes or a browser
    "notebooks/",
    "solutions/",
    "tests/browser/",
    "tests/notebooks/test_seeded_mistakes.py",
)


def pytest_collectstart(collector):
    """A figure's pixels differ between machines, its caption does not."""
    if hasattr(collector, "skip_compare"):  # one of nbval's notebooks
        collector.skip_compare += ("text/html",)


def pytest_ignore_collect(collection_path, config):
    """Notebooks are not even read where no slow test is wanted."""
    return (
        True
        if config.option.markexpr == "not slow" and collection_path.suffix == ".ipynb"
        else None
    )


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
