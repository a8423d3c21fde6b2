"""Annotations of GitHub Actions: at the line of the student's file, where the diagnosis knows it.

Source: docs.github.com, "Workflow commands for GitHub Actions". A step shows ten annotations of a kind, so checks that
failed for the same reason at the same place share one.
"""

from __future__ import annotations

from collections.abc import Callable

from grader.model import CheckResult, Report, Verdict
from grader.reporting.escape import visible
from grader.reporting.text import number

_MOST = 10


def commands(report: Report, path: Callable[[str], str] = lambda file: file) -> str:
    """A command on each line, the last one with the score.

    :param path: where a file of the submission lies in the repository
    """
    lines = []
    groups: dict[tuple[str, str, str], list[CheckResult]] = {}
    for check in report.checks:
        found = check.diagnosis
        if check.verdict is Verdict.FAILED:
            key = (found.slug, str(found.place), found.fact) if found is not None else (check.name, "", "")
            groups.setdefault(key, []).append(check)
        elif check.verdict is Verdict.BROKEN:
            title = f"{check.name}: the grader's fault, not the program's"
            lines.append(_command("warning", check.reason, title=title))
    left_out = len(groups) - _MOST
    for same in list(groups.values())[: _MOST if left_out <= 0 else _MOST - 1]:
        lines.append(_failed(same, path))
    if left_out > 0:
        lines.append(_command("error", f"{left_out + 1} more faults are in the summary", title="more"))
    words = f"{number(report.score)} of {number(report.max_score)} points"
    lines.append(_command("notice", words, title=report.lab_title))
    return "".join(f"{line}\n" for line in lines)


def _failed(same: list[CheckResult], path: Callable[[str], str]) -> str:
    check = same[0]
    found = check.diagnosis
    names = ", ".join(each.name for each in same)
    if found is None:
        return _command("error", check.claim, title=names)
    words = "\n".join(filter(None, (found.fact or found.title, found.why, found.cure, f"Failed: {names}")))
    where = {}
    if found.place is not None:
        where = {"file": path(found.place.file), "line": str(found.place.line)}
    return _command("error", words, title=found.title, **where)


def _command(kind: str, message: str, **properties: str) -> str:
    """One workflow command. Its text is in one line, and nothing in it begins another command."""
    said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    lines = (visible(line) for line in message.split("\n"))
    return f"::{kind} {said}::{_data(chr(10).join(lines))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")
