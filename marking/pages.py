"""HTML from the templates in templates/, where everything is escaped."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from marking.grades import NAMED_GROUP
from marking.words import counted, known_mistake_in_words, shortly

if TYPE_CHECKING:
    import jinja2


@functools.cache
def templates() -> jinja2.Environment:
    """The templates, escaping every value."""
    import jinja2  # not at the top: only pages and cards need it, not every command

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("marking"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["counted"] = counted
    environment.globals["NAMED_GROUP"] = NAMED_GROUP
    environment.filters["shortly"] = shortly
    environment.globals["known_mistake_in_words"] = known_mistake_in_words
    return environment


def render(template: str, **values: Any) -> str:
    """Fill in a template."""
    return templates().get_template(template).render(**values)
