"""The one home of escaping: whatever comes from a student is made visible and harmless here.

A report is read in terminals, spreadsheets and browsers. Control characters would steer a terminal,
bidirectional marks would reorder a line, invisible ones would hide a difference, and a cell that
begins with ``=`` would be computed.
"""

from __future__ import annotations

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\x1b": "\\e"}
_BLANK = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}
"""Letters and marks by their category that show nothing"""
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take them too


def _hidden(char: str) -> bool:
    category = unicodedata.category(char)
    return (
        category in _HIDDEN_CATEGORIES
        or (category == "Zs" and char != " ")
        or char in _BLANK
        or "\ufe00" <= char <= "\ufe0f"  # variation selectors
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """One line of text in which everything can be seen: no control, bidirectional or invisible character.

    Backslashes that are already there stay as they are, so that commands and paths can be read.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = "".join(_escaped(char) if _hidden(char) else char for char in text)
    # A mark at the beginning would fall on whatever stands before this text.
    if shown and unicodedata.combining(shown[0]):
        shown = _escaped(shown[0]) + shown[1:]
    return shown


def quoted(text: str) -> str:
    """As `visible`, with backslashes doubled: two different texts never look the same."""
    return visible(text.replace("\\", "\\\\"))


def cell(text: str) -> str:
    """A cell of a table that no spreadsheet takes for a formula."""
    shown = visible(text)
    risky = text.startswith(_FORMULA) or shown.lstrip().startswith(_FORMULA)
    return f"'{shown}" if risky else shown
