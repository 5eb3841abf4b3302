"""Pages of one file: what reports, comparisons and plans have in common."""

from __future__ import annotations

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

#: Where the templates are that all pages share.
SHARED = "distbelief.coordinator.report"


def render_template(package: str, name: str, **values: Any) -> str:
    """Render a template of a package: one HTML text with all that it shows inside."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each, "templates") for each in (package, SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(values)
