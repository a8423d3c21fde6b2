"""One student's desk: the visible checks of a lab on the student's own work, once or on every change."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Protocol

import msgspec

from grader.content import course as courses
from grader.content import handout, submission
from grader.content.course import Course
from grader.judging.judge import judge
from grader.judging.schedules import STRATEGY, split
from grader.judging.selection import choose, exactly
from grader.model import CheckResult, Fault, Lab, Report, Submission, Verdict
from grader.reporting import store, text
from grader.reporting.escape import visible
from grader.reporting.page import Page
from grader.reporting.text import counted


class Show(Protocol):
    """What a reader is told, and when."""

    def begin(self, lab: Lab, work: Submission, total: int) -> None:
        """Before the first check."""

    def result(self, result: CheckResult) -> None:
        """As soon as a check has its verdict."""

    def end(self, report: Report) -> None:
        """After the last check."""


class Words:
    """For people: a line for each check as it comes, then the explanations."""

    def __init__(self, stream: IO[str], width: int):
        self._stream, self._width = stream, width

    def begin(self, lab: Lab, work: Submission, total: int) -> None:
        """The head."""
        page = Page(self._width)
        page.line(
            (f"{lab.title} ({lab.slug})", "bold"), f"  {work.origin}, {work.entry}: {counted(total, 'check')}"
        )
        for notice in work.notices:
            page.labelled(("note", "yellow"), notice, indent=2, column=6)
        page.write(self._stream)

    def result(self, result: CheckResult) -> None:
        """One line."""
        page = Page(self._width)
        text.summary(page, result)
        page.write(self._stream)

    def end(self, report: Report) -> None:
        """Explanations, score, and what to do next."""
        page = text.render(report, width=self._width, told=True)
        self._stream.write("\n")
        page.write(self._stream)


class Json:
    """For programs: the report."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def begin(self, lab: Lab, work: Submission, total: int) -> None:
        """Nothing yet."""

    def result(self, result: CheckResult) -> None:
        """Nothing yet."""

    def end(self, report: Report) -> None:
        """The report."""
        self._stream.write(store.encoded(report).decode())
        self._stream.flush()


class Events:
    """For programs that follow: one JSON object on each line."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def _event(self, kind: str, **values: object) -> None:
        self._stream.write(msgspec.json.encode({"event": kind, **values}).decode() + "\n")
        self._stream.flush()

    def begin(self, lab: Lab, work: Submission, total: int) -> None:
        """``begin``: what is about to be checked."""
        self._event("begin", lab=lab.slug, title=lab.title, origin=work.origin, entry=work.entry, total=total)

    def result(self, result: CheckResult) -> None:
        """``check``: one result."""
        self._event("check", result=result)

    def end(self, report: Report) -> None:
        """``end``: the whole report."""
        self._event("end", report=report, score=report.score, max_score=report.max_score)


def check(
    course: Course,
    slug: str,
    path: Path | None,
    select: str | None,
    show: Show,
    replay: str = "",
    *,
    saved: bool = False,
) -> Report:
    """Run the visible checks.

    :param replay: the id of one run, as a report gives it: only that check, and only that run
    :param saved: the files count as they are, whatever a notebook beside them holds
    :raises Fault: if there is no such lab, check, run or work
    """
    lab = courses.load_lab(course, slug)
    name = split(replay)[0] if replay else ""
    chosen = exactly(lab, name, hidden=False) if replay else choose(lab, select, hidden=False)
    where = path or handout.workplace(lab, Path())
    student = visible(submission.stem(where.resolve()))
    work = submission.read(where.resolve() if where.is_symlink() else where, lab, student, saved=saved)
    work = msgspec.structs.replace(
        work, origin=visible(str(where)), notices=tuple(map(visible, work.notices))
    )
    show.begin(lab, work, len(chosen))
    report = judge(lab, work, select=select, hidden=False, on_result=show.result, replay=replay)
    if replay and _missed(report, replay):
        raise Fault(f"{name} runs nothing that is called {replay!r}", cure="take the id from a report")
    show.end(report)
    return report


def _missed(report: Report, replay: str) -> bool:
    """Whether a schedule was asked for that the check does not have: it passed, and showed nothing."""
    asked = STRATEGY.fullmatch(replay.rpartition(":")[2])
    return bool(asked) and all(c.verdict is Verdict.PASSED and c.observation is None for c in report.checks)


def status(report: Report) -> int:
    """The exit status of a check: 0 nothing failed, 1 something did, 2 the grader itself did."""
    if report.broken:
        return 2
    return 1 if report.count(Verdict.FAILED) else 0


def watch(
    course: Course, slug: str, path: Path | None, select: str | None, show: Show, told: IO[str]
) -> None:
    """Check, and again after each change of the work or of the lab, until Ctrl-C."""
    import watchfiles  # only here: it is a large library

    lab = courses.load_lab(course, slug)
    where = path or handout.workplace(lab, Path())
    try:
        _round(course, slug, path, select, show, told)
        for _ in watchfiles.watch(where, lab.root, raise_interrupt=True):
            _round(course, slug, path, select, show, told)
    except KeyboardInterrupt:
        told.write("\n")


def _round(
    course: Course, slug: str, path: Path | None, select: str | None, show: Show, told: IO[str]
) -> None:
    """One time; what is wrong with the input may be mended before the next."""
    try:
        check(course, slug, path, select, show)
    except Fault as fault:
        told.write(f"proclab: {visible(str(fault))}\ncure: {visible(fault.cure)}\n")
    told.write("\nwaiting for a change (Ctrl-C ends)\n")
    told.flush()
