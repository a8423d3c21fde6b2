"""Where two texts part: the lines in question, with a caret under the first character that differs.

What is equal may be left out, with its length; what differs is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from grader.reporting.escape import quoted, visible

Show = Callable[[str], str]

_LINES = 12
"""Lines of one side that differ, before the rest is told by its number"""
_LEAD, _TAIL, _MIDDLE = 36, 24, 1200
"""Characters that are shown of what is equal before, equal behind, and different"""


@dataclass(frozen=True)
class Row:
    """One row of a comparison. `side` is both, expected, observed, caret or gap."""

    side: str
    text: str


@dataclass(frozen=True)
class Line:
    """One line of a comparison in its parts. `side` is both, expected, observed or gap.

    Only the first pair of lines that differ is taken apart; of others `before` is the whole.
    """

    side: str
    before: str
    differs: str = ""
    after: str = ""
    pair: bool = False
    """One of the two that are taken apart"""


def where(expected: str, observed: str) -> str:
    """The place of the first difference in words."""
    at = _common(expected, observed)
    before = expected[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
    offset = len(before.encode(errors="surrogateescape"))
    place = f"line {line}, character {column} (byte {offset})"
    if at == len(observed):
        return f"the output ends too early, at {place}"
    if at == len(expected):
        return f"the output goes on where it should have ended, at {place}"
    return f"the first difference is at {place}"


def rows(expected: str, observed: str, width: int) -> tuple[Row, ...]:
    """The lines round the difference of two different texts, broken to a width, with a caret."""
    found: list[Row] = []
    pair: list[Line] = []
    for line in lines(expected, observed):
        if line.pair:
            pair.append(line)
            if len(pair) == 2:
                found += _pair(pair[0], pair[1], width)
        elif line.side == "both":
            found += [Row("both", row) for row in _equal(line.before, width)]
        elif line.side == "gap":
            found.append(Row("gap", line.before))
        else:
            found += [Row(line.side, row) for row in _pieces(line.before, width)]
    return tuple(found)


def lines(expected: str, observed: str) -> Iterator[Line]:
    """The lines round the difference of two different texts; everything in them can be seen."""
    ours, theirs = _lines(expected), _lines(observed)
    head = _common(ours, theirs)
    tail = min(_common(ours[::-1], theirs[::-1]), len(ours) - head, len(theirs) - head)
    show = visible
    if visible(expected) == visible(observed):
        show = quoted  # they differ in what is a backslash and what was escaped
    if head > 2:
        yield _gap(head - 2, "equal line")
    for line in ours[max(head - 2, 0) : head]:
        yield Line("both", show(line))
    mine, yours = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    yield from _taken_apart(mine[0] if mine else None, yours[0] if yours else None, show)
    for side, rest in (("expected", mine[1:]), ("observed", yours[1:])):
        for line in rest[:_LINES]:
            yield Line(side, _middle(show(line)))
        if len(rest) > _LINES:
            yield _gap(len(rest) - _LINES, f"{side} line")
    for line in ours[len(ours) - tail :][:1]:
        yield Line("both", show(line))
    if tail > 1:
        yield _gap(tail - 1, "equal line")


def _lines(text: str) -> list[str]:
    """As str.splitlines(keepends=True), but only a newline ends a line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _gap(count: int, what: str) -> Line:
    return Line("gap", f"… {count} {what}{'' if count == 1 else 's'}")


def _common(one: str | list[str], two: str | list[str]) -> int:
    """Length of the common beginning; halving, since outputs can have megabytes."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _taken_apart(mine: str | None, yours: str | None, show: Show) -> tuple[Line, Line]:
    """The first lines that differ: what is equal before, what differs, what is equal behind."""
    one, two = mine or "", yours or ""
    lead = _common(one, two)
    trail = min(_common(one[::-1], two[::-1]), len(one) - lead, len(two) - lead)
    start = show(one[:lead])
    if len(start) > _LEAD:
        kept = start[-_LEAD + 12 :]
        start = f"…({len(start) - len(kept)} equal)…{kept}"

    def whole(side: str, line: str | None) -> Line:
        if line is None:
            return Line(side, "", "(nothing more)", pair=True)
        end = show(line[len(line) - trail :]) if trail else ""
        if len(end) > _TAIL + 14:
            end = f"{end[:_TAIL]}…({len(end) - _TAIL} equal)…"
        return Line(side, start, _middle(show(line[lead : len(line) - trail])), end, pair=True)

    return whole("expected", mine), whole("observed", yours)


def _pair(mine: Line, yours: Line, width: int) -> list[Row]:
    """The two lines one above the other, and the caret."""
    above, below = (_pieces(line.before + line.differs + line.after, width) for line in (mine, yours))
    found = []
    for index in range(max(len(above), len(below))):
        if index < len(above):
            found.append(Row("expected", above[index]))
        if index < len(below):
            found.append(Row("observed", below[index]))
        if index == 0:
            found.append(Row("caret", " " * cell_len(mine.before) + "^"))
    return found


def _middle(text: str) -> str:
    """What differs, whole unless it is longer than anybody reads; a run of one character by its length."""
    if len(text) <= _MIDDLE:
        return text
    half = _MIDDLE // 2
    cut = text[half:-half]
    what = f"{len(cut)} more" if cut.strip(cut[0]) else f"{visible(cut[0])} × {len(cut)}"  # noqa: RUF001
    return f"{text[:half]}…({what})…{text[-half:]}"


def _equal(text: str, width: int) -> list[str]:
    """An equal line: its beginning is enough."""
    return [text if len(text) <= width else f"{text[: width - 16]}…({len(text) - width + 16} more)…"]


def _pieces(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]
