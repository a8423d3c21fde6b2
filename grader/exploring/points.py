"""Signal points: where the main process of a program can be interrupted, which of them are tried, and how.

A shim that travels with the program (`shims/signals.py`, `shims/signals.c`) counts the points that the main
thread of the main process comes to from a certain moment on. A first run only counts; `choose` takes some of
what it saw; then each run raises the signal at one of them. A point is known by its line and by how often that
was reached before, not by its bare number: children and other processes make the number vary, and a run finds
its line again.

The shim and the grader talk through one file in the sandbox, the board. It is written by hostile code, so all
that is read of it is bounded and means nothing by itself: it says which runs were interrupted where, and a
verdict comes only from what the program does then.
"""

from __future__ import annotations

import functools
import marshal
import os
import re
import stat
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from signal import Signals

from grader.model import Place, SourceFile

_SHIMS = Path(__file__).with_name("shims")

PYTHON_CALLS = (
    "pause", "sigwait", "sigwaitinfo", "sigtimedwait", "select", "poll", "accept", "_accept", "connect", "recv",
    "recvfrom", "recvmsg", "recv_into", "read", "readv", "readinto", "readline", "readlines", "input", "wait",
    "wait3", "wait4", "waitpid", "waitid", "sleep", "flock", "lockf", "receive",
)  # fmt: skip
"""Functions that may wait, by the names under which Python calls them. No locks: that a handler sets a
`threading.Event` whose lock the main thread has is the library's fault."""


@functools.cache
def c_calls() -> tuple[str, ...]:
    """The same for C: what the shim redirects."""
    return tuple(name.decode() for name in re.findall(rb"^WRAP\([^,]+, (\w+), ", c_shim(), re.MULTILINE))


class Kind(IntEnum):
    """What a point is."""

    LINE = 0
    """Before a line; in C before an access to memory"""
    BEFORE = 1
    """Just before a call that may block"""
    AFTER = 2
    """Just after its return"""
    DURING = 3
    """While it blocks: sent from outside"""
    REST = 4
    """While the whole program rests, after all that was asked of it: sent from outside"""


@dataclass(frozen=True)
class Point:
    """One moment at which a signal arrives."""

    kind: Kind
    where: int = 0
    """For the shim: file and line, in C an address"""
    call: str = ""
    """The function that may block; empty for a line"""
    earlier: int = 0
    """How often the program comes by before"""
    place: Place | None = None
    spot: str = ""
    """Which of several spots of one line, as a letter; empty for the first"""

    @property
    def name(self) -> str:
        """What stands for it in a command: ``57``, ``57.2`` (the second time), ``57-before-pause``, ``rest``."""
        if self.kind is Kind.REST:
            return "rest"
        at = f"{self.place.line}{self.spot}" if self.place else f"{self.where:x}"
        return (f"{at}.{self.earlier + 1}" if self.earlier else at) + self._suffix

    @property
    def _suffix(self) -> str:
        words = {Kind.BEFORE: "before", Kind.AFTER: "after", Kind.DURING: "in"}
        return f"-{words[self.kind]}-{self.call}" if self.kind in words else ""

    def words(self, sources: Mapping[str, str]) -> str:
        """When it is, for people: ``just before server.py:57, `while not stop:```."""
        text = _line(sources, self.place)
        at = (f" at {self.place}" + (f", `{text}`" if text else "")) if self.place else ""
        words = {
            Kind.LINE: f"just before{at.removeprefix(' at')}",
            Kind.BEFORE: f"just before {self.call}{at}",
            Kind.AFTER: f"just after {self.call} had returned{at}",
            Kind.DURING: f"while the program was blocked in {self.call}{at}",
            Kind.REST: f"while the program waited{f' in {self.call}' if self.call else ''}{at}",
        }[self.kind]
        return words + (f" (the {_ordinal(self.earlier + 1)} time)" if self.earlier else "")


def _line(sources: Mapping[str, str], place: Place | None) -> str:
    lines = sources.get(place.file, "").splitlines() if place else []
    return lines[place.line - 1].strip()[:80] if place and place.line <= len(lines) else ""


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


# ---------------------------------------------------------------- the board


class State(IntEnum):
    """What the shim has come to."""

    ABSENT = 0
    """It never began"""
    COUNTING = 1
    BLOCKING = 2
    """It is about to enter the call of a `Kind.DURING` point"""
    RAISED = 3
    """The signal was raised"""
    PASSED = 4
    """The call of a `Kind.DURING` point returned"""


_HEAD, _ENTRY = 16, 16
_MOST = 65536
"""Points that are remembered of one run"""


Entry = tuple[int, int, int]
"""What the board says of a point: where it is, its kind, and the index of the call"""


class Board:
    """The grader's side of the shared file.

    :param folder: descriptor of the probe's folder; none where the sandbox has gone
    """

    def __init__(self, folder: int | None):
        self._descriptor = -1
        try:
            if folder is not None:
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                self._descriptor = os.open("board", flags, dir_fd=folder)
        except OSError:
            pass  # the program took it away: then it is not known to come to any point

    def _read(self, size: int, offset: int) -> bytes:
        if self._descriptor == -1 or not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return b""
        return os.pread(self._descriptor, size, offset)

    def arm(self) -> None:
        """Let the counting begin."""
        if self._read(1, 0):
            try:
                os.pwrite(self._descriptor, b"\1", 0)
            except OSError:
                pass  # no room left in the folder: the program filled it

    @property
    def state(self) -> State:
        """How far the shim is; a value that it never writes counts as absent."""
        number = int.from_bytes(self._read(4, 4), "little")
        return State(number) if number in set(State) else State.ABSENT

    def passed(self) -> list[Entry]:
        """The points of the counting run in their order: where, kind, index of the call."""
        count = min(int.from_bytes(self._read(4, 8), "little"), _MOST)
        data = self._read(count * _ENTRY, _HEAD)
        return list(struct.iter_unpack("<QII", data[: len(data) // _ENTRY * _ENTRY]))

    def close(self) -> None:
        """Give the descriptor back; harmless when done already."""
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1


# ---------------------------------------------------------------- what travels with the program


def python_files(files: Iterable[SourceFile], driver: str) -> tuple[str, ...]:
    """The student's own modules: a lab's driver has no points."""
    names = sorted(file.path for file in files if file.path.endswith(".py") and file.path != driver)
    return tuple(name for name in names if not any(letter.isspace() for letter in name))


def c_files(files: Iterable[SourceFile], driver: str) -> tuple[str, ...]:
    """The student's own sources."""
    return tuple(sorted(f.path for f in files if f.path.endswith((".c", ".h")) and f.path != driver))


_NAME = "<the signal arrives here>"
"""What tracebacks call the shim's file"""


@functools.cache
def shim() -> SourceFile:
    """The shim of a Python program, as the file that the interpreter imports at its start.

    It is compiled here, where that happens once: the program runs with the grader's own interpreter.
    """
    source = (_SHIMS / "signals.py").read_bytes()
    code = marshal.dumps(compile(source, _NAME, "exec", dont_inherit=True))
    return SourceFile(path="sitecustomize.pyc", data=MAGIC_NUMBER + bytes(12) + code)


def c_shim() -> bytes:
    """The shim of a C program, which is built with it (`grader.running.preparation.instrumented`)."""
    return (_SHIMS / "signals.c").read_bytes()


def plan(
    signals: Sequence[Signals],
    *,
    from_start: bool,
    calls: Sequence[str],
    files: Sequence[str] = (),
    target: Point | None = None,
) -> tuple[SourceFile, ...]:
    """What the shim is told, and an empty board.

    :param calls: the functions that may wait; an entry of the board has the index
    :param from_start: count as soon as the program deals with the signal, not only when the board is armed
    :param files: the student's own modules
    :param target: where the signal is raised; none to count only
    """
    lines = [
        " ".join(["signals", *(str(int(number)) for number in signals)]),
        f"from {'start' if from_start else 'board'}",
        " ".join(["files", *files]),
        " ".join(["calls", *calls]),
    ]
    if target is not None and target.kind is not Kind.REST:
        call = calls.index(target.call) if target.call else 0
        outside = target.kind is Kind.DURING
        kind = Kind.BEFORE if outside else target.kind
        lines.append(f"target {target.where} {kind.value} {call} {target.earlier} {int(outside)}")
    board = struct.pack("<IIII", int(from_start), 0, 0, 0) + bytes(_MOST * _ENTRY if target is None else 0)
    return (
        SourceFile(path="plan", data="\n".join(lines).encode() + b"\n"),
        SourceFile(path="board", data=board),
    )


# ---------------------------------------------------------------- which are tried


def found(
    passed: Iterable[Entry], places: Mapping[int, tuple[Place, str]], calls: Sequence[str]
) -> tuple[Point, ...]:
    """The points of a counting run, each with how often the program had come by before.

    :param places: the line of each place, and the letter of the spot within it
    """
    seen: Counter[Entry] = Counter()
    points = []
    for where, kind, call in passed:
        if where in places and kind <= Kind.AFTER and call < len(calls):
            place, spot = places[where]
            name = calls[call] if kind else ""
            points.append(Point(Kind(kind), where, name, seen[where, kind, call], place, spot))
            seen[where, kind, call] += 1
    return tuple(points)


def python_places(passed: Iterable[Entry], files: Sequence[str]) -> dict[int, tuple[Place, str]]:
    """The line of each place of a Python program."""
    places = {}
    for where in {entry[0] for entry in passed}:
        index, line = where >> 32, where & 0xFFFFFFFF
        if index < len(files) and line:
            places[where] = (Place(file=files[index], line=line), "")
    return places


_ROW = re.compile(rb"^(?:\./)?(\S+)\s+(\d{1,6})\s+(0x[0-9a-f]{1,16})\b", re.MULTILINE)


def c_places(passed: Iterable[Entry], files: Sequence[str], table: bytes) -> dict[int, tuple[Place, str]]:
    """The line of each place of a C program, and which of several on one line it is.

    :param table: the compiler's line table (objdump --dwarf=decodedline); what it says comes from a hostile program
    """
    rows = {
        int(start, 16): (name.decode(errors="replace"), int(line))
        for name, line, start in _ROW.findall(table)
    }
    starts = sorted(rows)
    spots: Counter[Place] = Counter()
    places = {}
    for where in sorted({entry[0] for entry in passed}):
        index = bisect_right(starts, where - 1)  # a return address is behind its call
        if not index:
            continue
        name, line = rows[starts[index - 1]]
        if name in files:
            place = Place(file=name, line=line)
            places[where] = (place, _letters(spots[place]))
            spots[place] += 1
    return places


def _letters(number: int) -> str:
    """Nothing, b, c … z, bb, bc …"""
    word = ""
    while number:
        number, digit = divmod(number, 26)
        word = "abcdefghijklmnopqrstuvwxyz"[digit] + word
    return word


def choose(points: Sequence[Point], most: int, *, interrupts: bool = False) -> tuple[Point, ...]:
    """The points that are tried, in the order in which the program comes to them: always the same ones.

    First where most losses show, before and in calls that may wait; then the first time of each line, spread
    evenly if there are too many, and of further spots on it; then the last times.

    :param interrupts: also try each such call while it waits (C: it ends with EINTR)
    """
    first = [point for point in points if not point.earlier]
    last = list({(point.where, point.kind, point.call): point for point in points}.values())
    groups: list[list[Point]] = [[point for point in first if point.kind is Kind.BEFORE]]
    if interrupts:
        groups.append([_during(point) for point in groups[0]])
    known: set[Place | None] = set()
    lines: list[Point] = []
    spots: list[Point] = []
    for point in first:
        if point.kind is Kind.LINE:
            (spots if point.place in known else lines).append(point)
            known.add(point.place)
    groups += [lines, spots]
    groups.append([point for point in first if point.kind is Kind.AFTER])
    groups.append([point for point in last if point.earlier])
    chosen: list[Point] = []
    for group in groups:
        chosen += _spread(group, most - len(chosen))
    order = {point: index for index, point in enumerate(points)}
    return tuple(sorted(chosen, key=lambda point: (order[_before(point)], point.kind)))


def all_of(points: Sequence[Point]) -> tuple[Point, ...]:
    """Every point that can be tried."""
    return (*points, *(_during(point) for point in points if point.kind is Kind.BEFORE))


def _during(point: Point) -> Point:
    return Point(Kind.DURING, point.where, point.call, point.earlier, point.place, point.spot)


def _before(point: Point) -> Point:
    if point.kind is not Kind.DURING:
        return point
    return Point(Kind.BEFORE, point.where, point.call, point.earlier, point.place, point.spot)


def _spread(points: Sequence[Point], most: int) -> list[Point]:
    """So many of them, at even distances, the last one included."""
    if len(points) <= most:
        return list(points)
    return [points[len(points) - 1 - index * len(points) // most] for index in range(max(most, 0))]
