"""What nbval compares in notebooks/: all that a cell prints, its warnings, and the captions of its
figures.
"""


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):  # one of nbval's notebooks
        collector.skip_compare += (
            "text/html",
        )  # a figure's pixels differ between machines, its caption does not
