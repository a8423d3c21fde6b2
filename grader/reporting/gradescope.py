"""Gradescope's ``results.json``.

Source: gradescope-autograders.readthedocs.io, "Autograder specifications".
"""

from __future__ import annotations

from typing import Any

import msgspec

from grader.model import CheckResult, Report, Verdict
from grader.reporting import text

VISIBILITIES = ("visible", "after_due_date", "after_published", "hidden")


def results(report: Report, *, hidden_checks: str = "after_due_date") -> bytes:
    """A report for Gradescope, as students may read it: of hidden checks neither command nor data.

    :param hidden_checks: when students see hidden checks at all, one of `VISIBILITIES`; while any is not to be
        seen, Gradescope does not show them the total either
    """
    made = {
        "score": report.score,
        "execution_time": round(report.duration_s, 2),
        "output": text.preface(report),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {
            "lab": report.lab,
            "lab_version": report.lab_version,
            "submission_version": report.submission_version,
            "isolation_level": report.level.value,
            "final": not report.broken,
        },
        "tests": [_test(number, check, hidden_checks) for number, check in enumerate(report.checks, 1)],
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def _test(number: int, check: CheckResult, hidden_checks: str) -> dict[str, Any]:
    found = check.diagnosis
    made: dict[str, Any] = {
        "score": check.points,
        "max_score": check.max_points,
        "name": check.claim,
        "number": str(number),
        "output": text.explanation(check),
        "output_format": "text",
        "tags": [check.name, *([found.slug] if found is not None else [])],
        "visibility": hidden_checks if check.hidden else "visible",
        "extra_data": {"check": check.name, "verdict": check.verdict.value},
    }
    # It has only these two; what did not run has none, and is shown without a colour.
    if check.verdict in (Verdict.PASSED, Verdict.FAILED):
        made["status"] = check.verdict.value
    return made
