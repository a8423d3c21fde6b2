"""History: what strace saw of a run, as values.

strace stands outside the sandbox, so the program can neither see nor reach it. It is cheap only with
``--seccomp-bpf`` and with ``set_robust_list`` among the traced calls: strace leaves a forked child on
its slow path until the child's first traced call, and glibc makes that call first in every child
(measured: a child that copies 64 MiB in 4 KiB pieces runs 1.05 times as long with it, 49 times without).

``-y`` writes each descriptor with its object (``4<pipe:[17]>``), which joins the history to what
`witness` sees. Process ids in the log are the machine's, those in results are the program's own;
both rise with every new process, so sorting joins them (`_names`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from grader.model import Event, Place

TRACED = (
    "%process", "set_robust_list",
    "?pipe", "pipe2", "dup", "?dup2", "dup3", "socketpair", "?mknod", "mknodat",
    "socket", "bind", "listen", "accept", "accept4", "connect", "shutdown",
    "msgget", "semget", "shmget", "mq_open", "setpgid", "setsid",
    "?alarm", "setitimer", "timer_settime", "timerfd_settime", "setsockopt",
)  # fmt: skip
_TIMERS = re.compile(rb"\b(?:alarm|setitimer|timer_settime|timerfd_settime)\(|SO_(?:RCV|SND)TIMEO")
_SILENT = ("set_robust_list", "exit_group", "setitimer", "setsockopt")
_MOST_BYTES = 3 * 2**20
"""Some 30,000 calls; reading that many takes half a second"""
_FORKS = ("fork", "vfork", "clone", "clone3")


def available() -> str | None:
    """Path of strace, or none."""
    return shutil.which("strace")


class Log:
    """Where strace writes: a file in memory, which nobody but strace and the grader can reach.

    strace opens it through the grader's own /proc entry; handed down, its descriptor would reach the program.
    """

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("history")
        self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def _bytes(self) -> bytes:
        size = os.fstat(self._descriptor).st_size
        return os.pread(self._descriptor, size, 0)

    @property
    def full(self) -> bool:
        """Whether far more calls were made than building any pipeline of processes takes."""
        return os.fstat(self._descriptor).st_size > _MOST_BYTES

    def text(self) -> str:
        """All that was written so far."""
        return self._bytes().decode(errors="backslashreplace")

    @property
    def timers_set(self) -> bool:
        """Whether a program ever set an alarm, a timer or a time limit on a socket.

        /proc does not show them. Such a process may wake by itself, so it is never proved stuck.
        """
        return _TIMERS.search(self._bytes()) is not None

    @property
    def system_v_used(self) -> bool:
        """Whether a program asked for a System V object, so that looking for leftovers is worth a fork."""
        return re.search(rb"\b(?:msg|sem|shm)get\(", self._bytes()) is not None

    def close(self) -> None:
        """Give the memory back; harmless when done already."""
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1


def command(log: str, *, stacks: bool = False) -> list[str]:
    """strace with the measured options, writing to the path `log`; the program's command line follows."""
    strace = available()
    if strace is None:
        raise FileNotFoundError("strace")
    return [
        strace, "-q", *(["-k"] if stacks else []), "-f", "--seccomp-bpf", "-y", "-ttt", "-s", "300", "-I", "4",
        "-e", "signal=all",         "-e", "trace=" + ",".join(TRACED), "-o", log, "--",
    ]  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One system call, signal or exit, in the order of the log."""

    at_s: float
    pid: int
    """Inside the sandbox"""
    name: str
    """System call; ``signal`` (arguments: its name), ``exit`` (result: status), ``killed`` (arguments: signal)"""
    arguments: str
    result: int | None
    error: str = ""
    """ENOENT, ... where it failed"""
    stack: tuple[str, ...] = ()
    """Frames ``file(function+offset) [address]``, only where the run was traced with stacks"""


@dataclass(frozen=True)
class Exec:
    """A program that replaced a process's image."""

    pid: int
    path: str
    argv: tuple[str, ...]


_LINE = re.compile(r"^(\d+)\s+(\d+\.\d+) (.*)$")
_ENDED = re.compile(r"^\+\+\+ (?:exited with (\d+)|killed by (SIG\w+)).* \+\+\+$")
_RETURN = re.compile(r"^(.*?)\)\s+= (\S+)(?: (E[A-Z0-9]+))?.*$", re.DOTALL)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?')


def _unquote(text: str) -> str:
    """A string as strace writes it (C escapes, octal) back to what it was."""
    if "\\" not in text:
        return text
    return (
        text.encode("latin-1", "backslashreplace")
        .decode("unicode_escape")
        .encode("latin-1")
        .decode(errors="backslashreplace")
    )


def strings(arguments: str) -> list[str]:
    """All quoted strings of a call's arguments, in order."""
    return [_unquote(match.group(1)) for match in _STRING.finditer(arguments)]


def _number(text: str) -> int | None:
    match = re.match(r"-?(0x[0-9a-f]+|\d+)", text)
    return int(match.group(0), 0) if match else None


def _raw(lines: Sequence[str]) -> Iterator[Call]:
    """Calls with the machine's process ids; halves of an interrupted line are joined at the second."""
    pending: dict[int, tuple[float, str]] = {}
    last: Call | None = None
    frames: list[str] = []
    for line in lines:
        if line.startswith(" > "):
            frames.append(line[3:])
            continue
        if last is not None:
            yield _with_stack(last, frames)
            last, frames = None, []
        match = _LINE.match(line)
        if not match:
            continue  # a line cut by the end of a killed strace
        pid, at, rest = int(match.group(1)), float(match.group(2)), match.group(3)
        ended = _ENDED.match(rest)
        if ended and ended.group(1):
            last = Call(at, pid, "exit", "", int(ended.group(1)))
        elif ended:
            last = Call(at, pid, "killed", ended.group(2), None)
        elif rest.startswith("--- "):
            last = Call(at, pid, "signal", rest[4:].removesuffix(" ---"), None)
        elif rest.endswith("<unfinished ...>"):
            pending[pid] = (at, rest.removesuffix("<unfinished ...>").rstrip())
        else:
            resumed = _RESUMED.match(rest)
            if resumed:
                at, head = pending.pop(pid, (at, resumed.group(1) + "("))
                rest = head + resumed.group(2).lstrip()
            name, _, body = rest.partition("(")
            done = _RETURN.match(body)
            if (
                done and done.group(3) != "ERESTARTSYS"
            ):  # interrupted by a signal, and made again by the kernel
                error = "unfinished" if done.group(2) == "?" else done.group(3) or ""
                last = Call(at, pid, name, done.group(1), _number(done.group(2)), error)
    if last is not None:
        yield _with_stack(last, frames)
    for pid, (at, head) in pending.items():  # never returned: still in it when the run ended
        name, _, body = head.partition("(")
        yield Call(at, pid, name, body, None, "unfinished")


def _with_stack(call: Call, frames: list[str]) -> Call:
    if not frames:
        return call
    return Call(call.at_s, call.pid, call.name, call.arguments, call.result, call.error, tuple(frames))


@dataclass
class History:
    """One run of one program, from its own execve on."""

    calls: list[Call] = field(default_factory=list)
    root: int = 2
    """The program's own process id"""

    @cached_property
    def parents(self) -> dict[int, int]:
        """Who forked whom."""
        return {call.result: call.pid for call in self.forks if call.result}

    @cached_property
    def forks(self) -> list[Call]:
        """Calls that made a process (not a thread), in order."""
        return [
            call
            for call in self.calls
            if call.name in _FORKS and call.result and not call.error and "CLONE_THREAD" not in call.arguments
        ]

    @cached_property
    def execs(self) -> list[Exec]:
        """Programs that were started by a successful execve, the graded program's own first."""
        found = []
        for call in self.calls:
            if call.name in ("execve", "execveat") and call.result == 0:
                words = strings(call.arguments.partition("], 0x")[0])
                if words:
                    found.append(Exec(call.pid, words[0], tuple(words[1:])))
        return found

    @cached_property
    def tried(self) -> dict[int, tuple[str, ...]]:
        """Commands that were to be run and could not be, by process."""
        found = {}
        for call in self.calls:
            if call.name == "execve" and call.error and call.error != "unfinished":
                found[call.pid] = tuple(strings(call.arguments.partition("], 0x")[0])[1:])
        return found

    @cached_property
    def waited(self) -> set[tuple[int, int]]:
        """(parent, child) for each child that was reaped."""
        found = set()
        for call in self.calls:
            if call.name == "wait4" and call.result and call.result > 0:
                found.add((call.pid, call.result))
            elif call.name == "waitid" and call.result == 0:
                match = re.search(r"si_pid=(\d+)", call.arguments)
                if match and "WNOWAIT" not in call.arguments:
                    found.add((call.pid, int(match.group(1))))
        return found

    @cached_property
    def endings(self) -> dict[int, tuple[int | None, str]]:
        """(status, signal name) for each process that ended."""
        found: dict[int, tuple[int | None, str]] = {}
        for call in self.calls:
            if call.name == "exit":
                found[call.pid] = (call.result, "")
            elif call.name == "killed":
                found[call.pid] = (None, call.arguments)
        return found

    @cached_property
    def stopped(self) -> set[int]:
        """Processes that a signal stopped and nothing continued: the tracer makes them look like traced ones."""
        last = {call.pid: call for call in self.calls}
        return {pid for pid, call in last.items() if call.arguments.startswith("stopped by")}

    def unreaped(self) -> tuple[int, ...]:
        """Children of the program itself that it never waited for.

        A program that lets the kernel reap (SIGCHLD ignored) waits until wait() says ECHILD; that counts.
        """
        mine = [call.result for call in self.forks if call.pid == self.root and call.result]
        left = tuple(child for child in mine if (self.root, child) not in self.waited)
        if left and self._waited_for_all():
            return ()
        return left

    def _waited_for_all(self) -> bool:
        """Whether the program's last wait for any child was told that there is none."""
        waits = [c for c in self.calls if c.pid == self.root and c.name in ("wait4", "waitid")]
        return (
            bool(waits)
            and waits[-1].error == "ECHILD"
            and re.match(r"-1,|P_ALL,", waits[-1].arguments) is not None
        )

    def events(self, places: Mapping[int, Place], until: float, limit: int = 200) -> tuple[Event, ...]:
        """The history in words, for the report: the calls that build, connect and end processes.

        :param places: lines of calls, by their index (`grader.running.lines`)
        :param until: when the grader began to end the run (seconds of the epoch): later kills are its own
        """
        start = self.calls[0].at_s if self.calls else 0.0
        threads = {call.result for call in self.calls if "CLONE_THREAD" in call.arguments}
        found = [
            Event(
                at_s=round(call.at_s - start, 6),
                pid=call.pid,
                call=call.name,
                text=_words(call),
                place=places.get(index),
            )
            for index, call in enumerate(self.calls)
            if call.name not in _SILENT
            and not (call.name == "exit" and (call.result is None or call.pid in threads))
            and not (call.name == "killed" and call.at_s > until)
            and not (call.name.startswith("exec") and call.result != 0)
            and not ("sun_path" in call.arguments and "nscd" in call.arguments)
        ]
        return tuple(found[:limit])


def _words(call: Call) -> str:
    """One call as a person would say it."""
    if call.name in ("pipe", "pipe2") and not call.error:
        match = re.match(r"\[(\d+)<(pipe:\[\d+\])>, (\d+)", call.arguments)
        if match:
            return f"pipe(): read end {match.group(1)}, write end {match.group(3)} of {match.group(2)}"
    if call.name in _FORKS and call.result and "CLONE_THREAD" in call.arguments:
        return f"starts thread {call.result}"
    if call.name in _FORKS and call.result:
        how = "vfork" if "CLONE_VFORK" in call.arguments or call.name == "vfork" else "fork"
        return f"{how}(): child {call.result}"
    if call.name == "execve":
        return "exec: " + " ".join(strings(call.arguments.partition("], 0x")[0])[1:])
    if call.name in ("dup2", "dup3") and not call.error:
        match = re.match(r"(\d+)<([^>]*)>, (\d+)", call.arguments)
        if match:
            return (
                f"{call.name}({match.group(1)}, {match.group(3)}): {match.group(3)} is now {match.group(2)}"
            )
    if call.name == "wait4" and call.result and call.result > 0:
        status = re.search(r"WEXITSTATUS\(s\) == (\d+)|WTERMSIG\(s\) == (\w+)", call.arguments)
        how = f": {'status ' + status.group(1) if status.group(1) else status.group(2)}" if status else ""
        return f"wait4(): child {call.result} reaped{how}"
    if call.name == "exit":
        return f"exits with status {call.result}"
    if call.name == "killed":
        return f"is ended by {call.arguments}"
    if call.name == "signal":
        return f"receives {call.arguments.split()[0]}"
    if call.error == "unfinished":
        arguments = call.arguments.removesuffix("<unfinished ...>").strip().rstrip(",")
        return f"{call.name}({arguments}): does not return"
    tail = f" = {call.result}" if call.result is not None else ""
    return f"{call.name}({call.arguments}){tail}{' ' + call.error if call.error else ''}"


def first_pid(text: str) -> int:
    """The process that a log begins with; 0 if it is empty."""
    match = _LINE.match(text)
    return int(match.group(1)) if match else 0


def read(text: str, *, outside: set[int], root: int, wrapper_execs: int) -> History:
    """Parse a log.

    :param outside: the machine's ids of the sandbox's own processes; the first other one is the program
    :param root: the program's id inside the sandbox
    :param wrapper_execs: successful execve calls of that process (limits, uid) before the program's own
    """
    inside = [call for call in _raw(text.splitlines()) if call.pid not in outside]
    names = _names(inside, root)
    calls: list[Call] = []
    skipped = 0
    for call in inside:
        pid = names.get(call.pid, call.pid)
        if pid == root and skipped <= wrapper_execs:
            if call.name == "execve" and call.result == 0:
                skipped += 1
            if skipped <= wrapper_execs and call.name not in ("exit", "killed"):
                continue
        calls.append(Call(call.at_s, pid, call.name, call.arguments, call.result, call.error, call.stack))
    calls.sort(key=lambda call: call.at_s)  # the log is in the order in which calls returned
    return History(calls, root)


def _names(inside: Sequence[Call], root: int) -> dict[int, int]:
    """The program's own ids for the machine's: both rise with each new process or thread.

    After the machine's ids wrapped round, the small ones are the late ones.
    """
    if not inside:
        return {}
    first = inside[0].pid
    order = sorted({call.pid for call in inside}, key=lambda pid: (pid < first, pid))
    made = {call.result for call in inside if call.name in _FORKS and not call.error and call.result}
    inner = sorted({root, *(number for number in made if number > 0)})
    return dict(zip(order, inner, strict=False))
