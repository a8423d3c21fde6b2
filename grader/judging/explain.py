"""From facts to a diagnosis, by evidence: the order is time, then crash, then what was left behind.

The grader's own fault comes before all of this and is an exception, not a diagnosis; content is
compared afterwards, by the check. Every rule names the facts it stands on; where none fits, the
most general diagnosis tells what every process waits for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from grader.model import (
    Diagnosis,
    DiagnosisKind,
    Ending,
    Observation,
    Place,
    Process,
    State,
)
from grader.running.waitgraph import GRADER, rightful, waits_for_a_child

_READS = (
    "read",
    "readv",
    "recvfrom",
    "recvmsg",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_wait",
    "epoll_pwait",
)
_WRITES = ("write", "writev", "sendto", "sendmsg")
_BUSY_SHARE = 0.1
"""A program that was out of time and had the processor for more than this share of it was not waiting."""
NOT_WRITTEN_STATUS = 70
"""Exit status of a C skeleton at the place where the student's code is to go (EX_SOFTWARE)."""


def diagnosis(
    kinds: Mapping[str, DiagnosisKind],
    slug: str,
    fact: str = "",
    evidence: tuple[str, ...] = (),
    place: Place | None = None,
) -> Diagnosis:
    """A named fault with the words that the lab or the shared table has for it.

    :raises KeyError: for a slug that neither knows; `grader.judging.verify` finds those
    """
    kind = kinds[slug]
    return Diagnosis(
        slug=slug,
        title=kind.title,
        fact=_sentence(fact or kind.title),
        evidence=evidence,
        why=kind.why,
        cure=kind.cure,
        section=kind.section,
        place=place,
    )


_Finding = tuple[str, str, tuple[str, ...], Place | None]
"""slug, fact, evidence, place: what a rule found"""


def _found(slug: str, fact: str, *evidence: str, place: Place | None = None) -> _Finding:
    return slug, fact, tuple(line for line in evidence if line), place


def fault(
    seen: Observation,
    kinds: Mapping[str, DiagnosisKind],
    *,
    status: int | None = 0,
    allow: frozenset[str] = frozenset(),
) -> Diagnosis | None:
    """What is wrong with a run before its content is looked at; none if it is clean.

    :param status: the exit status that the check expects; none for any
    :param allow: slugs that the check forgives
    """
    for rule in (_time, _crash, _leftovers):
        finding = rule(seen, status)
        if finding is not None and finding[0] not in allow:
            return diagnosis(kinds, *finding)
    return None


# ---------------------------------------------------------------- time


def _time(seen: Observation, status: int | None) -> _Finding | None:
    del status
    if seen.ending is Ending.FLOODED:
        size = max(len(seen.stdout), len(seen.stderr)) // 2**20
        stream = "standard error" if len(seen.stderr) > len(seen.stdout) else "standard output"
        return _found(
            "too-much-output", f"The program wrote over {size} MiB to {stream} and went on; it was ended."
        )
    if seen.ending is Ending.HUNG:
        return hang(seen)
    if seen.ending is Ending.TIMED_OUT:
        return _slow(seen)
    if seen.ending is Ending.SPUN:
        call = max(
            Counter(event.call for event in seen.events).items(),
            default=("the kernel", 0),
            key=lambda e: e[1],
        )[0]
        by = next(
            (seen.names.get(event.pid, "The program") for event in seen.events if event.call == call), ""
        )
        return _found("spins", f"{_cap(by)} calls {call} again and again and does not wait.")
    return None


def _slow(seen: Observation) -> _Finding:
    """Out of time without being stuck: busy, asleep, or partly stuck."""
    by_pid = {process.pid: process for process in seen.processes}
    stuck = _write_end_open(seen, by_pid) or _unread_pipe(seen, by_pid)
    if stuck is not None:
        return stuck
    if seen.cpu_s > _BUSY_SHARE * seen.within_s:
        busy = [process for process in seen.processes if process.state is State.RUNNING]
        return _found(
            "spins",
            f"{_cap(_labels(busy) or 'The program')} used the processor for {seen.cpu_s:.1f} s and did not get on.",
            *doing(seen),
        )
    return _found("too-slow", f"The program was not done after {seen.within_s:g} s.", *doing(seen))


# ---------------------------------------------------------------- hangs


def hang(seen: Observation) -> _Finding:
    """Why nothing goes on: the pipe and the descriptor to blame where the kernel's state shows them."""
    by_pid = {process.pid: process for process in seen.processes}
    for rule in (_write_end_open, _unread_pipe):
        finding = rule(seen, by_pid)
        if finding is not None:
            return finding
    waiting = [p for p in seen.processes if p.state is State.BLOCKED]
    if waiting and any(
        edge.holder == GRADER and edge.target and _reads(by_pid.get(edge.waiter)) for edge in seen.edges
    ):
        return _found(
            "output-held-back",
            f"{_cap(_reader(seen, by_pid))} has read all input so far and waits for more, without having answered.",
            *doing(seen),
        )
    return _found("waits-forever", f"{_labels(waiting) or 'The program'} can never go on.", *doing(seen))


def _reader(seen: Observation, by_pid: Mapping[int, Process]) -> str:
    return next(
        by_pid[e.waiter].label for e in seen.edges if e.holder == GRADER and _reads(by_pid.get(e.waiter))
    )


def _reads(process: Process | None) -> bool:
    return process is not None and process.wait is not None and process.wait.call in _READS


def _write_end_open(seen: Observation, by_pid: Mapping[int, Process]) -> _Finding | None:
    """A reader waits for end-of-file, and somebody who will never write holds a write end."""
    for edge in seen.edges:
        waiter, holder = by_pid.get(edge.waiter), by_pid.get(edge.holder)
        if (
            waiter is None
            or holder is None
            or waiter.wait is None
            or not edge.target.startswith(("pipe:", "fifo:"))
        ):
            continue
        if not _reads(waiter) or not waiter.stuck or rightful(holder, edge, 1):
            continue
        where = waiter.wait.text.removeprefix("data or end-of-file on ")
        if holder.pid == waiter.pid:
            whose = f"it holds a write end of that pipe itself, as descriptor {edge.descriptor}"
        else:
            whose = f"its write end is still open in {holder.label}, descriptor {edge.descriptor}"
        return _found(
            "write-end-left-open",
            f"{_cap(waiter.label)} waits for end-of-file on {where}; {whose}.",
            _maker(seen, edge.target),
            *doing(seen),
            place=_made_at(seen, edge.target),
        )
    return None


def _unread_pipe(seen: Observation, by_pid: Mapping[int, Process]) -> _Finding | None:
    """A writer waits for space in a full pipe that nobody will read."""
    for process in seen.processes:
        if process.wait is None or process.wait.call not in _WRITES or not process.stuck:
            continue
        target = process.wait.target
        holders = [
            (by_pid[e.holder], e) for e in seen.edges if e.waiter == process.pid and e.holder in by_pid
        ]
        if not holders or any(rightful(holder, edge, 0) for holder, edge in holders):
            continue
        where = process.wait.text.removeprefix("space in ").removesuffix(", which is full")
        parent = next((holder for holder, _ in holders if waits_for_a_child(holder)), None)
        had_reader = any(
            re.match(r"dup[23]\(\d+, 0\)", event.text) and event.text.endswith(target)
            for event in seen.events
            if parent is None or event.pid != parent.pid
        )
        waiting_parent = None if had_reader else parent
        if waiting_parent is not None and waiting_parent.wait is not None:
            return _found(
                "waits-before-reading",
                f"{_cap(process.label)} waits for space in {where}, which is full and which nobody reads: "
                f"{waiting_parent.label} waits for {waiting_parent.wait.text} before it starts a reader.",
                _maker(seen, target),
                *doing(seen),
                place=_made_at(seen, target),
            )
        holder, edge = holders[0]
        whose = (
            f"it holds a read end of it itself, as descriptor {edge.descriptor}"
            if holder.pid == process.pid
            else f"a read end is still open in {holder.label}, descriptor {edge.descriptor}"
        )
        return _found(
            "read-end-left-open",
            f"{_cap(process.label)} waits for space in {where}. Nobody reads it any more, but {whose}, "
            "so no SIGPIPE comes.",
            _maker(seen, target),
            *doing(seen),
            place=_made_at(seen, target),
        )
    return None


def _maker(seen: Observation, target: str) -> str:
    """Who made a pipe, from the history."""
    for event in seen.events:
        if event.call in ("pipe", "pipe2") and event.text.endswith(target):
            at = f" at {event.place}" if event.place else ""
            who = next((p.label for p in seen.processes if p.pid == event.pid), f"process {event.pid}")
            ends = event.text.removeprefix("pipe(): ").removesuffix(f" of {target}")
            return f"{who} made this pipe{at}: {ends}"
    return ""


def _made_at(seen: Observation, target: str) -> Place | None:
    return next(
        (e.place for e in seen.events if e.call in ("pipe", "pipe2") and e.text.endswith(target)), None
    )


def ending(seen: Observation) -> str:
    """How a run came to its end, for what a report says was observed."""
    words = {
        Ending.EXITED: f"it ended with status {seen.status}",
        Ending.SIGNALLED: f"it was ended by {seen.signal}",
        Ending.HUNG: f"every process was blocked for good after {seen.wall_s:.2f} s",
        Ending.TIMED_OUT: f"it was not done after {seen.within_s:g} s",
        Ending.FLOODED: "it wrote without end",
        Ending.SPUN: f"it went round in circles for {seen.wall_s:.1f} s",
    }.get(seen.ending, "")
    if seen.leftovers:
        words += " and left behind: " + ", ".join(f"{left.kind} {left.name}" for left in seen.leftovers)
    return words


def doing(seen: Observation) -> tuple[str, ...]:
    """What every process is doing, a line each."""
    lines = []
    for process in seen.processes:
        at = f" at {process.place}" if process.place else ""
        if process.wait is not None:
            lines.append(f"{process.label} waits{at} for {process.wait.text} ({process.wait.call})")
        elif process.state is State.ZOMBIE:
            lines.append(f"{process.label} has ended and was not reaped (zombie)")
        else:
            lines.append(f"{process.label} is {process.state.value}{at}")
    return tuple(lines)


# ---------------------------------------------------------------- crashes and statuses


_OUT_OF_MEMORY = re.compile(
    rb"^MemoryError|std::bad_alloc|Sanitizer failed to allocate|Cannot allocate memory", re.M
)


def _crash(seen: Observation, status: int | None) -> _Finding | None:
    if (seen.signal or seen.status) and seen.status != status and _OUT_OF_MEMORY.search(seen.stderr):
        return _found(
            "memory-limit-reached", "The program asked for more memory than it may have.", _last_error(seen)
        )
    if seen.ending is Ending.SIGNALLED:
        return _found("killed-by-signal", f"The program was ended by {seen.signal}.", _last_error(seen))
    if seen.ending is not Ending.EXITED or status is None or seen.status == status:
        return None
    traceback = _traceback(seen)
    if traceback is not None:
        return traceback
    if seen.status == NOT_WRITTEN_STATUS and b"YOUR CODE" in seen.stderr:
        return _found(
            "not-implemented", "The program came to a place where your code is to go.", _last_error(seen)
        )
    if seen.status in (126, 127) and not seen.events:
        return _found("does-not-start", "The program could not be started.", _last_error(seen))
    slug = "nonzero-exit" if status == 0 else "wrong-exit-status"
    return _found(slug, f"The exit status is {seen.status}; it should be {status}.", _last_error(seen))


_FRAME = re.compile(r'File "(?:/lab/|\./)?([^"/<>]+)", line (\d+)')


def _traceback(seen: Observation) -> _Finding | None:
    """The exception that ended a Python program, and the last line of the student's own in it."""
    text = seen.stderr.decode(errors="backslashreplace")
    start = text.rfind("Traceback (most recent call last):")
    if start < 0 or seen.status != 1:
        return None
    lines = text[start:].splitlines()
    last = next((line for line in reversed(lines) if line and not line.startswith(" ")), "")
    frames = _FRAME.findall(text[start:])
    place = Place(file=frames[-1][0], line=int(frames[-1][1])) if frames else None
    if last.startswith("NotImplementedError"):
        return _found(
            "not-implemented", f"The program came to a place where your code is to go: {last}", place=place
        )
    return _found("uncaught-exception", f"The program ended by an exception: {last}", place=place)


def _last_error(seen: Observation) -> str:
    lines = seen.stderr.decode(errors="backslashreplace").splitlines()
    return f"last line of standard error: {lines[-1]}" if lines else ""


# ---------------------------------------------------------------- what outlived the program


def _leftovers(seen: Observation, status: int | None) -> _Finding | None:
    del status
    processes = [process for process in seen.processes if seen.ending in (Ending.EXITED, Ending.SIGNALLED)]
    if processes:
        return _found(
            "process-left-behind",
            f"The program has ended, but {_labels(processes)} still {'run' if len(processes) > 1 else 'runs'}.",
            *doing(seen),
        )
    objects = [left for left in seen.leftovers if left.kind != "process"]
    if objects:
        names = ", ".join(f"{left.kind} {left.name}" for left in objects)
        return _found("object-left-behind", f"The program has ended, but this still exists: {names}.")
    return None


# ---------------------------------------------------------------- other voices


def conversation(seen: Observation, kinds: Mapping[str, DiagnosisKind], waited_for: str) -> Diagnosis:
    """Why a step of a conversation was not answered."""
    found = fault(seen, kinds, status=None)
    if found is not None:
        return found
    if seen.ending is Ending.EXITED:
        traceback = _traceback(seen)
        if traceback is not None:
            return diagnosis(kinds, *traceback)
        if seen.status == NOT_WRITTEN_STATUS and b"YOUR CODE" in seen.stderr:
            return diagnosis(
                kinds, "not-implemented", "The program came to a place where your code is to go."
            )
        return diagnosis(
            kinds,
            "ended-too-early",
            f"The program ended with status {seen.status} while {waited_for} was expected.",
            tuple(line for line in (_last_error(seen),) if line),
        )
    return diagnosis(kinds, "output-held-back", f"{_cap(waited_for)} did not come.", doing(seen))


def _labels(processes: list[Process]) -> str:
    labels = [process.label for process in processes]
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)


def _sentence(text: str) -> str:
    text = _cap(text)
    return text if text.endswith((".", "!", "?", ":")) or "\n" in text else f"{text}."


def _cap(text: str) -> str:
    """The beginning of a sentence; a program's name stays as it is."""
    first = text.split(" ", 1)[0]
    return text if "." in first.rstrip(".") or "[" in first else text[:1].upper() + text[1:]
