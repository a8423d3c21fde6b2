"""The fixture ``schedules``: the program in every order of its threads' or processes' steps that is worth trying.

It looks for an order that breaks a promise (`grader.exploring.schedules`), and says what is wrong with it: for a
deadlock from who holds what and waits for what at the end, for a crash as any check does, for content by the
promise of the check.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence

import msgspec

from grader.exploring import schedules as search
from grader.exploring import story, strategy
from grader.exploring.remote import Remote
from grader.exploring.schedules import Budget, Came, Explored, Found, Nothing, Setup, Trace
from grader.exploring.threads import Threads
from grader.judging import explain
from grader.judging.bench import Bench, CheckFailed, CheckSkipped
from grader.judging.deadlocks import deadlock
from grader.judging.fixtures import Ran
from grader.judging.vocabulary import named
from grader.model import CheckInfo, Diagnosis, Ending, Fault, Language, Observation, Schedule
from grader.running.lines import Lines
from grader.running.preparation import Prepared

Promise = Callable[[Ran], object]
Failure = CheckFailed | AssertionError

STRATEGY = re.compile(r"d(\d+(\.\d+)*)?|s\d+")
"""Names of strategies, as they stand at the end of an id for ``--replay``"""
_ENDINGS = {
    Came.ENDED: Ending.EXITED, Came.DEADLOCK: Ending.HUNG, Came.LIVELOCK: Ending.SPUN, Came.SPUN: Ending.SPUN,
    Came.FLOODED: Ending.FLOODED,
}  # fmt: skip


class Schedules:
    """`schedules` of one check.

    :param replay: ``SETUP:STRATEGY`` runs one schedule only, and keeps its story whatever it comes to
    """

    def __init__(self, bench: Bench, check: CheckInfo, replay: str = ""):
        self._bench, self._check, self._replay = bench, check, replay
        self._runners: dict[tuple[str, str], Explored] = {}
        self._setups = 0
        """Set-ups of earlier calls in the same check"""

    def __call__(
        self,
        *setups: Sequence[str],
        promise: Promise | None = None,
        status: int | None = 0,
        allow: Iterable[str] = (),
        sampled: int | None = None,
        delayed: int | None = None,
    ) -> Nothing | None:
        """Run the program in chosen orders of its steps, and fail with the shortest story of one that goes wrong.

        By itself a deadlock, a crash, an uncaught exception in any thread, another status and a livelock are
        wrong; objects that are left behind too, where the program makes processes.

        :param setups: ways to start the program or ``driver``, as small as they can be: one or two items, one or two
            slots, up to four threads. Each is searched; more steps make more orders, not more faults
        :param promise: looks at each run that ended (`Ran.out`, `Ran.err`, `Ran.status`) and asserts
        :param status: the exit status that is promised; none for any
        :param allow: slugs of faults that this check forgives
        :param sampled: seeds over all set-ups together, where not as the runner's speed suggests
        :param delayed: schedules with one forced switch, likewise
        :return: what was tried; none while another schedule is replayed
        :raises NotDecided: where a run cannot be steered: the check is broken then, never failed
        :raises CheckSkipped: for a submission that is an executable
        """
        first, self._setups = self._setups, self._setups + len(setups)
        at = _Attempt(self, [tuple(each) for each in setups], promise, status, frozenset(allow), first)
        if self._replay:
            at.replay(self._replay)
            return None
        return at.search(sampled, delayed)

    def runner(self, program: str, arguments: tuple[str, ...]) -> Explored:
        """What runs a program in this set-up: inside Python for threads, else from outside."""
        prepared = self._bench.workshop.named(program)
        if prepared.language is Language.EXECUTABLE:
            raise CheckSkipped("the order of steps of an executable cannot be chosen; hand in Python or C")
        if prepared.language is Language.PYTHON:
            threads = self._made(program, "threads", prepared)
            if threads.run(arguments, "d").came is not Came.FORKS:
                return threads
        return self._made(program, "processes", prepared)

    def _made(self, program: str, kind: str, prepared: Prepared) -> Explored:
        key = program, kind
        if key not in self._runners:
            made: Explored = Threads(prepared) if kind == "threads" else Remote(prepared)
            self._runners[key] = made
        return self._runners[key]

    def close(self) -> None:
        """End all sandboxes of the check."""
        for runner in self._runners.values():
            runner.close()
        self._runners.clear()

    def evidence(self, seen: Observation) -> None:
        """Keep a run as what a report shows."""
        self._bench.evidence = seen

    @property
    def bench(self) -> Bench:
        """The bench of the check."""
        return self._bench

    @property
    def check(self) -> CheckInfo:
        """The check."""
        return self._check


class _Attempt:
    """One call of `schedules`."""

    def __init__(
        self,
        owner: Schedules,
        setups: Sequence[tuple[str, ...]],
        promise: Promise | None,
        status: int | None,
        allow: frozenset[str],
        first: int,
    ):
        self._owner, self._setups, self._promise = owner, setups, promise
        self._status, self._allow, self._first = status, allow, first
        self._kinds = owner.bench.lab.diagnoses

    def search(self, sampled: int | None, delayed: int | None) -> Nothing:
        """Search, and fail with what is found."""
        setups = [Setup(self._owner.runner(name, tuple(rest)), tuple(rest)) for name, *rest in self._setups]
        budget = search.least([setup.explored.budget for setup in setups])
        budget = Budget(
            sampled=budget.sampled if sampled is None else sampled,
            delayed=budget.delayed if delayed is None else delayed,
            shortest=budget.shortest,
        )
        found = search.search(setups, self._key, budget)
        if isinstance(found, Nothing):
            self._owner.bench.basis.append(str(found))
            return found
        failure = self._failure(found.setup, found.trace)
        if failure is None:
            raise search.NotDecided("not decided: what was wrong with the schedule is not wrong any more")
        self._show(found.setup, found.trace, found.strategy, found)
        raise failure

    def replay(self, wanted: str) -> None:
        """Run one schedule, if it is one of this call's."""
        number, _, name = wanted.partition(":")
        index = int(number) - self._first
        if not 0 <= index < len(self._setups) or not STRATEGY.fullmatch(name):
            return
        program, *arguments = self._setups[index]
        trace = self._owner.runner(program, tuple(arguments)).run(arguments, name, story=True)
        if trace.came in (Came.STALLED, Came.BROKEN, Came.FORKS):
            at = f" at {trace.place}" if trace.place else ""
            raise search.NotDecided(f"not decided: {trace.came.value}{at} {trace.detail}".strip())
        failure = self._failure(index, trace)
        self._show(index, trace, name, None)
        if failure is not None:
            raise failure

    # ------------------------------------------------------------ one run

    def _key(self, index: int, trace: Trace) -> str:
        """What is wrong with a run, as far as can be told without its steps; empty if nothing is."""
        failure = self._failure(index, trace)
        if failure is None:
            return ""
        if trace.came is not Came.ENDED:
            return trace.came.value
        if isinstance(failure, CheckFailed):
            return failure.diagnosis.slug
        said = named.get()
        return said.slug if said is not None else "unexpected-behaviour"

    def _seen(self, index: int, trace: Trace) -> Observation:
        program, *arguments = self._setups[index]
        words = self._owner.bench.workshop.named(program).words
        return Observation(
            argv=(program, *arguments),
            command=f"{words} {shlex.join(arguments)}".rstrip(),
            ending=Ending.SIGNALLED if trace.signal else _ENDINGS.get(trace.came, Ending.STOPPED),
            status=trace.status if trace.came is Came.ENDED else None,
            signal=trace.signal,
            stdout=trace.out,
            stderr=trace.err,
            leftovers=trace.left if trace.came is Came.ENDED else (),
        )

    def _failure(self, index: int, trace: Trace) -> Failure | None:
        """What is wrong with a run; none if its promises are kept."""
        seen = self._seen(index, trace)
        found = self._fault(seen, trace)
        if found is not None:
            if found.slug in self._allow:
                return None
            return CheckFailed(found, expected=self._expected(), observed=_observed(trace))
        if self._promise is None:
            return None
        named.set(None)
        try:
            self._promise(Ran(self._owner.bench, seen, None, Lines()))
        except (CheckFailed, AssertionError) as failure:
            return failure
        return None

    def _expected(self) -> str:
        status = f", with status {self._status}" if self._status is not None else ""
        return f"the program ends by itself{status}, whatever the order of its threads' steps"

    def _fault(self, seen: Observation, trace: Trace) -> Diagnosis | None:
        in_thread = (
            b"Exception in thread " in trace.err and b"Traceback (most recent call last):" in trace.err
        )
        if in_thread:  # what came afterwards came of it
            crashed = msgspec.structs.replace(seen, ending=Ending.EXITED, status=1, leftovers=())
            return explain.fault(crashed, self._kinds, status=0)
        match trace.came:
            case Came.DEADLOCK:
                return explain.diagnosis(self._kinds, *deadlock(trace))
            case Came.LIVELOCK:
                fact = (
                    f"After {trace.length} steps nobody has got on, although every thread had its turns: "
                    + ("; ".join(story.waits(trace)) or "all of them go round in loops")
                )
                return explain.diagnosis(self._kinds, "spins", fact)
            case Came.SPUN:
                fact = "A thread runs in a loop that touches nothing that another could change."
                return explain.diagnosis(self._kinds, "spins", fact, place=trace.place)
            case Came.FLOODED:
                fact = f"The program wrote over {len(max(trace.out, trace.err, key=len)) // 1024} KiB for a few items."
                return explain.diagnosis(self._kinds, "too-much-output", fact)
            case Came.ESCAPED:
                fact = f"The program was lost sight of: {trace.detail or 'it did not end as programs do'}."
                return explain.diagnosis(self._kinds, "escapes-the-check", fact)
        return explain.fault(seen, self._kinds, status=self._status, allow=self._allow)

    # ------------------------------------------------------------ evidence

    def _show(self, index: int, trace: Trace, name: str, found: Found | None) -> None:
        """Keep the story of a run for the report: the whole of it where it was asked for."""
        program, *_ = self._setups[index]
        check = self._owner.check
        prepared = self._owner.bench.workshop.named(program)
        sources = {
            file.path: file.data.decode(errors="replace")
            for file in prepared.recipe.files
            if file.path.endswith((".py", ".c", ".h"))
        }
        schedule = Schedule(
            strategy=name,
            replay="" if check.hidden else f"{check.name}:{self._first + index}:{name}",
            switches=_switches(name),
            tried=found.tried if found is not None else 1,
            steps=story.tell(
                trace, sources, lines=story.LINES if found is not None else None, sampled=name.startswith("s")
            ),
            waiting=story.waits(trace) if trace.came is Came.DEADLOCK else (),
        )
        self._owner.evidence(msgspec.structs.replace(self._seen(index, trace), schedule=schedule))


def _switches(name: str) -> int | None:
    """Forced switches of a strategy; none for a sampled one, of which that is not known."""
    chosen = strategy.named(name)
    return len(name[1:].split(".")) * bool(name[1:]) if isinstance(chosen, strategy.Delays) else None


def _observed(trace: Trace) -> str:
    match trace.came:
        case Came.DEADLOCK:
            return f"{len(trace.waiting)} of {len(trace.tasks)} threads or processes wait for ever"
        case Came.ENDED:
            return (
                f"it was ended by {trace.signal}" if trace.signal else f"it ended with status {trace.status}"
            )
        case Came.LIVELOCK | Came.SPUN:
            return "it does not end"
    return trace.came.value


def split(wanted: str) -> tuple[str, str]:
    """Split an id for ``--replay`` into the check's name and the rest.

    :raises Fault: if it is none
    """
    check, _, rest = wanted.partition(":")
    number, _, name = rest.partition(":")
    if not check or not number.isdigit() or not name:
        raise Fault(
            f"{wanted!r} is no id of a run",
            key="--replay",
            cure="take it from a report: CHECK:NUMBER:SCHEDULE, such as test_loses_nothing:2:d17",
        )
    return check, rest
