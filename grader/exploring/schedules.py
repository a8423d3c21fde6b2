"""The search for a schedule that breaks a promise, and the rules by which one counts.

Nothing here knows how a program is run. A *runner* (`Explored`) does: `grader.exploring.threads` for
Python threads, `grader.exploring.remote` for processes and for C. It runs a program once under a named
strategy and answers with a `Trace`; the same name must give the same trace each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from grader.exploring import strategy
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
    """The task that it made or joined; the one that it woke, where it was to wake one and not all"""
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
    delays: tuple[tuple[int, int], ...] = ()
    """Forced delays: how many steps there were before, and the task that had to stand back; with the steps"""
    detail: str = ""
    """What was wrong, where it stalled or broke"""
    place: Place | None = None
    """Where it spun or stalled, if that is known"""
    left: tuple[Leftover, ...] = ()
    """IPC objects that the run left behind: a fact of this run, taken away before the next"""


Job = tuple[tuple[str, ...], str]
"""The program's arguments, and the name of a strategy"""


@dataclass(frozen=True)
class Budget:
    """How many schedules of one check are worth while. Never seconds: a verdict must not depend on the machine."""

    sampled: int = 150
    """Seeds of partial order sampling, over all set-ups together"""
    delayed: int = 600
    """Schedules with one delay, where sampling found nothing, over all set-ups together"""
    shortest: int = 600
    """Schedules with one delay that are tried for a shorter story, after a hit"""


class Explored(Protocol):
    """A program that can be run under any strategy, again and again, from a clean state each time.

    It is made from a `grader.running.preparation.Prepared`, starts its sandbox when it is first needed, and
    is hostile inside: whatever comes out of the sandbox is bounded and parsed defensively. Patience is in
    `grader.running.process.Patience`, which a loaded machine does not shorten.
    """

    @property
    def budget(self) -> Budget:
        """What its speed allows."""

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


# ---------------------------------------------------------------- the search

REPLAYS = 3
"""A schedule counts only if it comes to the same so many times of as many"""
_COSTLY = (Came.LIVELOCK, Came.SPUN, Came.FLOODED)
_FEW = 30
"""Schedules that are tried for a shorter story where each takes as long as it may"""
_UNDECIDED = {
    Came.STALLED: "a thread is blocked in something that the check cannot steer",
    Came.BROKEN: "the shim failed",
    Came.FORKS: "the program makes processes where it was taken to make threads",
}


class NotDecided(Exception):
    """Neither right nor wrong: the grader's own fault, or beyond what it can steer. It costs no points."""


@dataclass(frozen=True)
class Setup:
    """One way to start the program, small enough to be searched."""

    explored: Explored
    arguments: tuple[str, ...]


Judge = Callable[[int, Trace], str]
"""From a set-up's index and a trace to the slug of what is wrong; empty where nothing is"""


@dataclass(frozen=True)
class Found:
    """A schedule that breaks a promise, and came to the same each time it was repeated."""

    setup: int
    strategy: str
    slug: str
    trace: Trace
    """With its steps"""
    tried: int
    """Schedules until the first that broke it"""


@dataclass(frozen=True)
class Nothing:
    """No schedule that was tried breaks a promise: strong evidence, no proof."""

    tried: int
    setups: int
    delayed: int
    """Set-ups of which every schedule with one delay was tried"""

    def __str__(self) -> str:
        whole = (
            f", and every schedule with one forced switch in {self.delayed} of them" if self.delayed else ""
        )
        return (
            f"no failure in {self.tried} schedules of {self.setups} small set-up{'s' if self.setups > 1 else ''}"
            f"{whole}: strong evidence, not proof"
        )


def search(setups: Sequence[Setup], judge: Judge, budget: Budget | None = None) -> Found | Nothing:
    """Look for a schedule that breaks a promise: plain ones, sampled ones, then all with one delay.

    :raises NotDecided: where a run could not be steered, or a failure does not come again
    """
    return _Search(setups, judge, budget or least([setup.explored.budget for setup in setups])).run()


def least(budgets: Sequence[Budget]) -> Budget:
    """What the slowest allows."""
    return min(budgets, key=lambda budget: budget.sampled)


class _Search:
    def __init__(self, setups: Sequence[Setup], judge: Judge, budget: Budget):
        self._setups, self._judge, self._budget = setups, judge, budget
        self._moments = [0] * len(setups)
        self._tried = 0

    def run(self) -> Found | Nothing:
        every = range(len(self._setups))
        for index in every:
            setup = self._setups[index]
            trace = setup.explored.run(setup.arguments, "d")
            self._moments[index] = trace.moments
            if slug := self._slug(index, trace):
                return self._confirmed(index, "d", slug, trace.came)
        seeds = [(seed % len(self._setups), f"s{seed}") for seed in range(self._budget.sampled)]
        hit = self._first(seeds)
        if hit is not None:
            return self._confirmed(*self._shorter(*hit), hit[3].came)
        delays, whole = self._delays(self._budget.delayed)
        hit = self._first(delays)
        if hit is not None:
            index, name, slug, trace = hit
            return self._confirmed(index, name, slug, trace.came)
        return Nothing(self._tried, len(self._setups), whole)

    def _slug(self, index: int, trace: Trace) -> str:
        """What is wrong with one run."""
        self._tried += 1
        if trace.came in _UNDECIDED:
            words = _UNDECIDED[trace.came] + (f", at {trace.place}" if trace.place else "")
            words += f": {trace.detail}" if trace.detail else ""
            arguments = " ".join(self._setups[index].arguments)
            raise NotDecided(f"not decided for the set-up '{arguments}': {words}")
        return self._judge(index, trace)

    def _traces(self, jobs: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str, Trace]]:
        """The traces of set-ups and strategies, in their order, whichever runner each set-up has."""
        runners = {id(setup.explored): setup.explored for setup in self._setups}
        answers = {
            key: runner.runs(
                [(self._setups[i].arguments, name) for i, name in jobs if self._setups[i].explored is runner]
            )
            for key, runner in runners.items()
        }
        for index, name in jobs:
            yield index, name, next(answers[id(self._setups[index].explored)])

    def _first(self, jobs: Sequence[tuple[int, str]]) -> tuple[int, str, str, Trace] | None:
        """The first of them that breaks a promise."""
        for index, name, trace in self._traces(jobs):
            if slug := self._slug(index, trace):
                return index, name, slug, trace
        return None

    def _delays(self, most: int) -> tuple[list[tuple[int, str]], int]:
        """Schedules with one delay: all of the small set-ups, and of a larger one so many, evenly spread.

        :return: also, of how many set-ups it is all
        """
        jobs: dict[int, list[tuple[int, str]]] = {}
        whole, left = 0, most
        by_size = sorted(range(len(self._setups)), key=lambda index: self._moments[index])
        for place, index in enumerate(by_size):
            moments = self._moments[index]
            share = min(moments, left // (len(by_size) - place))
            whole += share == moments
            left -= share
            picked = [number * moments // share for number in range(share)] if share else []
            jobs[index] = [(index, strategy.Delays([moment]).name) for moment in picked]
        return [job for index in sorted(jobs) for job in jobs[index]], whole

    def _shorter(self, index: int, name: str, slug: str, trace: Trace) -> tuple[int, str, str]:
        """A schedule of the same set-up with one delay that breaks the same promise, if there is one."""
        tried = self._tried
        most = _FEW if trace.came in _COSTLY else self._budget.shortest
        names = [each.name for each in strategy.one_delay(min(self._moments[index], most))]
        other = ""
        try:
            for _, delayed, outcome in self._traces([(index, each) for each in names]):
                found = self._slug(index, outcome)
                if found == slug:
                    return index, delayed, slug
                if found and not other:
                    other = f"{delayed} {found}"
        except NotDecided:
            pass  # the sampled schedule stands, if it comes again
        finally:
            self._tried = tried
        if other:
            delayed, _, found = other.partition(" ")
            return index, delayed, found
        return index, name, slug

    def _confirmed(self, index: int, name: str, slug: str, came: Came) -> Found:
        """Repeat it: what does not come again was not the schedule's doing."""
        setup = self._setups[index]
        # Where a run takes as long as it may, the one that was seen already is one of the three.
        times = REPLAYS - (came in _COSTLY)
        traces = [setup.explored.run(setup.arguments, name, story=True) for _ in range(times)]
        tried = self._tried
        for trace in traces:
            again = self._slug(index, trace)
            if (again, trace.came, trace.steps) != (slug, traces[0].came, traces[0].steps):
                raise NotDecided(
                    f"not decided: the schedule {name} of '{' '.join(setup.arguments)}' does not come to the same "
                    f"each time ({slug}, then {again or 'nothing wrong'}); does the program depend on something "
                    "else than its input and the order of its threads?"
                )
        return Found(index, name, slug, traces[0], tried)
