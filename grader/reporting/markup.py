"""Elements of HTML and SVG that are safe by construction: text becomes visible and escaped on its way in.

What comes out is at the same time HTML and well-formed XML, so that one parser can hold both to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from grader.reporting.escape import visible

_VOID = {"br", "hr", "meta"}
"""Elements of HTML that never have content; all others are written with an end tag, even when empty"""


class Markup(str):
    """Text that is markup already. Only this module makes it from other text."""

    __slots__ = ()


Child = str | None | Iterable["Child"]
"""Content of an element: markup stays, other text is escaped, None is nothing"""


def escaped(text: str) -> Markup:
    """Text as content or as the value of an attribute; what cannot be seen is shown (`visible`)."""
    if isinstance(text, Markup):
        return text
    shown = visible(text)
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        shown = shown.replace(sign, entity)
    return Markup(shown)


def joined(*children: Child) -> Markup:
    """Several pieces as one."""
    return Markup(
        "".join(escaped(child) if isinstance(child, str) else joined(*(child or ())) for child in children)
    )


def element(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """``element("p", "a < b", class_="pl-x")`` is ``<p class="pl-x">a &lt; b</p>``.

    A trailing underscore of an attribute's name is dropped, others become hyphens. An attribute that is None
    or False is left out; True gives one with its own name as the value.
    """
    written = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        shown = word if value is True else f"{value:g}" if isinstance(value, float) else str(value)
        written.append(f'{word}="{escaped(shown)}"')
    start = " ".join(written)
    if name in _VOID:
        return Markup(f"<{start}/>")
    return Markup(f"<{start}>{joined(*children)}</{name}>")


def verbatim(text: str) -> Markup:
    """Our own text, such as a style sheet, that is markup as it stands. Never for what came from outside."""
    return Markup(text)
