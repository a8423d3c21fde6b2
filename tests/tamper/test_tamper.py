"""Hostile submissions, graded for real: nothing gained, nothing read, nothing harmed, nothing left.

Each folder says in its first line what it tries. The machine is looked at before and after: processes
and IPC objects. A right submission graded between them keeps all its points.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from victims import ROOT

from grader.content import course, submission
from grader.content import lab as labs
from grader.judging.judge import judge
from grader.model import Report, Verdict
from grader.running.sandbox import slot_uid

pytestmark = pytest.mark.usefixtures("full")

HOSTILE = sorted((Path(__file__).parent / "pipeline").iterdir())
LAB = course.load_lab(course.find(ROOT), "pipeline")
CHECKS = "test_connects_*"
SECRETS = [
    line.strip()
    for line in (ROOT / "labs/pipeline/hidden.py").read_text().splitlines()
    if len(line.strip()) > 30 and '"""' not in line
]


def _machine() -> dict[str, object]:
    """What a submission could have left behind on this machine."""
    return {
        "ipc": [Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("msg", "sem", "shm")],
        # those of process pools beside us come and go
        "shm": sorted(name for name in os.listdir("/dev/shm") if not name.startswith("sem.mp-")),
        "strangers": _strangers(),
    }


def _strangers() -> list[str]:
    """Processes of the user id that only student code of this grading process has (a root grader)."""
    if os.geteuid() != 0:
        return []
    found = []
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == slot_uid():
                found.append(Path(entry.path, "comm").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("folder", HOSTILE, ids=lambda folder: folder.name)
def test_gains_nothing_and_leaves_nothing(folder: Path) -> None:
    before = _machine()
    report = judge(LAB, submission.read(folder, LAB), select=CHECKS)
    assert report.score == 0
    assert all(check.verdict is Verdict.FAILED for check in report.checks), [c.reason for c in report.checks]
    text = msgspec.json.encode(report).decode(errors="replace") + "".join(_outputs(report))
    told = [line for line in SECRETS if line in text]
    assert not told
    assert _machine() == before


def _outputs(report: Report) -> list[str]:
    """All that the program printed, as text: JSON holds it in base64."""
    return [
        (check.observation.stdout + check.observation.stderr).decode(errors="replace")
        for check in report.checks
        if check.observation is not None
    ]


def test_a_right_submission_beside_them_keeps_its_points() -> None:
    report = judge(LAB, labs.solutions(LAB)[0], select=CHECKS)
    assert report.score == report.max_score
