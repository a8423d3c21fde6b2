"""JUnit XML, as pytest writes it and Jenkins, GitLab and Artemis read it.

``failure`` is the program's fault, ``error`` the grader's own (broken), ``skipped`` is neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from grader.model import CheckResult, Report, Verdict
from grader.reporting import text
from grader.reporting.escape import visible
from grader.reporting.text import number


def suites(reports: Iterable[Report]) -> bytes:
    """One suite for each student."""
    root = ET.Element("testsuites", name="proclab")
    for report in reports:
        _suite(root, report)
    ET.indent(root)
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def _suite(root: ET.Element, report: Report) -> None:
    suite = ET.SubElement(
        root,
        "testsuite",
        name=visible(f"{report.lab} {report.student}"),
        tests=str(len(report.checks)),
        failures=str(report.count(Verdict.FAILED)),
        errors=str(report.count(Verdict.BROKEN)),
        skipped=str(report.count(Verdict.SKIPPED)),
        time=f"{report.duration_s:.3f}",
        timestamp=report.started,
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("student", report.student),
        ("language", report.language),
        ("lab_version", report.lab_version),
        ("submission_version", report.submission_version),
        ("isolation_level", str(report.level.value)),
        ("score", number(report.score)),
        ("max_score", number(report.max_score)),
    ):
        ET.SubElement(properties, "property", name=name, value=visible(value))
    for check in report.checks:
        _case(suite, report, check)


def _case(suite: ET.Element, report: Report, check: CheckResult) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=f"{report.lab}.{'hidden' if check.hidden else 'checks'}",
        name=check.name,
        time=f"{check.duration_s:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    ET.SubElement(properties, "property", name="claim", value=visible(check.claim))
    for name, points in (("points", check.points), ("max_points", check.max_points)):
        ET.SubElement(properties, "property", name=name, value=number(points))
    found = check.diagnosis
    if check.verdict is Verdict.FAILED:
        message = visible(found.fact or found.title) if found is not None else check.claim
        kind = found.slug if found is not None else "failed"
        ET.SubElement(case, "failure", message=message, type=kind).text = text.explanation(check)
    elif check.verdict is Verdict.BROKEN:
        ET.SubElement(case, "error", message=visible(check.reason), type="broken").text = text.explanation(
            check
        )
    elif check.verdict is Verdict.SKIPPED:
        ET.SubElement(case, "skipped", message=visible(check.reason), type="skipped")
