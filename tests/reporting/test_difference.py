"""Where two texts part."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.reporting.difference import rows, where

CASES = [
    ("uno\ndos\n", "uno\ndoz\n", "the first difference is at line 2, character 3 (byte 6)"),
    ("uno\ndos\n", "uno\n", "the output ends too early, at line 2, character 1 (byte 4)"),
    ("uno\n", "uno\ndos\n", "the output goes on where it should have ended, at line 2, character 1 (byte 4)"),
    ("ñu\n", "ña\n", "the first difference is at line 1, character 2 (byte 2)"),
]


@pytest.mark.parametrize(("expected", "observed", "words"), CASES)
def test_says_where(expected: str, observed: str, words: str) -> None:
    assert where(expected, observed) == words


def shown(expected: str, observed: str, width: int = 80) -> list[str]:
    return [f"{row.side}|{row.text}" for row in rows(expected, observed, width)]


def test_puts_the_caret_under_the_first_character_that_differs() -> None:
    assert shown("uno\ndos\ntres\n", "uno\ndoz\ntres\n") == [
        "both|uno\\n", "expected|dos\\n", "observed|doz\\n", "caret|  ^", "both|tres\\n",
    ]  # fmt: skip


def test_puts_the_caret_behind_wide_characters() -> None:
    assert shown("日本a\n", "日本b\n")[2] == "caret|    ^"


def test_shows_blanks_and_what_cannot_be_seen() -> None:
    assert shown("a b\n", "a\u00a0b \n")[:2] == ["expected|a b\\n", "observed|a\\xa0b \\n"]


def test_shows_a_missing_end_of_line() -> None:
    assert shown("uno\n", "uno") == ["expected|uno\\n", "observed|uno", "caret|   ^"]


def test_tells_a_backslash_from_an_escape() -> None:
    assert shown("\t\n", "\\t\n")[:2] == ["expected|\\t\\n", "observed|\\\\t\\n"]


def test_shows_extra_and_missing_lines() -> None:
    assert shown("a\nb\n", "a\nx\nb\n") == [
        "both|a\\n", "expected|(nothing more)", "observed|x\\n", "caret|^", "both|b\\n",
    ]  # fmt: skip
    assert shown("", "x")[0] == "expected|(nothing more)"


def test_leaves_out_what_is_equal_with_its_length() -> None:
    found = shown("x" * 5000 + "a" + "y" * 5000 + "\n", "x" * 5000 + "b" + "y" * 5000 + "\n")
    assert "4976 equal" in found[0]
    assert "equal)…" in found[0][60:]
    caret = next(row for row in found if row.startswith("caret")).index("^") - len("caret|")
    assert found[0].removeprefix("expected|")[caret] == "a"
    assert found[1].removeprefix("observed|")[caret] == "b"


def test_never_leaves_out_what_differs() -> None:
    found = shown("a" * 300 + "\n", "b" * 300 + "\n")
    assert (
        "".join(row.removeprefix("expected|") for row in found if row.startswith("expected"))
        == "a" * 300 + "\\n"
    )
    assert (
        "".join(row.removeprefix("observed|") for row in found if row.startswith("observed"))
        == "b" * 300 + "\\n"
    )


def test_is_quick_with_megabytes() -> None:
    began = time.process_time()
    found = shown("x" * 8 * 2**20 + "\n", "x" * (8 * 2**20 - 1) + "y\n")
    assert len(found) == 3
    assert sum(map(len, found)) < 1000
    assert time.process_time() - began < 20


@given(st.text(max_size=60), st.text(max_size=60), st.integers(20, 100))
def test_holds_for_any_two_texts(expected: str, observed: str, width: int) -> None:
    if expected == observed:
        return
    found = rows(expected, observed, width)
    assert [row.side for row in found].count("caret") == 1
    ours = [row.text for row in found if row.side == "expected"]
    theirs = [row.text for row in found if row.side == "observed"]
    assert ours != theirs
    assert all(row.text.isprintable() for row in found)
    assert where(expected, observed)
