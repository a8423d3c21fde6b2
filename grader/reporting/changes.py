"""What another grading changed: who gained and who lost points, in which checks, and why."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from grader.model import CheckResult, Report, Value, Verdict
from grader.reporting.escape import cell
from grader.reporting.page import WIDTH, Page
from grader.reporting.text import counted, number

_MOST_CHECKS = 8
"""Of one student; the table has all"""


class Side(Value, frozen=True, kw_only=True):
    """A check as it came out in one grading."""

    verdict: Verdict
    points: float
    max_points: float
    slug: str
    """The diagnosis; empty if there was none"""
    fact: str
    """Of the diagnosis; or why it was skipped or broken"""


class CheckChange(Value, frozen=True, kw_only=True):
    """A check that came out otherwise; none on a side where the lab has no such check."""

    name: str
    hidden: bool
    before: Side | None
    after: Side | None

    @property
    def points(self) -> float:
        """Points gained, or lost if below 0."""
        return (self.after.points if self.after else 0.0) - (self.before.points if self.before else 0.0)


class Change(Value, frozen=True, kw_only=True):
    """One student before and after."""

    student: str
    before: float
    after: float
    max_before: float
    max_after: float
    checks: tuple[CheckChange, ...]
    """Those that came out otherwise, in the lab's order"""
    anew: bool
    """It is another submission: points may have changed for that reason"""

    @property
    def points(self) -> float:
        """Points gained, or lost if below 0."""
        return self.after - self.before


class Changes(Value, frozen=True, kw_only=True):
    """The whole class."""

    lab: str
    compared: int
    """Students with a report on both sides"""
    changes: tuple[Change, ...]
    """Those for whom something changed: who lost most first, then who gained most"""
    kept: tuple[str, ...] = ()
    """Students who were not graded again: their work is not there any more, or not to be told apart"""

    @property
    def lost(self) -> tuple[Change, ...]:
        """Who has fewer points, most first."""
        return tuple(change for change in self.changes if change.points < 0)

    @property
    def gained(self) -> tuple[Change, ...]:
        """Who has more points, most first."""
        return tuple(change for change in self.changes if change.points > 0)

    @property
    def otherwise(self) -> tuple[Change, ...]:
        """Who has the same points for other reasons."""
        return tuple(change for change in self.changes if change.points == 0)


def _side(check: CheckResult | None) -> Side | None:
    if check is None:
        return None
    found = check.diagnosis
    return Side(
        verdict=check.verdict,
        points=check.points,
        max_points=check.max_points,
        slug=found.slug if found is not None else "",
        fact=found.fact if found is not None else check.reason,
    )


def compare(before: Report, after: Report) -> Change | None:
    """What changed for one student; none if nothing did. That a fact names other numbers is no change."""
    old = {check.name: check for check in before.checks}
    new = {check.name: check for check in after.checks}
    checks = []
    for name in dict.fromkeys((*new, *old)):
        one, two = _side(old.get(name)), _side(new.get(name))
        same = one is not None and two is not None and _essence(one) == _essence(two)
        if not same:
            hidden = (new.get(name) or old[name]).hidden
            checks.append(CheckChange(name=name, hidden=hidden, before=one, after=two))
    if not checks:
        return None
    return Change(
        student=after.student,
        before=before.score,
        after=after.score,
        max_before=before.max_score,
        max_after=after.max_score,
        checks=tuple(checks),
        anew=before.submission_version != after.submission_version,
    )


def _essence(side: Side) -> tuple[Verdict, float, float, str]:
    return side.verdict, side.points, side.max_points, side.slug


def changes(lab: str, pairs: Iterable[tuple[Report, Report]], kept: Iterable[str] = ()) -> Changes:
    """The class, from each student's report before and after."""
    compared = 0
    found = []
    for before, after in pairs:
        compared += 1
        change = compare(before, after)
        if change is not None:
            found.append(change)
    found.sort(key=lambda each: (each.points >= 0, each.points == 0, -abs(each.points), each.student))
    return Changes(lab=lab, compared=compared, changes=tuple(found), kept=tuple(sorted(kept)))


# ---------------------------------------------------------------- words


def render(found: Changes, *, width: int = WIDTH) -> Page:
    """The changes as a page."""
    page = Page(width)
    if not found.compared:
        page.paragraph(
            f"{found.lab} is still the lab by which these reports were made, so nobody was graded again; "
            "--again grades everybody again"
        )
        return page
    unchanged = found.compared - len(found.changes)
    page.line(
        (f"{found.lab} graded again: {len(found.gained)} gained, {len(found.lost)} lost, ", "bold"),
        (f"{len(found.otherwise)} failed otherwise, {unchanged} unchanged", "bold"),
    )
    for title, group, style in (
        ("LOST POINTS", found.lost, "bold red"),
        ("GAINED POINTS", found.gained, "bold green"),
        ("THE SAME POINTS, FOR OTHER REASONS", found.otherwise, "bold yellow"),
    ):
        if group:
            page.blank()
            page.line((title, style))
        for change in group:
            _change(page, change)
    checks = tuple(_by_check(found))
    if checks:
        page.blank()
        page.line(("By check", "bold"))
        for line in checks:
            page.paragraph(line, indent=2)
    if found.kept:
        page.blank()
        page.labelled("not graded again", ", ".join(found.kept))
    return page


def _change(page: Page, change: Change) -> None:
    most = number(change.max_after)
    if change.max_before != change.max_after:
        most = f"{most} (there were {number(change.max_before)})"
    page.line(
        (f"  {change.student}", "bold"),
        f"  {number(change.before)} to {number(change.after)} of {most} points",
        ("  handed in anew since" if change.anew else "", "yellow"),
    )
    for check in change.checks[:_MOST_CHECKS]:
        sign = f"{number(check.points)}" if check.points < 0 else f"+{number(check.points)}"
        page.line(f"    {check.name}{' (hidden)' if check.hidden else ''}: {_from_to(check)}, {sign}")
        for label, side in (("before", check.before), ("now", check.after)):
            if side is not None and (side.slug or side.fact):
                page.labelled(
                    label, f"{side.slug}: {side.fact}" if side.slug else side.fact, indent=6, column=8
                )
    if len(change.checks) > _MOST_CHECKS:
        page.line(f"    and {counted(len(change.checks) - _MOST_CHECKS, 'check')} more")


def _from_to(check: CheckChange) -> str:
    if check.before is None:
        return f"new, {check.after.verdict.value}" if check.after is not None else ""
    if check.after is None:
        return f"{check.before.verdict.value}, then taken out of the lab"
    if check.before.verdict is check.after.verdict:
        return f"still {check.after.verdict.value}"
    return f"{check.before.verdict.value}, now {check.after.verdict.value}"


def _by_check(found: Changes) -> Iterator[str]:
    gained: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for change in found.changes:
        for check in change.checks:
            (gained if check.points > 0 else lost if check.points < 0 else other)[check.name] += 1
    names = dict.fromkeys(check.name for change in found.changes for check in change.checks)
    for name in sorted(names, key=lambda name: (-lost[name], -gained[name], name)):
        counts = ((gained[name], "gained"), (lost[name], "lost"), (other[name], "came out otherwise"))
        yield f"{name}: {', '.join(f'{count} {word}' for count, word in counts if count)}"


def table(found: Changes) -> str:
    """The changes as CSV: a row for each check of each student that came out otherwise."""
    result = io.StringIO()
    writer = csv.writer(result, lineterminator="\n")
    writer.writerow(
        ("student", "score_before", "score_after", "handed_in_anew", "check", "points_before", "points_after",
         "verdict_before", "verdict_after", "diagnosis_before", "diagnosis_after", "fact_before", "fact_after")
    )  # fmt: skip
    for change in found.changes:
        for check in change.checks:
            sides = (check.before, check.after)
            writer.writerow(
                (
                    cell(change.student), number(change.before), number(change.after), "yes" if change.anew else "",
                    check.name,
                    *("" if side is None else number(side.points) for side in sides),
                    *("" if side is None else side.verdict.value for side in sides),
                    *("" if side is None else cell(side.slug) for side in sides),
                    *("" if side is None else cell(side.fact) for side in sides),
                )
            )  # fmt: skip
    return result.getvalue()


def event(found: Changes) -> str:
    """The changes as one JSON object on one line, as the progress of a grading is told to programs."""
    return msgspec.json.encode({"event": "changes", **msgspec.structs.asdict(found)}).decode()
