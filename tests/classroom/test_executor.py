"""Grading in parallel: a death costs one submission, and nothing outlives the grading."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from courses import HOLDS_BACK, RIGHT, WRONG, echo, hand_in
from victims import ROOT

from grader.classroom import roster
from grader.classroom.executor import Grading
from grader.model import Lab, Report, Verdict

pytestmark = pytest.mark.usefixtures("full")

DEADLINE_S = 60.0


def graded(lab: Lab, folder: Path, jobs: int = 2) -> dict[str, Report]:
    entries = roster.find([folder], lab).entries
    return {entry.student: report for entry, report in Grading(lab, jobs).run(entries)}


def test_grades_every_submission(tmp_path: Path) -> None:
    lab = echo(tmp_path / "course")
    folder = hand_in(tmp_path / "class", ada=RIGHT, bob=HOLDS_BACK, eve=WRONG)
    (folder / "donald.ipynb").write_bytes(b"\x00\x01\x02")
    (folder / "nobody").mkdir()
    reports = graded(lab, folder)
    scores = {student: (report.score, report.max_score) for student, report in reports.items()}
    assert scores == {"ada": (3, 3), "bob": (2, 3), "eve": (1, 3), "donald": (0, 3), "nobody": (0, 3)}
    for student in ("donald", "nobody"):
        assert {check.verdict for check in reports[student].checks} == {Verdict.FAILED}
        found = reports[student].checks[0].diagnosis
        assert found is not None
        assert found.slug == "submission-unreadable"
        assert student in found.fact
    assert reports["ada"].origin == str(folder / "ada")


def test_tells_of_attempts_that_cannot_be_told_apart(tmp_path: Path) -> None:
    lab = echo(tmp_path / "course")
    folder = hand_in(tmp_path / "class", ada=RIGHT, bob=RIGHT)
    (folder / "ada.py").write_text(RIGHT)
    for path in (folder / "ada.py", folder / "ada" / "echo.py"):
        os.utime(path, (1_000_000, 1_000_000))
    reports = graded(lab, folder)
    assert reports["bob"].score == 3
    found = reports["ada"].checks[0].diagnosis
    assert found is not None
    assert "More than one attempt" in found.fact
    assert found.cure.startswith("Keep the one that counts")


KILLS = """\
    import os, signal
    from pathlib import Path
    from grader import points

    @points(1)
    def test_copies(run):
        \"\"\"Copies its input; the worker is killed where the input asks for it.\"\"\"
        said = run("echo", stdin="uno\\n").out
        if said == "kill me\\n" or (said == "kill me once\\n" and not Path({marker!r}).exists()):
            Path({marker!r}).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        assert said == "uno\\n" or "kill" in said
"""


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_death_costs_one_submission(tmp_path: Path, jobs: int) -> None:
    lab = echo(tmp_path / "course", KILLS.format(marker=str(tmp_path / "marker")))
    programs = {f"student{number}": RIGHT for number in range(6)}
    programs |= {"killer": "print('kill me')\n", "unlucky": "print('kill me once')\n"}
    reports = graded(lab, hand_in(tmp_path / "class", **programs), jobs)
    assert len(reports) == 8
    (check,) = reports.pop("killer").checks
    assert check.verdict is Verdict.BROKEN
    assert "killed twice" in check.reason
    assert {report.checks[0].verdict for report in reports.values()} == {Verdict.PASSED}


def test_a_fault_of_the_grader_costs_one_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = echo(tmp_path / "course", "from grader import points\nraise ZeroDivisionError('ours')\n")
    reports = graded(lab, hand_in(tmp_path / "class", ada=RIGHT))
    assert all(check.verdict is Verdict.BROKEN for check in reports["ada"].checks)


# ---------------------------------------------------------------- nothing outlives it

TELLS = """\
    import os
    from grader import points

    @points(1)
    def test_copies(start):
        \"\"\"Tells the test that a program runs now, and then waits for a line that never comes.\"\"\"
        program = start("echo", within=1000)
        program.send("uno\\n")
        assert program.line() == "uno"
        fifo = os.open({fifo!r}, os.O_WRONLY)
        os.write(fifo, b"%d\\n" % os.getpid())
        os.close(fifo)
        program.line()
"""
SLEEPS = """\
import os, sys, time
sys.stdout.write(sys.stdin.readline())
sys.stdout.flush()
if os.fork() == 0:
    os.setsid()
time.sleep(1000)
"""


def descendants(pid: int) -> dict[int, str]:
    """All processes under one, with what identifies each: their start time."""
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        here = waiting.pop()
        try:
            tasks = list(Path(f"/proc/{here}/task").iterdir())
            children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
            found[here] = Path(f"/proc/{here}/stat").read_text().rpartition(")")[2].split()[19]
        except OSError:
            continue
        waiting += children
    return found


def gone(pid: int, started: str) -> bool:
    """Wait for a process, which need not be our child, to be gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        now = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return now != started or bool(select.select([descriptor], [], [], DEADLINE_S)[0])
    except OSError:
        return True
    finally:
        os.close(descriptor)


Class = Callable[[], tuple[subprocess.Popen[bytes], int, dict[int, str]]]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Class]:
    """The command line in the middle of grading: the process, a worker's id, and all that was started."""
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> tuple[subprocess.Popen[bytes], int, dict[int, str]]:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        lab = echo(tmp_path / "course", TELLS.format(fifo=str(fifo)))
        folder = hand_in(tmp_path / "class", ada=SLEEPS)
        process = subprocess.Popen(
            [sys.executable, "-m", "grader", "grade", "echo", str(folder), "-o", str(tmp_path / "grades")],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PROCLAB_COURSE": str(lab.root.parents[1])},
            cwd=tmp_path, process_group=0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        with open(fifo, "rb") as told:
            worker = int(told.readline())
        everything = descendants(process.pid)
        assert worker in everything
        assert len(everything) >= 5, "a worker, its sandbox, and the program with its child"
        return process, worker, everything

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=DEADLINE_S)


def test_ctrl_c_ends_everything(running: Class, tmp_path: Path) -> None:
    process, _, everything = running()
    (tmp_path / "grades" / "gradebook.csv").write_text("of an earlier grading")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, output
    assert output.endswith(b"proclab: interrupted\n")
    assert b"Traceback" not in output
    assert b"0 of 1 submission graded and kept; the same command goes on from there" in output
    assert (tmp_path / "grades" / "gradebook.csv").read_text() == "of an earlier grading"
    assert [pid for pid, started in everything.items() if not gone(pid, started)] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_asks_to_end_ends_everything(running: Class, number: signal.Signals) -> None:
    process, _, everything = running()
    process.send_signal(number)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, output
    assert b"the same command goes on from there" in output
    assert [pid for pid, started in everything.items() if not gone(pid, started)] == []


def test_a_second_grading_into_the_same_folder_is_refused(running: Class, tmp_path: Path) -> None:
    running()
    second = subprocess.run(
        [sys.executable, "-m", "grader", "grade", "echo", str(tmp_path / "class"), "-o", str(tmp_path / "grades")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PROCLAB_COURSE": str(tmp_path / "course")},
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    assert second.returncode == 2
    assert "another proclab is grading into this folder now" in second.stderr
    assert "cure: wait until it has ended" in second.stderr


def test_nothing_outlives_a_killed_main_process(running: Class) -> None:
    process, _, everything = running()
    process.kill()
    process.wait(timeout=DEADLINE_S)
    assert [pid for pid, started in everything.items() if not gone(pid, started)] == []


def test_the_programs_of_a_killed_worker_end(running: Class) -> None:
    process, worker, everything = running()
    below = descendants(worker)
    os.kill(worker, signal.SIGKILL)
    assert [pid for pid, started in below.items() if not gone(pid, started)] == []
    assert process.poll() is None
    assert everything
