"""What the kernel says about a program's processes, from /proc, without touching them.

Two kinds of look, since they differ a hundredfold in cost:

* `glance` reads, for every thread, whether it is blocked and how much it ever ran. Two equal glances
  in which everything is blocked prove that nothing ran between them: the processes are *at rest*.
  (A thread that was woken but has not run yet is not "blocked" for the kernel, whatever the load.)
* `describe` reads all that a report shows: descriptors with their ends, signal dispositions, the
  command, what each process waits for.

Process ids here are the machine's; `Seen.inner` is the id inside the sandbox (proc(5), NSpid).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from grader.running.syscalls import NAMES

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Task:
    """One thread at one moment."""

    tid: int
    pid: int
    state: str
    """The kernel's letter: R running, S sleeping, D disk, T stopped, t traced, Z zombie"""
    call: str
    """The system call that it is blocked in; empty while it runs, ``?`` where it has no known name"""
    arguments: tuple[int, ...]
    ran_ns: int
    """Time on a processor so far"""
    starved_ns: int
    """Time spent ready, waiting for a processor: the machine's load, not the program's fault"""
    slices: int

    @property
    def blocked(self) -> bool:
        """Whether it sleeps in a system call (or is stopped)."""
        return bool(self.call)

    @property
    def mark(self) -> tuple[int, str, tuple[int, ...], int, int]:
        """What cannot stay the same if the thread ran at all."""
        return (self.tid, self.call, self.arguments, self.ran_ns, self.slices)


@dataclass(frozen=True)
class Glance:
    """Every thread of the program at one moment (zombies apart)."""

    tasks: tuple[Task, ...]
    zombies: tuple[int, ...] = ()

    @property
    def mark(self) -> tuple[object, ...]:
        """What cannot stay the same if any thread ran at all."""
        return (tuple(task.mark for task in self.tasks), self.zombies)

    @property
    def at_rest(self) -> bool:
        """Whether nothing ran when this was taken; proof needs a second glance with the same mark."""
        return all(task.blocked for task in self.tasks)


@dataclass
class Open:
    """One descriptor of a process, as the kernel shows it."""

    number: int
    link: str
    flags: int
    inode: tuple[int, int] = (0, 0)
    """Device and inode: the identity of a FIFO, whatever its name"""
    kind: str = "other"
    details: str = ""
    """The rest of fdinfo: what an epoll set watches, ..."""

    @property
    def end(self) -> str:
        """Which end this is: read, write or both."""
        return {os.O_RDONLY: "read", os.O_WRONLY: "write"}.get(self.flags & os.O_ACCMODE, "both")

    @property
    def target(self) -> str:
        """The object's name, equal for all who have it open."""
        return f"fifo:[{self.inode[1]}]" if self.kind == "fifo" else self.link


@dataclass
class Seen:
    """One process as `describe` found it."""

    pid: int
    inner: int
    parent: int
    """The machine's id of the parent"""
    state: str
    command: tuple[str, ...]
    comm: str
    ignored: tuple[str, ...]
    masked: tuple[str, ...]
    caught: tuple[str, ...]
    foreground: bool
    cpu_s: float
    tasks: tuple[Task, ...] = ()
    descriptors: list[Open] = field(default_factory=list)
    hidden: bool = False
    """It made itself unreadable (prctl PR_SET_DUMPABLE 0), or this user may not look"""

    @property
    def zombie(self) -> bool:
        """Whether it has ended."""
        return self.state in "ZX"

    @cached_property
    def by_number(self) -> dict[int, Open]:
        """Its descriptors by their numbers."""
        return {descriptor.number: descriptor for descriptor in self.descriptors}


def _read(path: str) -> str | None:
    """Content of a /proc file; none if the process is gone or may not be looked at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pieces = []
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
        return b"".join(pieces).decode(errors="backslashreplace")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def children(pid: int) -> list[int]:
    """Direct children of a process, whichever of its threads made them."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        text = _read(f"/proc/{pid}/task/{thread}/children")
        found.extend(int(word) for word in (text or "").split())
    return found


def family(root: int) -> list[int]:
    """All descendants of `root`. In a sandbox, orphans stay below its init."""
    found: list[int] = []
    pending = [root]
    while pending:
        below = children(pending.pop())
        found.extend(below)
        pending.extend(below)
    return found


def _stat(text: str) -> list[str]:
    """Fields of /proc/PID/stat from the state on; the name before may hold blanks and brackets."""
    return text[text.rindex(")") + 2 :].split()


def _task(pid: int, tid: int) -> Task | None:
    base = f"/proc/{pid}/task/{tid}"
    where = _read(f"{base}/syscall")
    numbers = _read(f"{base}/schedstat")
    stat = _read(f"{base}/stat")
    if numbers is None or stat is None:
        return None
    state = _stat(stat)[0]
    ran, starved, slices = (int(word) for word in numbers.split())
    call = ""
    arguments: tuple[int, ...] = ()
    words = (where or "").split()
    # While it runs the kernel says "running"; -1 is "blocked, but not in a system call" (a page fault).
    if state in "ST" and words and words[0].isdigit():
        call = NAMES.get(int(words[0]), "?")
        arguments = tuple(int(word, 16) for word in words[1:7])
    elif state in "Tt":
        call = "stopped"  # or held by the tracer for a moment: the history tells them apart
    elif (
        state == "D"
        and words
        and words[0].isdigit()
        and NAMES.get(int(words[0])) in ("vfork", "clone", "clone3")
    ):
        call = "vfork"  # the parent of a vfork sleeps uninterruptibly until its child execs or ends
    return Task(tid, pid, state, call, arguments, ran, starved, slices)


def session(leader: int) -> list[int]:
    """All processes of a session but its leader: what can be found of a program without namespaces."""
    found = []
    for name in os.listdir("/proc"):
        text = _read(f"/proc/{name}/stat") if name.isdigit() else None
        if text and int(name) != leader and int(_stat(text)[3]) == leader:
            found.append(int(name))
    return sorted(found)


def glance(pids: Iterable[int]) -> Glance:
    """Look at every thread of some processes once (about 0.1 ms a process)."""
    tasks: list[Task] = []
    zombies: list[int] = []
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        found = [task for thread in threads if (task := _task(pid, int(thread)))]
        if found and all(task.state in "ZX" for task in found):
            zombies.append(pid)
        else:
            tasks.extend(task for task in found if task.state not in "ZX")
    return Glance(tuple(sorted(tasks, key=lambda task: task.tid)), tuple(sorted(zombies)))


def _signals(mask: str) -> tuple[str, ...]:
    """Names of the signals in a mask of /proc/PID/status."""
    bits = int(mask, 16)
    names = []
    for number in range(1, 65):
        if bits >> (number - 1) & 1:
            try:
                names.append(signal.Signals(number).name)
            except ValueError:
                names.append(f"signal {number}")
    return tuple(names)


_KINDS = (
    ("pipe:", "pipe"),
    ("socket:", "socket"),
    ("anon_inode:", "other"),
    ("/dev/pts/", "terminal"),
    ("/dev/tty", "terminal"),
    ("/dev/", "device"),
)


def _descriptors(pid: int) -> list[Open] | None:
    try:
        numbers = sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    found = []
    for number in numbers:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        info = _read(f"/proc/{pid}/fdinfo/{number}") or ""
        flags = re.search(r"^flags:\s*([0-7]+)", info, re.MULTILINE)
        entry = Open(number, link, int(flags.group(1), 8) if flags else 0, details=info)
        entry.kind = next((kind for prefix, kind in _KINDS if link.startswith(prefix)), "file")
        if entry.kind in ("file", "device"):
            try:
                found_stat = os.stat(f"/proc/{pid}/fd/{number}")
            except OSError:
                pass
            else:
                entry.inode = (found_stat.st_dev, found_stat.st_ino)
                kind = found_stat.st_mode & 0o170000
                entry.kind = {0o010000: "fifo", 0o040000: "directory"}.get(kind, entry.kind)
        found.append(entry)
    return found


def inner_pid(pid: int) -> int:
    """The id that the process itself sees, in the innermost namespace; its own id where there is none."""
    match = re.search(r"^NSpid:.*?(\d+)$", _read(f"/proc/{pid}/status") or "", re.MULTILINE)
    return int(match.group(1)) if match else pid


def state(pid: int) -> str:
    """The kernel's letter for what a process is doing; X if it is gone."""
    text = _read(f"/proc/{pid}/stat")
    return _stat(text)[0] if text else "X"


def parent(pid: int) -> int:
    """Id of a process's parent.

    :raises ProcessLookupError: if it is gone
    """
    text = _read(f"/proc/{pid}/stat")
    if text is None:
        raise ProcessLookupError(pid)
    return int(_stat(text)[1])


def blocked_in(pid: int) -> tuple[str, int]:
    """The system call that a process is blocked in and its first argument; empty if it is not."""
    task = _task(pid, pid)
    return (task.call, task.arguments[0]) if task is not None and task.arguments else ("", -1)


def comm(pid: int) -> str:
    """Name of the image that a process runs; empty if it is gone."""
    return (_read(f"/proc/{pid}/comm") or "").strip()


def see(pid: int) -> Seen | None:
    """Read all that a report shows about one process; none if it is gone."""
    status = _read(f"/proc/{pid}/status")
    stat = _read(f"/proc/{pid}/stat")
    if status is None or stat is None:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    numbers = _stat(stat)
    try:
        threads = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        threads = []
    descriptors = _descriptors(pid)
    raw = _read(f"/proc/{pid}/cmdline") or ""
    return Seen(
        pid=pid,
        inner=int(fields.get("NSpid", str(pid)).split()[-1]),
        parent=int(fields["PPid"]),
        state=numbers[0],
        command=tuple(raw.rstrip("\0").split("\0")) if raw else (),
        comm=fields.get("Name", "?").strip(),
        ignored=_signals(fields["SigIgn"].strip()),
        masked=_signals(fields["SigBlk"].strip()),
        caught=_signals(fields["SigCgt"].strip()),
        foreground=numbers[2] == numbers[5],
        cpu_s=(int(numbers[11]) + int(numbers[12])) / _TICKS,
        tasks=tuple(task for thread in threads if (task := _task(pid, thread))),
        descriptors=descriptors or [],
        hidden=descriptors is None and numbers[0] not in "ZX",
    )


def describe(pids: Iterable[int]) -> list[Seen]:
    """See some processes; those that are gone by now are left out."""
    return [seen for pid in pids if (seen := see(pid))]


def starved_s(pid: int) -> float:
    """Seconds that a process's first thread spent waiting for a processor."""
    words = (_read(f"/proc/{pid}/schedstat") or "0 0 0").split()
    return int(words[1]) / 1e9


def peek(pid: int, address: int, length: int) -> bytes | None:
    """Bytes of a process's memory: the pollfd array or path of a blocked call. None if not allowed."""
    try:
        descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.pread(descriptor, length, address)
    except (OSError, OverflowError):
        return None
    finally:
        os.close(descriptor)
