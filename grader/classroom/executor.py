"""Grading in parallel: one worker process for each slot, and a death costs exactly its submission.

Each slot is a pool of one worker. A larger pool would break as a whole when one of its workers dies,
and could not say whose submission it was.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from grader.classroom import worker
from grader.classroom.roster import Entry
from grader.model import Lab, Report

_CONTEXT = "forkserver"
"""A server imports the grader once and forks each worker from there: the second worker costs 10 ms,
where spawn pays the imports again each time, and fork would copy the terminal's and rich's threads."""


def cores() -> int:
    """Cores that this process may use, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Slot:
    """A pool of one worker, and the end of its lifeline that keeps it alive."""

    lifeline: Connection | None = None
    pool: ProcessPoolExecutor | None = None

    def submit(self, lab: Lab, entry: Entry, select: str | None, force: bool) -> Future[Report]:
        if self.pool is None:
            context = multiprocessing.get_context(_CONTEXT)
            context.set_forkserver_preload([worker.__name__])
            theirs, self.lifeline = context.Pipe(duplex=False)
            self.pool = ProcessPoolExecutor(1, context, worker.begin, (theirs,))
            # Ctrl-C goes to the whole process group; a process that is still starting would die of it aloud.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                future = self.pool.submit(worker.grade, lab, entry, select, force)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()  # the worker has its own by now: it was started by submit
            return future
        return self.pool.submit(worker.grade, lab, entry, select, force)

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
    entry: Entry
    again: bool = False
    """Its worker died once already"""


@dataclass
class Grading:
    """A class that is being graded. Leaving it, however that happens, leaves no process behind."""

    lab: Lab
    jobs: int = 1
    select: str | None = None
    force: bool = False
    _running: dict[Future[Report], _Task] = field(default_factory=dict)
    _slots: list[_Slot] = field(default_factory=list)

    def run(self, entries: Iterable[Entry]) -> Generator[tuple[Entry, Report], None, None]:
        """Each entry with its report, as they get ready."""
        waiting = list(reversed(list(entries)))
        self._slots = [_Slot() for _ in range(max(1, min(self.jobs, len(waiting))))]
        try:
            for slot in self._slots:
                if waiting:
                    self._start(_Task(slot, waiting.pop()))
            while self._running:
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    task = self._running.pop(future)
                    report = self._report(future, task)
                    if report is None:
                        task.slot.end()
                        self._start(_Task(task.slot, task.entry, again=True))
                        continue
                    if waiting:
                        self._start(_Task(task.slot, waiting.pop()))
                    yield task.entry, report
        finally:
            for slot in self._slots:
                if slot.lifeline is not None:
                    slot.lifeline.close()  # all at once, so that they end beside one another
            for slot in self._slots:
                slot.end()

    def _start(self, task: _Task) -> None:
        self._running[task.slot.submit(self.lab, task.entry, self.select, self.force)] = task

    def _report(self, future: Future[Report], task: _Task) -> Report | None:
        """What a worker found; none if it died for the first time."""
        try:
            return future.result()
        except BrokenProcessPool:
            if not task.again:
                return None
            task.slot.end()
            reason = "the grader's worker process was killed twice while it graded this submission"
            return worker.broken(self.lab, task.entry, self.select, reason)
