"""A column for the gradebook of Canvas, as CSV to be imported there.

Source: the Canvas instructor guide, "How do I import grades in the Gradebook?", and PrairieLearn's own export.
Canvas knows students by its ID, so the gradebook as Canvas exports it is best taken as the list of students.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from grader.model import Fault, Report
from grader.reporting.escape import cell
from grader.reporting.text import number

_HEAD = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_POINTS = "Points Possible"


def table(
    reports: Sequence[Report],
    known_as: Mapping[str, tuple[str, ...]],
    *,
    assignment: str = "",
    exported: str = "",
    where: Path = Path("gradebook.csv"),
) -> tuple[str, tuple[str, ...]]:
    """The CSV, and the students who are not in it, with the reason.

    :param known_as: other names of each student: e-mail address, number, login
    :param assignment: heading of the column, as Canvas has it: ``Pipeline (12345)``
    :param exported: the gradebook as Canvas exports it: its students, and its heading if one is that of the lab
    :raises Fault: if that is no such gradebook
    """
    result = io.StringIO()
    writer = csv.writer(result, lineterminator="\n")
    if not exported:
        heading = assignment or (reports[0].lab_title if reports else "Assignment")
        writer.writerow((*_HEAD, cell(heading)))
        writer.writerow((f"    {_POINTS}", "", "", "", "", _most(reports)))
        left_out = []
        for report in reports:
            if report.broken:
                left_out.append(f"{report.student}: the grader itself failed, so the points are not final")
                continue
            ids = known_as.get(report.student, ())
            user = next((each for each in ids if each.isdigit()), "")
            login = next((each for each in ids if not each.isdigit()), "")
            writer.writerow((cell(report.student), user, "", cell(login), "", number(report.score)))
        return result.getvalue(), tuple(left_out)
    return _filled(reports, known_as, assignment, exported, where, result)


def _filled(
    reports: Sequence[Report],
    known_as: Mapping[str, tuple[str, ...]],
    assignment: str,
    exported: str,
    where: Path,
    result: io.StringIO,
) -> tuple[str, tuple[str, ...]]:
    """The students of an exported gradebook, with the points of those who were graded."""
    rows = [row for row in csv.reader(io.StringIO(exported.removeprefix("\ufeff"))) if any(row)]
    if not rows or not set(_HEAD[:2]) <= set(rows[0]):
        raise Fault(
            f"is no gradebook of Canvas: its first row lacks {' and '.join(_HEAD[:2])}",
            where=where, cure="export it in Canvas: Grades, Export, Export Entire Gradebook",
        )  # fmt: skip
    head, students = rows[0], [row for row in rows[1:] if row[0].strip() and row[0].strip() != _POINTS]
    heading = assignment or _heading(head, reports, where)
    columns = [head.index(name) if name in head else None for name in _HEAD]
    writer = csv.writer(result, lineterminator="\n")
    writer.writerow((*_HEAD, cell(heading)))
    writer.writerow((f"    {_POINTS}", "", "", "", "", _most(reports)))
    by_name = _by_name(students, head)
    left_out, filled = [], set()
    for report in reports:
        names = (report.student, *known_as.get(report.student, ()))
        matches = [by_name[key] for name in names if (key := _key(name)) in by_name]
        found = min(matches, key=len, default=None)
        if report.broken:
            left_out.append(f"{report.student}: the grader itself failed, so the points are not final")
        elif found is None or len(found) != 1:
            why = "not in the gradebook" if found is None else "several in the gradebook have this name"
            left_out.append(f"{report.student}: {why}")
        elif found[0] in filled:
            left_out.append(f"{report.student}: somebody else was taken for the same student")
        else:
            filled.add(found[0])
            row = students[found[0]]
            cells = (row[column] if column is not None and column < len(row) else "" for column in columns)
            writer.writerow((*map(cell, cells), number(report.score)))
    return result.getvalue(), tuple(left_out)


def _heading(head: Sequence[str], reports: Sequence[Report], where: Path) -> str:
    """The column of the lab: the one heading that begins with its title or name."""
    wanted = {_key(report.lab_title) for report in reports} | {_key(report.lab) for report in reports}
    found = [name for name in head if _key(re.sub(r"\s*\(\d+\)$", "", name)) in wanted]
    if len(found) == 1:
        return found[0]
    known = ", ".join(name for name in head if re.search(r"\(\d+\)$", name)) or "none"
    raise Fault(
        f"no column has the name of the lab; assignments are: {known}", where=where,
        cure='name the column: --assignment "Pipeline (12345)"',
    )  # fmt: skip


def _by_name(students: Sequence[Sequence[str]], head: Sequence[str]) -> dict[str, list[int]]:
    """Rows by all that a student may be called: numbers, logins, and the name in both orders."""
    found: dict[str, list[int]] = {}
    for number_, row in enumerate(students):
        said = dict(zip(head, row, strict=False))
        names = {said.get(name, "") for name in (*_HEAD[:4], "Root Account", "Integration ID")}
        last, comma, first = said.get("Student", "").partition(",")
        if comma:
            names |= {f"{first.strip()} {last.strip()}", f"{last.strip()}{first.strip()}"}
        login = said.get("SIS Login ID", "")
        names.add(login.partition("@")[0])
        for key in {_key(name) for name in names} - {""}:
            found.setdefault(key, []).append(number_)
    return found


def _key(name: str) -> str:
    """Names without what differs from place to place: case, accents' way of being written, blanks."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


def _most(reports: Sequence[Report]) -> str:
    return f"{max((report.max_score for report in reports), default=0.0):.2f}"
