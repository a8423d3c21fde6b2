"""The history of a run as a list: one row for each system call that matters, with lines of life beside it.

Each process has a line, from its fork to its exit; a fork and a reaping are links between two lines.
The lines are ornament (hidden from readers that speak): the text of each row says who did what.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from grader.model import Event, Observation
from grader.reporting import processes
from grader.reporting.markup import Markup, element

_FORKS = ("fork", "vfork", "clone", "clone3")
_WAITS = ("wait4", "waitid")
_ENDS = ("exit", "killed")
_LINES = 14
"""Lines of life that fit beside the text"""
_ROWS = (40, 60)
"""Rows that are shown of the beginning and of the end of a long history"""


@dataclass(frozen=True)
class Row:
    """One event, and what the lines of life look like beside it."""

    event: Event
    who: str
    line: int
    """Whose line it is, by order of appearance"""
    other: int | None
    """The line of the child that was made or reaped"""
    alive: tuple[int, ...]
    """Lines that go through this row"""
    born: tuple[int, ...] = ()
    """Lines that begin in it"""
    ended: bool = False
    """Its own line ends in it"""


def rows(seen: Observation) -> list[Row]:
    """The history in order, with the state of each line of life."""
    order: dict[int, int] = {}
    alive: list[int] = []
    gone: set[int] = set()
    found = []
    for event in seen.events:
        born = []
        child = _child(event)
        for pid in (event.pid, child):
            if pid is None:
                continue
            line = order.setdefault(pid, len(order))
            if line not in alive and line not in gone:
                alive.append(line)
                born.append(line)
        line = order[event.pid]
        ended = event.call in _ENDS
        found.append(
            Row(
                event=event,
                who=processes.who(event.pid, seen),
                line=line,
                other=order[child] if child is not None else None,
                alive=tuple(sorted(alive)),
                born=tuple(born),
                ended=ended,
            )
        )
        if ended and line in alive:
            alive.remove(line)
            gone.add(line)
    return found


def _child(event: Event) -> int | None:
    """The process that this event made or reaped."""
    if event.call not in (*_FORKS, *_WAITS):
        return None
    match = re.search(r"\bchild (\d+)(?: reaped|$)", event.text)
    return int(match.group(1)) if match else None


def listed(seen: Observation) -> Markup:
    """The history as an element; empty where there is none."""
    if not seen.events:
        return Markup("")
    every = rows(seen)
    count = max(max(row.alive, default=0) for row in every) + 1
    first, last = _ROWS
    cut = len(every) > first + last
    shown: list[Markup] = [_row(row, count) for row in (every[:first] if cut else every)]
    if cut:
        shown.append(element("li", f"… {len(every) - first - last} more", class_="pl-gap"))
        shown += [_row(row, count) for row in every[-last:]]
    return element("ol", shown, class_="pl-timeline")


def _row(row: Row, count: int) -> Markup:
    at = f"{row.event.at_s:.3f} s"
    place = element("span", str(row.event.place), class_="pl-place") if row.event.place else None
    return element(
        "li",
        element("span", list(_lines(row, count)), class_="pl-lives", aria_hidden="true") if count <= _LINES else None,
        element("span", at, class_="pl-time"),
        element(
            "span",
            element("b", row.who), " ", element("span", row.event.text[:600], class_="pl-call"), " ", place,
            class_="pl-what",
        ),
    )  # fmt: skip


def _lines(row: Row, count: int) -> Iterator[Markup]:
    """The cells of a row, one for each line of life."""
    low, high = sorted((row.line, row.line if row.other is None else row.other))
    for line in range(count):
        words = ["pl-life"]
        if line in row.alive:
            words.append(
                "pl-born" if line in row.born else "pl-ends" if row.ended and line == row.line else "pl-on"
            )
        if line == row.line:
            words.append("pl-actor")
        elif line == row.other:
            words.append("pl-other")
        if low < high and low <= line <= high:
            words.append("pl-from" if line == low else "pl-to" if line == high else "pl-through")
        yield element("i", class_=" ".join(words))
