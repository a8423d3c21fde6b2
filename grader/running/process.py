"""One running program: fed, drained and watched until it ends, hangs or runs out of time.

Everything happens in `Program.pump`, one loop without threads: it writes what is to be written, takes
what comes, and, whenever nothing has come for a while, looks whether the program can still go on
(`waitgraph`). A hang is therefore known at once, not when a time limit strikes.

Time limits measure the program, not the machine: what its threads, the tracer and the grader spent
waiting for a processor does not count (`Patience`).
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import msgspec

from grader.model import Edge, Ending, Leftover, Observation, Place, Process, State, Turn
from grader.running import lines, network, sandbox, trace, waitgraph, witness
from grader.running.clients import Clients
from grader.running.folder import Folder
from grader.running.sandbox import Recipe

_CHUNK = 65536
_FIRST_LOOK_S = 0.012
_LONGEST_LOOK_S = 0.2
_HARD_FACTOR = 4
"""Over this many times its patience a program is out of time however loaded the machine is."""
_SETTLE_S = 1.0
"""How long something that outlived the program may still be busy ending."""


class Outcome(Enum):
    """Why `Program.pump` returned."""

    REACHED = auto()
    """The condition that was waited for holds"""
    ENDED = auto()
    """The program has ended"""
    HUNG = auto()
    TIMED_OUT = auto()
    FLOODED = auto()
    SPUN = auto()


class Patience:
    """A time limit that a loaded machine does not shorten."""

    def __init__(self, within: float, helpers: Sequence[int]):
        self._within = within
        self._start = time.monotonic()
        self._helpers = {pid: witness.starved_s(pid) for pid in helpers}
        self._starved: dict[int, tuple[float, float]] = {}
        """First and latest starvation of each thread: ended threads keep theirs"""
        self._ran: dict[int, tuple[int, int]] = {}
        """The same for the time that each thread ran"""

    def note(self, glance: witness.Glance) -> None:
        """Take the starvation of the program's threads into account."""
        for task in glance.tasks:
            now = task.starved_ns / 1e9
            first, _ = self._starved.get(task.tid, (now, now))
            self._starved[task.tid] = (first, now)
            self._ran[task.tid] = (self._ran.get(task.tid, (task.ran_ns, 0))[0], task.ran_ns)

    @property
    def wall_s(self) -> float:
        """Seconds since the limit began."""
        return time.monotonic() - self._start

    @property
    def over(self) -> bool:
        """Whether the program had all the time that it was given."""
        wall = self.wall_s
        if wall <= self._within:
            return False
        if sum(latest - first for first, latest in self._ran.values()) / 1e9 > self._within:
            return True  # it had the processor for as long as it was given, however long that took
        starved = sum(latest - first for first, latest in self._starved.values())
        starved += sum(max(0.0, witness.starved_s(pid) - before) for pid, before in self._helpers.items())
        return wall - starved > self._within or wall > _HARD_FACTOR * self._within


@dataclass(frozen=True)
class Idle:
    """What a program used while nothing was asked of it."""

    seconds: float
    cpu_s: float
    wakeups: int
    """How often one of its threads was put on a processor"""


class Program:
    """A program in its sandbox, with the grader at its standard streams.

    :param command: the command line for people
    :param stdin: all of standard input, which then ends; none leaves it open for `send`
    :param within: patience in seconds with the whole run, or with each step of a conversation
    :param roles: what to call the processes that run a command (see `waitgraph.build`)
    :param closed: standard descriptors that the program starts without
    :param beside: a program whose sandbox this one shares; it must be closed later than this one
    """

    def __init__(
        self,
        recipe: Recipe,
        argv: Sequence[str],
        *,
        command: str = "",
        stdin: bytes | None = b"",
        within: float = 5.0,
        roles: waitgraph.Roles = (),
        closed: Sequence[int] = (),
        terminal: bool = False,
        beside: Program | None = None,
    ):
        self.argv = tuple(argv)
        self.command = command or shlex.join(argv)
        self.within = within
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.turns: list[Turn] = []
        self.graph: waitgraph.Graph | None = None
        """The last picture that was taken of the processes"""
        self.observation: Observation | None = None
        """All the facts, once it has ended"""
        self.history: trace.History | None = None
        self.lines = lines.Lines()
        """The student's lines, where the recipe asked for them; complete once it has ended"""
        self._roles = roles
        self._recipe = recipe
        self._limit = recipe.limits.output_mib * 2**20
        self._pending = bytearray(stdin or b"")
        self._closing = stdin is not None
        self._selector = selectors.DefaultSelector()
        self._started = time.monotonic()
        self._read_from = 0
        self._cpu: dict[int, int] = {}
        self._sockets: dict[str, str] = {}
        self._master: int | None = None
        self._slave: int | None = None
        self._streams: dict[int, bytearray] = {}
        self._stdin: int | None = None
        self._names = {"stdin": "", "stdout": "", "stderr": ""}
        if stdin:
            self._say("grader", bytes(stdin))
        self._sandbox = self._open(recipe, closed, terminal, beside)
        host: Program = self if beside is None else beside.host
        self.host: Program = host
        """The program in whose sandbox it is; itself, where it has its own"""
        self.folder = Folder(host._sandbox.held.get("lab"), sandbox.owner(recipe))
        """The program's own folder"""
        self.clients = Clients(host._sandbox.held.get("net"), self.folder, self._selector, self._say)
        """The grader's connections to the program"""
        self.probe = self._sandbox.held.get("probe")
        """Descriptor of the folder of `Recipe.probe`; none where there is none"""

    # ------------------------------------------------------------ start and end

    def _open(
        self, recipe: Recipe, closed: Sequence[int], terminal: bool, beside: Program | None
    ) -> sandbox.Sandbox:
        if terminal:
            master, slave = os.openpty()
            theirs = (slave, slave, slave)
            self._master = self._stdin = master
            self._slave = slave
            self._streams = {master: self.stdout}
            close = []
        else:
            (in_read, in_write), (out_read, out_write), (err_read, err_write) = (
                os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC),
            )  # fmt: skip
            theirs = (in_read, out_write, err_write)
            self._stdin = in_write
            self._streams = {out_read: self.stdout, err_read: self.stderr}
            self._names = {
                name: os.readlink(f"/proc/self/fd/{number}") if os.path.isdir("/proc/self/fd") else ""
                for name, number in (("stdin", in_write), ("stdout", out_read), ("stderr", err_read))
            }
            close = list(theirs)
        for descriptor in theirs:
            sandbox.give(recipe, descriptor)
        try:
            started = sandbox.start(
                recipe, self.argv, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2],
                terminal=terminal, closed=closed, beside=beside.host._sandbox if beside is not None else None,
            )  # fmt: skip
        except BaseException:  # there are no clients yet
            self._close_descriptors()
            self._selector.close()
            raise
        finally:
            for descriptor in close:
                os.close(descriptor)
        for descriptor in self._streams:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        if self._stdin is not None:
            os.set_blocking(self._stdin, False)
        self._pidfd = -1  # it has ended
        if started.program is not None:
            try:
                self._pidfd = os.pidfd_open(started.program)
                self._selector.register(self._pidfd, selectors.EVENT_READ)
            except OSError:  # ESRCH, or EINVAL for one that is just being reaped
                pass
        self._arm()
        return started

    @property
    def pid(self) -> int:
        """The program's own id inside the sandbox."""
        return self._sandbox.inner

    @property
    def alive(self) -> bool:
        """Whether the program has not ended yet, as far as the grader has noticed."""
        return self.observation is None and self._pidfd != -1

    def _close_descriptors(self) -> None:
        for descriptor in {*self._streams, self._stdin, self._slave}:
            if descriptor is not None:
                os.close(descriptor)
        self._streams = {}
        self._stdin = self._slave = None

    def _close_streams(self) -> None:
        self._close_descriptors()
        self.clients.close()
        self._selector.close()

    # ------------------------------------------------------------ the grader's side of the streams

    def _say(self, speaker: str, data: bytes) -> None:
        """Keep a line of the conversation; long ones are told by their length."""
        if len(self.turns) >= 400:
            return
        if len(data) > 2000 and speaker not in ("program", "error", "event"):
            what = {"grader": "the grader writes {} bytes to standard input"}.get(
                speaker, speaker + ": {} bytes"
            )
            self.turns.append(Turn(speaker="event", text=what.format(len(data)) + "\n"))
            return
        for line in data.decode(errors="backslashreplace").splitlines(keepends=True)[:100]:
            last = self.turns[-1] if self.turns else None
            if last is not None and last.speaker == speaker and not last.text.endswith("\n"):
                self.turns[-1] = Turn(speaker=speaker, text=(last.text + line)[:2000])
            else:
                self.turns.append(Turn(speaker=speaker, text=line[:2000]))

    def send(self, data: bytes) -> None:
        """Write to standard input as soon as there is room; `pump` does the writing."""
        self._say("grader", data)
        self._pending += data
        self._arm()

    def close_input(self) -> None:
        """End standard input once all is written."""
        self._closing = True
        self._arm()

    def _arm(self) -> None:
        """Register standard input exactly while there is something to write; close it when due."""
        if self._stdin is None:
            return
        registered = self._stdin in self._selector.get_map()
        events = selectors.EVENT_READ if self._stdin == self._master else 0
        if self._pending:
            events |= selectors.EVENT_WRITE
        if registered and events:
            self._selector.modify(self._stdin, events)
        elif registered:
            self._selector.unregister(self._stdin)
        elif events:
            self._selector.register(self._stdin, events)
        if not self._pending and self._closing and self._stdin != self._master:
            os.close(self._stdin)
            self._stdin = None

    def _feed(self) -> None:
        if self._stdin is None:
            return
        try:
            written = os.write(self._stdin, self._pending[:_CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:  # the program has closed its standard input: what is left is not wanted
            written = len(self._pending)
        del self._pending[:written]
        self._arm()

    def _take(self, descriptor: int) -> bool:
        """Read once; false when there is nothing (more)."""
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the terminal's last user has gone
            data = b""
        if not data:
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            return False
        store = self._streams[descriptor]
        store += data
        self._say("error" if store is self.stderr else "program", data)
        return True

    @property
    def _spun(self) -> bool:
        return self._sandbox.log is not None and self._sandbox.log.full

    @property
    def flooded(self) -> bool:
        """Whether more came on a stream than the grader takes."""
        return len(self.stdout) > self._limit or len(self.stderr) > self._limit

    def sockets(self) -> tuple[network.Endpoint, ...]:
        """All sockets in the program's network; nothing is known of them where that is the machine's."""
        members = self._sandbox.members() if self.clients.own_network else []
        return network.endpoints(members[0]) if members else ()

    # ------------------------------------------------------------ the loop

    def pump(self, until: Callable[[], bool] | None = None, *, within: float | None = None) -> Outcome:
        """Feed, drain and watch until a condition holds or the program can do no more.

        :param until: looked at after each piece of input or output; none waits for the end
        :param within: patience in seconds, the program's own by default
        """
        patience = Patience(within or self.within, (os.getpid(), self._sandbox.outer.pid))
        look_in = _FIRST_LOOK_S
        while True:
            if until is not None and until():
                return Outcome.REACHED
            if self._pidfd == -1:
                return self._drained(until)
            busy = self._serve(look_in)
            if self.flooded:
                return Outcome.FLOODED
            if not busy and self._hung(patience):
                return Outcome.HUNG
            if self._spun or patience.over:
                self.look()
                return Outcome.SPUN if self._spun else Outcome.TIMED_OUT
            look_in = _FIRST_LOOK_S if busy else min(look_in * 2, _LONGEST_LOOK_S)
            self.clients.step()

    def _serve(self, patience: float) -> bool:
        """Feed and drain once, waiting at most so long for something to do; whether there was something."""
        events = self._selector.select(patience)
        for key, mask in events:
            if isinstance(key.data, network.Client):
                self.clients.serve(key.data, mask)
            elif key.fd == self._pidfd:
                self._selector.unregister(self._pidfd)
                os.close(self._pidfd)
                self._pidfd = -1
            elif mask & selectors.EVENT_WRITE:
                self._feed()
            if mask & selectors.EVENT_READ and key.fd in self._streams:
                self._take(key.fd)
        return bool(events)

    def _drained(self, until: Callable[[], bool] | None) -> Outcome:
        """After the end: take what is still in the pipes; it may hold what was waited for."""
        for descriptor in self._streams:
            while self._take(descriptor):
                if self.flooded:
                    return Outcome.FLOODED
        self.clients.drain()
        return Outcome.REACHED if until is not None and until() else Outcome.ENDED

    @property
    def _ends(self) -> waitgraph.Ends:
        return waitgraph.Ends(
            stdin=self._names["stdin"] if self._stdin is not None else "",
            feeding=bool(self._pending),
            stdout=self._names["stdout"],
            stderr=self._names["stderr"],
            written=self._names["stdin"],
        )

    def _picture(self) -> tuple[waitgraph.Graph | None, witness.Glance]:
        """The graph of this moment, and whether it is one moment: none if something ran meanwhile."""
        members = self._sandbox.members()
        before = witness.glance(members)
        self._cpu.update({task.tid: task.ran_ns for task in before.tasks})
        if not before.tasks or not before.at_rest:
            return None, before
        seen = witness.describe(members)
        after = witness.glance(self._sandbox.members())
        if before.mark != after.mark:
            return None, after
        return self._graph(seen), after

    def _graph(self, seen: Sequence[witness.Seen]) -> waitgraph.Graph:
        return waitgraph.build(
            seen, self.pid, self._ends, history=self._so_far(), roles=self._roles,
            sockets=self._names_of_sockets(seen),
        )  # fmt: skip

    def _names_of_sockets(self, seen: Sequence[witness.Seen]) -> dict[str, str]:
        """What each socket is called.

        A connected or listening socket keeps its name; to list them all costs the kernel 7 ms, so that is only
        done when there is one without a name.
        """
        held = {each.target for process in seen for each in process.descriptors if each.kind == "socket"}
        if not held <= self._sockets.keys():
            self._sockets |= network.words(self.sockets(), self.clients.names)
        return self._sockets

    def _so_far(self) -> trace.History | None:
        """The history up to now."""
        return self._sandbox.history()

    def _all_taken(self) -> bool:
        """Whether nothing that the program wrote, or that was typed, is still on its way.

        Asked after the picture of a hang: the program may have written since the grader last looked. What a
        client sent may still be on its way to the program, and what the program sent to a client. At a
        terminal the kernel moves bytes in a thread of its own, and Ctrl-C becomes a signal only there;
        polling a side of a terminal waits for that thread first (poll(2) does; epoll only asks those that
        have called already).
        """
        for side in (self._slave, self._master):
            if side is not None:
                asked = select.poll()
                asked.register(side, select.POLLIN)
                asked.poll(0)
        if self.clients.any and (not self.clients.own_network or network.in_flight(self.sockets())):
            return False
        # Last, since it may have arrived while the tables were read: what is held back until the one before
        # it is acknowledged (Nagle's algorithm, tcp(7)) comes up to 40 ms later, without the program's doing.
        return not self._selector.select(0)

    def _hung(self, patience: Patience) -> bool:
        graph, glance = self._picture()
        patience.note(glance)
        if graph is None or not graph.hung or self._sandbox.log is None or self._sandbox.log.timers_set:
            return False  # without the history, an alarm cannot be ruled out
        if not self._all_taken() or witness.glance(self._sandbox.members()).mark != glance.mark:
            return False
        self.graph = graph
        return True

    def patience(self, within: float) -> Patience:
        """A time limit for something of this program's that `pump` does not wait for; `glance` feeds it."""
        return Patience(within, (os.getpid(), self._sandbox.outer.pid))

    def glance(self) -> witness.Glance:
        """All its threads at this moment, without touching what `finish` will say."""
        return witness.glance(self._sandbox.members())

    def look(self) -> tuple[Process, ...]:
        """The processes now, at rest or not."""
        now = witness.glance(self._sandbox.members())
        self._cpu.update({task.tid: task.ran_ns for task in now.tasks})
        self.graph = self._graph(witness.describe(self._sandbox.members()))
        return self.graph.processes

    def settle(self, *, within: float | None = None) -> Outcome:
        """Wait until the program has taken what was sent to it, and all its threads wait or sleep.

        Any outcome but `Outcome.REACHED` says why it did not come to that. This is a hundred times cheaper than
        `rest`, and may err in the rarest of cases: it is for steps, not for verdicts.
        """

        def settled(patience: Patience) -> bool:
            if self._pending or not self.alive:
                return False
            before = witness.glance(self._sandbox.members())
            patience.note(before)
            if not before.tasks or not before.at_rest or network.undelivered() or self._selector.select(0):
                return False
            if self._held_by_tracer(before):
                return False
            return witness.glance(self._sandbox.members()).mark == before.mark

        return self._poll(settled, within or self.within)

    def _held_by_tracer(self, glance: witness.Glance) -> bool:
        """Whether strace still looks at a system call, at a signal, or at the end of a process.

        On a loaded machine that can take long. A thread that a signal has stopped looks like one that is held;
        a parent hears of a child's end only when strace has noted it (`wait4` in ptrace(2)).
        """
        held = {task.pid for task in glance.tasks if task.state == "t"}
        if not held and not glance.zombies:
            return False
        history = self._so_far()
        if history is None:
            return False
        return any(witness.inner_pid(pid) not in history.stopped for pid in held) or any(
            witness.inner_pid(pid) not in history.endings for pid in glance.zombies
        )

    def rest(self, *, within: float | None = None) -> tuple[Outcome, tuple[Process, ...]]:
        """Wait until the whole program is blocked, and say what its processes are doing.

        Any outcome but `Outcome.REACHED` says why it did not come to rest.
        """
        found: list[waitgraph.Graph] = []

        def resting(patience: Patience) -> bool:
            if self._pending or not self.alive:
                return False
            graph, glance = self._picture()
            patience.note(glance)
            busy = (State.RUNNING, State.SLEEPING)
            if graph is None or any(p.state in busy for p in graph.processes) or not self._all_taken():
                return False
            if not any(p.pid == self.pid and p.state is not State.ZOMBIE for p in graph.processes):
                return False  # it has just ended; only those that it left behind rest
            found.append(graph)
            return True

        outcome = self._poll(resting, within or self.within)
        if outcome is not Outcome.REACHED:
            return outcome, self.look()
        self.graph = found[0]
        return outcome, found[0].processes

    def _poll(self, condition: Callable[[Patience], bool], within: float) -> Outcome:
        """Look again and again, often at first, until a condition of the processes holds."""
        patience = Patience(within, (os.getpid(), self._sandbox.outer.pid))
        step = 0.001
        while not condition(patience):
            if self._pidfd == -1:
                return Outcome.ENDED
            if self._spun or patience.over:
                self.look()  # what it did, and how much of the processor it used, is why it is out of time
                return Outcome.SPUN if self._spun else Outcome.TIMED_OUT
            self._serve(step)
            step = min(step * 1.5, 0.02)
        return Outcome.REACHED

    def idle(self, seconds: float) -> Idle:
        """Ask nothing of the program for a time, and measure what it uses meanwhile."""
        before = {task.tid: task for task in witness.glance(self._sandbox.members()).tasks}
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._serve(left)
        used = wakeups = 0
        for task in witness.glance(self._sandbox.members()).tasks:
            known = before.get(task.tid)
            used += task.ran_ns - (known.ran_ns if known else 0)
            wakeups += task.slices - (known.slices if known else 0)
        return Idle(seconds, used / 1e9, wakeups)

    def until(self, condition: Callable[[tuple[Process, ...]], bool], *, within: float | None = None) -> bool:
        """Wait until the processes are as a check wants them."""
        return self._poll(lambda _: condition(self.look()), within or self.within) is Outcome.REACHED

    # ------------------------------------------------------------ conversation

    def line(self, *, within: float | None = None) -> tuple[Outcome, bytes]:
        """The next line of standard output, with its newline; shorter only if no more can come."""

        def complete() -> bool:
            return self.stdout.find(b"\n", self._read_from) >= 0

        outcome = self.pump(complete, within=within)
        end = self.stdout.find(b"\n", self._read_from) + 1 or len(self.stdout)
        data = bytes(self.stdout[self._read_from : end])
        self._read_from = end
        return outcome, data

    def signal(self, number: signal.Signals, pid: int | None = None) -> None:
        """Send a signal to the program's main process, or to another one.

        :param pid: its id inside the sandbox
        :raises ProcessLookupError: if there is none with this id
        """
        to = "" if pid in (None, self.pid) else f" to process {pid}"
        self.turns.append(Turn(speaker="event", text=f"the grader sends {number.name}{to}\n"))
        if pid in (None, self.pid):
            if self._pidfd != -1:
                with contextlib.suppress(ProcessLookupError):  # it has ended just now
                    signal.pidfd_send_signal(self._pidfd, number)
            return
        for member in self._sandbox.members():
            if witness.inner_pid(member) == pid:
                os.kill(member, number)
                return
        raise ProcessLookupError(f"the program has no process {pid}")

    # ------------------------------------------------------------ the end

    def finish(self, outcome: Outcome | None = None) -> Observation:
        """End the run and gather its facts. The second call gives the same answer.

        :param outcome: what the last `pump` said; none if the check has seen enough and stops it
        """
        if self.observation is not None:
            return self.observation
        processes: tuple[Process, ...] = ()
        edges: tuple[Edge, ...] = ()
        leftovers: tuple[Leftover, ...] = ()
        wall, until = time.monotonic() - self._started, time.time()
        try:
            if outcome is Outcome.ENDED:
                processes, leftovers = self._left()
            elif self.graph is not None and outcome in (Outcome.HUNG, Outcome.TIMED_OUT, Outcome.SPUN):
                processes, edges = self.graph.processes, self.graph.edges
        finally:
            before = len(self.turns)
            self._sandbox.end()
        self._drained(None)
        if outcome is not Outcome.ENDED:  # that clients see the end now is the grader's doing
            self.turns[before:] = [turn for turn in self.turns[before:] if turn.speaker != "event"]
        self.history = history = self._sandbox.history()
        self.lines = found = self._find_lines(history)
        processes = tuple(
            msgspec.structs.replace(p, place=found.waiting(p.pid, p.wait.call)) if p.wait else p
            for p in processes
        )
        status, by_signal = self._ending(history)
        endings = {
            Outcome.HUNG: Ending.HUNG, Outcome.TIMED_OUT: Ending.TIMED_OUT, Outcome.FLOODED: Ending.FLOODED,
            Outcome.SPUN: Ending.SPUN,
            Outcome.ENDED: Ending.SIGNALLED if by_signal else Ending.EXITED,
        }  # fmt: skip
        self.observation = Observation(
            argv=self.argv,
            command=self.command,
            ending=endings.get(outcome, Ending.STOPPED) if outcome else Ending.STOPPED,
            status=status if outcome is Outcome.ENDED else None,
            signal=by_signal if outcome is Outcome.ENDED else "",
            stdout=bytes(self.stdout),
            stderr=bytes(self.stderr),
            wall_s=round(wall, 4),
            cpu_s=round(sum(self._cpu.values()) / 1e9, 4),
            within_s=self.within,
            processes=processes,
            edges=edges,
            leftovers=leftovers,
            unreaped=history.unreaped() if history and outcome is Outcome.ENDED else (),
            events=history.events(found.of_calls(history), until) if history else (),
            names=waitgraph.Names((), self.pid, self._ends, history, self._roles).labels() if history else {},
            turns=tuple(self.turns),
        )
        self._release()
        return self.observation

    def _find_lines(self, history: trace.History | None) -> lines.Lines:
        """The student's lines, where this run recorded them."""
        if not self._recipe.lines or history is None:
            return lines.Lines()
        if self._recipe.lines == "c":
            return lines.from_stacks(history, self.argv[0][2:], self._name_addresses)
        return lines.from_log(self._sandbox.line_log())

    def _name_addresses(self, wanted: Sequence[str]) -> dict[str, Place]:
        """Ask addr2line about the student's program, which is hostile input: in a sandbox of its own."""
        run = Program(replace(self._recipe, lines=""), ["addr2line", "-s", "-e", self.argv[0], *wanted])
        try:
            seen = run.finish(run.pump())
        finally:
            run.close()
        return lines.from_addr2line(wanted, seen.stdout.decode(errors="replace"))

    def _ending(self, history: trace.History | None) -> tuple[int | None, str]:
        """Status or signal: from the history, which knows; else from bwrap, which says 128+N for both."""
        if history is not None and self.pid in history.endings:
            return history.endings[self.pid]
        code = self._sandbox.outer.returncode
        if code is not None and code < 0:
            return None, signal.Signals(-code).name
        if code is not None and code > 128 and self._sandbox.init is not None:
            return None, signal.Signals(code - 128).name if code - 128 in set(signal.Signals) else ""
        return code, ""

    def _left(self) -> tuple[tuple[Process, ...], tuple[Leftover, ...]]:
        """What outlived the program: processes that are not just about to end, and IPC objects."""
        patience = Patience(_SETTLE_S, (os.getpid(), self._sandbox.outer.pid))
        graph: waitgraph.Graph | None = None
        while True:
            if not self._sandbox.members():
                break
            graph, glance = self._picture()
            patience.note(glance)
            resting = graph is not None and all(p.state is not State.RUNNING for p in graph.processes)
            if patience.over or (resting and not self._pending and self._all_taken()):
                break
            self._serve(0.002)
            if self.flooded:
                break
        processes: tuple[Process, ...] = ()
        if self._sandbox.members():
            found = (graph or self._graph(witness.describe(self._sandbox.members()))).processes
            processes = tuple(p for p in found if p.state is not State.ZOMBIE and p.pid != self.pid)
        left = [Leftover(kind="process", name=process.label) for process in processes]
        return processes, (*left, *self._sandbox.objects())

    def close(self) -> None:
        """End everything and give back all descriptors; harmless when done already."""
        self._release()
        self.folder.close()

    def _release(self) -> None:
        """Give back all but the folder, into which a check may still look when the program has ended."""
        if self.observation is None:
            self._sandbox.end()
        if self._pidfd != -1:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._streams or self._stdin is not None:
            self._close_streams()
        self._sandbox.clean()
