"""The HTML pages' templates, styles and scripts: plain files, no framework; a page loads nothing."""

from typing import Any

import jinja2


def render(template: str, **content: Any) -> str:
    """A template of this folder as text; what is put in is escaped, and a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("interslice.report", "web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)
