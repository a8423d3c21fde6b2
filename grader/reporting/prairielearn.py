"""PrairieLearn's ``results.json``.

Source: PrairieLearn, docs/externalGrading.md, "Grading results". The file may have a megabyte; if one test has no
points, those of all are not shown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from grader.model import CheckResult, Report, Verdict
from grader.reporting import text
from grader.reporting.escape import visible

MOST_BYTES = 1_000_000
_UNGRADABLE = ("submission-unreadable", "does-not-compile")
"""PrairieLearn does not count an attempt that could not be graded"""


def results(report: Report) -> bytes:
    """A report for PrairieLearn, as students may read it."""
    errors = _format_errors(report)
    tests = [_test(check) for check in report.checks]
    made: dict[str, Any] = {
        "gradable": not errors,
        "score": report.score / report.max_score if report.max_score and not errors else 0.0,
        "message": text.preface(report),
        "output": "",
        "tests": tests,
    }
    if errors:
        made["format_errors"] = errors
    limit = 40_000
    while True:
        made["tests"] = [_shorter(test, limit) for test in tests]
        data = msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
        if len(data) <= MOST_BYTES or limit < 100:
            return data
        limit //= 2


def _format_errors(report: Report) -> list[str]:
    """Why there is nothing to grade; the grader's own fault is no attempt either."""
    broken = [check.reason for check in report.checks if check.verdict is Verdict.BROKEN]
    if broken:
        words = visible(broken[0])
        return [f"This is the grader's fault, not the program's; no attempt is counted. {words}"]
    found = {check.diagnosis for check in report.checks if check.diagnosis is not None}
    if len(found) == 1 and all(check.verdict is Verdict.FAILED for check in report.checks):
        (only,) = found
        if only.slug in _UNGRADABLE:
            return [visible(f"{only.fact} {only.cure}".strip())]
    return []


def _test(check: CheckResult) -> dict[str, Any]:
    found = check.diagnosis
    message = found.fact or found.title if found is not None else check.reason
    return {
        "name": check.name,
        "description": check.claim,
        "points": check.points,
        "max_points": check.max_points,
        "message": visible(message),
        "output": text.explanation(check),
    }


def _shorter(test: dict[str, Any], limit: int) -> dict[str, Any]:
    return test | {key: _cut(test[key], limit) for key in ("message", "output")}


def _cut(words: str, limit: int) -> str:
    """The beginning and the end of what is too long."""
    if len(words) <= limit:
        return words
    return (
        f"{words[: limit // 2]}\n… {len(words) - limit} characters are left out …\n{words[-(limit // 2) :]}"
    )
