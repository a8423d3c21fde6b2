"""What another grading changed for whom."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from reports import PASSED, REPORTS, check, hung, report, signalled

from grader.model import CheckResult, Report, Verdict
from grader.reporting import changes
from grader.reporting.changes import compare


def of(student: str, *checks: CheckResult, **changes: Any) -> Report:
    return report(*checks, student=student, **changes)


def passed(made: CheckResult) -> CheckResult:
    return msgspec.structs.replace(
        made, verdict=Verdict.PASSED, points=made.max_points, diagnosis=None, observation=None
    )


def test_nothing_changed_if_only_numbers_did() -> None:
    one = hung()
    assert one.diagnosis is not None
    other = msgspec.structs.replace(
        one.diagnosis, fact=one.diagnosis.fact.replace("descriptor 4", "descriptor 9")
    )
    assert (
        compare(of("ada", one), of("ada", msgspec.structs.replace(one, diagnosis=other, duration_s=9)))
        is None
    )
    for made in REPORTS.values():
        assert compare(made, made) is None


def test_says_what_was_gained_and_why() -> None:
    change = compare(of("ada", PASSED, hung()), of("ada", PASSED, passed(hung())))
    assert change is not None
    assert (change.before, change.after, change.points, change.anew) == (1, 3, 2, False)
    (only,) = change.checks
    assert (only.name, only.points) == ("test_stops_at_end_of_file", 2)
    assert only.before is not None
    assert (only.before.slug, only.before.verdict) == ("write-end-left-open", Verdict.FAILED)
    assert only.after is not None
    assert (only.after.slug, only.after.verdict) == ("", Verdict.PASSED)


def test_checks_that_came_and_went() -> None:
    new = check("test_new", "Something new.", Verdict.PASSED, 3.0)
    change = compare(of("ada", PASSED, passed(hung())), of("ada", PASSED, new))
    assert change is not None
    assert (change.max_before, change.max_after, change.points) == (3, 4, 1)
    assert [(each.name, each.before is None, each.after is None, each.points) for each in change.checks] == [
        ("test_new", True, False, 3),
        ("test_stops_at_end_of_file", False, True, -2),
    ]


def test_another_submission_is_named_as_such() -> None:
    change = compare(of("ada", hung()), of("ada", passed(hung()), submission_version="another"))
    assert change is not None
    assert change.anew


CLASS = [
    (of("ada", PASSED, hung()), of("ada", PASSED, passed(hung()))),
    (of("bob", PASSED, passed(hung())), of("bob", PASSED, hung())),
    (of("\x1b[2Jeve", hung()), of("\x1b[2Jeve", msgspec.structs.replace(signalled(), name=hung().name))),
    (of("tim", PASSED), of("tim", PASSED)),
]


def test_a_class_in_words() -> None:
    text = changes.render(changes.changes("pipeline", CLASS, kept=["zoe"])).plain
    assert text.startswith("pipeline graded again: 1 gained, 1 lost, 1 failed otherwise, 1 unchanged\n")
    assert text.index("LOST POINTS") < text.index("GAINED POINTS") < text.index("OTHER REASONS")
    assert (
        "  bob  3 to 1 of 3 points\n    test_stops_at_end_of_file: passed, now failed, -2\n      now     "
        in text
    )
    assert (
        "  ada  1 to 3 of 3 points\n    test_stops_at_end_of_file: failed, now passed, +2\n      before  "
        in text
    )
    assert "before  write-end-left-open: Stage 2 (wc) waits for end-of-file" in text
    assert "now     killed-by-signal: The program was ended by SIGSEGV." in text
    assert "  test_stops_at_end_of_file: 1 gained, 1 lost, 1 came out otherwise\n" in text
    assert "not graded again zoe" in text
    assert "\\e[2Jeve" in text
    assert "\x1b" not in text


def test_a_class_of_which_nobody_was_graded_again() -> None:
    text = changes.render(changes.changes("pipeline", [])).plain
    assert "nobody was graded again" in text
    assert "--again" in text


def test_a_class_as_a_table() -> None:
    evil = [(of("=1+1", hung()), of("=1+1", passed(hung())))]
    rows = list(csv.DictReader(io.StringIO(changes.table(changes.changes("pipeline", CLASS + evil)))))
    assert [row["student"] for row in rows] == ["bob", "'=1+1", "ada", "\\e[2Jeve"]
    assert rows[0]["score_before"] == "3"
    assert rows[0]["score_after"] == "1"
    assert rows[0]["verdict_after"] == "failed"
    assert rows[0]["diagnosis_after"] == "write-end-left-open"
    assert rows[0]["fact_after"].startswith("Stage 2 (wc) waits")


def test_a_class_for_programs() -> None:
    told = json.loads(changes.event(changes.changes("pipeline", CLASS)))
    assert told["event"] == "changes"
    assert [change["student"] for change in told["changes"]] == ["bob", "ada", "\x1b[2Jeve"]


@pytest.mark.parametrize("number", [1, 30])
def test_a_long_list_of_checks_is_cut(number: int) -> None:
    def checks(verdict: Verdict) -> list[CheckResult]:
        return [check(f"test_{n}", "Something.", verdict) for n in range(number)]

    pair = (of("ada", *checks(Verdict.PASSED)), of("ada", *checks(Verdict.SKIPPED)))
    text = changes.render(changes.changes("pipeline", [pair])).plain.partition("By check")[0]
    assert ("more" in text) == (number > 8)
