"""From addresses to words: which line a step of a C program is at, and what the student calls the thing it touches.

A shim knows addresses. The compiler's line table gives lines, its symbol table gives global variables; what lies
in a structure or on the heap has no name there. It gets the name that all lines agree on from which it was used:
``buffer->count`` on one line and ``b->count++`` on another are both ``count``.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from grader.exploring.controller import Key, Kind
from grader.model import Place

_WORDS = {
    Kind.LOCK: "lock", Kind.SEMAPHORE: "semaphore", Kind.CONDITION: "condition", Kind.BARRIER: "barrier",
    Kind.EVENT: "event", Kind.PIPE: "pipe", Kind.QUEUE: "queue", Kind.SEMAPHORE_SET: "semaphore set",
    Kind.SIGNALS: "a signal", Kind.ONCE: "initialisation", Kind.FILE_LOCK: "file lock",
}  # fmt: skip

Uses = Iterable[tuple[object, bool]]
"""From where a thing was used, and whether to write to it"""


class Names(Protocol):
    """What turns a shim's places and keys into words."""

    def raw(self, number: int, caller: int, text: bytes) -> object:
        """What is kept of the place in a message."""

    def place(self, raw: object) -> Place | None:
        """The student's line."""

    def thing(self, key: Key, uses: Uses) -> str:
        """What the student calls a thing, without its kind; empty if that cannot be told."""


class Catalogue:
    """The names of one run: the same thing always has the same one, and no two share it.

    :param uses: from where each thing was used
    :param told: the names that things have by themselves, such as a named semaphore's
    """

    def __init__(self, names: Names, uses: Mapping[Key, set[tuple[object, bool]]], told: Mapping[Key, str]):
        self._names, self._uses, self._told = names, uses, told
        self._given: dict[Key, str] = {}
        self._taken: dict[str, int] = {}

    def __getitem__(self, key: Key) -> str:
        if key in self._given:
            return self._given[key]
        kind = key[0]
        if kind in (0, Kind.TIME):
            return ""
        word = _WORDS.get(Kind(kind), "")
        name = self._told.get(key) or self._names.thing(key, self._uses.get(key, ()))
        if kind == Kind.SIGNALS:
            name, word = word, ""
        if not name and kind == Kind.MEMORY:
            name = "memory"
        full = f"{word} {name}".strip()
        number = self._taken[full] = self._taken.get(full, 0) + 1
        if (number > 1 or full == word) and kind != Kind.SIGNALS and not full.endswith("[]"):
            full = f"{full} {number}"
        self._given[key] = full
        return full


# ---------------------------------------------------------------- Python: the shim says it all


class Told:
    """Places and names that come with the messages, as ``FILE<tab>NAME``; a place is a line number."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], tuple[str, int, str]] = {}

    def raw(self, number: int, caller: int, text: bytes) -> object:
        """File, line and name."""
        found = self._known.get((number, text))
        if found is None:
            file, _, name = text.decode(errors="replace").partition("\t")
            found = (file[:200], min(number, 10**6), name[:60])
            if len(self._known) < 20000:
                self._known[number, text] = found
        return found

    def place(self, raw: object) -> Place | None:
        """The line that was told."""
        return Place(file=raw[0], line=raw[1]) if isinstance(raw, tuple) and raw[0] else None

    def thing(self, key: Key, uses: Uses) -> str:
        """The name that most agree on."""
        names = sorted(raw[2] for raw, _ in uses if isinstance(raw, tuple) and raw[2])
        return max(names, key=names.count) if names else ""


# ---------------------------------------------------------------- C

_ROW = re.compile(rb"^(\S.*?)\s+(\d+)\s+(0x[0-9a-f]+)\b")
_SYMBOL = re.compile(rb"^([0-9a-f]+) ([0-9a-f]+) [bBdD] (\S+)$")
_CHAIN = re.compile(r"(?:\*\s*)?[A-Za-z_]\w*(?:\s*(?:->|\.)\s*\w+|\s*\[[^\[\]]*\])*")
_LAST = re.compile(r"(\w+)\s*(\[[^\[\]]*\])?$")
_NOT_NAMES = frozenset(
    re.findall(
        r"\w+",
        "if else while for do switch case return break continue sizeof struct union enum int long short char "
        "unsigned signed void float double const volatile static extern bool size_t NULL true false goto default",
    )
)
_OF = {
    Kind.LOCK: r"(?:pthread_(?:mutex|spin|rwlock)|mtx)_\w+",
    Kind.CONDITION: r"(?:pthread_cond|cnd)_\w+",
    Kind.SEMAPHORE: r"sem_\w+",
    Kind.BARRIER: r"pthread_barrier_\w+",
}
"""The functions whose first argument is the thing"""
_WITH_LOCK = re.compile(r"(?:pthread_cond|cnd)_(?:timed|clock)?wait\s*\([^,]*,\s*([^,()]+)")


class Source:
    """Lines, variables and text of a C program.

    :param lines: of objdump --dwarf=decodedline, from a hostile program
    :param symbols: of nm -S
    :param texts: the source files by name
    """

    def __init__(self, lines: bytes, symbols: bytes, texts: Mapping[str, bytes]):
        self._texts = {name: data.decode(errors="replace").splitlines() for name, data in texts.items()}
        rows: dict[int, tuple[str, int]] = {}
        for line in lines.splitlines():
            match = _ROW.match(line)
            if match and len(match.group(2)) < 7:
                rows[int(match.group(3), 16)] = (match.group(1).decode(errors="replace"), int(match.group(2)))
        self._starts = sorted(rows)
        self._rows = [rows[start] for start in self._starts]
        variables = []
        for line in symbols.splitlines():
            match = _SYMBOL.match(line)
            if match and len(match.group(1)) <= 16:
                variables.append((int(match.group(1), 16), int(match.group(2), 16), match.group(3).decode()))
        self._variables = sorted(variables)
        self._globals = {name for _, _, name in variables}

    def raw(self, number: int, caller: int, text: bytes) -> object:
        """Two return addresses: of the call, and of the function that it stands in."""
        return number, caller

    def place(self, raw: object) -> Place | None:
        """The line of the call; for a helper that gets the thing as its parameter, the line that called that."""
        if not isinstance(raw, tuple):
            return None
        place, caller = self._at(raw[0]), self._at(raw[1])
        if place is None or caller is None:
            return place or caller
        sure, perhaps = self._argument(Kind.NONE, self._line(place))
        return caller if perhaps and not sure else place

    def _at(self, address: int) -> Place | None:
        """The line of the call before a return address."""
        index = bisect.bisect_right(self._starts, address - 1) - 1
        if address <= 0 or index < 0 or address - self._starts[index] > 4096:
            return None
        name, line = self._rows[index]
        name = name.removeprefix("./").removeprefix("/lab/")
        return Place(file=name, line=line) if name in self._texts else None

    def thing(self, key: Key, uses: Uses) -> str:
        """The global variable at the address, or what all lines that use it call it."""
        variable = self._variable(key)
        if variable and not variable[1]:
            return variable[0]
        lines = {(line, writes) for raw, writes in uses if (line := self._line(self.place(raw)))}
        votes = [
            self._memory(line, writes) if key[0] == Kind.MEMORY else self._argument(key[0], line)
            for line, writes in sorted(lines)
        ]
        common: set[str] = set()
        for sure in (0, 1):
            sets = [vote[sure] for vote in votes if vote[sure]]
            common = set.intersection(*sets) if sets else set()
            if len(common) == 1:
                return next(iter(common))
            if common:
                break
        if variable:
            return variable[0]
        return min(common) if common and key[0] != Kind.MEMORY else ""

    def _variable(self, key: Key) -> tuple[str, bool] | None:
        """The variable that an address lies in, and whether it lies somewhere within a larger one."""
        address = key[2]
        index = bisect.bisect_right(self._variables, (address, 2**64, "")) - 1
        if index < 0:
            return None
        start, size, name = self._variables[index]
        if address >= start + size:
            return None
        exact = address == start and size <= (8 if key[0] == Kind.MEMORY else 56)
        return name, not exact

    def _line(self, place: Place | None) -> str:
        if place is None:
            return ""
        text = self._texts.get(place.file, [])
        line = text[place.line - 1] if 0 < place.line <= len(text) else ""
        return re.sub(r"//.*|/\*.*?\*/|\"(?:[^\"\\]|\\.)*\"", "", line[:500])

    def _argument(self, kind: int, line: str) -> tuple[set[str], set[str]]:
        """What the calls on a line name: members and global variables, and names that only this function knows."""
        of = _OF.get(Kind(kind), "|".join(_OF.values()))
        arguments = re.findall(rf"\b(?:{of})\s*\(([^,()]+)", line)
        if kind == Kind.LOCK:
            arguments += _WITH_LOCK.findall(line)
        if not arguments:  # a function or macro of the student's
            found = re.findall(r"\w+\s*\(([^()]+)", line)
            arguments = [text for each in found for text in each.split(",") if re.search(r"&|->|\w\.", text)]
        sure: set[str] = set()
        perhaps: set[str] = set()
        for text in (part for argument in arguments for part in re.split(r"[?:]", argument)[-2:]):
            name = _last_name(text)
            if name:
                known = re.search(r"[&.\[>]", text) or name in self._globals
                (sure if known else perhaps).add(name)
        return sure, perhaps

    def _memory(self, line: str, writes: bool) -> tuple[set[str], set[str]]:
        """The same for memory that a line reads or writes."""
        sure: set[str] = set()
        perhaps: set[str] = set()
        for text, after, before in _chains(line):
            assigned = re.match(r"\s*=(?!=)", after)
            changed = re.match(r"\s*(?:[-+*/%&|^]=|<<=|>>=|\+\+|--)", after) or re.search(
                r"(?:\+\+|--)\s*$", before
            )
            if (not assigned and not changed) if writes else assigned:
                continue
            name = _last_name(text)
            if name and not re.match(r"\s*\(", after):
                plain = text.strip() == name and name not in self._globals
                (perhaps if plain else sure).add(name)
        return sure, perhaps


def _chains(line: str) -> list[tuple[str, str, str]]:
    """Every variable, member or element that a line names, those inside brackets too; with what stands round it."""
    found = []
    todo = [(line, "", "")]
    while todo:
        text, _, _ = todo.pop()
        for match in _CHAIN.finditer(text):
            if match.group().strip("* ") in _NOT_NAMES:
                continue
            found.append((match.group(), text[match.end() :], text[: match.start()]))
            todo += [(inner, "", "") for inner in re.findall(r"\[([^\[\]]*)\]", match.group())]
    return found


def _last_name(text: str) -> str:
    """``b->slots[i]`` is ``slots[]``, ``&b->lock`` is ``lock``, ``*p`` is ``*p``."""
    text = text.strip()
    pointer = text.startswith("*") and re.fullmatch(r"\*\s*\w+", text)
    match = _LAST.search(text)
    if match is None or match.group(1) in _NOT_NAMES or match.group(1)[0].isdigit():
        return ""
    return ("*" if pointer else "") + match.group(1) + ("[]" if match.group(2) else "")
