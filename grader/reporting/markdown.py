"""A report as Markdown, for the summary of a GitHub Actions step or the body of a release."""

from __future__ import annotations

import re

from grader.model import CheckResult, Report, Verdict
from grader.reporting import text
from grader.reporting.escape import visible
from grader.reporting.text import number

MOST_BYTES = 900_000
"""GitHub takes a megabyte for a step"""
_SIGNS = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.BROKEN: "⚠️", Verdict.SKIPPED: "➖"}  # noqa: RUF001


def page(report: Report) -> str:
    """Score, a table of all checks, and what is to be said of those that did not pass, folded."""
    lines = [f"## {_plain(report.lab_title)}", ""]
    lines += ["```text", *text.preface(report).splitlines(), "```", ""]
    lines += ["| | points | check |", "|---|---|---|"]
    for check in report.checks:
        lines.append(
            f"| {_SIGNS[check.verdict]} {check.verdict.value} | {number(check.points)} of {number(check.max_points)} "
            f"| {_plain(check.claim)} <br> `{check.name}` |"
        )
    size = sum(len(line.encode()) for line in lines)
    for check in report.checks:
        folded = _folded(check)
        size += sum(len(line.encode()) + 1 for line in folded)
        if size > MOST_BYTES:
            lines += ["", "(There is more than fits here.)"]
            break
        lines += folded
    return "\n".join(lines) + "\n"


def _folded(check: CheckResult) -> list[str]:
    words = text.explanation(check).rstrip("\n")
    if not words:
        return []
    longest = max((len(run) for run in re.findall("`+", words)), default=0)
    fence = "`" * max(3, longest + 1)  # nothing that a program wrote ends the block
    found = check.diagnosis
    title = f"{found.title} ({found.slug})" if found is not None else check.verdict.value
    return [
        "", f"<details><summary><code>{check.name}</code> {_html(title)}</summary>", "",
        f"{fence}text", words, fence, "", "</details>",
    ]  # fmt: skip


def _html(words: str) -> str:
    """Text in an element of HTML, where nothing is Markdown."""
    return visible(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(words: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~@-])", r"\\\1", _html(words))
