"""One run of the many that a check tries, again and by its id: what the command line shows of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from victims import PROGRAMS

from grader.classroom import desk
from grader.content import course as courses
from grader.content.course import Course
from grader.judging.schedules import split
from grader.model import Fault, Report

RACES = PROGRAMS / "races"
CHECKS = '''\
from grader import diagnose, points


@points(1)
def test_counts(schedules):
    """Nothing is lost, whoever counts first."""
    schedules(("victim", "2", "1", "1", "1"), ("victim", "2", "1", "2", "1"), promise=right)


@points(1)
def test_counts_more(schedules):
    """Nothing is lost, however many count."""
    schedules(("victim", "3", "1", "1", "1"), promise=right)


def right(ran):
    words = ran.out.split()
    assert words[1] == words[3], diagnose("wrong-output", f"The total is {words[1]}, not {words[3]}.")
'''


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, full: None) -> Course:
    root = tmp_path_factory.mktemp("course")
    lab = root / "labs" / "victim"
    lab.mkdir(parents=True)
    (root / "labs" / "course.toml").write_text('title = "Races"\nlabs = ["victim"]\n')
    (lab / "lab.toml").write_text('title = "Races"\n[files]\npython = "victim.py"\n')
    (lab / "checks.py").write_text(CHECKS)
    return courses.find(root)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (folder / "victim.py").write_bytes((RACES / "counter_in_one_line.py").read_bytes())
    return folder


def replay(course: Course, work: Path, name: str) -> tuple[Report, str]:
    stream = io.StringIO()
    report = desk.check(course, "victim", work, None, desk.Words(stream, 96), name)
    return report, stream.getvalue()


def test_a_schedule_that_breaks_the_promise_is_shown_whole(course: Course, work: Path) -> None:
    stream = io.StringIO()
    first = desk.check(course, "victim", work, "test_counts", desk.Words(stream, 96))
    seen = first.checks[0].observation
    assert seen is not None
    assert seen.schedule is not None
    assert f"proclab check victim --replay {seen.schedule.replay}" in stream.getvalue()
    report, said = replay(course, work, seen.schedule.replay)
    assert desk.status(report) == 1
    assert [check.name for check in report.checks] == ["test_counts"]
    assert "is interrupted here, before it writes count" in said
    assert "steps of" not in said


def test_a_schedule_that_keeps_the_promise_is_shown_whole(course: Course, work: Path) -> None:
    report, said = replay(course, work, "test_counts:0:d")
    assert desk.status(report) == 0
    assert "PASSED  test_counts in this order of steps" in said
    assert "reads and writes count" in said
    assert "python3 victim.py 2 1 1 1" in said


def test_a_seed_can_be_replayed(course: Course, work: Path) -> None:
    first, second = (replay(course, work, "test_counts_more:0:s3")[0].checks[0].observation for _ in range(2))
    assert first is not None
    assert first == second


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is no id of a run"),
        ("test_counts", "is no id of a run"),
        ("test_counts:d3", "is no id of a run"),
        ("test_counts:x:d3", "is no id of a run"),
        ("test_other:0:d3", "no check of victim is named 'test_other'"),
        ("test_count:0:d3", "no check of victim is named 'test_count'"),
        ("test_counts:2:d3", "runs nothing that is called 'test_counts:2:d3'"),
        ("test_counts:0:77", "test_counts tries nothing that is called '0:77'"),
    ],
)
def test_what_is_no_id_is_said(course: Course, work: Path, name: str, words: str) -> None:
    if not name:
        with pytest.raises(Fault, match=words):
            split(name)
        return
    with pytest.raises(Fault, match=words) as caught:
        replay(course, work, name)
    assert caught.value.cure
