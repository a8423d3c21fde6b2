"""The fixtures of a check that make trouble on purpose: ``signal_points``.

They run the program many times, and fail with the run that broke the promise. What is tried is decided by the
program alone, so it is the same every time.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from signal import Signals

import msgspec

from grader.exploring import points as signals
from grader.exploring.points import Board, Kind, Point
from grader.exploring.points import State as Shim
from grader.judging import clients, explain
from grader.judging.bench import Bench, CheckFailed, CheckSkipped, Text
from grader.judging.fixtures import Started
from grader.judging.vocabulary import Named, named
from grader.model import CheckInfo, Diagnosis, Language, Level, Place, Process, State, Turn
from grader.running.preparation import DRIVER, Prepared
from grader.running.process import Outcome, Program
from grader.running.sandbox import SandboxError

_AHEAD = 1
"""Programs that start while another one is looked at. No thread does that: a sandbox dies with the thread that
started it (PR_SET_PDEATHSIG in prctl(2))."""
_LATE_S = 0.3
"""How long a program that sleeps may still take to come to its point"""
_LOOKS = 3
"""A program that was found waiting so many times in a row has nothing to do"""
_CONFIRMATIONS = 2
"""A promise that was broken once must be broken again within so many runs with the same point"""


@dataclass(frozen=True)
class Explored:
    """What a `signal_points` tried."""

    found: int
    """Points that the program came to"""
    tried: int
    """Of these, where the signal arrived and the promise was kept"""
    passed_over: int
    """To these it did not come again"""
    unsteady: int
    """At these the promise was broken once, but not again: no verdict is built on them"""


@dataclass(frozen=True)
class _Setup:
    """One call of `signal_points`: its arguments."""

    argv: tuple[str, ...]
    signals: tuple[Signals, ...]
    after: Callable[[Started], object] | None
    promise: Callable[[Started], object]
    files: Mapping[str, Text] | None
    points: int
    within: float
    stdin: Text | None


@dataclass(frozen=True)
class _Trial:
    """One run of the program."""

    server: Started
    board: Board
    point: Point | None
    """Where the signal arrives; none in the run that counts"""


class SignalPoints:
    """`signal_points` of one check.

    :param replay: ``SETUP:NAME`` tries one point only: the number of the call within the check, and `Point.name`
    """

    def __init__(self, bench: Bench, check: CheckInfo, replay: str = ""):
        self._bench, self._check, self._replay = bench, check, replay
        self._calls = 0
        self._told: list[Explored] = []
        self._failure: tuple[BaseException, Named | None, Program | None] | None = None

    def __call__(
        self,
        *argv: str,
        signal: Signals | Sequence[Signals],
        promise: Callable[[Started], object],
        after: Callable[[Started], object] | None = None,
        files: Mapping[str, Text] | None = None,
        points: int = 40,
        within: float = 5.0,
        stdin: Text | None = None,
    ) -> Explored:
        """Run the program once for each point at which its main process can be interrupted, with a signal there.

        Points are the lines of the student's own files in the main thread, the moments just before and just
        after a call that may block, and the call itself. They count from `after` on, and only once the program
        deals with the signal in any way: before, it owes nothing.

        :param signal: what arrives; several arrive at the same moment
        :param promise: looks at the program and asserts what must hold wherever the signal came. It is called
            when the program rests again, or has ended
        :param after: what is asked of the program once it has come to rest after its start, for example
            ``lambda server: server.signal(SIGHUP)``. It asks, and waits for nothing: the signal may come before
            the answer. None: points count from the start of the program
        :param files: what lies beside the program when it starts
        :param points: how many are tried at most
        :param within: patience in seconds with each step
        :raises CheckSkipped: if lines cannot be followed here: another language, a weaker sandbox
        """
        if self._bench.recording and self._failure is not None:
            return self._tell_again()  # the check is repeated to learn the lines, which are known
        self._calls += 1
        setup = _Setup(
            argv, (signal,) if isinstance(signal, Signals) else tuple(signal), after, promise, files, points,
            within, stdin,
        )  # fmt: skip
        call, _, name = self._replay.partition(":")
        if self._replay and call != str(self._calls):
            return Explored(0, 0, 0, 0)
        label = "" if self._check.hidden else f"{self._check.name}:{self._calls}"
        exploration = _Exploration(self._bench, setup, label)
        try:
            explored = exploration.replay(name) if self._replay else exploration.explore()
        except (CheckFailed, AssertionError) as error:
            self._failure = error, named.get(), exploration.evidence
            self._show(exploration.evidence)
            raise
        self._told.append(explored)
        return explored

    def _tell_again(self) -> Explored:
        if self._told:
            return self._told.pop(0)
        assert self._failure is not None
        error, said, evidence = self._failure
        named.set(said)
        self._show(evidence)
        raise error

    def _show(self, evidence: Program | None) -> None:
        """Let a run be the last one, which is the one that the report shows."""
        if evidence is not None:
            self._bench.programs.remove(evidence)
            self._bench.programs.append(evidence)


class _Exploration:
    """One call of `signal_points` at work.

    :param label: what a point's name follows in the words that repeat it; empty where students cannot repeat it
    """

    def __init__(self, bench: Bench, setup: _Setup, label: str):
        self._bench, self._setup, self._label = bench, setup, label
        self._followed = _followed(bench, setup.argv[0])
        self.evidence: Program | None = None
        """The run that broke the promise"""
        self._sources = self._followed.sources

    def explore(self) -> Explored:
        """Try the chosen points; the first at which the promise is broken fails the check."""
        found, rest = self._count()
        chosen = signals.choose(found, self._setup.points - 1, interrupts=self._followed.interrupts)
        tried, followed, unsteady = 0, 0, 0
        with contextlib.closing(self._trials([*chosen, *rest])) as trials:
            for trial in trials:
                came, error = self._try(trial)
                if error is not None:
                    self._confirm(trial)
                    unsteady += 1
                elif came:
                    tried += 1
                    followed += trial.point not in rest
        if chosen and not followed and not unsteady:
            raise SandboxError(f"the program came to none of {len(chosen)} points a second time")
        over = len(chosen) + len(rest) - tried - unsteady
        return Explored(len(found) + len(rest), tried, over, unsteady)

    def replay(self, name: str) -> Explored:
        """Try the point of this name.

        :raises CheckSkipped: if the program does not come to it
        """
        found, rest = self._count()
        points = [point for point in (*signals.all_of(found), *rest) if point.name == name]
        with contextlib.closing(self._trials(points[:1])) as trials:
            for trial in trials:
                came, error = self._try(trial)
                if error is not None:
                    self._keep(trial)
                    raise error
                if came:
                    return Explored(len(found) + len(rest), 1, 0, 0)
        raise CheckSkipped(f"the program does not come to the point {name}")

    # ------------------------------------------------------------ the run that counts

    def _count(self) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
        """The points that the program comes to, and the one at which it waits in the end, if it does."""
        trial = self._launch(None)
        program = trial.server.program
        try:
            self._ask(trial)
            outcome = program.settle()
            passed, absent = trial.board.passed(), trial.board.state is Shim.ABSENT
        finally:
            trial.board.close()
        found = signals.found(passed, self._followed.places(passed), self._followed.calls)
        rest: tuple[Point, ...] = ()
        if outcome is Outcome.REACHED:
            rest = (_resting(program, found),)
        elif outcome is not Outcome.ENDED:
            clients.fail_if_gone(self._bench, program, outcome, "a program at rest")
        else:
            seen = program.finish(outcome)
            fault = explain.conversation(seen, self._bench.lab.diagnoses, "a program that deals with signals")
            if fault.slug != "ended-too-early" or not (found or absent):
                raise CheckFailed(fault, observed=explain.ending(seen))
        self._bench.discard(program)
        if absent:
            raise SandboxError("the program's lines could not be followed")
        return found, rest

    # ------------------------------------------------------------ the runs with a signal

    def _trials(self, points: Sequence[Point]) -> Generator[_Trial, None, None]:
        """A run for each point; the next one starts while one is looked at."""
        running: deque[_Trial] = deque()
        try:
            for point in points:
                running.append(self._launch(point))
                if len(running) > _AHEAD:
                    yield running.popleft()
            while running:
                yield running.popleft()
        finally:
            for trial in running:
                self._close(trial)

    def _launch(self, point: Point | None) -> _Trial:
        setup = self._setup
        prepared = self._followed.prepared
        probe = signals.plan(
            setup.signals, from_start=setup.after is None, calls=self._followed.calls,
            files=self._followed.files, target=point,
        )  # fmt: skip
        limits = prepared.recipe.limits
        # Under a root grader all programs that run at once are one user's, and their processes are counted together.
        limits = msgspec.structs.replace(limits, processes=limits.processes * (_AHEAD + 1))
        recipe = replace(prepared.recipe, limits=limits, probe=(*prepared.recipe.probe, *probe))
        program = self._bench.launch(
            setup.argv, stdin=setup.stdin, within=setup.within, files=setup.files,
            prepared=replace(prepared, recipe=recipe),
        )  # fmt: skip
        return _Trial(Started(self._bench, program), Board(program.probe), point)

    def _close(self, trial: _Trial) -> None:
        trial.board.close()
        self._bench.discard(trial.server.program)

    def _ask(self, trial: _Trial) -> None:
        """Bring the program to rest, let the counting begin, and ask what is to be asked."""
        if self._setup.after is None:
            return
        program = trial.server.program
        outcome = program.settle()
        if outcome is not Outcome.REACHED:
            clients.fail_if_gone(self._bench, program, outcome, "a program at rest")
        trial.board.arm()
        self._setup.after(trial.server)

    def _try(self, trial: _Trial) -> tuple[bool, BaseException | None]:
        """Whether the signal arrived at the point, and how the promise was broken, if it was."""
        named.set(None)
        try:
            self._ask(trial)
            came = self._interrupt(trial)
            if came:
                self._setup.promise(trial.server)
        except (CheckFailed, AssertionError) as error:
            return True, self._told(trial, error)
        finally:
            trial.board.close()
        self._close(trial)
        return came, None

    def _interrupt(self, trial: _Trial) -> bool:
        """See to it that the signal arrives, and wait until the program rests; false if it did not."""
        program, point, board = trial.server.program, trial.point, trial.board
        assert point is not None
        words = f"{self._names} {'arrive' if len(self._setup.signals) > 1 else 'arrives'} "
        program.turns.append(Turn(speaker="event", text=f"{words}{point.words(self._sources)}\n"))
        if point.kind is Kind.REST:
            if program.settle() is not Outcome.REACHED:
                return False
        elif point.kind is Kind.DURING:
            if not program.until(_Blocked(program.pid, board)) or board.state is not Shim.BLOCKING:
                return False
        else:
            outcome = program.settle()
            if board.state is not Shim.RAISED and outcome is Outcome.REACHED and _asleep(program):
                program.until(lambda _: board.state is Shim.RAISED, within=_LATE_S)
                program.settle()
            return board.state is Shim.RAISED
        for number in sorted(set(self._setup.signals)):  # the order in which the kernel takes what is pending
            program.signal(number)
        for index, number in enumerate(self._setup.signals):
            if number in self._setup.signals[:index]:
                program.settle()  # two of the same number that are pending are one
                program.signal(number)
        program.settle()
        return True

    # ------------------------------------------------------------ a broken promise

    def _confirm(self, trial: _Trial) -> None:
        """Fail the check if the promise is broken at this point once more; else no verdict is built on it.

        :raises CheckFailed: the failure of the later run, which is then the evidence
        :raises AssertionError: the same
        """
        self._close(trial)
        for _ in range(_CONFIRMATIONS):
            again = self._launch(trial.point)
            _, error = self._try(again)
            if error is not None:
                self._keep(again)
                raise error

    def _keep(self, trial: _Trial) -> None:
        """Let this run be the evidence; the call by which the shim sent the signal is no step of the program's."""
        program, point = trial.server.program, trial.point
        seen = program.finish()
        events = list(seen.events)
        for number in set(self._setup.signals) if point is not None and point.kind <= Kind.AFTER else ():
            sent = f"kill({program.pid}, {number.name})"
            ours = [event for event in events if event.pid == program.pid and event.text.startswith(sent)]
            events = [event for event in events if event is not (ours[-1] if ours else None)]
        program.observation = msgspec.structs.replace(seen, events=tuple(events))
        self.evidence = program

    @property
    def _names(self) -> str:
        return " and ".join(number.name for number in self._setup.signals)

    def _told(self, trial: _Trial, error: CheckFailed | AssertionError) -> BaseException:
        """The same failure, with the point as its evidence and its place."""
        point = trial.point
        assert point is not None
        arrival = f"{self._names} arrived {point.words(self._sources)}"
        repeat = f"to repeat it: proclab check {self._bench.lab.slug} --replay {self._label}:{point.name}"
        known: Diagnosis | Named = (
            error.diagnosis
            if isinstance(error, CheckFailed)
            else named.get() or Named("unexpected-behaviour")
        )
        evidence = (arrival, *known.evidence, *([repeat] if self._label else []))
        place = point.place or known.place
        fact = known.fact
        if not self._label:  # who may not see the evidence of a hidden check still has to know the moment
            fact = f"{arrival}. {fact or self._bench.lab.diagnoses[known.slug].title}"
        if isinstance(known, Named):
            named.set(replace(known, fact=fact, place=place, evidence=evidence))
            return error
        assert isinstance(error, CheckFailed)
        diagnosis = msgspec.structs.replace(known, fact=fact, evidence=evidence, place=place)
        return CheckFailed(diagnosis, expected=error.expected, observed=error.observed)


Places = Callable[[Sequence[signals.Entry]], Mapping[int, tuple[Place, str]]]


@dataclass(frozen=True)
class _Followed:
    """The program in a form whose points are counted."""

    prepared: Prepared
    calls: tuple[str, ...]
    """What may wait"""
    files: tuple[str, ...]
    """The student's own"""
    places: Places
    """The lines of a counting run"""
    interrupts: bool
    """Whether a call that is interrupted ends with EINTR; Python begins it again (PEP 475)"""

    @property
    def sources(self) -> dict[str, str]:
        """The text of the student's files."""
        own = (file for file in self.prepared.recipe.files if file.path in self.files)
        return {file.path: file.data.decode(errors="replace") for file in own}


def _followed(bench: Bench, name: str) -> _Followed:
    """The program that a check starts by this name, made ready to be followed.

    :raises CheckSkipped: if that cannot be
    :raises SandboxError: if it cannot be built with the shim
    """
    prepared = bench.workshop.named(name)
    if prepared.recipe.level is not Level.FULL:
        raise CheckSkipped("signals at every point need isolation level 1 (see proclab doctor)")
    if prepared.language is Language.PYTHON:
        files = signals.python_files(prepared.recipe.files, f"{DRIVER}.py")
        recipe = replace(prepared.recipe, probe=(signals.shim(),))
        return _Followed(
            replace(prepared, recipe=recipe), signals.PYTHON_CALLS, files,
            lambda passed: signals.python_places(passed, files), False,
        )  # fmt: skip
    if prepared.language is not Language.C:
        raise CheckSkipped(f"the lines of a {prepared.language.value} submission cannot be followed")
    built = bench.workshop.instrumented(name, signals.c_shim(), jumps=True)
    if built.prepared.build is not None:
        words = built.prepared.build.stderr.decode(errors="replace")
        raise SandboxError(f"the program cannot be built with the shim: {words[-400:]}")
    own = signals.c_files(prepared.recipe.files, f"{DRIVER}.c")
    return _Followed(
        built.prepared,
        signals.c_calls(),
        own,
        lambda passed: signals.c_places(passed, own, built.lines),
        True,
    )


def _asleep(program: Program) -> bool:
    return any(process.state is State.SLEEPING for process in program.look())


def _resting(program: Program, found: Sequence[Point]) -> Point:
    """The point at which the main process waits for what comes next."""
    main = next((process for process in program.look() if process.pid == program.pid), None)
    call = main.wait.call if main is not None and main.wait is not None else ""
    last = found[-1] if found else None
    return Point(
        Kind.REST, call=last.call if last and last.call else call, place=last.place if last else None
    )


class _Blocked:
    """The condition that the main process waits in the call of its point, or will not come to it.

    :param main: its id
    """

    def __init__(self, main: int, board: Board):
        self._main, self._board = main, board
        self._looks = 0

    def __call__(self, processes: tuple[Process, ...]) -> bool:
        """Asked at each look, which may find a process on its way from one wait to the next."""
        state = self._board.state
        if state is Shim.BLOCKING:
            return any(process.pid == self._main and process.wait is not None for process in processes)
        rests = all(process.state is not State.RUNNING for process in processes)
        self._looks = self._looks + 1 if rests else 0
        return state is Shim.PASSED or self._looks > _LOOKS
