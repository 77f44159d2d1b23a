"""The tests run with every shape and type in the package's signatures enforced (jaxtyping,
beartype).
"""

import signal

import hypothesis
import pytest
import torch
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
    """Heed Ctrl-C, which is ignored where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def float64():
    """Make float64 the default while a test runs, for networks and draws that are to be compared
    tightly.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
