"""Pages of one file: what reports, comparisons and plans have in common."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

#: Where the templates are that all pages share.
SHARED = "distbelief.coordinator.report"


#: A flag within a sentence.
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def with_flags(text: object) -> Markup:
    """A text in which flags are set as code, which no line breaks: ``--max-`` is none."""
    return Markup(_FLAG.sub(r"<code>\g<0></code>", str(escape(text))))  # noqa: S704 (escaped)


def render_template(package: str, name: str, **values: Any) -> str:
    """Render a template of a package: one HTML text with all that it shows inside."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each, "templates") for each in (package, SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_flags"] = with_flags
    return environment.get_template(name).render(values)
