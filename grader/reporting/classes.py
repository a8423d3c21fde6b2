"""A class in figures: distribution, hardest checks, commonest diagnoses, time, and who needs help.

Values only, made from reports by pure functions; the terminal and the class page put them into words.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from grader.model import CheckResult, Report, Value, Verdict

_NEEDS_HELP_PERCENT = 50.0
_NO_PROGRAM = ("submission-unreadable", "does-not-compile", "not-implemented")
"""Diagnoses that stand for a whole submission: they say nothing about single checks"""


class Band(Value, frozen=True, kw_only=True):
    """How many students have a share of the points, in percent: from `low` to below `high`."""

    low: float
    high: float
    students: int


class Form(Value, frozen=True, kw_only=True):
    """A way in which a diagnosis came: its facts without particulars, so that those of several students meet."""

    words: str
    """The fact, with N for numbers and without what stands in brackets and quotes"""
    example: str
    """The fact of one student"""
    students: tuple[str, ...]


class DiagnosisFigures(Value, frozen=True, kw_only=True):
    """How often a diagnosis was made."""

    slug: str
    title: str
    students: tuple[str, ...]
    checks: tuple[str, ...]
    """Checks that it failed, the most frequent first"""
    forms: tuple[Form, ...]
    """The commonest first"""


class CheckFigures(Value, frozen=True, kw_only=True):
    """How a check went. Only programs that ran count as tried."""

    name: str
    claim: str
    hidden: bool
    max_points: float
    tried: int
    failed: int
    broken: int
    skipped: int
    diagnoses: tuple[tuple[str, int], ...]
    """Slugs and how often, the commonest first"""
    median_s: float
    """Of the time that the check took"""

    @property
    def share(self) -> float:
        """Share of those who tried and failed."""
        return self.failed / self.tried if self.tried else 0.0


class Help(Value, frozen=True, kw_only=True):
    """Somebody who needs help, and why."""

    student: str
    percent: float
    reason: str
    slug: str = ""
    """The diagnosis to begin with"""


class Attention(Value, frozen=True, kw_only=True):
    """Something about one submission that the instructor has to look at."""

    student: str
    what: str
    cure: str = ""


class Times(Value, frozen=True, kw_only=True):
    """What the grading took, in seconds of one worker."""

    total_s: float
    median_s: float
    slowest: tuple[tuple[str, float], ...]
    """Students and seconds, the slowest first"""


class ClassFigures(Value, frozen=True, kw_only=True):
    """All of it."""

    lab: str
    lab_title: str
    lab_version: str
    """The newest that a report has"""
    students: int
    max_score: float
    mean: float
    """Of the points, as are the next"""
    median: float
    bands: tuple[Band, ...]
    checks: tuple[CheckFigures, ...]
    """The hardest first"""
    diagnoses: tuple[DiagnosisFigures, ...]
    """The commonest first"""
    times: Times
    help: tuple[Help, ...]
    """Those who are furthest back first"""
    unreadable: tuple[Attention, ...]
    notices: tuple[Attention, ...]
    broken: tuple[Attention, ...]
    outdated: tuple[str, ...]
    """Students whose report is by an older version of the lab"""


def percent(report: Report) -> float:
    """The share of the points, 0 to 100."""
    return 100 * report.score / report.max_score if report.max_score else 0.0


def light(report: Report) -> Report:
    """A report without what was observed in runs: what a class needs of it, in little memory."""

    def lighter(check: CheckResult) -> CheckResult:
        found = check.diagnosis
        return msgspec.structs.replace(
            check,
            observation=None,
            expected="",
            observed="",
            diagnosis=None if found is None else msgspec.structs.replace(found, evidence=()),
        )

    return msgspec.structs.replace(report, checks=tuple(map(lighter, report.checks)))


def form(fact: str) -> str:
    """A fact without particulars."""
    words = re.sub(r" ?\([^()]*\)", "", fact)
    words = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "…", words)
    return re.sub(r"\d+(?:\.\d+)?", "N", words)


def figures(reports: Iterable[Report]) -> ClassFigures:
    """The class in figures. Needs no more of each report than `light` keeps.

    :raises ValueError: if there is no report
    """
    ordered = sorted(reports, key=lambda report: report.student)
    if not ordered:
        raise ValueError("a class without reports")
    newest = max(ordered, key=lambda report: report.started)
    scores = [report.score for report in ordered]
    return ClassFigures(
        lab=newest.lab,
        lab_title=newest.lab_title,
        lab_version=newest.lab_version,
        students=len(ordered),
        max_score=max(report.max_score for report in ordered),
        mean=statistics.fmean(scores),
        median=statistics.median(scores),
        bands=bands(ordered),
        checks=checks(ordered),
        diagnoses=diagnoses(ordered),
        times=_times(ordered),
        help=_help(ordered),
        unreadable=tuple(_unreadable(ordered)),
        notices=tuple(
            Attention(student=report.student, what=notice) for report in ordered for notice in report.notices
        ),
        broken=tuple(_broken(ordered)),
        outdated=tuple(report.student for report in ordered if report.lab_version != newest.lab_version),
    )


def bands(reports: Sequence[Report]) -> tuple[Band, ...]:
    """The distribution: ten bands of ten percent, and one for all points."""
    counts = Counter(min(int(percent(report) // 10), 10) for report in reports)
    tens = [Band(low=10.0 * n, high=10.0 * (n + 1), students=counts[n]) for n in range(10)]
    return (*tens, Band(low=100.0, high=100.0, students=counts[10]))


def checks(reports: Sequence[Report]) -> tuple[CheckFigures, ...]:
    """Each check, the hardest first: by the share of programs that failed it."""
    found: dict[str, list[tuple[CheckResult, bool]]] = {}
    for report in reports:
        for check in report.checks:
            found.setdefault(check.name, []).append((check, bool(report.language)))
    result = []
    for name, results in found.items():
        ran = [check for check, program in results if program]
        failed = [check for check in ran if check.verdict is Verdict.FAILED]
        slugs = Counter(check.diagnosis.slug for check in failed if check.diagnosis is not None)
        last = results[-1][0]
        result.append(
            CheckFigures(
                name=name,
                claim=last.claim,
                hidden=last.hidden,
                max_points=last.max_points,
                tried=len(failed) + sum(check.verdict is Verdict.PASSED for check in ran),
                failed=len(failed),
                broken=sum(check.verdict is Verdict.BROKEN for check in ran),
                skipped=sum(check.verdict is Verdict.SKIPPED for check in ran),
                diagnoses=tuple(sorted(slugs.items(), key=lambda each: (-each[1], each[0]))),
                median_s=statistics.median(check.duration_s for check in ran) if ran else 0.0,
            )
        )
    return tuple(sorted(result, key=lambda check: (-check.share, check.name)))


def diagnoses(reports: Sequence[Report]) -> tuple[DiagnosisFigures, ...]:
    """Each diagnosis, the commonest first: by the number of students, each counted once."""
    titles: dict[str, str] = {}
    students: dict[str, set[str]] = defaultdict(set)
    failed: dict[str, Counter[str]] = defaultdict(Counter)
    forms: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for report in reports:
        for check in report.checks:
            found = check.diagnosis
            if found is None:
                continue
            titles.setdefault(found.slug, found.title)
            students[found.slug].add(report.student)
            failed[found.slug][check.name] += 1
            forms[found.slug][form(found.fact)].setdefault(report.student, found.fact)
    result = []
    for slug, title in titles.items():
        ways = sorted(forms[slug].items(), key=lambda each: (-len(each[1]), each[0]))
        result.append(
            DiagnosisFigures(
                slug=slug,
                title=title,
                students=tuple(sorted(students[slug])),
                checks=tuple(sorted(failed[slug], key=lambda name: (-failed[slug][name], name))),
                forms=tuple(
                    Form(words=words, example=facts[min(facts)], students=tuple(sorted(facts)))
                    for words, facts in ways
                ),
            )
        )
    return tuple(sorted(result, key=lambda each: (-len(each.students), each.slug)))


def _times(reports: Sequence[Report]) -> Times:
    spent = {report.student: report.duration_s for report in reports}
    slowest = sorted(spent.items(), key=lambda each: (-each[1], each[0]))[:5]
    return Times(
        total_s=sum(spent.values()), median_s=statistics.median(spent.values()), slowest=tuple(slowest)
    )


def _first(report: Report) -> CheckResult | None:
    """The first failed check that has a diagnosis, in the lab's order."""
    return next((check for check in report.checks if check.diagnosis is not None), None)


def _help(reports: Sequence[Report]) -> tuple[Help, ...]:
    """Who has less than half of the points. Where the grader itself failed nothing is known yet."""
    found = []
    for report in reports:
        share = percent(report)
        if share >= _NEEDS_HELP_PERCENT or report.broken or not report.max_score:
            continue
        first = _first(report)
        failed = report.count(Verdict.FAILED)
        if first is None or first.diagnosis is None:
            found.append(Help(student=report.student, percent=share, reason=f"{failed} checks failed"))
            continue
        slugs = Counter(check.diagnosis.slug for check in report.checks if check.diagnosis is not None)
        commonest = max(slugs, key=lambda slug: slugs[slug])
        slug = first.diagnosis.slug if first.diagnosis.slug in _NO_PROGRAM else commonest
        named = next(
            c.diagnosis for c in report.checks if c.diagnosis is not None and c.diagnosis.slug == slug
        )
        found.append(Help(student=report.student, percent=share, reason=named.title, slug=slug))
    return tuple(sorted(found, key=lambda each: (each.percent, each.student)))


def _unreadable(reports: Sequence[Report]) -> Iterable[Attention]:
    for report in reports:
        first = _first(report)
        if first is not None and first.diagnosis is not None and first.diagnosis.slug == _NO_PROGRAM[0]:
            yield Attention(student=report.student, what=first.diagnosis.fact, cure=first.diagnosis.cure)


def _broken(reports: Sequence[Report]) -> Iterable[Attention]:
    for report in reports:
        reasons = [check.reason for check in report.checks if check.verdict is Verdict.BROKEN]
        if reasons:
            yield Attention(
                student=report.student,
                what=f"the grader itself failed here: {reasons[0]}",
                cure="give the same command again: what is broken is graded again",
            )
