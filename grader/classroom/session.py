"""A whole class graded, or a lab proved, from the first line on the terminal to the last."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.parse import quote

import msgspec

from grader.classroom import roster
from grader.classroom.executor import Begun, Executor, Order, cores
from grader.classroom.gradebook import Shelf
from grader.classroom.ledger import Done, Forgotten, Graded, Ledger, Session
from grader.classroom.progress import Show
from grader.classroom.roster import Entry
from grader.classroom.worker import Outcome
from grader.content import build
from grader.content.course import Course
from grader.judging import verify as proofs
from grader.judging.selection import choose
from grader.judging.verify import Finding
from grader.model import Fault, Lab, Report
from grader.reporting.text import number


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of a grading."""

    attempt: str = "newest"
    """Which of several attempts of a student counts: newest or best"""
    select: str | None = None
    force: bool = False
    again: bool = False
    """Also what was graded before and is unchanged"""
    one: bool = False
    """Each path is one submission, whatever lies in it"""
    prune: bool = False
    """Forget students who are in the folder of results and handed in nothing now"""


def grade(
    lab: Lab,
    paths: Iterable[Path],
    folder: Path,
    wish: Wish,
    executor: Executor,
    show: Show,
    *,
    jobs: int = 1,
) -> tuple[Report, ...]:
    """Grade everything that is found and not graded yet, and write what is made of it.

    Each report is in the ledger as soon as it is there, so the same call goes on after any interruption.

    :return: the reports of everybody in the folder of results, without what was observed in runs
    :raises Fault: if there is nothing to grade, no place for the results, or somebody else grades into it
    """
    choose(lab, wish.select, hidden=True)
    paths = tuple(paths)
    found = roster.find(paths, lab, wish.attempt, one=wish.one)
    shelf = Shelf(folder)
    shelf.open()
    asked = Session(
        command="grade", lab=lab.slug, lab_version=lab.version, submissions=tuple(map(_named, paths)),
        attempt=wish.attempt, select=wish.select, force=wish.force, again=wish.again, one=wish.one,
    )  # fmt: skip
    with Ledger(folder) as ledger, ended_gently(), show:
        _same_lab(ledger, lab, folder)
        for notice in (*found.notices, *ledger.notices):
            show.note(notice)
        if wish.prune:
            _forget(ledger, shelf, found.entries)
        return whole(ledger, shelf, found.entries, asked, executor, show, jobs)


def whole(
    ledger: Ledger,
    shelf: Shelf,
    entries: Sequence[Entry],
    asked: Session,
    executor: Executor,
    show: Show,
    jobs: int,
) -> tuple[Report, ...]:
    """One grading from its first line in the ledger to its last, with all that is made of the ledger."""
    shelf.sweep()
    since = begin(ledger, asked)
    show.begin(asked.lab, len(entries), jobs, shelf.folder)
    try:
        work(ledger, entries, executor, since, show)
    except KeyboardInterrupt:
        show.stopped("interrupted")
        shelf.write(report for _, report in ledger.reports())
        raise
    except Fault as fault:
        show.stopped(fault.what)
        raise
    kept = shelf.write(report for _, report in ledger.reports())
    ledger.append(Done())
    show.end(shelf, kept)
    return kept


def begin(ledger: Ledger, asked: Session) -> int:
    """Go on with the grading that was interrupted, if it is the same; else begin a new one.

    :return: the offset from which reports count as graded already
    """
    if ledger.index.done or ledger.index.session != asked:
        ledger.append(asked)
    return ledger.index.session_at if asked.again else 0


def work(ledger: Ledger, entries: Sequence[Entry], executor: Executor, since: int, show: Show) -> None:
    """Have all entries graded that are not in the ledger, and append each report as it comes."""
    attempts = Counter(entry.student for entry in entries)
    rank = {entry: number for number, entry in enumerate(entries)}
    tried: dict[str, list[tuple[Entry, str, Report]]] = {}
    orders = [Order(entry, ledger.known(entry.student, since)) for entry in entries]
    with contextlib.closing(executor.follow(orders)) as events:
        for event in events:
            if isinstance(event, Begun):
                show.begun(event.entry.student)
                continue
            entry, outcome = event.entry, event.outcome
            several = attempts[entry.student] > 1
            report = _kept(ledger, entry, outcome, several)
            if several:
                mine = tried.setdefault(entry.student, [])
                mine.append((entry, outcome.key, report))
                if len(mine) == attempts[entry.student]:
                    _best(ledger, sorted(mine, key=lambda each: rank[each[0]]))
            show.finished(report, unchanged=outcome.report is None)


def _kept(ledger: Ledger, entry: Entry, outcome: Outcome, several: bool) -> Report:
    """The report of an outcome, in the ledger now if it was not yet."""
    if outcome.report is not None:
        ledger.append(
            Graded(key=outcome.key, report=outcome.report, known_as=entry.known_as, attempt=several)
        )
        return outcome.report
    place = ledger.find(entry.student, outcome.key)
    assert place is not None, "only what the ledger knows is given out as known"
    old = ledger.report(place)
    report = msgspec.structs.replace(old, origin=entry.origin, notices=outcome.notices)
    if not several and (report != old or place != ledger.index.latest(entry.student)):
        # It lies elsewhere now, or an earlier version has come back: said anew, not graded anew.
        ledger.append(Graded(key=outcome.key, report=report, known_as=entry.known_as))
    return report


def _best(ledger: Ledger, tried: list[tuple[Entry, str, Report]]) -> None:
    """Of all attempts of a student the best counts; of equal ones the newest, which comes first."""
    entry, key, report = max(tried, key=lambda each: (not each[2].broken, each[2].score))
    told = "; ".join(f"{each.origin} {number(found.score)} points" for each, _, found in tried)
    notice = f"{len(tried)} attempts: {told}; the best counts, {entry.origin}"
    report = msgspec.structs.replace(report, notices=(*report.notices, notice))
    latest = ledger.index.latest(entry.student)
    if latest is None or ledger.report(latest) != report:
        ledger.append(Graded(key=key, report=report, known_as=entry.known_as))


def _named(path: Path) -> str:
    """A path as it stands in the ledger: absolute, and UTF-8 whatever its bytes are."""
    return quote(os.fsencode(path.absolute()))


def _same_lab(ledger: Ledger, lab: Lab, folder: Path) -> None:
    if ledger.index.lab not in ("", lab.slug):
        raise Fault(
            f"holds the results of {ledger.index.lab}", where=folder, cure="choose another folder with -o"
        )


def _forget(ledger: Ledger, shelf: Shelf, entries: Iterable[Entry]) -> None:
    there = {entry.student for entry in entries}
    for student in ledger.index.students():
        if student not in there:
            shelf.drop(student)  # first: whoever is interrupted here does it again
            ledger.append(Forgotten(student=student))


@contextlib.contextmanager
def ended_gently() -> Iterator[None]:
    """SIGTERM, and SIGHUP when a terminal goes away, end a grading as Ctrl-C does: with all that is done written."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(each) is signal.SIG_DFL:  # nohup(1) has it ignored, and shall
                before[each] = signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def verify(course: Course, lab: Lab, *, jobs: int | None, stream: IO[str]) -> bool:
    """Prove a lab, and say what disproves it."""

    def tell(name: str, good: bool, words: str) -> None:
        stream.write(f"  {'ok ' if good else 'NO '} {name}: {words}\n")
        stream.flush()

    stream.write(f"{lab.slug}: {lab.title}\n")
    findings = (*proofs.verify(lab, jobs=jobs or cores(), on_progress=tell), *_stale(course, lab))
    for finding in findings:
        stream.write(f"{finding.subject}: {finding.what}\n")
        if finding.cure:
            stream.write(f"  cure: {finding.cure}\n")
    disproved = any(not finding.varies for finding in findings)
    varied = sum(finding.varies for finding in findings)
    words = f", but {varied} {'verdict varies' if varied == 1 else 'verdicts vary'}" if varied else ""
    stream.write(f"{lab.slug} is {'not proved' if disproved else 'proved' + words}\n\n")
    stream.flush()
    return not disproved


def _stale(course: Course, lab: Lab) -> list[Finding]:
    mine = [path for path in build.stale(course) if path.parent.name == lab.slug or path.stem == lab.slug]
    return [
        Finding(
            "generated files",
            f"{path.relative_to(course.root)} is not what the lab makes of it",
            "proclab build",
        )
        for path in mine
    ]
