"""The classroom: exercises that name your mistake."""

from marking.notebook import CheckFailed, ask, beside, check

__all__ = ["CheckFailed", "ask", "beside", "check"]
