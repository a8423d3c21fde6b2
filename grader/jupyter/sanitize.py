"""Students' Markdown in the instructor's browser: what could run or load something there is taken out.

The filter works on the rendered HTML. On the Markdown source a filter misses what only becomes a link or a
tag when it is rendered, and spoils program text.
"""

from __future__ import annotations

from typing import Any

import nh3
from jinja2 import pass_context
from nbconvert.filters import markdown2html_mistune

_TAGS = nh3.ALLOWED_TAGS | {"details", "summary", "mark", "figure", "figcaption"}
_ATTRIBUTES = {tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
for _tag in ("span", "div", "code", "pre", "p", "h1", "h2", "h3", "h4", "h5", "h6", "a"):
    _ATTRIBUTES.setdefault(_tag, set()).update({"class", "id"})
_SCHEMES = {"http", "https", "mailto"}


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """Markdown as nbconvert renders it, without scripts, styles, frames, forms, and images from elsewhere."""
    del context
    return clean(markdown2html_mistune(source))


def clean(rendered: str) -> str:
    """HTML with nothing in it that acts or loads by itself."""
    return nh3.clean(
        rendered,
        tags=_TAGS - {"img"},
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )
