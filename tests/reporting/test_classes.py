"""A class in figures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import BROKEN, PASSED, REPORTS, SKIPPED, hung, report, signalled, unbuilt

from grader.model import Report
from grader.reporting import classes
from grader.reporting.classes import figures


def of(student: str, *checks: Any, **changes: Any) -> Report:
    return report(*(checks or (PASSED, hung(), SKIPPED)), student=student, **changes)


def hung_at(number: int) -> Any:
    """The same fault with other particulars."""
    found = hung()
    assert found.diagnosis is not None
    fact = found.diagnosis.fact.replace("Stage 2 (wc)", f"Stage {number} (sort{number})")
    return msgspec.structs.replace(found, diagnosis=msgspec.structs.replace(found.diagnosis, fact=fact))


def test_a_light_report_has_all_that_a_class_needs() -> None:
    for whole in REPORTS.values():
        slim = classes.light(whole)
        assert (slim.score, slim.max_score, slim.student) == (whole.score, whole.max_score, whole.student)
        assert figures([slim]) == figures([whole])
        assert all(check.observation is None for check in slim.checks)
    assert len(msgspec.json.encode(classes.light(REPORTS["flooded"]))) < 2000


def test_the_same_fault_of_several_students_is_counted_together() -> None:
    class_ = [
        of("ada", PASSED, hung_at(2)),
        of("bob", PASSED, hung_at(7), hung_at(8)),
        of("eve", PASSED, signalled()),
    ]
    first, second = figures(class_).diagnoses
    assert (first.slug, first.students) == ("write-end-left-open", ("ada", "bob"))
    assert first.checks == ("test_stops_at_end_of_file",)
    (form,) = first.forms
    assert form.students == ("ada", "bob")
    assert form.words == (
        "Stage N waits for end-of-file on the pipe from stage N to stage N; its write end is still open in the "
        "parent, descriptor N."
    )
    assert form.example == class_[0].checks[1].diagnosis.fact  # type: ignore[union-attr]
    assert (second.slug, second.students) == ("killed-by-signal", ("eve",))


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ("Stage 2 (wc) has descriptor 4.", "Stage N has descriptor N."),
        ("'false | true' gave status 1.5; \"x\" 2", "… gave status N; … N"),
        ("nothing", "nothing"),
        ("", ""),
        ("it (that (is nested)) ends", "it (that) ends"),
    ],
)
def test_a_form_is_a_fact_without_particulars(fact: str, words: str) -> None:
    assert classes.form(fact) == words


def test_the_hardest_check_is_the_one_that_most_programs_fail() -> None:
    unread = of("nobody", *unbuilt(), language="")
    found = figures([of("ada"), of("bob", PASSED), of("eve", PASSED, hung()), unread])
    hardest = found.checks[0]
    assert (hardest.name, hardest.tried, hardest.failed, hardest.share) == (
        "test_stops_at_end_of_file",
        2,
        2,
        1.0,
    )
    assert hardest.diagnoses == (("write-end-left-open", 2),)
    easy = next(check for check in found.checks if check.name == "test_runs_one_command")
    assert (easy.tried, easy.failed) == (3, 0), "what was no program says nothing about a check"
    assert next(check for check in found.checks if check.name == "test_reaps_every_child").skipped == 1


def test_who_needs_help_and_why() -> None:
    class_ = [
        of("ada", PASSED),
        of("bob", PASSED, hung(), hung()),  # 1 of 5
        of("cleo", *unbuilt()),
        of("dan", PASSED, BROKEN, hung()),  # nothing is final yet
    ]
    found = figures(class_)
    assert [(each.student, each.slug) for each in found.help] == [
        ("cleo", "does-not-compile"),
        ("bob", "write-end-left-open"),
    ]
    assert found.help[1].percent == 20
    assert found.help[1].reason.startswith("A write end of a pipe stays open")
    (broken,) = found.broken
    assert broken.student == "dan"
    assert "NameError" in broken.what
    assert "graded again" in broken.cure


def test_points_of_a_class() -> None:
    found = figures([of("ada", PASSED), of("bob", PASSED, hung()), of("eve", hung())])
    assert (found.students, found.max_score, found.median) == (3, 3, 1)
    assert found.mean == pytest.approx(2 / 3)
    assert [(band.low, band.students) for band in found.bands if band.students] == [(0, 1), (30, 1), (100, 1)]


def test_what_the_time_went_to() -> None:
    found = figures([of(f"s{n}", duration_s=float(n)) for n in range(1, 8)])
    assert (found.times.total_s, found.times.median_s) == (28, 4)
    assert found.times.slowest == (("s7", 7), ("s6", 6), ("s5", 5), ("s4", 4), ("s3", 3))


def test_a_report_of_an_older_version_of_the_lab_is_named() -> None:
    old = of("ada", lab_version="old", started="2026-01-01T00:00:00+00:00")
    found = figures([old, of("bob")])
    assert found.outdated == ("ada",)
    assert found.lab_version == "0123456789abcdef"


def test_a_class_has_somebody_in_it() -> None:
    with pytest.raises(ValueError, match="without reports"):
        figures([])


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from([PASSED, hung(), SKIPPED, BROKEN, signalled()]), max_size=5).flatmap(
    lambda checks: st.lists(st.tuples(st.text(max_size=3), st.just(tuple(checks))), min_size=1, max_size=6)
))  # fmt: skip
def test_figures_hold_together(class_: list[tuple[str, tuple[Any, ...]]]) -> None:
    reports = [report(*checks, student=student) for student, checks in class_]
    found = figures(reports)
    assert sum(band.students for band in found.bands) == len(reports) == found.students
    for check in found.checks:
        assert 0 <= check.failed <= check.tried <= len(reports) * 5
        assert sum(count for _, count in check.diagnoses) <= check.failed
    for each in found.diagnoses:
        assert each.forms
        assert {name for form in each.forms for name in form.students} == set(each.students)
    assert found == figures(list(reversed(reports))) or len({r.student for r in reports}) < len(reports)
