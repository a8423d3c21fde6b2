"""The order of steps that shows a fault, line by line: who, where, what, and what came of it."""

from __future__ import annotations

from collections import Counter

from grader.model import Place, Schedule
from grader.reporting.escape import visible
from grader.reporting.page import Page

_TASK, _TEXT = 16, 38
"""The widest that a name may be, and the room for what a step does"""


def draw(page: Page, schedule: Schedule, indent: int) -> None:
    """The story of a schedule, and who waits for what at its end."""
    if schedule.steps:
        page.blank()
        others = any(
            step.place is not None and step.place.file != main_file(schedule) for step in schedule.steps
        )
        words = needs(schedule) + (f"; lines are those of {main_file(schedule)}" if others else "")
        page.labelled("one order of steps that shows it", f"({words})", indent=indent, column=34)
        _steps(page, schedule, indent + 2)


def needs(schedule: Schedule) -> str:
    """How unlikely it is, in words."""
    match schedule.switches:
        case 0:
            words = "no thread is interrupted"
        case 1:
            words = "it needs one unlucky switch"
        case None:
            words = "it needs several unlucky switches"
        case number:
            words = f"it needs {number} unlucky switches"
    return words + (f"; found by schedule {schedule.tried}" if schedule.tried > 1 else "")


def _steps(page: Page, schedule: Schedule, indent: int) -> None:
    main = main_file(schedule)
    where = {id(step): "" if step.place is None else _where(step.place, main) for step in schedule.steps}
    task = min(max((len(visible(step.task)) for step in schedule.steps), default=0), _TASK) + 2
    place = max((len(words) for words in where.values()), default=0) + 2
    room = max(page.width - indent - task - place - _TEXT, 12)
    source = min(max((len(visible(step.source)) for step in schedule.steps), default=0) + 2, room)
    for step in schedule.steps:
        if not step.task:
            style = "bold yellow" if step.text.startswith("--") else "dim"
            page.labelled("", step.text, indent=indent + task, style=style)
            continue
        name = _cut(step.task, task - 2).ljust(task)
        code = _cut(step.source, source - 2).ljust(source)
        style = "bold red" if step.text.endswith(("for ever", "lost")) else ""
        page.labelled(
            (f"{name}{where[id(step)].ljust(place)}{code}", "dim"), step.text, indent=indent, style=style
        )


def main_file(schedule: Schedule) -> str:
    """The file of most of its lines."""
    files = Counter(step.place.file for step in schedule.steps if step.place is not None)
    return max(files, key=lambda file: files[file], default="")


def _where(place: Place, main: str) -> str:
    return f"line {place.line}" if place.file == main else str(place)


def _cut(text: str, width: int) -> str:
    text = visible(text)
    return text if len(text) <= width else text[: width - 1] + "…"
