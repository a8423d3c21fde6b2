"""One run of a program whose tasks ask from inside a sandbox: who goes on, who waits, and what came of it.

Every task, a process or a thread, has a socket of its own. Before each step it says what it will do and sleeps
until it is answered; so only the one that was answered last runs. The shims (`shims/hooks.c`,
`shims/processes.py`) try what might wait and say "blocked" if it would; conditions and barriers cannot be tried,
so they are kept here.

What is said comes from the student's own process. It is bounded, and whatever is not as agreed ends the run
as broken.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from grader.exploring.schedules import Came, Op
from grader.exploring.strategy import Fair, Pending, named

HEAD = struct.Struct("<BBHiQQQq")
"""Operation; flags; kind, and the length of the text that follows; result of the step before; place, thing, another
thing; a number"""
_ANSWER = struct.Struct("<B3xIq")
"""What to do; a value; the virtual time"""

_GO, _TIME_OVER, _INTERRUPTED, _CANCELLED, _NONE, _NO_CHILD = b"gtixne"

UNFAIR = 2500
"""After so many choices every task is let go on at random"""
WINDOW = 3000
"""Then so many choices together are looked at for whether the program gets anywhere"""
_FEW = 100
"""A program that takes so few different steps in a window, on the same things from the same lines, goes round"""
_ROUNDS = 3
"""It may change something each time: after so many windows of going round it is taken not to end"""
_MOST = 40000
"""Choices after which it is not decided whether the program would end"""
_TASKS = 100
_UNASKED = 100_000
"""Messages that need no choice, in one run"""
_LOOKS = 3
"""A task that looks at the same thing from the same place so often, while nothing changes, lets the others go first"""
_CHOICE_NS = 10_000
_FAIR_CHOICE_NS = 1_000_000
_CLOCK_NS = 500_000
"""What steps cost in virtual time: so a loop that waits for a moment gets there"""
_SOON_NS = 30 * 10**9
"""Sleeping is no promise of order: under a sampling strategy a sleep that is not longer may end before others go on"""


class Kind(IntEnum):
    """What a thing is."""

    NONE = 0
    MEMORY = 1
    LOCK = 2
    SEMAPHORE = 3
    CONDITION = 4
    BARRIER = 5
    EVENT = 6
    PIPE = 7
    QUEUE = 8
    SEMAPHORE_SET = 9
    SIGNALS = 10
    ONCE = 11
    FILE_LOCK = 12
    TIME = 13


_GLOBAL, _PROCESS, _NO_WAIT, _OTHER_GLOBAL = 2, 4, 8, 16

Key = tuple[int, int, int]
"""Kind, process (or -1 for what all share) and address of a thing"""


class State(IntEnum):
    """What a task is doing, as far as choices go."""

    READY = 0
    BLOCKED = 1
    """It tried and could not"""
    WAITING = 2
    """In a condition or a barrier, which are kept here"""
    JOINING = 3
    SLEEPING = 4
    ENDED = 5


class Over(Exception):
    """The run is at its end, and this is what it came to."""

    def __init__(self, came: Came, detail: str = ""):
        super().__init__(detail)
        self.came, self.detail = came, detail


@dataclass(slots=True)
class Process:
    """One process of the program."""

    number: int
    """That of its first task"""
    pid: int
    """Its id inside"""
    pidfd: int
    parent: Process | None
    children: list[Process] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    ended: int = 0
    """How many processes had ended when it did; 0 while it lives"""
    reaped: bool = False
    said_so: bool = False
    """It said that it would end"""


class Task:
    """One thread, or one process, under control."""

    __slots__ = (
        "back", "channel", "code", "counted", "deadline", "holds", "key", "kind", "looked", "looks", "name",
        "number", "op", "other", "pending", "place", "process", "socket", "state", "told", "value", "wants",
        "woken",
    )  # fmt: skip

    def __init__(self, number: int, channel: socket.socket):
        self.number = number
        self.channel = channel
        self.socket = channel.fileno()
        self.name = ""
        self.process: Process
        self.state = State.READY
        self.op = "h"
        """The step that it wants to take, or takes"""
        self.kind = Kind.NONE
        self.key: Key = (0, 0, 0)
        self.other: Key = (0, 0, 0)
        """The lock that a wait on a condition gives back"""
        self.place: object = 0
        self.wants: Key = (0, 0, 0)
        """What it is blocked on"""
        self.pending = Pending(number)
        self.deadline = -1
        self.code = _GO
        self.value = 0
        self.counted = 0
        """The number that came with the step"""
        self.woken: int | None = None
        """The task that its notification woke, where it was for one and not for all"""
        self.told = False
        """It is on record that it began to wait for this step"""
        self.holds: list[Key] = []
        """Locks, in the order of their acquisition"""
        self.back = -1
        """It stands back while this is how many changes there were"""
        self.looks: dict[object, int] = {}
        self.looked = -1


Entry = tuple[int, Op, Key, object, int | None, int | None, bool]
"""Task, what, to what, place, woken, the other task, whether it only begins to wait"""

_ACQUIRES = {Kind.EVENT: Op.WAIT, Kind.SIGNALS: Op.WAIT}


class Run:
    """One run, from the first task's word to the end.

    :param first: the grader's end of the first task's socket; it belongs to the run from now on
    :param strategy: its name
    :param place: makes of a message's place, and the text with it, what a story can name
    :param watch: called when a task has been silent for a while; raises `Over` when that is too long
    """

    def __init__(
        self,
        first: socket.socket,
        strategy: str,
        *,
        place: Callable[[int, int, bytes], object],
        watch: Callable[[bool], None],
        story: bool = False,
    ):
        self._place, self._watch, self._story = place, watch, story
        self._strategy = Fair(named(strategy), UNFAIR)
        self._eager = strategy.startswith("s")
        self.tasks: list[Task] = []
        self._alive: list[Task] = []
        self.processes: list[Process] = []
        self._now = 0
        self.moments = self.length = 0
        self._changes = self._changed_at = 0
        self._unasked = self._ended = 0
        self._tried = self._alarmed = self._signalled = False
        self._recent: set[tuple[int, object, Key]] = set()
        """The different steps of the present window"""
        self._rounds = 0
        self.steps: list[Entry] = []
        self.delays: list[tuple[int, int]] = []
        """Forced delays: how many steps there were before, and the task that had to stand back"""
        self.texts: dict[Key, str] = {}
        """Things that told their own name"""
        self.uses: dict[Key, set[tuple[object, bool]]] = {}
        """From where things were used, and whether to write: what a name can be made of"""
        self.owners: dict[Key, tuple[int, int]] = {}
        """Who has each lock, and how many times"""
        self._waiters: dict[Key, list[Task]] = {}
        self._sockets: list[socket.socket] = []
        self._first = first

    # ------------------------------------------------------------ the run

    def go(self) -> tuple[Came, str]:
        """Let it run to its end, and say what that was."""
        stood_back: list[int] = getattr(self._strategy.inner, "stood_back", [])
        try:
            self._admit(self._first, 0, None)
            while True:
                ready = self._ready()
                if not ready:
                    if not self._alive:
                        return Came.ENDED, ""
                    if self._try_again():
                        continue
                    return self._nobody_goes_on()
                self._count(ready)
                number = self._strategy.choose([task.pending for task in ready])
                if len(stood_back) > len(self.delays):
                    self.delays.append((len(self.steps), stood_back[-1]))
                self._let(self.tasks[number])
        except Over as over:
            return over.came, over.detail

    def _nobody_goes_on(self) -> tuple[Came, str]:
        """A deadlock, unless something from without could end it."""
        if self._alarmed:
            return Came.STALLED, "it waits for an alarm"
        waits = any(task.state is State.BLOCKED and task.wants[0] == Kind.SIGNALS for task in self._alive)
        if waits and not self._signalled:
            return Came.STALLED, "it waits for a signal that none of its own processes sends"
        return Came.DEADLOCK, ""

    def close(self) -> None:
        """Close what is open."""
        for each in self._sockets:
            each.close()
        for process in self.processes:
            if process.pidfd != -1:
                os.close(process.pidfd)
                process.pidfd = -1

    def _count(self, ready: list[Task]) -> None:
        fair = self._strategy.fair
        self.length += 1
        if len(ready) > 1 and not fair:
            self.moments += 1
        self._now += _FAIR_CHOICE_NS if fair else _CHOICE_NS
        if fair and (self.length - UNFAIR) % WINDOW == 0:
            self._look_at_window()

    def _look_at_window(self) -> None:
        """Whether the program gets anywhere, now that every task gets its turns."""
        round_and_round = len(self._recent) <= _FEW
        self._rounds = self._rounds + 1 if round_and_round else 0
        self._recent.clear()
        if round_and_round and (self.length - self._changed_at >= WINDOW or self._rounds >= _ROUNDS):
            raise Over(Came.LIVELOCK)
        if self.length > _MOST:
            raise Over(Came.STALLED, f"still at work after {_MOST} steps")

    def _ready(self) -> list[Task]:
        """Who can go on, in the order of their numbers."""
        ready: list[Task] = []
        lazy: list[Task] = []
        first: Task | None = None
        for task in self._alive:
            if task.state is State.READY:
                (lazy if task.back == self._changes else ready).append(task)
            elif task.deadline >= 0:
                if task.deadline <= self._now:
                    ready.append(task)
                elif first is None or task.deadline < first.deadline:
                    first = task
        if first is not None:
            if not ready:
                self._now = first.deadline
                return [first]
            soon = first.state is State.SLEEPING and first.deadline - self._now < _SOON_NS
            if soon and (self._eager or self._strategy.fair):
                ready.append(first)
                ready.sort(key=lambda task: task.number)
        return ready or lazy

    def _try_again(self) -> bool:
        """Nobody can go on. Let each that tried in vain try once more before that is believed.

        Something may have been given back by a way that no shim sees: a library, a process that died.
        """
        if self._tried:
            return False
        self._tried = True
        for task in list(self._alive):
            if task.state is State.BLOCKED:
                task.state = State.READY
                self._let(task)
                if task.state is not State.BLOCKED:
                    self._tried = False
                    return True
        return False

    # ------------------------------------------------------------ letting one go on

    def _let(self, task: Task) -> None:
        code, value = task.code, task.value
        if self.length > UNFAIR:
            self._recent.add((task.number, task.place, task.key))
        if task.state is not State.READY:  # its time is over
            if task.state is not State.SLEEPING:
                code = _TIME_OVER
            self._forget(task)
        task.state, task.deadline = State.READY, -1
        task.code, task.value = _GO, 0
        op = task.op
        if op == "B" and code == _GO:
            if not self._arrive(task):
                return
            value = task.value
            task.value = 0
        elif op == "n":
            task.value = self._notify(task)
        elif op == "j" and code == _GO:
            code, value = self._join(task)
        elif op == "s":
            self._start(task)
            return
        elif op == "E" or op == "F":
            self._changed()
        if code == _TIME_OVER:
            self._record(task, Op.TIMEOUT, task.key)
        self._answer(task, code, value)
        self._listen(task, code)

    def _answer(self, task: Task, code: int, value: int = 0) -> None:
        try:
            os.write(task.socket, _ANSWER.pack(code, value, self._now))
        except OSError:
            pass  # it has gone: the next look at its socket says so

    def _hear(self, channel: int, *, dying: bool = False) -> bytes:
        """The next message of a task; empty at its end."""
        while True:
            try:
                return os.read(channel, 4096)
            except BlockingIOError:  # SO_RCVTIMEO
                self._watch(dying)
            except ConnectionResetError:
                return b""

    def _listen(self, task: Task, code: int) -> None:
        """Hear what the running task says, until it wants to take another step or is gone."""
        size = HEAD.size
        done = False
        while True:
            data = self._hear(task.socket)
            if not data:
                if not done:
                    self._complete(task, 0, code)
                self._gone(task)
                return
            at = 0
            while at < len(data):
                if len(data) - at < size:
                    raise Over(Came.BROKEN, "a message is too short")
                op, flags, kind, result, place, thing, other, number = HEAD.unpack_from(data, at)
                at += size
                text = data[at : at + (kind >> 8)]
                at += kind >> 8
                letter = chr(op)
                if not done:
                    if letter not in "bC":
                        self._complete(task, result, code)
                        done = True
                    elif letter == "C" and task.op == "c":
                        self._complete(task, result, code)
                if self._take(task, letter, flags, kind & 0xFF, place, thing, other, number, text):
                    return

    def _take(
        self,
        task: Task,
        op: str,
        flags: int,
        kind: int,
        place: int,
        thing: int,
        other: int,
        number: int,
        text: bytes,
    ) -> bool:
        """Take one message; whether the task now waits for its next turn."""
        process = -1 if flags & _GLOBAL else task.process.number
        key = (kind, process, thing)
        if op in "rw":
            writes = op == "w"
            task.op, task.kind, task.key = op, Kind.MEMORY, key
            task.place = self._place(place, other, text)
            self._wants(task, Pending(task.number, f"{process}:{thing:x}", writes))
            if self._story:
                self.uses.setdefault(key, set()).add((task.place, writes))
            if not writes:
                self._look(task, (place, thing))
            return True
        if op == "R":  # something that nobody writes: no choice, but a part of the story
            where = self._place(place, other, text)
            self.uses.setdefault(key, set()).add((where, False))
            self._record_at(task, Op.READ, key, where)
            return False
        if op == "u":
            where = self._place(place, other, text)
            self.uses.setdefault(key, set()).add((where, True))
            self._release(task, key)
            self._record_at(task, Op.RELEASE, key, where)
            return False
        if op == "p":
            self._wake_all(kind=Kind.PIPE)
            return False
        if op == "A":
            self._alarmed = True
            return False
        if op == ".":
            self._unasked_answer(task)
            return False
        return self._take_other(task, op, flags, kind, key, place, thing, other, number, text)

    def _take_other(
        self, task: Task, op: str, flags: int, kind: int, key: Key, place: int, thing: int, other: int, number: int,
        text: bytes,
    ) -> bool:  # fmt: skip
        if kind not in _KINDS:
            raise Over(Came.BROKEN, f"there is no kind {kind}")
        if op == "b":
            if not task.told:
                task.told = True
                self._record(task, self._op_of(task), key, blocks=True)
            task.state, task.wants, task.deadline = State.BLOCKED, key, number
            return True
        if op == "C":
            waiters = self._waiters.setdefault(key, [])
            if task not in waiters:
                waiters.append(task)
            task.op, task.state, task.deadline, task.wants = "C", State.WAITING, number, key
            task.pending = Pending(task.number, _thing(task.other), True)
            return True
        if op == "S" or op == "h":
            raise Over(Came.BROKEN, "a task begins that nobody made")
        if op == "N":
            self.texts[key] = text.decode(errors="replace")[:60]
            self._unasked_answer(task)
            return False
        if op == "q":
            ended = any(child.pid == thing and child.ended for child in task.process.children)
            self._unasked_answer(task, _GO if ended else _NONE)
            return False
        if op == "!":
            raise Over(Came.STALLED, text.decode(errors="replace")[:60] or "something that is not modelled")
        if op not in "atcnBjszkKvVldEF":
            raise Over(Came.BROKEN, f"there is no operation {op!r}")
        if op == "B" and task.op == "B" and task in self._waiters.get(key, ()):
            task.state = State.WAITING
            return True
        task.op, task.kind, task.key, task.counted = op, Kind(kind), key, number
        task.place = self._place(place, 0 if op == "c" else other, text)
        if op == "c":
            task.other = (Kind.LOCK, -1 if flags & _OTHER_GLOBAL else task.process.number, other)
        if kind and op not in "zl":
            self.uses.setdefault(key, set()).add((task.place, True))
            if op == "c":
                self.uses.setdefault(task.other, set()).add((task.place, True))
        self._wants(task, Pending(task.number, _thing(key) if kind and op not in "zl" else "", True))
        if op == "z":
            if number > self._now:
                task.state, task.deadline = State.SLEEPING, number
            else:
                task.back = self._changes
        elif op == "j":
            self._begin_join(task, flags, thing, number)
            if flags & _NO_WAIT:
                self._look(task, (place, thing))
        elif op == "l":
            self._now += _CLOCK_NS
            self._look(task, place)
        elif op == "a" or op == "t":
            self._look(task, (place, thing))
        elif op == "d":
            task.process.said_so |= bool(flags & _PROCESS)
        return True

    def _wants(self, task: Task, pending: Pending) -> None:
        task.state, task.pending, task.told, task.back = State.READY, pending, False, -1

    def _unasked_answer(self, task: Task, code: int = _GO) -> None:
        self._unasked += 1
        if self._unasked > _UNASKED:
            raise Over(Came.BROKEN, "too many messages")
        self._answer(task, code)

    def _look(self, task: Task, key: object) -> None:
        """Notice a loop that only looks: it need not go on before something has changed."""
        if task.looked != self._changes:
            task.looked = self._changes
            task.looks.clear()
        times = task.looks[key] = task.looks.get(key, 0) + 1
        if times >= _LOOKS:
            task.looks.clear()
            task.back = self._changes

    def _changed(self) -> None:
        self._changes += 1
        self._changed_at = self.length
        self._tried = False

    # ------------------------------------------------------------ what was done

    def _op_of(self, task: Task) -> Op:
        """What the task's step is called."""
        op = task.op
        if op == "a":
            return _ACQUIRES.get(task.kind, Op.ACQUIRE)
        if op in "rw":  # an access that takes the lock of its own variable
            return Op.ACQUIRE
        return {"C": Op.WAKE, "v": Op.SEND, "V": Op.RECEIVE, "j": Op.JOIN, "z": Op.SLEEP}.get(op, Op.OTHER)

    def _record(
        self,
        task: Task,
        op: Op,
        key: Key,
        *,
        woke: int | None = None,
        other: int | None = None,
        blocks: bool = False,
    ) -> None:
        if self._story:
            self.steps.append((task.number, op, key, task.place, woke, other, blocks))

    def _record_at(self, task: Task, op: Op, key: Key, place: object) -> None:
        if self._story:
            self.steps.append((task.number, op, key, place, None, None, False))

    def _complete(self, task: Task, result: int, code: int) -> None:
        """The step that the task was let take is done."""
        op, key = task.op, task.key
        if op == "r":
            self._record(task, Op.READ, key)
        elif op == "w":
            self._record(task, Op.WRITE, key)
            if result == 0:  # an atomic exchange that changes nothing says 1
                self._changed()
            else:
                self._look(task, (task.place, key))
        elif op == "a":
            if code not in (_TIME_OVER, _CANCELLED):
                self._acquired(task, key, result, Op.ACQUIRE)
        elif op == "t":
            self._acquired(task, key, result, Op.TRY)
        elif op == "c":
            self._release(task, task.other)
            if result == 0:
                self._record(task, Op.WAIT, key)
        elif op == "C":
            self._own(task, task.other)
            self._record(task, Op.WAKE, key)
        elif op == "B":
            if code == _GO:
                self._record(task, Op.WAKE, key)
        elif op == "n":
            self._record(task, Op.NOTIFY, key, woke=task.value, other=task.woken)
            task.value = 0
        elif op == "E" or op == "F":
            if op == "E":
                woke = self._wake_all(key=key)
                self._record(task, Op.SET, key, woke=woke)
            else:
                self._record(task, Op.CLEAR, key)
        elif op == "v" or op == "V":
            if code == _GO:
                self._record(task, Op.SEND if op == "v" else Op.RECEIVE, key)
                self._changed()
                self._wake_all(kind=Kind.PIPE)
                self._wake_all(key=key)
        elif op == "z":
            self._record(task, Op.SLEEP, key)
        elif op == "l":
            self._record(task, Op.CALL, key)
        elif op == "k":
            self._record(task, Op.SIGNAL, key)
            self._signalled = True
            if result == 0:
                self._interrupt(task)
        elif op == "j" and key[0] == 1 and key[2]:
            child = self.tasks[key[2]].process
            if child.reaped and not child.said_so and result == 0:  # it was not ended by a signal either
                raise Over(Came.BROKEN, "a process ended without a word")
        elif op == "K":
            self._cancel(key[2])
        elif op == "d":
            self._record(task, Op.END, key)

    def _acquired(self, task: Task, key: Key, result: int, op: Op) -> None:
        if result == 0:
            if task.kind in (Kind.LOCK, Kind.FILE_LOCK):
                self._own(task, key)
            elif task.kind is not Kind.ONCE:
                self._changed()
            self._record(task, _ACQUIRES.get(task.kind, Op.ACQUIRE), key)
        else:
            self._record(task, Op.TRY, key)

    def _own(self, task: Task, key: Key) -> None:
        owner, times = self.owners.get(key, (task.number, 0))
        self.owners[key] = (task.number, times + 1 if owner == task.number else 1)
        if key not in task.holds:
            task.holds.append(key)

    def _release(self, task: Task, key: Key) -> None:
        if key[0] in (Kind.LOCK, Kind.FILE_LOCK):
            owner, times = self.owners.pop(key, (task.number, 1))
            if times > 1:
                self.owners[key] = (owner, times - 1)
            else:
                holder = self.tasks[owner]
                if key in holder.holds:
                    holder.holds.remove(key)
        else:
            self._changed()
        self._wake_all(key=key)

    def _wake_all(self, *, key: Key | None = None, kind: Kind | None = None) -> int:
        """Let all who are blocked there try again; how many that are."""
        woken = 0
        for task in self._alive:
            if task.state is State.BLOCKED and (task.wants == key or task.wants[0] == kind):
                task.state, task.deadline, task.back = State.READY, -1, -1
                woken += 1
        return woken

    # ------------------------------------------------------------ conditions and barriers

    def _forget(self, task: Task) -> None:
        """Its wait is over."""
        waiters = self._waiters.get(task.wants)
        if waiters and task in waiters:
            waiters.remove(task)

    def _notify(self, task: Task) -> int:
        """Wake so many waiters as were asked for (0: all), the longest waiting first."""
        waiters = self._waiters.get(task.key, [])
        count = min(task.counted, len(waiters)) if task.counted > 0 else len(waiters)
        task.woken = waiters[0].number if task.counted == 1 and waiters else None
        for waiter in waiters[:count]:
            waiter.state, waiter.deadline, waiter.back = State.READY, -1, -1
            waiter.code = _GO
        del waiters[:count]
        if count:
            self._changed()
        return count

    def _arrive(self, task: Task) -> bool:
        """A task comes to a barrier, or leaves it; whether it goes on."""
        if task.wants == task.key and task.told:  # it was let go by the last to come
            task.told = False
            task.wants = (0, 0, 0)
            task.value = 0
            return True
        waiters = self._waiters.setdefault(task.key, [])
        self._changed()
        if len(waiters) + 1 >= task.counted:
            for waiter in waiters:
                waiter.state, waiter.back = State.READY, -1
            waiters.clear()
            task.value = 1
            return True
        waiters.append(task)
        task.state, task.wants, task.told = State.WAITING, task.key, True
        self._record(task, Op.WAIT, task.key, blocks=True)
        return False

    # ------------------------------------------------------------ tasks that begin and end

    def _start(self, task: Task) -> None:
        """Give the task a socket for the one that it will make."""
        if len(self.tasks) >= _TASKS:
            raise Over(Came.BROKEN, "too many tasks")
        ours, theirs = channel()
        self._sockets.append(ours)
        number = len(self.tasks)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs.fileno()))]
        try:
            task.channel.sendmsg([_ANSWER.pack(_GO, number, self._now)], rights)
        except OSError:
            pass  # it has gone: the next look at its socket says so
        theirs.close()
        data = self._hear(task.socket)
        if not data:
            self._gone(task)
            return
        if len(data) < HEAD.size:
            raise Over(Came.BROKEN, "a message is too short")
        op, flags, _, _, _, _, _, outcome = HEAD.unpack_from(data)
        failed = outcome < 0 if flags & _PROCESS else outcome != 0
        if chr(op) != "S":
            raise Over(Came.BROKEN, "a task was not made as it was said")
        if not failed:
            self._admit(ours, outcome if flags & _PROCESS else 0, task)
            self._record(task, Op.START, (0, 0, 0), other=number)
        self._changed()
        self._answer(task, _GO)
        task.op = ""
        self._listen(task, _GO)

    def _admit(self, ours: socket.socket, pid: int, parent: Task | None) -> None:
        """A new task has its place before the one that made it goes on."""
        if parent is None:
            self._sockets.append(ours)
        while True:
            try:
                data, ancillary, _, _ = ours.recvmsg(512, socket.CMSG_SPACE(12))
                break
            except BlockingIOError:
                self._watch(False)
            except ConnectionResetError:
                data, ancillary = b"", []
                break
        if len(data) < HEAD.size or chr(data[0]) != "h":
            raise Over(Came.BROKEN, "a task did not begin as it should")
        _, flags, _, _, _, _, _, inner = HEAD.unpack_from(data)
        task = Task(len(self.tasks), ours)
        task.name = data[HEAD.size :].decode(errors="replace")[:60]
        if flags & _PROCESS or parent is None:
            outer = struct.unpack("3i", ancillary[0][2][:12])[0] if ancillary else 0
            try:
                pidfd = os.pidfd_open(outer)
            except OSError as error:
                raise Over(Came.BROKEN, "a process cannot be watched") from error
            process = Process(task.number, inner, pidfd, parent.process if parent else None)
            self.processes.append(process)
            if parent is not None:
                parent.process.children.append(process)
        else:
            process = parent.process
        task.process = process
        process.tasks.append(task)
        self.tasks.append(task)
        self._alive.append(task)

    def _gone(self, task: Task) -> None:
        """The task's socket was closed: it has ended, or its process has."""
        process = task.process
        if task.op == "d" and not process.said_so:
            self._end(task)
            if process.tasks and any(each.state is not State.ENDED for each in process.tasks):
                self._changed()
                return
            process.said_so = True
        self._process_ended(process)

    def _end(self, task: Task) -> None:
        if task.state is State.ENDED:
            return
        self._forget(task)
        task.state = State.ENDED
        self._alive.remove(task)
        for other in self._alive:
            if other.state is State.JOINING and other.key[0] == 0 and other.counted == task.number:
                other.state, other.deadline = State.READY, -1

    def _process_ended(self, process: Process) -> None:
        """Wait until it really has: what it does last is then done, and a wait for it does not wait."""
        look = select.poll()
        look.register(process.pidfd, select.POLLIN)
        while not look.poll(250):
            self._watch(True)
        os.close(process.pidfd)
        process.pidfd = -1
        self._ended += 1
        process.ended = self._ended
        if not process.said_so:
            self._record(process.tasks[0], Op.END, (0, 0, 0))
        for task in process.tasks:
            self._end(task)
        self._changed()
        for task in self._alive:  # what it held may be free, a pipe's other end gone
            if task.state is State.BLOCKED:
                task.state, task.deadline, task.back = State.READY, -1, -1
            elif task.state is State.JOINING and self._is_about(task, process):
                task.state, task.deadline = State.READY, -1
        if process.parent is not None:
            self._signal(process.parent, signal.SIGCHLD, only_waiting=True)

    @staticmethod
    def _is_about(task: Task, child: Process) -> bool:
        """Whether the task waits for this child, perhaps among others."""
        return task.process is child.parent and task.key[0] == 1 and task.counted in (child.pid, -1)

    def _begin_join(self, task: Task, flags: int, thing: int, deadline: int) -> None:
        task.kind = Kind.NONE
        if not flags & _PROCESS:
            if thing >= len(self.tasks) or self.tasks[thing].process is not task.process:
                raise Over(Came.BROKEN, "a thread is joined that there never was")
            task.key, task.counted = (0, int(bool(flags & _NO_WAIT)), 0), thing
            if self.tasks[thing].state is not State.ENDED and not flags & _NO_WAIT:
                task.state, task.deadline = State.JOINING, deadline
                self._record(task, Op.JOIN, (0, 0, 0), other=thing, blocks=True)
                task.told = True
            return
        pid = thing - 2**64 if thing >= 2**63 else thing
        task.key, task.counted = (1, int(bool(flags & _NO_WAIT)), 0), pid if pid > 0 else -1
        children = self._children(task)
        if children and not any(child.ended for child in children) and not flags & _NO_WAIT:
            task.state, task.deadline = State.JOINING, deadline
            other = children[0].number if len(children) == 1 else None
            self._record(task, Op.JOIN, (0, 0, 0), other=other, blocks=True)
            task.told = True

    def _children(self, task: Task) -> list[Process]:
        """The children that its wait is about, and that nobody has waited for."""
        return [
            child for child in task.process.children if not child.reaped and task.counted in (child.pid, -1)
        ]

    def _join(self, task: Task) -> tuple[int, int]:
        """The answer to one who waits for a thread or a child: which has ended."""
        if task.key[0] == 0:
            target = self.tasks[task.counted]
            if target.state is not State.ENDED:
                return _NONE, 0
            self._record(task, Op.JOIN, (0, 0, 0), other=target.number)
            return _GO, 0
        children = self._children(task)
        over = sorted((child for child in children if child.ended), key=lambda child: child.ended)
        if over:
            over[0].reaped = True
            task.key = (1, task.key[1], over[0].number)
            self._record(task, Op.JOIN, (0, 0, 0), other=over[0].number)
            return _GO, over[0].pid
        return (_NONE, 0) if children else (_NO_CHILD, 0)

    # ------------------------------------------------------------ signals

    def _interrupt(self, sender: Task) -> None:
        """A signal was sent: who waits must be let take it."""
        number = sender.counted & 0xFF
        pid = sender.key[2] - 2**64 if sender.key[2] >= 2**63 else sender.key[2]
        for process in list(self.processes):
            if process.ended or (pid > 0 and process.pid != pid):
                continue
            if process is not sender.process:
                self._signal(process, number)

    def _signal(self, process: Process, number: int, *, only_waiting: bool = False) -> None:
        if process.ended or not process.tasks:
            return
        if number == signal.SIGKILL and not only_waiting:
            self._process_ended(process)
            return
        for task in process.tasks:
            waits = task.state in (State.BLOCKED, State.WAITING, State.JOINING, State.SLEEPING)
            if waits and (not only_waiting or task.wants[0] == Kind.SIGNALS):
                task.state, task.code, task.value, task.deadline = State.READY, _INTERRUPTED, number, -1
                return

    def _cancel(self, number: int) -> None:
        if number < len(self.tasks):
            task = self.tasks[number]
            waits = task.state in (State.WAITING, State.JOINING, State.SLEEPING)
            if waits or (task.state is State.BLOCKED and task.wants[0] != Kind.LOCK):
                self._forget(task)
                task.state, task.code, task.deadline = State.READY, _CANCELLED, -1


_KINDS = frozenset(int(kind) for kind in Kind)


def _thing(key: Key) -> str:
    return f"{key[0]}:{key[1]}:{key[2]:x}"


def channel() -> tuple[socket.socket, socket.socket]:
    """A pair of sockets: the grader's end, and the one that goes into the sandbox."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 250_000))
    return ours, theirs
