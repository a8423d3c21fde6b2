"""The gradebook: what a whole class earned, as CSV for other programs and as a table for people."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import math
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from grader.classroom.ledger import History
from grader.content import files
from grader.model import CheckResult, Fault, Report, Verdict
from grader.reporting import classes, html, store, text
from grader.reporting.classes import ClassFigures
from grader.reporting.escape import cell, visible
from grader.reporting.page import Page
from grader.reporting.text import number

_COMMONEST = 6
_HARDEST = 5
_FEW = 4
"""With fewer students no distribution is shown"""
_BAR = 40
_MOST_LINES = 20
_NAME = 100
_HEAD = (
    "student", "score", "max_score", "percent", "passed", "failed", "broken", "skipped", "level",
    "first_diagnosis", "notices",
)  # fmt: skip


@dataclass(frozen=True)
class Shelf:
    """The folder of one grading: the ledger, and what is made of it: a gradebook, and files for each student."""

    folder: Path

    @property
    def gradebook(self) -> Path:
        """The class as CSV."""
        return self.folder / "gradebook.csv"

    @property
    def reports(self) -> Path:
        """Three files for each student."""
        return self.folder / "reports"

    def open(self) -> None:
        """Make the folder: better to learn now than after an hour that nothing can be written there.

        :raises Fault: if that is so
        """
        try:
            self.reports.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cure = "choose another folder with -o"
            raise Fault(f"cannot be made: {error.strerror}", where=self.reports, cure=cure) from None

    def sweep(self) -> None:
        """Take away halves of files that a grader which was killed has left. Only who has the ledger may."""
        for folder in (self.folder, self.reports):
            for path in folder.iterdir():
                if files.is_part(path):
                    path.unlink(missing_ok=True)

    def write(self, reports: Iterable[Report]) -> tuple[Report, ...]:
        """Write all that is made of reports; of each is given back what the class needs (see `classes.light`).

        The gradebook comes last: who sees it new finds all reports new. Without any report nothing is changed.

        :raises Fault: if something cannot be written; what stood there before still stands then
        """
        kept = []
        mark = self.folder / ".written-with"
        same_words = mark.is_file() and mark.read_text(encoding="utf-8", errors="replace") == _words_version()
        for report in reports:
            self._write(report, same_words)
            kept.append(classes.light(report))
        if kept:
            store.replace(self.gradebook, table(kept).encode())
            store.replace(mark, _words_version().encode())
        return tuple(kept)

    def _write(self, report: Report, same_words: bool) -> None:
        """Write the files of one report; in a class of hundreds, only of those that are new."""
        data, (page, words, told) = store.encoded(report), self._files(report.student)
        there = same_words and page.is_file() and words.is_file() and told.is_file()
        if there and told.read_bytes() == data:
            return
        store.replace(page, html.page(report).encode())
        store.replace(words, text.render(report).plain.encode())
        store.replace(told, data)  # last: it being right says that the others are

    def _files(self, student: str) -> tuple[Path, Path, Path]:
        name = self.reports / file_name(student)
        page, words, told = (name.with_name(f"{name.name}{ending}") for ending in (".html", ".txt", ".json"))
        return page, words, told

    def drop(self, student: str) -> None:
        """Take a student's files away."""
        for path in reversed(self._files(student)):
            path.unlink(missing_ok=True)


@functools.cache
def _words_version() -> str:
    """Hash of the code that puts reports into words: another version writes all files anew."""
    digest = hashlib.sha256()
    for path in sorted(Path(text.__file__).parent.iterdir()):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def file_name(student: str) -> str:
    """A student's name as the name of a file; changed names end in a hash, so that none meets another."""
    clean = re.sub(r"[^\w.@+ -]", "_", student)[:_NAME].strip()
    if clean == student and not clean.startswith("."):
        return clean
    digest = hashlib.sha256(student.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{clean.lstrip('.') or 'student'}-{digest}"


def table(reports: Iterable[Report]) -> str:
    """The gradebook as CSV, sorted by student. No cell is a formula, whatever a student is called."""
    ordered = sorted(reports, key=lambda report: report.student)
    names = list(dict.fromkeys(check.name for report in ordered for check in report.checks))
    result = io.StringIO()
    writer = csv.writer(result, lineterminator="\n")
    writer.writerow((*_HEAD[:-2], *names, *_HEAD[-2:]))
    for report in ordered:
        by_name = {check.name: check for check in report.checks}
        writer.writerow(
            (
                cell(report.student),
                number(report.score),
                number(report.max_score),
                number(classes.percent(report)),
                *(report.count(verdict) for verdict in Verdict),
                report.level.value,
                *(_points(by_name.get(name)) for name in names),
                cell(first_diagnosis(report)),
                cell("; ".join(report.notices)),
            )
        )
    return result.getvalue()


def _points(check: CheckResult | None) -> str:
    """Points of one check; the verdict's name where there are none to give yet."""
    if check is None:
        return ""
    given = check.verdict in (Verdict.PASSED, Verdict.FAILED)
    return number(check.points) if given else check.verdict.value


def first_diagnosis(report: Report) -> str:
    """The slug of the first fault, in the lab's order of checks."""
    return next((check.diagnosis.slug for check in report.checks if check.diagnosis is not None), "")


# ---------------------------------------------------------------- for people


def read(folder: Path) -> tuple[Report, ...]:
    """The reports that count in a folder of results, without what was observed in runs.

    :raises Fault: if it is none, or nobody has a report in it
    """
    with History(folder) as history:
        found = tuple(classes.light(report) for _, report in history.reports())
        if not found:
            raise Fault("nobody has a report here", where=history.path, cure="proclab grade LAB SUBMISSIONS")
        return found


def show(reports: Sequence[Report], stream: IO[str]) -> None:
    """The class as a table, and what an instructor would want to know of it."""
    width = max(80, shutil.get_terminal_size((100, 24)).columns)
    console = Console(file=stream, markup=False, highlight=False, emoji=False, width=width)
    console.print(overview(reports))
    page = Page()
    for line in findings(reports):
        page.paragraph(line) if line else page.blank()
    page.blank()
    page.write(stream)


def overview(reports: Sequence[Report]) -> Table:
    """The class as a table: a row for each student."""
    shown = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    shown.add_column("student", overflow="ellipsis", no_wrap=True, max_width=32)
    shown.add_column("points", justify="right", no_wrap=True)
    shown.add_column("%", justify="right", no_wrap=True)
    for verdict in Verdict:
        shown.add_column(verdict.value, justify="right", no_wrap=True)
    shown.add_column("first diagnosis", overflow="ellipsis", no_wrap=True)
    for report in sorted(reports, key=lambda report: report.student):
        marks = "*" if report.broken or report.notices else ""
        shown.add_row(
            # Text, never str: rich would interpret markup in a student's name.
            Text(visible(report.student) + marks),
            Text(f"{number(report.score)} / {number(report.max_score)}"),
            Text(f"{classes.percent(report):.0f}"),
            *(Text(str(report.count(verdict) or "")) for verdict in Verdict),
            Text(visible(first_diagnosis(report))),
        )
    return shown


def findings(reports: Sequence[Report]) -> tuple[str, ...]:
    """What an instructor would want to know of the class, a line each."""
    if not reports:
        return ()
    found = classes.figures(reports)
    parts = (
        _distribution(found), _commonest(found), _hardest(found), _in_need(found), _unreadable(found),
        _noticed(found), _times(found),
    )  # fmt: skip
    lines: list[str] = []
    for part in parts:
        if part:
            lines += [*([""] if lines else []), *part]
    return tuple(lines)


def _distribution(found: ClassFigures) -> list[str]:
    if found.students < _FEW:
        return []
    most = max(band.students for band in found.bands)
    lines = [
        f"Points: {number(found.mean)} of {number(found.max_score)} on average, median {number(found.median)}"
    ]
    for band in reversed(found.bands):
        name = "100 %" if band.low == band.high else f"{band.low:.0f} to {band.high:.0f} %"
        bar = "#" * math.ceil(_BAR * band.students / most)
        lines.append(f"  {name:>11} {band.students:>4} {bar}")
    return lines


def _commonest(found: ClassFigures) -> list[str]:
    lines = []
    for each in found.diagnoses[:_COMMONEST]:
        lines.append(f"  {len(each.students):>3} of {found.students}: {each.slug} – {visible(each.title)}")  # noqa: RUF001
        way = each.forms[0]
        if len(way.students) > 1 and way.words.strip(". ") != each.title.strip(". "):
            lines.append(f"      {len(way.students)} of them: {visible(way.words)}")
    return ["Commonest diagnoses", *lines] if lines else []


def _hardest(found: ClassFigures) -> list[str]:
    hard = [check for check in found.checks if check.failed][:_HARDEST]
    lines = [f"  {check.failed:>3} of {check.tried} failed {check.name}" for check in hard]
    return ["Hardest checks", *lines] if lines else []


def _in_need(found: ClassFigures) -> list[str]:
    shown = [
        f"  {visible(each.student)}: {each.percent:.0f} %; {visible(each.reason)}" for each in found.help
    ]
    return ["Who needs help (less than half of the points)", *_capped(shown)] if shown else []


def _unreadable(found: ClassFigures) -> list[str]:
    shown = [
        f"  {visible(each.student)}: {visible(each.what)} Cure: {visible(each.cure)}"
        for each in found.unreadable
    ]
    return ["Cannot be read", *_capped(shown)] if shown else []


def _noticed(found: ClassFigures) -> list[str]:
    shown = [
        f"  {visible(each.student)}: {visible(each.what)}" + (f"; {each.cure}" if each.cure else "")
        for each in sorted((*found.notices, *found.broken), key=lambda each: each.student)
    ]
    if found.outdated:
        names = ", ".join(map(visible, found.outdated[:_COMMONEST])) + (
            ", …" if len(found.outdated) > _COMMONEST else ""
        )
        shown.append(f"  graded by an older version of the lab: {names}; proclab regrade grades them again")
    return ["To look at (*)", *shown] if shown else []


def _times(found: ClassFigures) -> list[str]:
    if found.students < _FEW:
        return []
    student, slowest = found.times.slowest[0]
    return [
        f"Time: {found.times.median_s:.1f} s for a submission (median), {slowest:.1f} s for the slowest "
        f"({visible(student)}), {found.times.total_s:.0f} s for all with one worker"
    ]


def _capped(lines: list[str]) -> list[str]:
    """Not so many that nobody reads them; the gradebook has all."""
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:_MOST_LINES], f"  and {len(lines) - _MOST_LINES} more (see the gradebook)"]
