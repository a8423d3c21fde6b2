"""The order of steps that shows a fault, as a list for a page: a column for each thread or process.

The eye follows time downwards and finds who was at work in which column. Readers that speak, and narrow
screens, get the name with each step. Where one was interrupted against its will a bar goes across.
"""

from __future__ import annotations

from grader.model import Schedule, Step
from grader.reporting.markup import Markup, element
from grader.reporting.text import middle_out

_COLUMNS = 5
"""Columns that fit; with more tasks than that all stand in one, each with its name"""
_STEPS = (80, 80)
_SOURCE = 200


def listed(schedule: Schedule) -> Markup:
    """The story as an element; empty where there is none."""
    if not schedule.steps:
        return Markup("")
    tasks = list(dict.fromkeys(step.task for step in schedule.steps if step.task))
    columns = len(tasks) if len(tasks) <= _COLUMNS else 1
    files = {step.place.file for step in schedule.steps if step.place is not None}
    begin, left_out, end = middle_out(len(schedule.steps), _STEPS)
    rows = [_row(schedule.steps[index], tasks, columns, len(files) > 1) for index in begin]
    if left_out:
        rows.append(element("li", f"… {left_out} more steps", class_="pl-gap"))
    rows += [_row(schedule.steps[index], tasks, columns, len(files) > 1) for index in end]
    if columns > 1:
        heads = [element("span", task, class_=f"pl-col-{number}") for number, task in enumerate(tasks, 1)]
        rows.insert(0, element("li", heads, class_="pl-heads", aria_hidden="true"))
    return element("ol", rows, class_=f"pl-story pl-cols-{columns}")


def _row(step: Step, tasks: list[str], columns: int, with_file: bool) -> Markup:
    if not step.task:
        words = step.text.strip("- ")
        return element("li", words, class_="pl-cut" if step.text.startswith("--") else "pl-gap")
    where = "" if step.place is None else str(step.place) if with_file else f"line {step.place.line}"
    source = step.source if len(step.source) <= _SOURCE else step.source[:_SOURCE] + "…"
    fatal = step.text.endswith(("for ever", "lost"))
    column = tasks.index(step.task) + 1 if columns > 1 else 1
    return element(
        "li",
        element(
            "div",
            element("b", step.task, class_="pl-task"), " ",
            element("span", where, class_="pl-place") if where else None, " ",
            element("code", source) if source else None,
            element("span", step.text, class_="pl-fatal" if fatal else None) if not source else
            element("p", step.text, class_="pl-fatal" if fatal else None),
            class_=f"pl-step pl-col-{column}",
        ),
    )  # fmt: skip
