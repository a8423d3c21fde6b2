"""The search for a schedule that breaks a promise, and the rules by which one counts.

Nothing here knows how a program is run. A *runner* (`Explored`) does: `grader.exploring.threads` for
Python threads, `grader.exploring.remote` for processes and for C. It runs a program once under a named
strategy and answers with a `Trace`; the same name must give the same trace each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from grader.model import Leftover, Place

# ---------------------------------------------------------------- what a runner is, and what it says


class Came(StrEnum):
    """What one schedule came to."""

    ENDED = "ended"
    """The program ended, by itself or by a signal: `Trace.status`, `Trace.signal`"""
    DEADLOCK = "deadlock"
    """Some tasks are left, none of them can go on, and no time that passes will change that"""
    LIVELOCK = "livelock"
    """It did not end although for a long while every task was let go on at random (`strategy.Fair`)"""
    SPUN = "spun"
    """A task ran and ran and came to no point any more: a loop that touches nothing shared"""
    STALLED = "stalled"
    """A task neither came to a point nor used the processor: it is blocked in something that is not
    modelled. Nothing is known of the program then; the check is not decided."""
    FLOODED = "flooded"
    """It wrote far more than a small set-up has reason to"""
    FORKS = "forks"
    """It makes processes, which this runner does not control: another must run it"""
    ESCAPED = "escaped"
    """It took itself out of control: it ended, or took its points away, so that the shim could not see it"""
    BROKEN = "broken"
    """The shim fell silent, died while the program did not, or spoke nonsense: not decided"""


class Op(StrEnum):
    """What a step does. `Step.thing` says to what, in the words of `grader.exploring.story`."""

    READ = "read"
    """Memory that others may share: ``count``, ``buffer[]``"""
    WRITE = "write"
    CALL = "call"
    """A function that does not synchronise, where another task may get its turn before it"""
    ACQUIRE = "acquire"
    """A lock or a semaphore; recorded when it has it"""
    TRY = "try"
    """An attempt that does not wait, or whose time ran out, and that failed"""
    RELEASE = "release"
    WAIT = "wait"
    """Begins to wait: on a condition (whose lock it gives back with that), an event, a barrier"""
    WAKE = "wake"
    """Its wait is over, and it has the condition's lock again"""
    TIMEOUT = "timeout"
    """The time of its wait is over and nothing came"""
    NOTIFY = "notify"
    """Wakes waiters of a condition: `Step.woke`"""
    SET = "set"
    """Sets an event: `Step.woke`"""
    CLEAR = "clear"
    START = "start"
    """Makes the task `Step.other`"""
    JOIN = "join"
    """Has seen the end of the task `Step.other` (join, waitpid)"""
    END = "end"
    """The task is over"""
    SLEEP = "sleep"
    SEND = "send"
    """Writes to a pipe or a queue"""
    RECEIVE = "receive"
    """Reads from a pipe or a queue"""
    SIGNAL = "signal"
    """Sends a signal"""
    OTHER = "other"
    """Anything else; `Step.thing` is then a phrase in the third person: ``maps shared memory``"""


@dataclass(frozen=True)
class Step:
    """One step of one task, as the runner saw it. Everything from inside a sandbox is a claim, not a fact."""

    task: int
    """Tasks by the order in which they were made; 0 is the main one"""
    op: Op
    thing: str = ""
    """``lock mutex``, ``semaphore 2``, ``condition not_empty``, ``count``: kind and name of what it touches"""
    place: Place | None = None
    """The student's line"""
    woke: int | None = None
    """How many waiters it woke, where it is of the kind that wakes"""
    other: int | None = None
    """The task that it made or joined"""
    blocks: bool = False
    """It cannot be done now: the task begins to wait for its turn at `thing`. The step itself follows later,
    without this mark, when it is done."""


@dataclass(frozen=True)
class Waiting:
    """A task that could not go on at the end."""

    task: int
    op: Op
    """What it would do: ACQUIRE, WAKE, JOIN, RECEIVE, SEND, SLEEP"""
    thing: str = ""
    place: Place | None = None
    other: int | None = None
    """The task that it wants to join"""
    holder: int | None = None
    """The task that has the lock it waits for"""
    holds: tuple[str, ...] = ()
    """The locks (never semaphores) that it holds itself, in the order of their acquisition"""


@dataclass(frozen=True)
class Trace:
    """One run under one strategy."""

    came: Came
    status: int | None = None
    """Exit status of the program, where it exited"""
    signal: str = ""
    """Name of the signal that ended it"""
    out: bytes = b""
    err: bytes = b""
    moments: int = 0
    """Choices among two tasks or more: what `strategy.one_delay` needs after a run without delays"""
    length: int = 0
    """Choices at all"""
    tasks: tuple[str, ...] = ("main",)
    """What each task is called"""
    waiting: tuple[Waiting, ...] = ()
    """Who could not go on at the end, and why: always, not only on request"""
    steps: tuple[Step, ...] = ()
    """Everything that was done, where it was asked for"""
    detail: str = ""
    """What was wrong, where it stalled or broke"""
    left: tuple[Leftover, ...] = ()
    """IPC objects that the run left behind: a fact of this run, taken away before the next"""


Job = tuple[tuple[str, ...], str]
"""The program's arguments, and the name of a strategy"""


class Explored(Protocol):
    """A program that can be run under any strategy, again and again, from a clean state each time.

    It is made from a `grader.running.preparation.Prepared`, starts its sandbox when it is first needed, and
    is hostile inside: whatever comes out of the sandbox is bounded and parsed defensively. Patience is in
    `grader.running.process.Patience`, which a loaded machine does not shorten.
    """

    def run(self, arguments: Sequence[str], strategy: str, *, story: bool = False) -> Trace:
        """Run the program once.

        :param arguments: the program's own arguments, after its name
        :param strategy: for `strategy.named`: ``d``, ``d17``, ``s3``
        :param story: also record `Trace.steps`
        :raises SandboxError: if there is no sandbox, the grader's own fault
        """

    def runs(self, jobs: Iterable[Job]) -> Iterator[Trace]:
        """The traces of many, in the order of the jobs, none of them with steps.

        It may work ahead, and on several at a time; what it answers must not depend on that. The caller may
        stop early.
        """

    def close(self) -> None:
        """End everything; harmless when done already."""
