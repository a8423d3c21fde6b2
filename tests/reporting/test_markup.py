"""Elements: whatever is put into them is text, and stays what it was."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from grader.reporting.escape import visible
from grader.reporting.markup import Markup, element, escaped, joined


def test_escapes_text_and_attributes() -> None:
    made = element("p", 'a < b & "c"', title="'x' > \"y\"", class_="pl-x", aria_hidden="true")
    assert made == (
        '<p title="&#39;x&#39; &gt; &quot;y&quot;" class="pl-x" aria-hidden="true">a &lt; b &amp; &quot;c&quot;</p>'
    )


def test_keeps_markup_and_takes_any_nesting() -> None:
    inner = element("b", "x")
    assert element("p", inner, None, ["y", [inner, None]]) == "<p><b>x</b>y<b>x</b></p>"
    assert isinstance(joined("a"), Markup)
    assert escaped(inner) is inner


def test_leaves_out_attributes_that_are_not_there() -> None:
    assert element("i", hidden=None, open=False, inert=True) == '<i inert="inert"></i>'


def test_writes_void_elements_for_both_parsers() -> None:
    assert element("br") == "<br/>"
    assert element("span") == "<span></span>"


@given(st.text())
def test_any_text_comes_back_as_what_can_be_seen(text: str) -> None:
    made = element("p", text, title=text)
    parsed = ElementTree.fromstring(made)
    assert (parsed.text or "") == visible(text)
    assert parsed.get("title") == visible(text)
