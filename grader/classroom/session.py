"""A whole class graded, or a lab proved, from the first line on the terminal to the last."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from rich.console import Console

from grader.classroom import gradebook, roster
from grader.classroom.executor import Grading, cores
from grader.classroom.gradebook import Shelf
from grader.classroom.progress import Ticker
from grader.content import build
from grader.content.course import Course
from grader.judging import verify as proofs
from grader.judging.selection import choose
from grader.judging.verify import Finding
from grader.model import Lab, Report
from grader.reporting.page import Page
from grader.reporting.text import counted


def grade(
    lab: Lab,
    paths: Iterable[Path],
    folder: Path,
    *,
    jobs: int | None,
    select: str | None,
    force: bool,
    stream: IO[str],
) -> tuple[Report, ...]:
    """Grade everything that is found, keep every report, and show the class.

    :raises Fault: if there is nothing to grade, or no place for the results
    """
    choose(lab, select, hidden=True)
    found = roster.find(paths, lab)
    shelf = Shelf(folder)
    shelf.open()
    for notice in found.notices:
        stream.write(f"note: {notice}\n")
    stream.flush()
    reports: list[Report] = []
    results = Grading(lab, jobs or cores(), select, force).run(found.entries)
    try:
        with Ticker(len(found.entries), stream) as ticker, contextlib.closing(results):
            for _, report in results:
                shelf.keep(report)
                reports.append(report)
                ticker.tell(report)
    except KeyboardInterrupt:
        stream.write(
            f"{len(reports)} of {len(found.entries)} submissions graded, reports in {shelf.reports}/\n"
        )
        raise
    shelf.close(reports)
    _show(reports, shelf, stream)
    return tuple(reports)


def _show(reports: list[Report], shelf: Shelf, stream: IO[str]) -> None:
    """The class table, the commonest diagnoses, and where everything lies."""
    width = max(80, shutil.get_terminal_size((100, 24)).columns)
    console = Console(file=stream, markup=False, highlight=False, emoji=False, width=width)
    console.print(gradebook.overview(reports))
    page = Page()
    for line in gradebook.findings(reports):
        page.paragraph(line) if line else page.blank()
    page.blank()
    page.line(
        f"{counted(len(reports), 'submission')}; gradebook {shelf.gradebook}, reports in {shelf.reports}/"
    )
    page.write(stream)


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
    stream.write(f"{lab.slug} is {'not proved' if findings else 'proved'}\n\n")
    stream.flush()
    return not findings


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
