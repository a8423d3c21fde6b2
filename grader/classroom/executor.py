"""Grading in parallel: one worker process for each slot, and a death costs exactly its submission.

Each slot is a pool of one worker. A larger pool would break as a whole when one of its workers dies,
and could not say whose submission it was.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

from grader.classroom import worker
from grader.classroom.roster import Entry
from grader.classroom.worker import Outcome
from grader.model import Lab, Report

_CONTEXT = "forkserver"
"""A server imports the grader once and forks each worker from there: the second worker costs 10 ms,
where spawn pays the imports again each time, and fork would copy the terminal's and rich's threads."""


def cores() -> int:
    """Cores that this process may use, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Order:
    """One submission to be graded, unless its key is known: then it was graded already."""

    entry: Entry
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Begun:
    """A submission is in work now."""

    entry: Entry


@dataclass(frozen=True)
class Finished:
    """A submission has its outcome."""

    entry: Entry
    outcome: Outcome


class Executor(Protocol):
    """Where a class is graded. Each runs `worker.grade`, and tells of each submission as it comes."""

    def follow(self, orders: Iterable[Order]) -> Generator[Begun | Finished, None, None]:
        """Carry the orders out. Closing the generator, at any moment, leaves no process behind."""


@dataclass
class _Slot:
    """A pool of one worker, and the end of its lifeline that keeps it alive."""

    lifeline: Connection | None = None
    pool: ProcessPoolExecutor | None = None

    def submit(self, lab: Lab, order: Order, select: str | None, force: bool) -> Future[Outcome]:
        work = functools.partial(worker.grade, lab, order.entry, select, force, order.known)
        if self.pool is None:
            context = multiprocessing.get_context(_CONTEXT)
            context.set_forkserver_preload([worker.__name__])
            theirs, self.lifeline = context.Pipe(duplex=False)
            self.pool = ProcessPoolExecutor(1, context, worker.begin, (theirs,))
            # Ctrl-C goes to the whole process group; a process that is still starting would die of it aloud.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                future = self.pool.submit(work)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()  # the worker has its own by now: it was started by submit
            return future
        return self.pool.submit(work)

    def end(self) -> None:
        """End the worker, and wait until it and its programs have ended."""
        if self.lifeline is not None:
            self.lifeline.close()
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)
        self.lifeline = self.pool = None


@dataclass
class _Task:
    slot: _Slot
    order: Order
    again: bool = False
    """Its worker died once already"""


@dataclass
class Grading:
    """A class that is graded by processes of this machine. Leaving it leaves no process behind."""

    lab: Lab
    jobs: int = 1
    select: str | None = None
    force: bool = False
    _running: dict[Future[Outcome], _Task] = field(default_factory=dict)
    _slots: list[_Slot] = field(default_factory=list)

    def run(self, entries: Iterable[Entry]) -> Generator[tuple[Entry, Report], None, None]:
        """Each entry with its report, as they get ready."""
        with contextlib.closing(self.follow(map(Order, entries))) as events:
            for event in events:
                if isinstance(event, Finished) and event.outcome.report is not None:
                    yield event.entry, event.outcome.report

    def follow(self, orders: Iterable[Order]) -> Generator[Begun | Finished, None, None]:
        """All that happens, as it happens."""
        waiting = list(reversed(list(orders)))
        self._slots = [_Slot() for _ in range(max(1, min(self.jobs, len(waiting))))]
        try:
            for slot in self._slots:
                if waiting:
                    yield self._start(_Task(slot, waiting.pop()))
            while self._running:
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    task = self._running.pop(future)
                    outcome = self._outcome(future, task)
                    if outcome is None:
                        task.slot.end()
                        self._start(_Task(task.slot, task.order, again=True))
                        continue
                    next_one = self._start(_Task(task.slot, waiting.pop())) if waiting else None
                    yield Finished(task.order.entry, outcome)
                    if next_one is not None:
                        yield next_one
        finally:
            for slot in self._slots:
                if slot.lifeline is not None:
                    slot.lifeline.close()  # all at once, so that they end beside one another
            for slot in self._slots:
                slot.end()

    def _start(self, task: _Task) -> Begun:
        self._running[task.slot.submit(self.lab, task.order, self.select, self.force)] = task
        return Begun(task.order.entry)

    def _outcome(self, future: Future[Outcome], task: _Task) -> Outcome | None:
        """What a worker found; none if it died for the first time."""
        try:
            return future.result()
        except BrokenProcessPool:
            if not task.again:
                return None
            task.slot.end()
            reason = "the grader's worker process was killed twice while it graded this submission"
            return Outcome("", worker.broken(self.lab, task.order.entry, self.select, reason))
