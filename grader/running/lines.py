"""Which line of the student's source made a system call.

A failed check is run once more with lines recorded, so that the graded run stays undisturbed and only
failures pay for it. In Python a profile hook (`recorder`) writes down each call of interest; in C
strace adds the stack and addr2line, inside a sandbox, names the lines. The n-th ``pipe`` of a process
in one list is the n-th in the other; where the lists disagree no line is given.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grader.model import Place, SourceFile
from grader.running.trace import Call, History

_SYSTEM_CALLS = {
    "pipe": "pipe", "pipe2": "pipe", "fork": "fork", "clone": "fork", "clone3": "fork", "vfork": "fork",
    "posix_spawn": "fork", "posix_spawnp": "fork", "dup": "dup", "dup2": "dup2", "dup3": "dup2",
    "wait": "wait", "wait3": "wait", "wait4": "wait", "waitpid": "wait", "waitid": "waitid",
    "kill": "kill", "killpg": "kill", "execve": "exec", "execv": "exec",
}  # fmt: skip
"""One name for what Python and the kernel call differently."""
_WAITING = {
    "wait4": "wait", "waitid": "waitid", "read": "read", "write": "write", "pause": "pause",
    "openat": "open", "clock_nanosleep": "sleep", "select": "select", "pselect6": "select", "poll": "poll",
}  # fmt: skip

FOLDER = "/run/lines"
"""Where the recorder and its log lie inside the sandbox."""


def recorder() -> SourceFile:
    """The recorder, as the file that Python imports at its start."""
    return SourceFile(path="sitecustomize.py", data=Path(__file__).with_name("recorder.py").read_bytes())


@dataclass
class Lines:
    """Lines by process: of each recorded call, and of the last one before the end."""

    calls: dict[tuple[int, str], list[Place]] = field(default_factory=lambda: defaultdict(list))
    last: dict[int, tuple[str, Place]] = field(default_factory=dict)

    def of_calls(self, history: History) -> dict[int, Place]:
        """The place of each call of a history, by its index, where both lists have equally many."""
        groups: dict[tuple[int, str], list[int]] = defaultdict(list)
        for index, call in enumerate(history.calls):
            name = _SYSTEM_CALLS.get(call.name)
            if (
                name
                and not (name in ("exec", "fork") and call.error)
                and "CLONE_THREAD" not in call.arguments
            ):
                groups[call.pid, name].append(index)
        found: dict[int, Place] = {}
        for key, indices in groups.items():
            places = self.calls.get(key, [])
            if key[1] == "exec":
                places, indices = places[-1:], indices[-1:]
            if len(places) == len(indices):
                found.update(zip(indices, places, strict=True))
        return found

    def waiting(self, pid: int, call: str) -> Place | None:
        """Where a process waits, if its last recorded call is the one that it is blocked in."""
        name, place = self.last.get(pid, ("", None))
        return place if name == _WAITING.get(call, call) else None


def from_log(text: str) -> Lines:
    """Read what `recorder` wrote; lines that are not of its form are passed over."""
    lines = Lines()
    for entry in text.splitlines():
        match = re.fullmatch(r"(\d+) (\w+) ([^:]+):(\d+)", entry)
        if match:
            pid, name = int(match.group(1)), match.group(2)
            _add(lines, pid, name, Place(file=match.group(3), line=int(match.group(4))))
    return lines


def _add(lines: Lines, pid: int, name: str, place: Place) -> None:
    known = _SYSTEM_CALLS.get(name, name)
    lines.calls[pid, known].append(place)
    lines.last[pid] = (known, place)


_FRAME = re.compile(r"/lab/([^(]+)\([^)]*\) \[0x([0-9a-f]+)\]")


def addresses(history: History, program: str) -> list[str]:
    """Addresses within the student's program that stand in the stacks of a history."""
    found = {match.group(2) for call in history.calls for match in _frames(call, program)}
    return sorted(found)


def _frames(call: Call, program: str) -> Iterable[re.Match[str]]:
    return (m for frame in call.stack if (m := _FRAME.match(frame)) and m.group(1) == program)


def from_stacks(
    history: History, program: str, name: Callable[[Sequence[str]], Mapping[str, Place]]
) -> Lines:
    """Lines of a C program.

    :param name: gives the places of addresses (`addr2line`, run where the program cannot harm)
    """
    wanted = addresses(history, program)
    places = name(wanted) if wanted else {}
    lines = Lines()
    for call in history.calls:
        if call.name in _SYSTEM_CALLS and not (call.name == "execve" and call.error):
            place = next((places[m.group(2)] for m in _frames(call, program) if m.group(2) in places), None)
            if place is not None:
                _add(lines, call.pid, call.name, place)
    return lines


def from_addr2line(wanted: Sequence[str], answer: str) -> dict[str, Place]:
    """The places that ``addr2line`` printed, one line for each address."""
    found = {}
    for address, line in zip(wanted, answer.splitlines(), strict=False):
        match = re.match(r"(?:/lab/)?([^:?]+):(\d+)", line)
        if match:
            found[address] = Place(file=match.group(1).removeprefix("./"), line=int(match.group(2)))
    return found
