"""The course that is handed to the engine."""

import functools

from marking.course import Course

SOLVED = {  # tried before a class is graded
    "03.posterior_variance": (
        "import torch\n"
        "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n"
        "    return (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t\n"
    ),
}
INSTALL = "pip install 'minddpm[course]'"


@functools.cache
def load_course() -> Course:
    """Load the bank and what draws; this imports matplotlib, so it waits until it is needed."""
    from minddpm_course.assemble import after_progress
    from minddpm_course.bank import BANK, MODULES, STRETCHES
    from minddpm_course.pictures import draw_beside
    from minddpm_course.placement import where_used

    return Course(
        name="minddpm",
        package="minddpm_course",
        bank=BANK,
        stretches=STRETCHES,
        draw_beside=draw_beside,
        answers=("minddpm",),
        answer_files=tuple(module.__name__.rpartition(".")[2] for module in MODULES),
        variables={"predict": "prediction"},
        after_progress=after_progress,
        after_solving=where_used,
        solved=SOLVED,
    )
