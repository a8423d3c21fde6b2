"""What runs in a worker process: grade one submission, and be ended cleanly at any moment.

A worker must never outlive the grading, and neither may what it has started. Its lifeline is a pipe
whose other end only the main process holds: when that closes, because the grading was interrupted or
because the main process is gone, the worker gives up its submission, ends its programs, and exits.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from types import FrameType

import msgspec

from grader.classroom.roster import Entry
from grader.content import submission as submissions
from grader.judging import explain
from grader.judging.judge import judge
from grader.judging.selection import choose
from grader.model import CheckInfo, CheckResult, Diagnosis, Fault, Lab, Level, Report, Verdict
from grader.reporting.escape import visible
from grader.running import machine

_GRACE_S = 10.0
"""How long a worker may take to end its programs"""


@dataclass(frozen=True)
class Outcome:
    """What came of one submission."""

    key: str
    """Hash of what the verdict depends on; empty if the grader itself failed, so that it is tried again"""
    report: Report | None
    """None if the key was known: nothing was run"""
    notices: tuple[str, ...] = ()
    """What the report would have to say about the submission now"""


class _Duty:
    """Whether this process is grading, and whether it is to end."""

    grading = False
    ending = False


def begin(lifeline: Connection) -> None:
    """Make this process a worker (the initializer of its pool)."""
    # Not SIG_IGN, which the programs would inherit: Ctrl-C reaches workers too, but main decides.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked while this process was started
    threading.Thread(target=_hold, args=(lifeline,), daemon=True, name="lifeline").start()


def _end(number: int, frame: FrameType | None) -> None:
    """SIGTERM: end at once, or as soon as the programs of this submission are ended."""
    del number, frame
    if not _Duty.grading:
        os._exit(128 + signal.SIGTERM)
    if not _Duty.ending:
        _Duty.ending = True
        raise KeyboardInterrupt


def _hold(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(_GRACE_S)  # nothing is waited for here: the main thread ends the process before
    os._exit(128 + signal.SIGKILL)


def grade(
    lab: Lab, entry: Entry, select: str | None, force: bool, known: frozenset[str] = frozenset()
) -> Outcome:
    """Grade one entry of the roster, whatever is in it, unless its key is known."""
    _Duty.grading = True
    try:
        return _grade(lab, entry, select, force, known)
    except BaseException as error:
        if _Duty.ending or isinstance(error, KeyboardInterrupt):
            os._exit(128 + signal.SIGTERM)
        return Outcome("", broken(lab, entry, select, f"{type(error).__name__}: {error}"))
    finally:
        _Duty.grading = False
        if _Duty.ending:
            os._exit(128 + signal.SIGTERM)


def _grade(lab: Lab, entry: Entry, select: str | None, force: bool, known: frozenset[str]) -> Outcome:
    try:
        if entry.fault is not None:
            raise entry.fault
        submission = submissions.read(entry.path, lab, entry.student, entry.parts)
    except Fault as fault:
        key = _key(lab, select, force, ("unreadable", str(fault), fault.cure))
        return Outcome(key, None if key in known else unreadable(lab, entry, select, fault), entry.notices)
    notices = (*entry.notices, *map(visible, submission.notices))
    key = _key(lab, select, force, (submissions.version(submission),))
    if key in known:
        return Outcome(key, None, notices)
    submission = msgspec.structs.replace(submission, origin=entry.origin, notices=notices)
    report = judge(lab, submission, select=select, force=force)
    msgspec.json.encode(
        report
    )  # a report that cannot be kept is broken here, where it costs only this submission
    return Outcome("" if report.broken else key, report, notices)


def _key(lab: Lab, select: str | None, force: bool, what: Iterable[str]) -> str:
    """Hash of all that a verdict depends on: the submission, the lab, the checks, and what this machine can do."""
    here = machine.inspect()
    checks = (check.name for check in choose(lab, select, hidden=True))
    parts = (lab.slug, lab.version, str(here.level.value), *sorted(here.capabilities), str(force), *checks)
    return hashlib.sha256("\0".join((*parts, "", *what)).encode(errors="surrogateescape")).hexdigest()[:32]


def unreadable(lab: Lab, entry: Entry, select: str | None, fault: Fault) -> Report:
    """The report of a submission in which there is nothing to grade: it earns nothing, and says why."""
    found = explain.diagnosis(lab.diagnoses, "submission-unreadable", visible(str(fault)))
    if fault.cure:
        found = msgspec.structs.replace(
            found, cure=f"{visible(fault.cure)[:1].upper()}{visible(fault.cure)[1:]}."
        )
    return _uniform(lab, entry, select, Verdict.FAILED, diagnosis=found)


def broken(lab: Lab, entry: Entry, select: str | None, reason: str) -> Report:
    """The report of a submission which the grader itself could not grade."""
    return _uniform(lab, entry, select, Verdict.BROKEN, reason=visible(reason))


def _uniform(
    lab: Lab,
    entry: Entry,
    select: str | None,
    verdict: Verdict,
    *,
    diagnosis: Diagnosis | None = None,
    reason: str = "",
) -> Report:
    def result(check: CheckInfo) -> CheckResult:
        return CheckResult(
            name=check.name, claim=check.claim, verdict=verdict, points=0.0, max_points=check.points,
            hidden=check.hidden, reason=reason, diagnosis=diagnosis,
        )  # fmt: skip

    return Report(
        lab=lab.slug,
        lab_title=lab.title,
        lab_version=lab.version,
        student=entry.student,
        origin=entry.origin,
        language="",
        submission_version="",
        level=_level(),
        notices=entry.notices,
        checks=tuple(result(check) for check in choose(lab, select, hidden=True)),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _level() -> Level:
    return machine.inspect().level
