"""How the order of steps that shows a fault is drawn."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from reports import failed, report

from grader.model import Diagnosis, Ending, Observation, Place, Report, Schedule, Step, Verdict
from grader.reporting import schedule as drawing
from grader.reporting import text
from grader.reporting.page import Page

GOLDEN = Path(__file__).parents[1] / "messages" / "schedule.txt"


def at(line: int, file: str = "buffer.py") -> Place:
    return Place(file=file, line=line)


STEPS = (
    Step(task="", text="… 6 steps of main and producer 1"),
    Step(task="consumer 1", place=at(28), source="while self.count == 0:", text="reads count"),
    Step(task="", text="---- consumer 1 is interrupted here, before line 29"),
    Step(task="main", place=at(21), source="self.count += 1", text="reads and writes count"),
    Step(
        task="main", place=at(22), source="self.not_empty.notify()", text="notifies not_empty: nobody waits there"
    ),
    Step(task="consumer 1", place=at(29), source="with self.lock:", text="acquires the lock"),
    Step(task="consumer 1", place=at(30), source="self.not_empty.wait()", text="waits on not_empty, for ever"),
    Step(
        task="main", place=at(87), source="for worker in workers: worker.join()  # " + "they all end some day, " * 5,
        text="waits for the end of consumer 1, for ever",
    ),
)  # fmt: skip
SCHEDULE = Schedule(
    strategy="d17", replay="test_loses_nothing:2:d17", switches=1, tried=23, steps=STEPS,
    waiting=("consumer 1 waits on not_empty (buffer.py, line 30)", "main waits for the end of consumer 1"),
)  # fmt: skip
SEEN = Observation(
    argv=("bounded_buffer", "--capacity", "1"), command="python3 bounded_buffer.py --capacity 1", ending=Ending.HUNG,
    schedule=SCHEDULE,
)  # fmt: skip
FOUND = Diagnosis(
    slug="lost-wake-up",
    title="A notification is lost.",
    fact="Consumer 1 looked at count (line 28) and then waited on not_empty (line 30).",
    why="A condition remembers nothing.",
    cure="Test and wait while you hold the lock.",
    place=at(28),
)


def made(seen: Observation = SEEN, **changes: object) -> Report:
    check = failed(
        "test_loses_nothing", "Nothing is lost in any order.", FOUND, seen,
        expected="the program ends by itself", observed="2 of 3 threads wait for ever", **changes,
    )  # fmt: skip
    return report(check, lab="bounded_buffer")


def test_reads_as_blessed() -> None:
    page = text.render(made()).plain
    if os.environ.get("BLESS"):
        GOLDEN.write_text(page)
    assert page == GOLDEN.read_text(), "read the difference, then: make bless"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_fits_the_width(width: int) -> None:
    page = Page(width)
    drawing.draw(page, SCHEDULE, 4)
    assert all(len(line) <= width for line in page.plain.splitlines())


def test_names_the_other_file_where_there_are_several() -> None:
    other = Step(task="main", place=at(3, "driver.py"), source="import buffer", text="starts producer 1")
    page = Page()
    drawing.draw(page, msgspec.structs.replace(SCHEDULE, steps=(other, *STEPS)), 0)
    assert "driver.py:3 " in page.plain
    assert "line 28 " in page.plain
    assert "lines are those of buffer.py" in " ".join(page.plain.split())


def test_says_how_unlikely_it_is() -> None:
    words = {
        0: "no thread is interrupted",
        1: "it needs one unlucky switch",
        2: "it needs 2 unlucky switches",
    }
    for switches, said in words.items():
        assert drawing.needs(Schedule(strategy="", switches=switches, tried=1)) == said
    assert (
        drawing.needs(Schedule(strategy="s3", tried=9))
        == "it needs several unlucky switches; found by schedule 9"
    )


def test_a_hidden_check_shows_the_steps_but_neither_the_command_nor_how_to_repeat_it() -> None:
    hidden = msgspec.structs.replace(SEEN, schedule=msgspec.structs.replace(SCHEDULE, replay=""))
    page = text.render(made(hidden, hidden=True)).plain
    assert "is interrupted here" in page
    assert "--capacity" not in page
    assert "--replay" not in page


def test_what_a_student_writes_does_nothing_to_the_page() -> None:
    evil = Step(
        task="\x1b[31mred", place=at(1), source="\x1b]0;title\x07\n\n[bold]x[/bold]", text="reads \x1b[2J"
    )
    page = Page()
    drawing.draw(page, msgspec.structs.replace(SCHEDULE, steps=(evil,)), 0)
    assert "\x1b" not in page.plain
    assert "\x07" not in page.plain


def test_a_replay_that_breaks_no_promise_is_shown_too() -> None:
    passed = msgspec.structs.replace(
        made().checks[0], verdict=Verdict.PASSED, diagnosis=None, observation=msgspec.structs.replace(SEEN, ending=Ending.EXITED)
    )  # fmt: skip
    page = text.render(report(passed)).plain
    assert "PASSED  test_loses_nothing in this order of steps" in page
    assert "reads and writes count" in page
