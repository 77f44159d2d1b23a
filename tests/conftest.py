"""The tests run with every shape and type in the package's signatures enforced (jaxtyping,
beartype).
"""

import signal

import hypothesis
import pytest
import torch
from built_book import axe, book, node_modules  # noqa: F401
from jaxtyping import install_import_hook

# before the first import of the package: afterwards the hook would change nothing, and
# test_bad_input says so
install_import_hook("minddpm", "beartype.beartype")

hypothesis.settings.register_profile(
    "course", max_examples=25, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("course")


@pytest.fixture
def generator():
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(2020)


@pytest.fixture
def heed_ctrl_c():
    """Heed Ctrl-C and a closing terminal, which are ignored where tests run in the background."""
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def float64():
    """Make float64 the default while a test runs, for networks and draws that are to be compared
    tightly.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
