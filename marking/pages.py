"""HTML from the templates in templates/, where everything is escaped, and nothing unseen stays."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from marking.grades import NAMED_GROUP
from marking.words import counted, harmless, known_mistake_in_words, shortly

if TYPE_CHECKING:
    import jinja2


@functools.cache
def templates() -> jinja2.Environment:
    """The templates, escaping every value."""
    import jinja2  # not at the top: only pages and cards need it, not every command

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("marking"),
        autoescape=True,
        finalize=shown_harmlessly,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["counted"] = counted
    environment.globals["NAMED_GROUP"] = NAMED_GROUP
    environment.filters["shortly"] = shortly
    environment.globals["known_mistake_in_words"] = known_mistake_in_words
    return environment


def shown_harmlessly(value: Any) -> Any:
    """A value of a page: plain text without what is not seen, anything else as it is."""
    return harmless(value) if type(value) is str else value


def render(template: str, **values: Any) -> str:
    """Fill in a template."""
    return templates().get_template(template).render(**values)
