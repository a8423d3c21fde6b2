"""Classroom 50's ``result.json``.

Source: foundation50/classroom50, wiki/Advanced-Autograding.md, "The result.json contract". Points are integers there. A
report that is broken has no result: the autograder ends with another status than 0, which is "an infrastructure
error", and costs no points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec

from grader.model import Fault, Report, Value, Verdict
from grader.reporting.escape import visible

SCHEMA = "classroom50/result/v1"


class Run(Value, frozen=True, kw_only=True):
    """What the runner says of a submission, in its environment."""

    classroom: str
    assignment: str
    submission: str
    commit: str
    release: str
    review: str
    owner: str = ""
    assignment_type: str = ""


_VARIABLES = {
    "classroom": ("CLASSROOM",),
    "assignment": ("ASSIGNMENT",),
    "submission": ("SUBMISSION_TAG",),
    "commit": ("COMMIT_URL",),
    "release": ("RELEASE_URL",),
    "review": ("REVIEW_URL", "COMMIT_URL"),
    "owner": ("OWNER", "USERNAME"),
    "assignment_type": ("ASSIGNMENT_TYPE",),
}
_OPTIONAL = {"owner", "assignment_type"}


def run(environment: Mapping[str, str]) -> Run:
    """What stands in the environment.

    :raises Fault: if the runner did not set it
    """
    said = {
        key: next((environment[name] for name in names if environment.get(name)), "")
        for key, names in _VARIABLES.items()
    }
    missing = [_VARIABLES[key][0] for key, value in said.items() if not value and key not in _OPTIONAL]
    if missing:
        raise Fault(
            f"the environment has no {', '.join(missing)}", where="classroom50",
            cure="run it as an autograder of Classroom 50, whose runner sets these",
        )  # fmt: skip
    return Run(**said)


def result(report: Report, said: Run, submitted: str = "") -> bytes:
    """A report for Classroom 50.

    :param submitted: when it was handed in (ISO 8601, UTC): the commit's date, which no regrading changes
    :raises Fault: if the report is broken: then there is no result to tell
    """
    if report.broken:
        reason = next(check.reason for check in report.checks if check.verdict is Verdict.BROKEN)
        raise Fault(
            f"the grader itself failed, so there is no result: {visible(reason)}", where="classroom50",
            cure="run the autograder again",
        )  # fmt: skip
    scale = _scale(report)
    tests: list[dict[str, Any]] = []
    for check in report.checks:
        found = check.diagnosis
        tests.append(
            {
                "test-name": check.name,
                "passed": check.verdict is Verdict.PASSED,
                "score": round(check.points * scale),
                "max-score": round(check.max_points * scale),
                "verdict": check.verdict.value,
                "claim": check.claim,
                "diagnosis": found.slug if found is not None else "",
                "message": visible(found.fact or found.title if found is not None else check.reason),
            }
        )
    made = {
        "schema": SCHEMA,
        "classroom": said.classroom,
        "assignment": said.assignment,
        **({"assignment_type": said.assignment_type} if said.assignment_type else {}),
        **({"owner": said.owner} if said.owner else {}),
        "submission": said.submission,
        "commit": said.commit,
        "release": said.release,
        "review": said.review,
        "datetime": _utc(submitted or report.started),
        "graded_at": _utc(report.started),
        "score": sum(test["score"] for test in tests),
        "max-score": sum(test["max-score"] for test in tests),
        "tests": tests,
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def _scale(report: Report) -> int:
    """By what points are multiplied, so that all are integers: 2 where there are halves."""
    points = [value for check in report.checks for value in (check.points, check.max_points)]
    return math.lcm(1, *(Fraction(value).limit_denominator(1000).denominator for value in points))


def _utc(time: str) -> str:
    return time.removesuffix("+00:00") + "Z" if time.endswith("+00:00") else time
