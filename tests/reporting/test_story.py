"""An order of steps as a list with a column for each task."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
from reports import hung, report

from grader.model import CheckResult, Place, Schedule, Step, Verdict
from grader.reporting.html import fragment, page
from grader.reporting.schedule import needs
from grader.reporting.story import listed

STEPS = (
    Step(task="main", place=Place(file="b.py", line=3), source="count == 0", text="reads count"),
    Step(task="", text="---- main is interrupted here"),
    Step(
        task="consumer 1",
        place=Place(file="b.py", line=9),
        source="ready.notify()",
        text="nobody waits, it is lost",
    ),
    Step(task="", text="… 4 steps (consumer 1)"),
    Step(task="main", text="waits, for ever"),
)
STORY = Schedule(strategy="d3", replay="test_x:0:d3", switches=1, tried=7, steps=STEPS)


def told(made: str) -> list[tuple[str, str]]:
    root = ElementTree.fromstring(made)
    return [
        (
            next((e.get("class") or "" for e in row), row.get("class") or ""),
            " ".join("".join(row.itertext()).split()),
        )
        for row in root
    ]


def interleaved(**changes: object) -> CheckResult:
    check = hung()
    assert check.observation is not None
    seen = msgspec.structs.replace(check.observation, schedule=STORY, processes=(), edges=(), events=())
    return msgspec.structs.replace(check, observation=seen, **changes)


def test_has_a_column_for_each_task_and_a_bar_for_an_interruption() -> None:
    assert told(listed(STORY)) == [
        ("pl-col-1", "mainconsumer 1"),
        ("pl-step pl-col-1", "main line 3 count == 0reads count"),
        ("pl-cut", "main is interrupted here"),
        ("pl-step pl-col-2", "consumer 1 line 9 ready.notify()nobody waits, it is lost"),
        ("pl-gap", "… 4 steps (consumer 1)"),
        ("pl-step pl-col-1", "main waits, for ever"),
    ]


def test_marks_what_is_lost_and_who_waits_for_ever() -> None:
    root = ElementTree.fromstring(listed(STORY))
    assert [e.text for e in root.iter() if e.get("class") == "pl-fatal"] == [
        "nobody waits, it is lost",
        "waits, for ever",
    ]


def test_many_tasks_stand_in_one_column_with_their_names() -> None:
    steps = tuple(Step(task=f"worker {n}", text="runs") for n in range(9))
    made = listed(msgspec.structs.replace(STORY, steps=steps))
    assert 'class="pl-story pl-cols-1"' in made
    assert "pl-col-2" not in made
    assert [text for _, text in told(made)] == [f"worker {n} runs" for n in range(9)]


def test_names_the_file_where_there_are_several() -> None:
    other = Step(task="main", place=Place(file="driver.py", line=1), text="starts")
    made = listed(msgspec.structs.replace(STORY, steps=(*STEPS, other)))
    assert "b.py:3" in made
    assert "driver.py:1" in made


def test_leaves_out_the_middle_of_a_long_story() -> None:
    made = listed(msgspec.structs.replace(STORY, steps=STEPS[:1] * 1000))
    assert "… 840 more steps" in made
    assert len(ElementTree.fromstring(made)) == 161


def test_the_page_shows_the_story_and_how_to_repeat_it() -> None:
    made = page(report(interleaved()))
    assert f"{needs(STORY).capitalize()}." in made
    assert "proclab check pipeline --replay test_x:0:d3" in made
    assert "pl-cut" in fragment(interleaved())


def test_a_replay_that_broke_no_promise_is_shown_too() -> None:
    check = interleaved(
        verdict=Verdict.PASSED, diagnosis=None, points=2.0, basis="no failure in 99 schedules"
    )
    made = page(report(check))
    assert "main is interrupted here" in made
    assert made.count("no failure in 99 schedules") == 2
    assert fragment(check).endswith("(no failure in 99 schedules)</div>")
