"""What nbval compares: printed text and the captions of figures, but neither pixels nor warnings."""

# a figure is stored as HTML (its picture, which no two machines draw alike) and as its caption, which is compared
NOT_COMPARED = ("text/html", "stderr", "application/vnd.jupyter.widget-view+json")


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):  # nbval's notebooks
        collector.skip_compare += NOT_COMPARED
