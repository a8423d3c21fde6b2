"""A class graded again after a check was changed, and what that changed for whom.

What was handed in is looked for where it was found before. What has changed since, or is gone, costs nobody points.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

from grader.classroom import roster
from grader.classroom.executor import Executor
from grader.classroom.gradebook import Shelf
from grader.classroom.ledger import History, Ledger, Session
from grader.classroom.progress import Show
from grader.classroom.roster import Entry
from grader.classroom.session import ended_gently, whole
from grader.model import Fault, Lab, Report
from grader.reporting import changes, classes, store
from grader.reporting.changes import Changes
from grader.reporting.escape import visible

NAME = "changes.csv"


def asked_before(folder: Path) -> Session:
    """What was asked for when a folder of results was graded last.

    :raises Fault: if it is none, or nothing was graded into it
    """
    with History(folder) as history:
        if history.index.session is None:
            raise Fault(
                "nothing was graded into this folder", where=folder, cure="proclab grade LAB SUBMISSIONS"
            )
        return history.index.session


def regrade(
    lab: Lab, folder: Path, again: bool, executor: Executor, show: Show, *, jobs: int = 1
) -> tuple[tuple[Report, ...], Changes]:
    """Grade everybody again whom a changed lab concerns, and compare.

    :param again: also those whom it does not concern
    :return: the reports of the class, and what has changed: against the reports that counted while the lab was
        another one, or with `again` against those that counted before
    :raises Fault: if nothing was graded before, what was handed in is gone, or somebody else grades into the folder
    """
    asked_before(folder)
    shelf = Shelf(folder)
    shelf.open()
    with Ledger(folder) as ledger, ended_gently(), show:
        session = ledger.index.session
        assert session is not None, "it was there a moment ago, and nothing is ever taken out"
        for notice in ledger.notices:
            show.note(notice)
        entries, kept = _entries(ledger, lab, session, show)
        asked = msgspec.structs.replace(
            session, command="regrade", lab_version=lab.version, again=again,
            submissions=tuple(ledger.index.submissions),
        )  # fmt: skip
        reports = whole(ledger, shelf, entries, asked, executor, show, jobs)
        found = changes.changes(lab.slug, _pairs(ledger, lab, asked), kept)
        store.replace(folder / NAME, changes.table(found).encode())
        return reports, found


def _entries(ledger: Ledger, lab: Lab, session: Session, show: Show) -> tuple[list[Entry], list[str]]:
    """Those who are in the ledger and whose work is still there; and those whose is not."""
    paths = [Path(os.fsdecode(unquote_to_bytes(each))) for each in ledger.index.submissions]
    there = [path for path in paths if path.exists()]
    for path in paths:
        if path not in there:
            show.note(
                f"{visible(str(path))} is not there any more: whoever handed in there keeps the old report"
            )
    if not there:
        raise Fault(
            "all that was handed in is gone from where it was", where=paths[0] if paths else ledger.path,
            cure="put it back there, or grade it from where it is now: proclab grade LAB SUBMISSIONS -o DIR",
        )  # fmt: skip
    found = roster.find(there, lab, session.attempt, one=session.one)
    mine = set(ledger.index.students())
    entries = [entry for entry in found.entries if entry.student in mine and entry.fault is None]
    new = sorted({entry.student for entry in found.entries} - mine)
    if new:
        show.note(
            f"handed in since and not graded here (proclab grade does it): {', '.join(map(visible, new))}"
        )
    return entries, sorted(mine - {entry.student for entry in entries})


def _pairs(ledger: Ledger, lab: Lab, asked: Session) -> Iterator[tuple[Report, Report]]:
    """Each student's report before and after, as far as there are both."""
    index = ledger.index
    for student in index.students():
        after = index.latest(student)
        if asked.again:
            before = index.latest(student, index.session_at)
        else:
            before = index.of_other_version(student, lab.version)
        if before is None or after is None or before == after or after.lab_version != lab.version:
            continue
        yield classes.light(ledger.report(before)), classes.light(ledger.report(after))
