"""Every test runs with the shapes and types of minddpm's signatures enforced."""

import jaxtyping
import pytest
from jaxtyping import install_import_hook

install_import_hook("minddpm", "beartype.beartype")  # before anything imports minddpm


@pytest.fixture
def unchecked():
    """Let bad input through to the package's own checks, whose errors a user sees."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
