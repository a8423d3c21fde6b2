"""The gradebook: what a whole class earned, as CSV for other programs and as a table for people."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from grader.model import CheckResult, Fault, Report, Verdict
from grader.reporting import store, text
from grader.reporting.escape import cell, visible
from grader.reporting.text import number

_COMMONEST = 6
_NAME = 100
_HEAD = (
    "student", "score", "max_score", "percent", "passed", "failed", "broken", "skipped", "level",
    "first_diagnosis", "notices",
)  # fmt: skip


@dataclass(frozen=True)
class Shelf:
    """The folder of one grading: a gradebook, and two files for each student."""

    folder: Path

    @property
    def gradebook(self) -> Path:
        """The class as CSV."""
        return self.folder / "gradebook.csv"

    @property
    def reports(self) -> Path:
        """Two files for each student."""
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

    def keep(self, report: Report) -> None:
        """Write one student's report: JSON with everything, and the text that students may read."""
        name = _file_name(report.student)
        store.write(report, self.reports / f"{name}.json")
        page = text.render(report).plain
        store.replace(self.reports / f"{name}.txt", page.encode())

    def close(self, reports: Iterable[Report]) -> None:
        """Write the gradebook; an interrupted grading never replaces a complete one."""
        store.replace(self.gradebook, table(reports).encode())


def _file_name(student: str) -> str:
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
                number(_percent(report)),
                *(report.count(verdict) for verdict in Verdict),
                report.level.value,
                *(_points(by_name.get(name)) for name in names),
                cell(first_diagnosis(report)),
                cell("; ".join(report.notices)),
            )
        )
    return result.getvalue()


def _percent(report: Report) -> float:
    return 100 * report.score / report.max_score if report.max_score else 0.0


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
            Text(f"{_percent(report):.0f}"),
            *(Text(str(report.count(verdict) or "")) for verdict in Verdict),
            Text(visible(first_diagnosis(report))),
        )
    return shown


def findings(reports: Sequence[Report]) -> tuple[str, ...]:
    """What an instructor would want to know of the class, a line each."""
    lines: list[str] = []
    students = len(reports)
    titles: dict[str, str] = {}
    diagnoses: Counter[str] = Counter()
    for report in reports:
        own = {c.diagnosis.slug: c.diagnosis.title for c in report.checks if c.diagnosis is not None}
        titles |= own
        diagnoses.update(own.keys())
    if diagnoses:
        lines.append("Commonest diagnoses")
        for slug, count in diagnoses.most_common(_COMMONEST):
            lines.append(f"  {count:>3} of {students}: {slug} – {visible(titles[slug])}")  # noqa: RUF001
    hardest = _hardest(reports)
    if hardest:
        lines += ["", "Hardest checks", *hardest]
    noticed = [report for report in reports if report.notices or report.broken]
    if noticed:
        lines += ["", "To look at (*)"]
        for report in sorted(noticed, key=lambda report: report.student):
            told = list(report.notices)
            if report.broken:
                told.append("the grader itself failed here: grade this submission again")
            lines += [f"  {visible(report.student)}: {visible(notice)}" for notice in told]
    return tuple(lines)


def _hardest(reports: Sequence[Report]) -> list[str]:
    """Checks by the share of programs that failed them; what was no program says nothing about them."""
    failed: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for report in reports:
        if not report.language:
            continue
        for check in report.checks:
            tried[check.name] += check.verdict in (Verdict.PASSED, Verdict.FAILED)
            failed[check.name] += check.verdict is Verdict.FAILED
    order = sorted(failed, key=lambda name: (-failed[name] / max(tried[name], 1), name))
    return [f"  {failed[name]:>3} of {tried[name]} failed {name}" for name in order[:5] if failed[name]]
