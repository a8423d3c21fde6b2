"""Reports in the formats of others: one report, or all of a folder of results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

import msgspec

from grader.classroom.gradebook import file_name
from grader.classroom.ledger import History
from grader.model import Fault, Report
from grader.reporting import (
    actions,
    canvas,
    classes,
    classroom50,
    gradescope,
    junit,
    markdown,
    prairielearn,
    store,
)
from grader.reporting.escape import visible

STANDARD = Path("-")
"""Standard input or output"""


class Format(StrEnum):
    """What can be written."""

    GRADESCOPE = "gradescope"
    CLASSROOM50 = "classroom50"
    PRAIRIELEARN = "prairielearn"
    JUNIT = "junit"
    ACTIONS = "actions"
    MARKDOWN = "markdown"
    CANVAS = "canvas"
    FIGURES = "figures"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What only some formats ask for."""

    hidden_checks: str = "after_due_date"
    """Gradescope: when students see hidden checks"""
    assignment: str = ""
    """Canvas: heading of the column"""
    gradebook: Path | None = None
    """Canvas: the gradebook as Canvas exports it"""
    submitted: str = ""
    """Classroom 50: when the work was handed in"""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def export(wanted: Format, source: Path, out: Path | None, choice: Choice, told: IO[str]) -> tuple[Path, ...]:
    """Write a report, or those of a folder of results, in another format.

    :param out: a file; for a format that has a file for each student, and a folder of results, a folder.
        Standard output if it is none, or ``-``.
    :param told: for people: what had to be left out
    :return: the files that were written
    :raises Fault: if there is no such report or folder, or the format cannot say it
    """
    if source.is_dir():
        return _folder(wanted, source, out, choice, told)
    report = store.read(source) if source != STANDARD else store.decode(sys.stdin.buffer.read(), source)
    if wanted is Format.ACTIONS:
        return _actions(report, out, choice.environment)
    data = b"".join(_class(wanted, [report], {}, choice, told)) or _one(wanted, report, choice)
    return _written(data, out)


def _folder(
    wanted: Format, source: Path, out: Path | None, choice: Choice, told: IO[str]
) -> tuple[Path, ...]:
    if wanted in (Format.ACTIONS, Format.CLASSROOM50):
        raise Fault(
            f"{wanted.value} is about one submission, and this is a folder of results", where=source,
            cure=f"name a report in it: {source}/reports/STUDENT.json",
        )  # fmt: skip
    with History(source) as history:
        if not history.index.students():
            raise Fault("nobody has a report here", where=history.path, cure="proclab grade LAB SUBMISSIONS")
        if wanted in (Format.CANVAS, Format.FIGURES, Format.JUNIT):
            lights = [
                classes.light(report) if wanted is not Format.JUNIT else report
                for _, report in history.reports()
            ]
            return _written(b"".join(_class(wanted, lights, history.known_as(), choice, told)), out)
        folder = out or source / wanted.value
        ending = {Format.MARKDOWN: ".md"}.get(wanted, ".json")
        paths = []
        for _, report in history.reports():
            path = folder / f"{file_name(report.student)}{ending}"
            store.replace(path, _one(wanted, report, choice))
            paths.append(path)
        return tuple(paths)


def _one(wanted: Format, report: Report, choice: Choice) -> bytes:
    """A format for one submission."""
    makers: dict[Format, Callable[[], bytes]] = {
        Format.GRADESCOPE: lambda: gradescope.results(report, hidden_checks=choice.hidden_checks),
        Format.PRAIRIELEARN: lambda: prairielearn.results(report),
        Format.MARKDOWN: lambda: markdown.page(report).encode(),
        Format.CLASSROOM50: lambda: classroom50.result(
            report, classroom50.run(choice.environment), choice.submitted
        ),
    }
    return makers[wanted]()


def _class(
    wanted: Format,
    reports: list[Report],
    known_as: Mapping[str, tuple[str, ...]],
    choice: Choice,
    told: IO[str],
) -> Iterator[bytes]:
    """A format for many submissions in one file; nothing if it is none of these."""
    if wanted is Format.JUNIT:
        yield junit.suites(reports)
    elif wanted is Format.FIGURES:
        yield msgspec.json.format(msgspec.json.encode(classes.figures(reports)), indent=2) + b"\n"
    elif wanted is Format.CANVAS:
        exported = _text(choice.gradebook) if choice.gradebook is not None else ""
        made, left_out = canvas.table(
            reports, known_as, assignment=choice.assignment, exported=exported,
            where=choice.gradebook or Path("gradebook.csv"),
        )  # fmt: skip
        for line in left_out:
            told.write(f"not in the table: {visible(line)}\n")
        yield made.encode()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", where=path, cure="check the name") from None
    except UnicodeDecodeError:
        raise Fault(
            "is not UTF-8 text", where=path, cure="export it anew, and do not save it from Excel"
        ) from None


def _actions(report: Report, out: Path | None, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Annotations to where the runner reads them, and the summary to where it asks for it."""

    def path(file: str) -> str:
        origin = Path(report.origin)
        below = origin if origin.suffix == Path(file).suffix and not origin.is_dir() else origin / file
        workspace = environment.get("GITHUB_WORKSPACE")
        if workspace and below.is_absolute() and below.is_relative_to(workspace):
            below = below.relative_to(workspace)
        return below.as_posix()

    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(markdown.page(report))
        except OSError as error:
            raise Fault(
                f"cannot be written: {error.strerror}", where=summary, cure="unset GITHUB_STEP_SUMMARY"
            ) from None
    return _written(actions.commands(report, path).encode(), out)


def _written(data: bytes, out: Path | None) -> tuple[Path, ...]:
    if out is None or out == STANDARD:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return ()
    store.replace(out, data)
    return (out,)
