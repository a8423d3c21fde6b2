"""Who waits for whom: from what `witness` saw to processes, arrows, and the proof of a hang.

A blocked thread is *stuck* if nothing can wake it. Begin with every thread that is blocked without a
time limit as stuck; strike out each one that some thread which is not stuck could wake; repeat. What
remains can never go on. The grader is a node too: it always drains the program's output, and it
feeds standard input only while it still has something to write.

The rules err on one side only: where it cannot be said who could wake a thread, anybody can.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from grader.model import Descriptor, Edge, Process, State, Wait
from grader.running.trace import History
from grader.running.witness import Open, Seen, Task, peek

GRADER = 0
"""The grader's place among process ids in edges."""

_READS = ("read", "readv", "pread64", "recvfrom", "recvmsg", "recvmmsg")
_WRITES = ("write", "writev", "sendto", "sendmsg")
_ANYBODY: frozenset[int] | None = None


@dataclass(frozen=True)
class Ends:
    """The grader's own ends of the program's standard streams."""

    stdin: str = ""
    """The object whose write end the grader holds; empty once it has closed it"""
    feeding: bool = False
    """Bytes are still to be written: a reader of standard input will be woken"""
    written: str = ""
    """The object of standard input, closed or not: for its name"""
    stdout: str = ""
    stderr: str = ""
    draining: bool = True
    """The grader takes what comes; false for a check that makes itself a reader who stops"""

    def name(self, target: str) -> str:
        """What a target is called, if it is one of the standard streams."""
        names = {
            self.written or self.stdin: "standard input",
            self.stderr: "standard error",
            self.stdout: "standard output",
        }
        return names.get(target, "") if target else ""


@dataclass
class Blocked:
    """One blocked thread: in what, on what, and which processes could wake it."""

    task: Task
    text: str
    wakers: frozenset[int] | None = _ANYBODY
    """Processes (inner ids; `GRADER` too); none: anybody could"""
    timed: bool = False
    number: int | None = None
    target: str = ""
    holders: list[tuple[int, int | None]] = field(default_factory=list)
    """(process, its descriptor) for each arrow of the drawing"""


@dataclass(frozen=True)
class Graph:
    """The answer: the processes in words, the arrows, and whether all of them are stuck."""

    processes: tuple[Process, ...]
    edges: tuple[Edge, ...]
    hung: bool
    """All processes are stuck: the program can never go on"""


class _World:
    """All that the rules ask about one moment."""

    def __init__(self, seen: Sequence[Seen], ends: Ends, names: Names, history: History | None):
        self.ends = ends
        self.names = names
        self.seen = [process for process in seen if not process.zombie]
        self.stopped = history.stopped if history is not None else set()
        self.inner = {process.pid: process.inner for process in seen}
        self.children: dict[int, list[int]] = {}
        for process in seen:
            self.children.setdefault(process.parent, []).append(process.pid)
        self.zombies = {process.pid for process in seen if process.zombie}

    def holders(self, target: str, ends: tuple[str, ...]) -> list[tuple[int, int | None]]:
        """Who has an end of an object open: (process, descriptor)."""
        found: list[tuple[int, int | None]] = []
        for process in self.seen:
            for descriptor in process.descriptors:
                if descriptor.target == target and descriptor.end in ends:
                    found.append((process.inner, descriptor.number))
        return found


def _signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _read(world: _World, target: Open) -> tuple[str, frozenset[int] | None, list[tuple[int, int | None]]]:
    """Waiting for data: whoever can write, or close the last write end."""
    if target.kind in ("pipe", "fifo"):
        holders = world.holders(target.target, ("write", "both"))
        wakers = {pid for pid, _ in holders}
        if target.target == world.ends.stdin:
            holders.append((GRADER, None))
            wakers |= {GRADER} if world.ends.feeding else set()
        return f"data or end-of-file on {world.names.target(target.target)}", frozenset(wakers), holders
    if target.kind == "terminal":
        return "a line from the terminal", frozenset(), [(GRADER, None)]
    return f"data on {world.names.target(target.target)}", _ANYBODY, []


def _write(world: _World, target: Open) -> tuple[str, frozenset[int] | None, list[tuple[int, int | None]]]:
    """Waiting for space: whoever can read, or close the last read end."""
    if target.kind in ("pipe", "fifo"):
        holders = world.holders(target.target, ("read", "both"))
        wakers = {pid for pid, _ in holders}
        if target.target in (world.ends.stdout, world.ends.stderr):
            holders.append((GRADER, None))
            wakers |= {GRADER} if world.ends.draining else set()
        return f"space in {world.names.target(target.target)}, which is full", frozenset(wakers), holders
    if target.kind == "terminal":
        return "the terminal", frozenset({GRADER}), [(GRADER, None)]
    return f"space in {world.names.target(target.target)}", _ANYBODY, []


def _watched(process: Seen, task: Task) -> list[tuple[int, bool, bool]] | None:
    """(descriptor, for reading, for writing) of a poll, select or epoll; none if it cannot be read."""
    call, arguments = task.call, task.arguments
    if call in ("poll", "ppoll"):
        count = min(arguments[1], 1024)
        raw = peek(process.pid, arguments[0], count * 8)
        if raw is None or len(raw) < count * 8:
            return None
        entries = [struct.unpack_from("ihh", raw, index * 8) for index in range(count)]
        return [(number, bool(events & 1), bool(events & 4)) for number, events, _ in entries if number >= 0]
    if call in ("select", "pselect6"):
        count = min(arguments[0], 1024)
        sets = []
        for address in arguments[1:3]:
            raw = peek(process.pid, address, (count + 7) // 8) if address else b""
            if raw is None:
                return None
            sets.append({bit for bit in range(count) if bit // 8 < len(raw) and raw[bit // 8] >> bit % 8 & 1})
        return [(number, number in sets[0], number in sets[1]) for number in sorted(sets[0] | sets[1])]
    epoll = process.by_number.get(arguments[0])
    if epoll is None:
        return None
    found = re.findall(r"^tfd:\s*(\d+) events:\s*([0-9a-f]+)", epoll.details, re.MULTILINE)
    return [(int(number), bool(int(events, 16) & 1), bool(int(events, 16) & 4)) for number, events in found]


def _multiplexed(world: _World, process: Seen, task: Task) -> Blocked:
    call, arguments = task.call, task.arguments
    if call == "poll":
        timed = _signed(arguments[2]) >= 0
    elif call in ("epoll_wait", "epoll_pwait"):
        timed = _signed(arguments[3]) >= 0
    else:
        timed = bool(arguments[2 if call == "ppoll" else 3 if call == "epoll_pwait2" else 4])
    watched = _watched(process, task)
    if watched is None:
        return Blocked(task, f"{call}: an event", timed=timed)
    wakers: set[int] = set()
    anybody = False
    words: list[str] = []
    holders: list[tuple[int, int | None]] = []
    for number, reading, writing in watched:
        target = process.by_number.get(number)
        if target is None:
            continue
        for wanted, rule in ((reading, _read), (writing, _write)):
            if wanted:
                text, who, through = rule(world, target)
                words.append(f"{text} (descriptor {number})")
                holders += through
                anybody |= who is None
                wakers |= who or set()
    text = "one of: " + "; ".join(words) if len(words) > 1 else "".join(words) or "nothing at all"
    return Blocked(task, text, None if anybody else frozenset(wakers), timed, holders=holders)


def _child(world: _World, process: Seen, task: Task) -> Blocked:
    """Waiting for a child: one by id, or any."""
    wanted = None
    if task.call == "wait4" and _signed(task.arguments[0]) > 0:
        wanted = _signed(task.arguments[0])
    elif task.call == "waitid" and task.arguments[0] == 1:
        wanted = task.arguments[1]
    children = [pid for pid in world.children.get(process.pid, []) if wanted in (None, world.inner[pid])]
    waits_for = [world.inner[pid] for pid in children if pid not in world.zombies]
    # A child that has ended is reported to the tracer first; until that has looked, the parent still sleeps.
    about_to_wake = len(waits_for) < len(children)
    text = "a child to end" if wanted is None else f"{world.names.short(wanted)} to end"
    target = f"child:{wanted}" if wanted else "child:any"
    holders: list[tuple[int, int | None]] = [(pid, None) for pid in waits_for]
    return Blocked(task, text, frozenset(waits_for), about_to_wake, target=target, holders=holders)


_ELSE: dict[str, tuple[str, int | None]] = {
    # call: (words, argument that is a pointer to a time limit)
    "pause": ("a signal", None),
    "rt_sigsuspend": ("a signal", None),
    "rt_sigtimedwait": ("a signal", 2),
    "futex": ("a lock, condition or thread", 3),
    "semop": ("a semaphore", None),
    "semtimedop": ("a semaphore", 3),
    "msgrcv": ("a message in the queue", None),
    "msgsnd": ("space in the message queue", None),
    "mq_timedreceive": ("a message in the queue", 4),
    "mq_timedsend": ("space in the message queue", 4),
    "accept": ("a client to connect", None),
    "accept4": ("a client to connect", None),
    "connect": ("the connection", None),
    "open": ("the other end of a FIFO to be opened", None),
    "openat": ("the other end of a FIFO to be opened", None),
    "openat2": ("the other end of a FIFO to be opened", None),
    "flock": ("a file lock", None),
    "fcntl": ("a file lock", None),
    "stopped": ("a signal to continue it (it was stopped)", None),
}


def _blocked(world: _World, process: Seen, task: Task) -> Blocked | None:
    """The rule for one thread; none if it counts as alive."""
    call = task.call
    if not call:
        return None
    if call == "stopped" and task.state == "t" and process.inner not in world.stopped:
        return None
    if call in ("wait4", "waitid", "vfork"):
        return _child(world, process, task)
    if call in ("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2"):
        return _multiplexed(world, process, task)
    number = task.arguments[0] if task.arguments else -1
    target = process.by_number.get(number)
    if target is not None and (call in _READS or call in _WRITES):
        text, wakers, holders = (_read if call in _READS else _write)(world, target)
        return Blocked(task, text, wakers, number=number, target=target.target, holders=holders)
    if call in _ELSE:
        words, limit = _ELSE[call]
        if call in ("accept", "accept4") and target is not None:
            words = f"a client to connect to {world.names.target(target.target)}"
        timed = limit is not None and bool(task.arguments[limit])
        return Blocked(task, words, timed=timed)
    if call in ("nanosleep", "clock_nanosleep", "restart_syscall"):
        return Blocked(task, "its sleep to be over", timed=True)
    return Blocked(task, call, timed=True)  # unknown: alive, to be on the safe side


def _stuck(blocked: Mapping[int, list[Blocked | None]]) -> set[int]:
    """Processes of which no thread can ever go on (the greatest such set)."""
    stuck = {pid for pid, threads in blocked.items() if all(b is not None and not b.timed for b in threads)}
    alive = set(blocked) - stuck
    changed = True
    while changed:
        changed = False
        for pid in list(stuck):
            for thread in blocked[pid]:
                wakers = thread.wakers if thread else None
                if alive if wakers is None else wakers & (alive | {GRADER}):
                    stuck.discard(pid)
                    alive.add(pid)
                    changed = True
                    break
    return stuck


def rightful(holder: Process, edge: Edge, end: int) -> bool:
    """Whether a holder may be the proper partner: it has the end as its standard stream, and could use it.

    A parent that waits for a child will not read or write meanwhile, whatever its standard streams are.
    """
    return edge.descriptor == end and not waits_for_a_child(holder)


def waits_for_a_child(process: Process) -> bool:
    """Whether it is blocked in a wait for one of its children."""
    return process.wait is not None and process.wait.call in ("wait4", "waitid")


def program_name(command: Sequence[str], comm: str) -> str:
    """A command as the student knows it: ``pipeline.py``, ``sort``."""
    if not command:
        return comm
    words = [word.rsplit("/", 1)[-1] for word in command]
    if (
        re.fullmatch(r"python[0-9.]*|sh|bash|dash", words[0])
        and len(words) > 1
        and not command[1].startswith("-")
    ):
        return words[1]
    return words[0]


Roles = Sequence[tuple[str, tuple[str, ...]]]
"""What a check calls the processes that run a command, in order: ``("stage 2", ("wc", "-l"))``."""


class Names:
    """What processes and pipes are called in messages."""

    def __init__(
        self,
        seen: Sequence[Seen],
        root: int,
        ends: Ends,
        history: History | None,
        roles: Roles,
        sockets: Mapping[str, str] = MappingProxyType({}),
    ):
        self._ends = ends
        self._sockets = sockets
        self._root = root
        self._commands = {process.inner: process.command for process in seen if process.command}
        if history is not None:
            ran = {entry.pid: entry.argv for entry in history.execs}
            for pid, argv in ran.items():
                self._commands.setdefault(pid, argv)
            self._commands |= {pid: argv for pid, argv in history.tried.items() if pid not in ran}
        self._readers, self._writers = _partners(seen, history)
        self._roles = self._assign(roles)
        known = {*self._commands, *(process.inner for process in seen), *(history.parents if history else ())}
        main = self._commands.get(root, ())
        copies = [
            p for p in known if p not in self._roles and p != root and self._commands.get(p, main) == main
        ]
        self._roles.update({pid: f"child {pid}" if len(copies) > 1 else "child" for pid in copies})
        if len(known) > 1:
            self._roles.setdefault(root, "the parent")

    def _assign(self, roles: Roles) -> dict[int, str]:
        """Who is which stage: by command; by their place in the chain of pipes where commands repeat."""
        found: dict[int, str] = {}
        by_command: dict[tuple[str, ...], list[str]] = {}
        for role, command in roles:
            by_command.setdefault(command, []).append(role)
        chain = self._chain()
        for pid, command in self._commands.items():
            if not command:
                continue  # an execve without arguments
            names = by_command.get((command[0].rsplit("/", 1)[-1], *command[1:]), [])
            if len(names) == 1 or (names and len(chain) != len(roles)):
                found[pid] = names[0] if len(names) == 1 else f"one of {names[0]} to {names[-1].split()[-1]}"
            elif names and pid in chain:
                found[pid] = roles[chain.index(pid)][0]
        return found

    def _chain(self) -> list[int]:
        """Processes in the order in which pipes lead from one to the next; empty if that is no chain."""
        following = {
            w: self._readers[target] for target, w in self._writers.items() if target in self._readers
        }
        first = set(following) - set(following.values())
        chain = list(first) if len(first) == 1 else []
        while chain and chain[-1] in following and len(chain) <= len(following):
            chain.append(following[chain[-1]])
        return chain

    def role(self, pid: int) -> str:
        """What the check calls a process; empty if it has no name for it."""
        return self._roles.get(pid, "")

    def command(self, pid: int) -> tuple[str, ...]:
        """The command that a process runs, or ran before it became a zombie."""
        return self._commands.get(pid, ())

    def short(self, pid: int) -> str:
        """A process in a word or two, within a sentence."""
        return self._roles.get(pid) or f"process {pid}"

    def labels(self) -> dict[int, str]:
        """What messages call each process that ever was (`Process.label` for those that still are)."""
        found = {}
        for pid in {*self._commands, *self._roles}:
            name = program_name(self.command(pid) or self.command(self._root), "?")
            found[pid] = f"{self._roles[pid]} ({name})" if pid in self._roles else f"{name}[{pid}]"
        return found

    def target(self, target: str) -> str:
        """An object in words: ``the pipe from stage 1 to stage 2``, ``standard input``."""
        standard = self._ends.name(target)
        if standard:
            return standard
        if target.startswith("pipe:"):
            writer, reader = self._writers.get(target), self._readers.get(target)
            if writer is not None and reader is not None:
                return f"the pipe from {self.short(writer)} to {self.short(reader)}"
            if writer is not None:
                return f"the pipe that {self.short(writer)} writes to"
            if reader is not None:
                return f"the pipe that {self.short(reader)} reads from"
            return f"a pipe ({target})"
        if target in self._sockets:
            return self._sockets[target]
        return target.replace("fifo:", "the FIFO ").replace("socket:", "the socket ")


def _partners(seen: Sequence[Seen], history: History | None) -> tuple[dict[str, int], dict[str, int]]:
    """Who has each pipe as standard input, and who as standard output, now or in the past."""
    readers: dict[str, int] = {}
    writers: dict[str, int] = {}
    for call in history.calls if history is not None else ():
        found = re.match(r"\d+<(pipe:\[\d+\])>, ([01])\b", call.arguments)
        if call.name in ("dup2", "dup3") and not call.error and found:
            (writers if found.group(2) == "1" else readers).setdefault(found.group(1), call.pid)
    for process in seen:
        for number, where in ((0, readers), (1, writers)):
            descriptor = process.by_number.get(number)
            if descriptor is not None and descriptor.kind == "pipe":
                where.setdefault(descriptor.target, process.inner)
    return readers, writers


def build(
    seen: Sequence[Seen],
    root: int,
    ends: Ends,
    *,
    history: History | None = None,
    roles: Roles = (),
    sockets: Mapping[str, str] = MappingProxyType({}),
) -> Graph:
    """Draw the graph of one moment.

    :param root: the program's own id inside the sandbox
    :param sockets: what to call sockets, by their names in /proc
    """
    names = Names(seen, root, ends, history, roles, sockets)
    world = _World(seen, ends, names, history)
    blocked = {
        process.inner: [_blocked(world, process, task) for task in process.tasks] for process in world.seen
    }
    stuck = _stuck(blocked)
    processes = []
    edges: list[Edge] = []
    for process in seen:
        threads = blocked.get(process.inner, [])
        first = next((thread for thread in threads if thread is not None), None)
        wait = None
        if first is not None and all(threads):
            wait = Wait(call=first.task.call, text=first.text, descriptor=first.number, target=first.target)
            for holder, number in first.holders:
                if holder != process.inner or number is not None:
                    edges.append(
                        Edge(
                            waiter=process.inner,
                            holder=holder,
                            target=first.target,
                            descriptor=number,
                            text=first.text,
                        )
                    )
        processes.append(
            _process(process, world, names, wait, _state(process, threads), process.inner in stuck)
        )
    living = [process for process in processes if process.state is not State.ZOMBIE]
    return Graph(tuple(processes), tuple(edges), bool(living) and all(process.stuck for process in living))


def _state(process: Seen, threads: Iterable[Blocked | None]) -> State:
    threads = list(threads)
    if process.zombie:
        return State.ZOMBIE
    if any(thread is not None and thread.task.call == "stopped" for thread in threads):
        return State.STOPPED
    if not threads or any(thread is None for thread in threads):
        return State.RUNNING
    return State.SLEEPING if any(thread.timed for thread in threads if thread) else State.BLOCKED


def _process(
    process: Seen, world: _World, names: Names, wait: Wait | None, state: State, stuck: bool
) -> Process:
    return Process(
        pid=process.inner,
        parent=world.inner.get(process.parent, 0),
        name=program_name(names.command(process.inner), process.comm),
        role=names.role(process.inner),
        command=process.command,
        state=state,
        wait=wait,
        stuck=stuck,
        descriptors=tuple(
            Descriptor(
                number=descriptor.number,
                kind=descriptor.kind,
                target=descriptor.target,
                end=descriptor.end if descriptor.kind in ("pipe", "fifo", "file") else "",
            )
            for descriptor in process.descriptors
        ),
        ignored=process.ignored,
        masked=process.masked,
        foreground=process.foreground,
        cpu_s=process.cpu_s,
    )
