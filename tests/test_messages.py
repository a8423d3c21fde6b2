"""Every diagnosis that the pipeline's mutants earn, in the words that a student reads.

One mutant and one check for each slug, graded for real. What varies from run to run (times, inode
numbers) is written as N. ``make bless`` accepts the words as they are now; read the difference first.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from victims import ROOT

from grader.content import course, mutant
from grader.judging.judge import judge
from grader.model import CheckResult

pytestmark = pytest.mark.usefixtures("full")

LAB = course.load_lab(course.find(ROOT), "pipeline")
GOLDEN = Path(__file__).parent / "messages" / "pipeline"
CHECKS = [check.name for check in LAB.checks]


def _examples() -> dict[str, tuple[str, str]]:
    """The first mutant and check that certainly earn each slug, in the order of mutants.toml."""
    found: dict[str, tuple[str, str]] = {}
    for each in mutant.load(LAB):
        if each.may or each.name == "dup2-to-the-wrong-side":
            continue  # what these print depends on who comes first
        for check, slug in each.fails.items():
            if slug:
                found.setdefault(slug, (each.name, CHECKS[1] if check == "*" else check))
    return found


EXAMPLES = _examples()
VARYING = {"waits-forever", "spins", "falls-through-after-exec"}
"""Words that tell which stage was where at that moment: right each time, but not the same each time."""


def _words(check: CheckResult, story: str) -> str:
    assert check.diagnosis is not None
    told = check.diagnosis
    lines = [
        f"story     {story}",
        f"check     {check.claim}",
        f"what      {told.fact}",
        f"where     {told.place or ''}",
    ]
    lines += [f"evidence  {line}" for line in told.evidence]
    lines.append(f"expected  {check.expected}")
    text = "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"
    text = re.sub(r"\[\d{3,}\]", "[N]", text)
    return re.sub(r"\d+(\.\d+)? s\b", "N s", text)


@pytest.mark.parametrize("slug", EXAMPLES)
def test_says_what_a_student_needs(slug: str) -> None:
    name, check = EXAMPLES[slug]
    wrong = next(each for each in mutant.load(LAB) if each.name == name)
    report = judge(LAB, mutant.submission(wrong, LAB), select=check)
    found = next(each for each in report.checks if each.name == check)
    assert found.diagnosis is not None, found.reason
    assert found.diagnosis.slug == slug
    if slug in VARYING:
        return
    words = _words(found, wrong.story)
    path = GOLDEN / f"{slug}.txt"
    if os.environ.get("BLESS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(words)
    assert words == path.read_text(), "read the difference, then: make bless"


def test_no_message_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(EXAMPLES) - VARYING
