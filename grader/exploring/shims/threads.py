"""The shim for Python threads: real threads, of which one at a time goes on, and a model of `threading`.

Each thread has a *baton*, a lock that it takes before it goes on. Only the one whose turn it is has it; at a
point it asks the strategy, hands over, and waits for its own. So all that is kept here is only ever touched
by one thread, and no lock guards it.

Points are the spots of the program's own code (`points`) and every operation of the modelled primitives. Not
all: giving back a lock, waiting on a condition and notifying it are none, since another order there comes to
the same as another order at the acquisition before or after.

Time is virtual. A timed wait runs out only when nobody else can go on. A sleep is no promise of order: under
a sampling strategy the sleeper that would wake first may do so although others can still go on.

This file is copied into the sandbox and lives in the student's process. What it says is a claim.
"""

from __future__ import annotations

import _thread
import os
import random
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

from grader.exploring.shims.points import Sources, Spot
from grader.exploring.strategy import Delays, Fair, Pending, named

UNFAIR = 3000
"""After so many choices every task is let go on at random"""
LIMIT = 20000
"""Choices after which a program is taken not to end"""
_KEPT = 10000
"""Steps that are kept for the story"""
_SPINS = 8
"""A thread that reads the same place so often, while nothing changes, lets the others go first"""
_READ_COST_S = 0.0005
"""What a look at the clock costs: a loop that waits for a time gets there"""
_EPOCH_S = 1_700_000_000.0
FILE = "<explorer>"
"""What the code of the shim says it comes from; taken out of tracebacks"""

_DEFAULT_NAME = re.compile(r"Thread-\d+(?: \((\w+)\))?")
_ASSIGNS = re.compile(r"\s*(?:self\.)?(\w+)\s*=")

_Gate = Callable[[], bool]
_Finish = Callable[[str, str], None]

_get_ident = _thread.get_ident
_new_baton = _thread.allocate_lock
_start_new_thread = _thread.start_new_thread
_settrace, _gettrace = sys.settrace, sys.gettrace
_TOOL = 4
"""The program's own tools (a debugger, a profiler) have other numbers in `sys.monitoring`"""
_MONITORING = sys.version_info >= (3, 12)
_monitoring: Any = getattr(sys, "monitoring", None)


class Task:
    """One thread under control."""

    __slots__ = (
        "baton", "daemon", "deadline", "ended", "gate", "holds", "id", "ident", "name", "other", "pending",
        "seen", "signals", "sleeping", "spins", "thread", "trouble", "waits", "yielded",
    )  # fmt: skip

    def __init__(self, number: int, name: str, daemon: bool = False):
        self.id, self.name, self.daemon = number, name, daemon
        self.ident = 0
        self.baton = _new_baton()
        self.baton.acquire()
        self.pending = Pending(number)
        self.gate: _Gate | None = None
        """Whether it can go on; none if it always can"""
        self.deadline: float | None = None
        """When time alone lets it go on"""
        self.sleeping = False
        self.waits: tuple[str, Any] = ("", None)
        """What it would do, and with what, while it has a gate"""
        self.other: Task | None = None
        """The task that it wants to join"""
        self.holds: list[Any] = []
        """Locks, in the order of their acquisition"""
        self.spins: dict[object, int] = {}
        self.seen = self.yielded = -1
        self.signals: list[int] = []
        """Sent to it by other threads and not handled yet; only the main one has handlers"""
        self.trouble: BaseException | None = None
        """Raised by a signal handler while it was waiting"""
        self.ended = False
        self.thread: Any = None
        """The `threading.Thread`, where there is one"""


class World:
    """All threads of one run, and the only one whose turn it is.

    :param sources: the program's files
    :param strategy: its name
    :param story: keep every step
    :param finish: called with what it came to (`schedules.Came`) and a word; does not return
    """

    def __init__(self, sources: Sources, strategy: str, story: bool, finish: _Finish):
        self.sources, self.story, self._finish = sources, story, finish
        self.strategy = Fair(named(strategy), UNFAIR)
        self._eager = strategy.startswith("s")
        self._choose_by = self.strategy.choose
        inner = self.strategy.inner
        self._stood_back = inner.stood_back if isinstance(inner, Delays) else []
        self.delays: list[tuple[int, int]] = []
        self.clock = 1000.0
        self.random = random.Random(1)  # noqa: S311 (the same each time on purpose)
        main = Task(0, "main")
        main.ident = _get_ident()
        self.tasks = [main]
        self.alive = [main]
        self.current = main
        self.watching = False
        """Whether points of the program's code are watched: from the first thread on"""
        self.moments = self.length = self.changes = 0
        self.steps: list[tuple[Any, ...]] = []
        self.escaped = ""
        self.made = 0
        """Objects for threads"""
        self.handled = 0
        """Calls of signal handlers"""
        self.alarmed = False
        self._solo = 0
        self._dying: Any = None
        self._numbers: dict[tuple[str, str], int] = {}
        self._made_at: dict[tuple[str, int], int] = {}
        """How many primitives each line has made"""
        self._pendings: dict[tuple[int, str, bool], Pending] = {}
        self._tracers: dict[CodeType, Callable[..., Any]] = {}

    # ------------------------------------------------------------ whose turn it is

    def me(self) -> Task | None:
        """The task that calls; none for one whose turn it is not: a signal handler, a thread of C."""
        task = self.current
        return task if task.ident == _get_ident() else None

    def turn(
        self,
        me: Task,
        thing: str,
        writes: bool = True,
        *,
        gate: _Gate | None = None,
        deadline: float | None = None,
        waits: tuple[str, Any] = ("", None),
        other: Task | None = None,
        sleeping: bool = False,
    ) -> None:
        """A point: come back when the task has its turn and can go on."""
        if len(self.alive) == 1 and (gate is None or gate()):
            self.length += 1
            self._lonely()
            return
        key = me.id, thing, writes
        pending = self._pendings.get(key)
        if pending is None:
            pending = self._pendings[key] = Pending(*key)
        me.pending = pending
        if gate is not None:
            me.gate, me.deadline, me.waits, me.other, me.sleeping = gate, deadline, waits, other, sleeping
            if not sleeping and not gate():
                self.note(me, waits[0], waits[1], other=other, blocks=True)
        self.hand_over(me)
        while me.signals:
            me.gate = me.deadline = None
            self._handle(me)
            if gate is None or gate():
                break
            me.pending = pending
            me.gate, me.deadline, me.waits, me.other, me.sleeping = gate, deadline, waits, other, sleeping
            self.hand_over(me)
        me.gate = me.deadline = None
        me.yielded = -1
        if me.trouble is not None:
            trouble, me.trouble = me.trouble, None
            raise trouble

    def _handle(self, me: Task) -> None:
        """Run the handlers of signals that another thread has sent: they run in the main thread."""
        number = me.signals.pop(0)
        handler = signal.getsignal(number)
        if callable(handler):
            handler(number, sys._getframe(2))

    def hand_over(self, me: Task) -> None:
        """Let the strategy choose; wait until it has chosen this task."""
        chosen = self._choose()
        if chosen is me:
            return
        self.current = chosen
        chosen.baton.release()
        while True:
            try:
                me.baton.acquire()
            except BaseException as trouble:  # a signal handler raised: it is told when it has its turn
                me.trouble = trouble
                me.gate = None
            else:
                self._bury()
                return

    def _bury(self) -> None:
        """Wait until a thread that has ended is really gone: what it still frees would come at any moment."""
        if self._dying is not None:
            dying, self._dying = self._dying, None
            _thread_join(dying)

    def _choose(self) -> Task:
        while True:
            ready: list[Task] = []
            lazy: list[Task] = []
            timed = False
            for task in self.alive:
                gate = task.gate
                if gate is None:
                    (lazy if task.yielded == self.changes else ready).append(task)
                elif gate() or task.signals:
                    ready.append(task)
                elif task.deadline is not None:
                    timed = True
            if timed:
                first = min((t for t in self.alive if t.deadline is not None and t.deadline > self.clock),
                            key=lambda t: t.deadline or 0.0, default=None)  # fmt: skip
                if first is not None and not ready:
                    if not lazy:
                        self.clock = first.deadline or 0.0
                        continue
                elif first is not None and self._eager and first.sleeping:
                    ready.append(first)
                    ready.sort(key=lambda t: t.id)
            ready = ready or lazy
            if not ready and self.alarmed:
                self._finish("stalled", "it waits for an alarm")
            if not ready:
                self._finish("deadlock", "")
            break
        self.length += 1
        if self.length > LIMIT:
            self._finish("livelock", "")
        if len(ready) > 1 and not self.strategy.fair:
            self.moments += 1
        chosen = self.tasks[self._choose_by([task.pending for task in ready])]
        if len(self._stood_back) > len(self.delays):
            self.delays.append((len(self.steps), self._stood_back[-1]))
        if chosen.deadline is not None and chosen.sleeping:
            self.clock = max(self.clock, chosen.deadline)
        return chosen

    def _lonely(self) -> None:
        """Count the steps of a task that is alone: it may go round for ever too."""
        self._solo += 1
        if self._solo > 10 * LIMIT:
            self._finish("livelock", "")

    # ------------------------------------------------------------ the program's own code

    def access(self, spot: Spot) -> None:
        """The current task is about to do something that matters."""
        me = self.current
        if me.ident != _get_ident():
            return
        if len(self.alive) == 1:
            self._lonely()
        else:
            if not spot.writes:
                self.look(me, spot)
            self.turn(me, spot.thing, spot.writes)
        if spot.writes:
            self.changes += 1
        if self.story and len(self.steps) < _KEPT:
            self.steps.append((me.id, spot.op, spot.shown, spot.file, spot.line, None, None, False))

    def look(self, me: Task, key: object) -> None:
        """Notice a loop that only looks: it need not go on before something has changed."""
        if me.seen != self.changes:
            me.seen = self.changes
            me.spins.clear()
        times = me.spins[key] = me.spins.get(key, 0) + 1
        if times >= _SPINS:
            me.spins.clear()
            me.yielded = self.changes
            if self.story and isinstance(key, Spot) and len(self.steps) < _KEPT:
                self.steps.append((me.id, key.op, key.shown, key.file, key.line, None, None, True))

    def watch(self) -> None:
        """Begin to watch the program's code, in the functions that are already running too."""
        self.watching = True
        if _MONITORING:
            return
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            frame.f_trace = self.tracer(frame, "call", None)
            frame = frame.f_back
        _settrace(self.tracer)

    def tracer(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        """What `sys.settrace` calls for each function (Python 3.11)."""
        code = frame.f_code
        local = self._tracers.get(code)
        if local is None:
            spots = self.sources.spots.get(code)
            if not spots:
                return None
            local = self._tracers[code] = self._local(spots)
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return local

    def _local(self, spots: dict[int, Spot]) -> Callable[..., Any]:
        get, access = spots.get, self.access

        def local(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
            spot = get(frame.f_lasti)
            if spot is not None and event == "opcode":
                access(spot)
            return local

        return local

    # ------------------------------------------------------------ threads

    def make(self, name: str, daemon: bool) -> Task:
        """A new task, which cannot go on before `admit`."""
        if not self.watching:
            self.watch()
        task = Task(len(self.tasks), name, daemon)
        self.tasks.append(task)
        return task

    def arrive(self, task: Task, arrived: Any) -> None:
        """In the new thread: say that it is there, and wait for the first turn."""
        task.ident = _get_ident()
        arrived.release()
        task.baton.acquire()
        self._bury()
        if not _MONITORING:
            _settrace(self.tracer)

    def leave(self) -> None:
        """The current task is over; another has its turn."""
        me = self.current
        if me.ident != _get_ident() or me.ended:
            return
        self.check_watch()
        me.ended = True
        self.note(me, "end")
        self.alive.remove(me)
        self.changes += 1
        if not self.alive:
            self._finish("ended", "")
        chosen = self._choose()
        self.current = chosen
        self._dying = me.thread
        chosen.baton.release()

    def check_watch(self) -> None:
        """Whether the program's code is still watched."""
        if not self.watching:
            return
        if _MONITORING:
            if _monitoring.get_tool(_TOOL) is None:
                self.escaped = "sys.monitoring"
        elif _gettrace() != self.tracer:
            self.escaped = "sys.settrace"

    # ------------------------------------------------------------ what was done

    def note(
        self,
        me: Task,
        op: str,
        thing: Any = None,
        *,
        woke: int | None = None,
        other: Task | None = None,
        blocks: bool = False,
    ) -> None:
        """Keep a step, where a story is wanted."""
        if self.story and len(self.steps) < _KEPT:
            file, line = self.place(sys._getframe(1))
            shown = thing if isinstance(thing, str) else thing.thing if thing is not None else ""
            number = other.id if other is not None else None
            self.steps.append((me.id, op, shown, file, line, woke, number, blocks))

    def place(self, frame: FrameType | None) -> tuple[str, int]:
        """The line of the program's own code that a frame belongs to."""
        while frame is not None:
            if frame.f_code in self.sources.spots:
                return self.sources.names[frame.f_code.co_filename], frame.f_lineno
            frame = frame.f_back
        return "", 0

    def name(self, kind: str) -> str:
        """A name for a primitive that is being made: what the line of the program assigns it to."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename == FILE:
            frame = frame.f_back
        inner = ""
        if frame is not None and frame.f_code not in self.sources.spots:
            inner = _attribute(frame)
        while frame is not None and frame.f_code not in self.sources.spots:
            frame = frame.f_back
        target = ""
        if frame is not None:
            line = (frame.f_code.co_filename, frame.f_lineno)
            targets = self.sources.targets.get(line, ("",))
            target = targets[self._made_at.get(line, 0) % len(targets)]
            if not inner:
                self._made_at[line] = self._made_at.get(line, 0) + 1
        target = ".".join(word for word in (target, inner) if word)
        number = self._numbers[kind, target] = self._numbers.get((kind, target), 0) + 1
        if target and number == 1:
            return f"{kind} {target}"
        return f"{kind} {target} {number}" if target else f"{kind} {number}"

    def plural(self) -> dict[str, str]:
        """The first of several things of one name gets a number too, once it is known that there are more."""
        return {
            f"{kind} {target}": f"{kind} {target} 1"
            for (kind, target), number in self._numbers.items()
            if target and number > 1
        }

    def now(self) -> float:
        """Virtual seconds, monotonic."""
        self.clock += _READ_COST_S
        return self.clock


_made: dict[tuple[str, int], str] = {}


def _attribute(frame: FrameType) -> str:
    """What a line of the standard library assigns to: ``mutex`` of ``self.mutex = threading.Lock()``."""
    key = frame.f_code.co_filename, frame.f_lineno
    if key not in _made:
        import linecache  # only here: most programs make their locks themselves

        found = _ASSIGNS.match(linecache.getline(*key))
        _made[key] = found.group(1) if found else ""
    return _made[key]


class _Holder:
    """The world of this process: set before the program begins."""

    world: World


def world() -> World:
    """The world of this process."""
    return _Holder.world


def enter(new: World) -> None:
    """Make a world the one of this process."""
    _Holder.world = new


def observe(spots: dict[CodeType, dict[int, Spot]]) -> None:
    """Ask the interpreter for the events of the program's code (Python 3.12 and later)."""
    if not _MONITORING:
        return
    monitoring = _monitoring
    disable = monitoring.DISABLE

    def instruction(code: CodeType, offset: int) -> Any:
        spot = spots[code].get(offset)
        if spot is None:
            return disable
        here = _Holder.world
        if here.watching:
            here.access(spot)
        return None

    monitoring.use_tool_id(_TOOL, "proclab")
    monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, instruction)
    for code, found in spots.items():
        if found:
            monitoring.set_local_events(_TOOL, code, monitoring.events.INSTRUCTION)


# ---------------------------------------------------------------- the model of threading


def _until(timeout: float | None) -> float | None:
    return None if timeout is None else world().clock + max(timeout, 0.0)


def _over(deadline: float | None) -> bool:
    return deadline is not None and _Holder.world.clock >= deadline


class Lock:
    """`threading.Lock`."""

    kind = "lock"

    def __init__(self) -> None:
        self.thing = _Holder.world.name(self.kind)
        self._owner: Task | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it, waiting at most so long."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        here = _Holder.world
        me = here.me()
        if me is None:
            return self._foreign(blocking)
        if self._again(me):
            return True
        if not blocking:
            here.look(me, sys._getframe(1).f_lasti)
            here.turn(me, self.thing)
        else:
            deadline = None if timeout == -1 else _until(timeout)
            here.turn(me, self.thing, gate=lambda: self._owner is None or _over(deadline), deadline=deadline,
                      waits=("acquire", self))  # fmt: skip
        if self._owner is not None:
            here.note(me, "timeout" if blocking else "try", self)
            return False
        self.take(me, 1)
        here.note(me, "acquire", self)
        return True

    def _again(self, me: Task) -> bool:
        return False

    def _foreign(self, blocking: bool) -> bool:
        """By code that nobody controls: a signal handler of the main thread while another has its turn."""
        while self._owner is not None:
            if not blocking:
                return False
            _sleep(0.001)
        self._owner, self._count = _Holder.world.tasks[0], 1
        return True

    def take(self, me: Task, count: int) -> None:
        """Have it, however often."""
        self._owner, self._count = me, count
        me.holds.append(self)

    def give(self) -> int:
        """Have it no more, however often it was taken."""
        count, self._count = self._count, 0
        if self._owner is not None and self in self._owner.holds:
            self._owner.holds.remove(self)
        self._owner = None
        return count

    def release(self) -> None:
        """Give it back; any thread may."""
        if self._owner is None:
            raise RuntimeError("release unlocked lock")
        self.give()
        here = _Holder.world
        me = here.me()
        if me is not None:
            here.note(me, "release", self)

    def locked(self) -> bool:
        """Whether somebody has it."""
        here = _Holder.world
        me = here.me()
        if me is not None:
            here.look(me, sys._getframe(1).f_lasti)
            here.turn(me, self.thing, False)
        return self._owner is not None

    def _is_owned(self) -> bool:
        """As `threading.Condition` has it of a plain lock: whether anybody has it."""
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._owner, self._count = None, 0

    acquire_lock, release_lock, locked_lock = acquire, release, locked


class RLock(Lock):
    """`threading.RLock`."""

    def _again(self, me: Task) -> bool:
        if self._owner is me:
            self._count += 1
            return True
        return False

    def release(self) -> None:
        """Give it back, once as often as it was taken."""
        me = _Holder.world.me()
        if self._owner is None or (me is not None and self._owner is not me):
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if self._count == 0:
            self.give()
            if me is not None:
                _Holder.world.note(me, "release", self)

    def _is_owned(self) -> bool:
        return self._owner is _Holder.world.me()

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0


class Condition:
    """`threading.Condition`."""

    def __init__(self, lock: Any = None):
        self.thing = _Holder.world.name("condition")
        if lock is None:
            lock = RLock()
            lock.thing = self.thing.replace("condition", "lock of", 1)
        self._lock = lock
        self._waiters: list[list[Any]] = []
        self.acquire = lock.acquire
        self.release = lock.release

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(self, *exception: object) -> Any:
        return self._lock.__exit__(*exception)

    def _is_owned(self) -> bool:
        return bool(self._lock._is_owned())

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock back and wait to be woken; have the lock again."""
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        here = _Holder.world
        me = here.me()
        if me is None:
            raise RuntimeError("cannot wait in a signal handler")
        lock = self._lock
        deadline = _until(timeout)
        waiter = [False, me]
        self._waiters.append(waiter)
        here.note(me, "wait", self)
        count = lock.give()
        try:
            here.turn(
                me, self.thing, deadline=deadline, waits=("wake", self),
                gate=lambda: bool(waiter[0] or _over(deadline)) and lock._owner is None,
            )  # fmt: skip
        finally:
            lock.take(me, count)
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        here.note(me, "wake" if waiter[0] else "timeout", self)
        return bool(waiter[0])

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until something holds."""
        deadline = _until(timeout)
        result = predicate()
        while not result:
            left = None
            if deadline is not None:
                left = deadline - _Holder.world.clock
                if left <= 0:
                    break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake so many of those that wait, the longest waiting first."""
        self._notify(n, alone=n == 1)

    def notify_all(self) -> None:
        """Wake all of those that wait."""
        self._notify(len(self._waiters), alone=False)

    def _notify(self, n: int, *, alone: bool) -> None:
        if not self._is_owned():
            raise RuntimeError("cannot notify on un-acquired lock")
        woken, self._waiters[:n] = self._waiters[:n], []
        for waiter in woken:
            waiter[0] = True
        here = _Holder.world
        here.changes += 1
        me = here.me()
        if me is not None:
            here.note(me, "notify", self, woke=len(woken), other=woken[0][1] if alone and woken else None)

    notifyAll = notify_all  # noqa: N815 (as threading has it)


class Semaphore:
    """`threading.Semaphore`."""

    def __init__(self, value: int = 1):
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self.thing = _Holder.world.name("semaphore")
        self._value = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take one, waiting at most so long."""
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        here = _Holder.world
        me = here.me()
        if me is None:
            while self._value == 0 and blocking:
                _sleep(0.001)
        elif not blocking:
            here.look(me, sys._getframe(1).f_lasti)
            here.turn(me, self.thing)
        else:
            deadline = _until(timeout)
            here.turn(me, self.thing, gate=lambda: self._value > 0 or _over(deadline), deadline=deadline,
                      waits=("acquire", self))  # fmt: skip
        got = self._value > 0
        if got:
            self._value -= 1
            here.changes += 1
        if me is not None:
            here.note(me, "acquire" if got else "timeout" if blocking else "try", self)
        return got

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self, n: int = 1) -> None:
        """Give some back."""
        if n < 1:
            raise ValueError("n must be one or more")
        here = _Holder.world
        me = here.me()
        if me is not None:
            here.turn(me, self.thing)
        self._bound(n)
        self._value += n
        here.changes += 1
        if me is not None:
            here.note(me, "release", self)

    def _bound(self, n: int) -> None:
        """Refuse what is too much."""


class BoundedSemaphore(Semaphore):
    """`threading.BoundedSemaphore`."""

    def __init__(self, value: int = 1):
        super().__init__(value)
        self._initial_value = value

    def _bound(self, n: int) -> None:
        if self._value + n > self._initial_value:
            raise ValueError("Semaphore released too many times")


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self.thing = _Holder.world.name("event")
        self._flag = False
        self._waiters: list[list[bool]] = []

    def is_set(self) -> bool:
        """Whether it is set."""
        here = _Holder.world
        me = here.me()
        if me is not None:
            here.look(me, sys._getframe(1).f_lasti)
            here.turn(me, self.thing, False)
            here.note(me, "read", self)
        return self._flag

    isSet = is_set  # noqa: N815 (as threading has it)

    def set(self) -> None:
        """Set it, and wake all of those that wait."""
        here = _Holder.world
        me = here.me()
        if me is not None:
            here.turn(me, self.thing)
        self._flag = True
        woken, self._waiters[:] = self._waiters[:], []
        for waiter in woken:
            waiter[0] = True
        here.changes += 1
        if me is not None:
            here.note(me, "set", self, woke=len(woken))

    def clear(self) -> None:
        """Set it back."""
        here = _Holder.world
        me = here.me()
        if me is not None:
            here.turn(me, self.thing)
        self._flag = False
        here.changes += 1
        if me is not None:
            here.note(me, "clear", self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set."""
        here = _Holder.world
        me = here.me()
        if me is None:
            return self._flag
        here.turn(me, self.thing, False)
        if self._flag:
            here.note(me, "read", self)
            return True
        deadline = _until(timeout)
        waiter = [False]
        self._waiters.append(waiter)
        here.note(me, "wait", self)
        here.turn(me, self.thing, False, gate=lambda: waiter[0] or _over(deadline), deadline=deadline,
                  waits=("wake", self))  # fmt: skip
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        here.note(me, "wake" if waiter[0] else "timeout", self)
        return waiter[0]

    def _at_fork_reinit(self) -> None:
        self._waiters.clear()


class _Started:
    """In the place of the event with which a new thread says that it runs: there it waits for its turn."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self._arrived = _new_baton()
        self._arrived.acquire()
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        if self.task is not None and not self.task.ident:
            _Holder.world.arrive(self.task, self._arrived)

    def wait(self, timeout: float | None = None) -> bool:
        if self.task is not None:
            self._arrived.acquire()
        return True

    def _at_fork_reinit(self) -> None:
        """Nothing here outlives a fork."""


_thread_init, _thread_start, _thread_join = (
    threading.Thread.__init__, threading.Thread.start, threading.Thread.join,
)  # fmt: skip
_thread_delete = threading.Thread._delete  # type: ignore[attr-defined]


def _init(self: Any, *arguments: Any, **more: Any) -> None:
    _thread_init(self, *arguments, **more)
    self._started = _Started()
    here = _Holder.world
    here.made += 1
    self._number = here.made


def _hash(self: Any) -> int:
    """Not an address: the order of a set of threads is the same in each run then."""
    return int(getattr(self, "_number", 0))


def _start(self: Any) -> None:
    here = _Holder.world
    me = here.me()
    if me is None or not isinstance(getattr(self, "_started", None), _Started) or self._started.is_set():
        _thread_start(self)  # it says what is wrong
        return
    here.turn(me, "")
    task = here.make(_label(self), self.daemon)
    task.thread = self
    self._started.task = task
    try:
        _thread_start(self)
    except BaseException:
        here.tasks.remove(task)
        raise
    here.alive.append(task)
    here.changes += 1
    here.note(me, "start", other=task)


def _label(thread: threading.Thread) -> str:
    """What the story calls a thread: its name, or what it runs."""
    default = _DEFAULT_NAME.fullmatch(thread.name)
    if default is None:
        return thread.name[:60]
    if default.group(1):
        return default.group(1)
    kind = type(thread).__name__
    return thread.name if kind == "Thread" else kind


def _delete(self: Any) -> None:
    _thread_delete(self)
    _Holder.world.leave()


def _is_alive(self: Any) -> bool:
    if not self._initialized:
        raise RuntimeError("Thread.__init__() not called")
    here = _Holder.world
    me = here.me()
    task = _task_of(self)
    if me is not None and task is not None:
        here.look(me, sys._getframe(1).f_lasti)
        here.turn(me, "", False)
    return task is not None and not task.ended


def _task_of(thread: Any) -> Task | None:
    if thread is threading.main_thread():
        return _Holder.world.tasks[0]
    started = thread._started
    return started.task if isinstance(started, _Started) and started.is_set() else None


def _join(self: Any, timeout: float | None = None) -> None:
    if not self._initialized:
        raise RuntimeError("Thread.__init__() not called")
    task = _task_of(self)
    if task is None:
        raise RuntimeError("cannot join thread before it is started")
    here = _Holder.world
    me = here.me()
    if me is task:
        raise RuntimeError("cannot join current thread")
    if me is None:
        return
    deadline = _until(timeout)
    here.turn(me, "", gate=lambda: task.ended or _over(deadline), deadline=deadline,
              waits=("join", None), other=task)  # fmt: skip
    here.note(me, "join" if task.ended else "timeout", other=task)


def _start_thread(function: Callable[..., Any], args: Any, kwargs: Any = None) -> int:
    """`_thread.start_new_thread`."""
    here = _Holder.world
    me = here.me()
    if me is None:
        return _start_new_thread(function, args, kwargs or {})
    here.turn(me, "")
    task = here.make(getattr(function, "__name__", "thread"), True)
    arrived = _new_baton()
    arrived.acquire()

    def body() -> None:
        here.arrive(task, arrived)
        try:
            function(*args, **(kwargs or {}))
        except SystemExit:
            pass
        except BaseException:
            kind, value, trace = sys.exc_info()
            assert kind is not None
            assert value is not None
            print(f"Exception in thread started by: {function!r}", file=sys.stderr)
            sys.excepthook(kind, value, trace)
        here.leave()

    ident = _start_new_thread(body, ())
    arrived.acquire()
    here.alive.append(task)
    here.changes += 1
    here.note(me, "start", other=task)
    return ident


_sleep = time.sleep


def _virtual_sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    here = _Holder.world
    me = here.me()
    if me is None:
        return
    wake = here.clock + max(float(seconds), 1e-6)
    here.turn(
        me, "", False, gate=lambda: here.clock >= wake, deadline=wake, waits=("sleep", None), sleeping=True
    )
    if len(here.alive) == 1:
        here.clock = max(here.clock, wake)
    here.note(me, "sleep")


# ---------------------------------------------------------------- pipes between threads


_os_pipe, _os_read, _os_write, _os_close, _os_dup = os.pipe, os.read, os.write, os.close, os.dup
_ends: dict[int, str] = {}
"""Descriptors of pipes that the program has made, and what each pipe is called"""


def _pipe() -> tuple[int, int]:
    read, write = _os_pipe()
    _ends[read] = _ends[write] = _Holder.world.name("pipe")
    return read, write


def _dup(descriptor: int) -> int:
    new = _os_dup(descriptor)
    if descriptor in _ends:
        _ends[new] = _ends[descriptor]
    return new


def _close(descriptor: int) -> None:
    here = _Holder.world
    me = here.me()
    if descriptor in _ends and me is not None:
        here.turn(me, _ends.pop(descriptor))
        here.changes += 1
    _os_close(descriptor)


def _able(descriptor: int, events: int) -> _Gate:
    poll = select.poll()
    poll.register(descriptor, events)
    return lambda: bool(poll.poll(0))


def _read(descriptor: int, length: int) -> bytes:
    here = _Holder.world
    me = here.me()
    thing = _ends.get(descriptor)
    if thing is None or me is None:
        return _os_read(descriptor, length)
    waiting = os.get_blocking(descriptor)
    here.turn(me, thing, gate=_able(descriptor, select.POLLIN) if waiting else None, waits=("receive", thing))
    data = _os_read(descriptor, length)
    here.changes += 1
    here.note(me, "receive", thing)
    return data


def _write(descriptor: int, data: Any) -> int:
    here = _Holder.world
    me = here.me()
    thing = _ends.get(descriptor) or ("standard output" if descriptor in (1, 2) else "")
    if not thing or me is None:
        return _os_write(descriptor, data)
    waiting = descriptor in _ends and os.get_blocking(descriptor)
    here.turn(me, thing, gate=_able(descriptor, select.POLLOUT) if waiting else None, waits=("send", thing))
    count = _os_write(descriptor, data)
    here.changes += 1
    here.note(me, "send", thing)
    return count


# ---------------------------------------------------------------- signals and files


def _sigwait(wanted: Any) -> Any:
    here = _Holder.world
    me = here.me()
    if me is None:
        return _signal_sigwait(wanted)
    here.turn(me, "", gate=lambda: bool(signal.sigpending() & set(wanted)), waits=("wake", "signal"))
    here.note(me, "wake", "signal")
    return _signal_sigwait(wanted)


def _pause() -> None:
    here = _Holder.world
    me = here.me()
    if me is None:
        return
    before = here.handled
    here.turn(me, "", gate=lambda: here.handled != before, waits=("wake", "signal"))
    here.note(me, "wake", "signal")


def _handle(number: int, handler: Any) -> Any:
    """`signal.signal`, counting the calls of the handler: one of them ends a pause."""
    if not callable(handler):
        return _signal_signal(number, handler)

    def counted(number: int, frame: FrameType | None) -> None:
        _Holder.world.handled += 1
        handler(number, frame)

    counted.__wrapped__ = handler  # type: ignore[attr-defined]
    before = _signal_signal(number, counted)
    return getattr(before, "__wrapped__", before)


def _kill(pid: int, number: int) -> None:
    """`os.kill`: a signal to oneself is handled when the main thread has its turn."""
    if pid != os.getpid() or not _sent(number):
        _os_kill(pid, number)


def _raise_signal(number: int) -> None:
    if not _sent(number):
        _signal_raise(number)


def _pthread_kill(ident: int, number: int) -> None:
    if ident != _Holder.world.tasks[0].ident or not _sent(number):
        _signal_pthread_kill(ident, number)


def _sent(number: int) -> bool:
    """Leave a signal with the main thread, where another one sends it and Python has a handler for it."""
    here = _Holder.world
    me = here.me()
    if me is None or me.id == 0 or not callable(signal.getsignal(number)):
        return False
    if number in signal.pthread_sigmask(signal.SIG_BLOCK, []):
        return False  # it stays pending, as it would
    here.turn(me, "a signal")
    here.tasks[0].signals.append(number)
    here.changes += 1
    here.note(me, "signal")
    return True


_os_kill, _signal_raise, _signal_pthread_kill = os.kill, signal.raise_signal, signal.pthread_kill


def _alarm(name: str) -> Callable[..., Any]:
    real = getattr(signal, name)

    def alarm(*arguments: Any) -> Any:
        _Holder.world.alarmed = True
        return real(*arguments)

    return alarm


_signal_sigwait, _signal_signal = signal.sigwait, signal.signal
_select_select = select.select


def _select(read: Any, write: Any, other: Any, timeout: float | None = None) -> Any:
    here = _Holder.world
    me = here.me()
    if me is None:
        return _select_select(read, write, other, timeout)
    deadline = _until(timeout)
    here.turn(
        me, "", gate=lambda: any(_select_select(read, write, other, 0)) or _over(deadline), deadline=deadline,
        waits=("receive", "descriptors"),
    )  # fmt: skip
    here.note(me, "receive", "descriptors")
    return _select_select(read, write, other, 0)


# ---------------------------------------------------------------- putting it in place


def install() -> None:
    """Put the model in the place of the real thing, before the program's first import."""
    replacements: list[tuple[Any, dict[str, Any]]] = [
        (threading, {
            "Lock": Lock, "RLock": RLock, "_RLock": RLock, "Condition": Condition, "Semaphore": Semaphore,
            "BoundedSemaphore": BoundedSemaphore, "Event": Event, "_time": _clock("monotonic"),
            "settrace": _nothing, "setprofile": _nothing, "settrace_all_threads": _nothing,
        }),
        (threading.Thread, {
            "__init__": _init, "start": _start, "join": _join, "is_alive": _is_alive, "_delete": _delete,
            "__hash__": _hash,
        }),
        (_thread, {
            "allocate_lock": _allocate, "allocate": _allocate, "LockType": Lock, "lock": Lock,
            "start_new_thread": _start_thread, "start_new": _start_thread,
        }),
        (sys, {"settrace": _nothing}),
        (time, {"sleep": _virtual_sleep}),
        (select, {"select": _select}),
        (signal, {
            "sigwait": _sigwait, "pause": _pause, "signal": _handle, "alarm": _alarm("alarm"),
            "setitimer": _alarm("setitimer"), "raise_signal": _raise_signal, "pthread_kill": _pthread_kill,
        }),
        (time, {name: _clock(name) for name in ("time", "monotonic", "perf_counter")}),
        (time, {f"{name}_ns": _clock_ns(name) for name in ("time", "monotonic", "perf_counter")}),
        (os, {"pipe": _pipe, "read": _read, "write": _write, "close": _close, "dup": _dup}),
        (os, {"urandom": _bytes, "kill": _kill}),
        (random, {"_urandom": _bytes}),
    ]  # fmt: skip
    for owner, values in replacements:
        for name, value in values.items():
            if hasattr(owner, name):
                setattr(owner, name, value)
    seed = random.Random.seed

    def fixed(self: random.Random, a: Any = None, version: int = 2) -> None:
        seed(self, 0 if a is None else a, version)

    random.Random.seed = fixed  # type: ignore[method-assign]
    threading.excepthook = _excepthook


def _allocate() -> Any:
    """`_thread.allocate_lock`: a modelled lock, but for the import system, whose own are no business of the program."""
    if sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):
        return _new_baton()
    return Lock()


def _nothing(*_: object) -> None:
    """What a program asks for here would take away the points; it gets nothing."""


def _clock(name: str) -> Callable[[], float]:
    offset = _EPOCH_S if name == "time" else 0.0
    return lambda: _Holder.world.now() + offset


def _clock_ns(name: str) -> Callable[[], int]:
    seconds = _clock(name)
    return lambda: int(seconds() * 1e9)


def _bytes(length: int) -> bytes:
    """The same "random" bytes in each run, but others each time."""
    return _Holder.world.random.randbytes(length)


# ---------------------------------------------------------------- tracebacks


def cleaned(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of the shim."""
    frames = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != FILE:
            frames.append(trace)
        trace = trace.tb_next
    cleaned: TracebackType | None = None
    for entry in reversed(frames):
        cleaned = TracebackType(cleaned, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return cleaned


_plain_excepthook = threading.excepthook


def _excepthook(args: Any) -> None:
    if args.exc_value is not None:
        args = threading.ExceptHookArgs(
            (args.exc_type, args.exc_value.with_traceback(cleaned(args.exc_traceback)),
             cleaned(args.exc_traceback), args.thread)
        )  # fmt: skip
    _plain_excepthook(args)
