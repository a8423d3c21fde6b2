"""Escaping: everything can be seen, and nothing is obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.reporting.escape import cell, quoted, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31m", "\\e[31m"),
        ("a\nb\tc\rd\0", "a\\nb\\tc\\rd\\0"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202egnp", "\\u202egnp"),
        ("\ufeffa\u200bb\u00a0c\u3164", "\\ufeffa\\u200bb\\xa0c\\u3164"),
        (b"\xff\x80".decode(errors="surrogateescape"), "\\xff\\x80"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u0301x", "\\u0301x"),
        ("é ñ 日本 → “”", "é ñ 日本 → “”"),
        ("C:\\n", "C:\\n"),
    ],
)
def test_shows(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)
    shown.encode()
    assert visible(shown) == shown


@given(st.text(max_size=20), st.text(max_size=20))
def test_quoted_texts_differ_if_the_texts_do(one: str, two: str) -> None:
    assert (quoted(one) == quoted(two)) == (one == two)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "\x00=1"])
def test_neutralises_cells(text: str) -> None:
    assert cell(text)[0] in "'\\"
    assert not any(char in cell(text) for char in "\t\r\0")


def test_leaves_other_cells_alone() -> None:
    assert cell("write-end-left-open") == "write-end-left-open"
