"""How a grading is told of: count, pace, time left, what is in work."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from reports import BROKEN, PASSED, hung, report

from grader.classroom.gradebook import Shelf
from grader.classroom.progress import Json, Lines, Pace, Quiet, duration
from grader.model import Report, Verdict


def of(student: str) -> Report:
    return report(PASSED, hung(), student=student)


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_pace_is_that_of_what_was_really_graded() -> None:
    clock = Clock()
    pace = Pace(10, clock)
    assert (pace.done, pace.per_minute, pace.left_s) == (0, 0, None)
    for number in range(4):
        pace.finished(of(f"known{number}"), unchanged=True)
    assert (pace.done, pace.left_s) == (4, None), "looking up is no measure of grading"
    pace.begun("ada")
    pace.begun("bob")
    clock.now += 20
    pace.finished(of("ada"), unchanged=False)
    assert pace.current == ["bob"]
    assert (pace.done, pace.graded, pace.unchanged) == (5, 1, 4)
    assert pace.per_minute == pytest.approx(3)
    assert pace.left_s == pytest.approx(5 * 20)
    assert pace.verdicts[Verdict.PASSED] == 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "?"), (0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_says_a_duration_as_people_do(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_line_for_each_submission_that_was_graded() -> None:
    said = io.StringIO()
    with Lines(said) as show:
        show.note("README.md was passed over")
        show.begin("pipeline", 3, 2, Path("grades"))
        show.begun("\x1b[2Jada")
        show.finished(of("\x1b[2Jada"), unchanged=False)
        show.finished(of("bob"), unchanged=True)
        show.stopped("interrupted")
    lines = said.getvalue().splitlines()
    assert lines[0] == "note: README.md was passed over"
    assert lines[1].startswith("[1/3] \\e[2Jada: 1 of 3 points (1 passed, 1 failed) 1.2 s – ")  # noqa: RUF001
    assert lines[1].endswith(" left")
    assert lines[2] == (
        "interrupted: 2 of 3 submissions graded and kept; the same command goes on from there"
    )  # fmt: skip
    assert len(lines) == 3


def test_shows_the_class_at_the_end(tmp_path: Path) -> None:
    said = io.StringIO()
    with Lines(said) as show:
        show.begin("pipeline", 1, 1, tmp_path)
        show.finished(of("ada"), unchanged=False)
        show.end(Shelf(tmp_path), [of("ada"), of("bob")])
    text = said.getvalue()
    assert text.index("Commonest diagnoses") < text.index("2 submissions; gradebook")
    assert "    2 of 2: write-end-left-open" in text


def test_quiet_says_where_the_results_are_and_no_more(tmp_path: Path) -> None:
    said = io.StringIO()
    with Quiet(said) as show:
        show.note("README.md was passed over")
        show.begin("pipeline", 1, 1, tmp_path)
        show.begun("ada")
        show.finished(of("ada"), unchanged=False)
        show.end(Shelf(tmp_path), [of("ada")])
    assert (
        said.getvalue()
        == f"1 submission; gradebook {tmp_path}/gradebook.csv, reports in {tmp_path}/reports/\n"
    )


def test_json_is_an_object_on_each_line_whatever_a_student_is_called(tmp_path: Path) -> None:
    said = io.StringIO()
    with Json(said) as show:
        show.note("two\nlines")
        show.begin("pipeline", 2, 1, tmp_path)
        show.begun("ada\n{}")
        show.finished(msgspec.structs.replace(report(PASSED, BROKEN), student="ada\n{}"), unchanged=False)
        show.stopped("No space left on device")
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["note", "begin", "begun", "graded", "stopped"]
    assert events[0]["text"] == "two\nlines"
    assert events[3]["student"] == "ada\n{}"
    assert events[3]["verdicts"] == {"passed": 1, "failed": 0, "broken": 1, "skipped": 0}
    assert (events[4]["why"], events[4]["done"], events[4]["total"]) == ("No space left on device", 1, 2)
