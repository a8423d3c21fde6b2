"""A class from beginning to end: interrupted anywhere it goes on, and the results are those of an undisturbed grading."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Iterable
from pathlib import Path

import msgspec
import pytest
from courses import WRONG, echo, hand_in
from reports import PASSED, report
from victims import ROOT

from grader.classroom import progress, session
from grader.classroom.executor import Begun, Finished, Order
from grader.classroom.ledger import History
from grader.classroom.roster import Entry
from grader.classroom.session import Wish
from grader.classroom.worker import Outcome
from grader.model import Fault, Lab, Verdict
from grader.reporting import classes, store

DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return echo(tmp_path_factory.mktemp("course"))


class Stub:
    """An executor that runs nothing: a submission earns what stands in its file."""

    def __init__(self, stop_after: int | None = None):
        self.graded: list[str] = []
        self._stop_after = stop_after

    def follow(self, orders: Iterable[Order]) -> Generator[Begun | Finished, None, None]:
        for order in orders:
            if self._stop_after is not None and len(self.graded) >= self._stop_after:
                raise KeyboardInterrupt
            yield Begun(order.entry)
            yield Finished(order.entry, self.outcome(order.entry, order.known))

    def outcome(self, entry: Entry, known: frozenset[str]) -> Outcome:
        text = (entry.path / "echo.py" if entry.path.is_dir() else entry.path).read_text()
        if text in known:
            return Outcome(text, None, entry.notices)
        self.graded.append(entry.student)
        if text == "broken":
            checks = (msgspec.structs.replace(PASSED, verdict=Verdict.BROKEN, points=0.0),)
        else:
            checks = (msgspec.structs.replace(PASSED, points=float(text), max_points=9.0),)
        made = report(*checks, lab="echo", student=entry.student, origin=entry.origin, notices=entry.notices)
        return Outcome("" if text == "broken" else text, made, entry.notices)


def grade(
    lab: Lab, folder: Path, out: Path, stub: Stub | None = None, **wish: object
) -> tuple[dict[str, float], str, list[str]]:
    """Points of everybody, what was said, and who was really graded."""
    stub, said = stub or Stub(), io.StringIO()
    reports = session.grade(lab, [folder], out, Wish(**wish), stub, progress.Lines(said))  # type: ignore[arg-type]
    return {report.student: report.score for report in reports}, said.getvalue(), stub.graded


def files(folder: Path) -> dict[str, bytes]:
    """All results but the ledger, whose lines come in the order in which reports were ready."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "ledger.jsonl"
    }


# ---------------------------------------------------------------- what is not graded again


def test_what_is_unchanged_is_not_graded_again(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="9", bob="4"), tmp_path / "out"
    points, said, graded = grade(lab, folder, out)
    assert (points, graded) == ({"ada": 9, "bob": 4}, ["ada", "bob"])
    assert "2 submissions; gradebook" in said
    before = files(out)
    points, said, graded = grade(lab, folder, out)
    assert (points, graded) == ({"ada": 9, "bob": 4}, [])
    assert "2 submissions unchanged" in said
    assert files(out) == before
    (folder / "bob" / "echo.py").write_text("5")
    assert grade(lab, folder, out)[::2] == ({"ada": 9, "bob": 5}, ["bob"])
    assert grade(lab, folder, out, again=True)[::2] == ({"ada": 9, "bob": 5}, ["ada", "bob"])


def test_an_earlier_version_that_comes_back_counts_and_is_not_graded_again(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="9"), tmp_path / "out"
    for text, graded in (("9", ["ada"]), ("3", ["ada"]), ("9", [])):
        (folder / "ada" / "echo.py").write_text(text)
        assert grade(lab, folder, out)[::2] == ({"ada": float(text)}, graded)


def test_what_the_grader_failed_at_is_graded_again(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="broken", bob="4"), tmp_path / "out"
    assert grade(lab, folder, out)[2] == ["ada", "bob"]
    assert grade(lab, folder, out)[2] == ["ada"]


def test_a_submission_that_was_moved_is_told_anew_but_not_graded(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    grade(lab, hand_in(tmp_path / "class", ada="9"), out)
    (tmp_path / "class").rename(tmp_path / "renamed")
    assert grade(lab, tmp_path / "renamed", out)[2] == []
    assert store.read(out / "reports" / "ada.json").origin == str(tmp_path / "renamed" / "ada")


def test_those_who_are_in_the_results_stay_there(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    grade(lab, hand_in(tmp_path / "class", ada="9", bob="4"), out)
    late = hand_in(tmp_path / "late", eve="1")
    assert grade(lab, late, out)[::2] == ({"ada": 9, "bob": 4, "eve": 1}, ["eve"])
    assert len((out / "gradebook.csv").read_text().splitlines()) == 4
    assert grade(lab, late, out, prune=True)[::2] == ({"eve": 1}, [])
    assert sorted(path.name for path in (out / "reports").iterdir()) == ["eve.html", "eve.json", "eve.txt"]
    assert len((out / "gradebook.csv").read_text().splitlines()) == 2


def test_the_results_of_another_lab_are_left_alone(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="9"), tmp_path / "out"
    grade(lab, folder, out)
    other = msgspec.structs.replace(lab, slug="other")
    with pytest.raises(Fault, match="holds the results of echo"):
        grade(other, folder, out)


def test_what_depends_on_the_lab_or_on_the_checks_is_graded_again(lab: Lab, tmp_path: Path) -> None:
    from grader.classroom import worker

    def key(lab: Lab, select: str | None = None, force: bool = False, what: str = "x") -> str:
        return worker._key(lab, select, force, (what,))

    changed = msgspec.structs.replace(lab, version="another")
    keys = [key(lab), key(changed), key(lab, "copies"), key(lab, force=True), key(lab, what="y")]
    assert len(set(keys)) == len(keys)
    assert key(lab, "test_*") == key(lab), "the same checks, however they were chosen"


# ---------------------------------------------------------------- the best of several attempts


def attempts(folder: Path, **texts: str) -> Path:
    """Several attempts of ada: folder and files of different age."""
    folder.mkdir(parents=True)
    for age, (name, text) in enumerate(texts.items()):
        path = folder / name.replace("_", ".")
        if path.suffix:
            path.write_text(text)
        else:
            path.mkdir()
            path = path / "echo.py"
            path.write_text(text)
        os.utime(path, (1_000_000 - 1000 * age, 1_000_000 - 1000 * age))
    return folder


def test_the_best_attempt_counts_if_it_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    folder, out = attempts(tmp_path / "class", ada="2", ada_py="7", ada_c="7"), tmp_path / "out"
    points, _, graded = grade(lab, folder, out, attempt="best")
    assert (points, len(graded)) == ({"ada": 7}, 3)
    (notice,) = store.read(out / "reports" / "ada.json").notices
    assert notice.startswith("3 attempts: ")
    assert notice.endswith("; the best counts, " + str(folder / "ada.py")), "of equal ones the newest"
    before = files(out)
    assert grade(lab, folder, out, attempt="best")[::2] == ({"ada": 7}, [])
    assert files(out) == before


def test_the_newest_attempt_counts_otherwise(lab: Lab, tmp_path: Path) -> None:
    folder, out = attempts(tmp_path / "class", ada="2", ada_py="7"), tmp_path / "out"
    assert grade(lab, folder, out)[::2] == ({"ada": 2}, ["ada"])
    assert grade(lab, folder, out, attempt="best")[::2] == ({"ada": 7}, ["ada"])
    assert grade(lab, folder, out)[::2] == ({"ada": 2}, [])


# ---------------------------------------------------------------- interrupted


def test_an_interrupted_grading_writes_what_is_done_and_goes_on(lab: Lab, tmp_path: Path) -> None:
    folder = hand_in(tmp_path / "class", ada="9", bob="4", eve="1")
    said = io.StringIO()
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        session.grade(lab, [folder], out, Wish(), Stub(stop_after=2), progress.Lines(said))
    assert "interrupted: 2 of 3 submissions graded and kept; the same command goes on" in said.getvalue()
    assert len((out / "gradebook.csv").read_text().splitlines()) == 3
    assert grade(lab, folder, out)[2] == ["eve"]
    grade(lab, folder, tmp_path / "undisturbed")
    assert files(out) == files(tmp_path / "undisturbed")


def test_grading_again_goes_on_too(lab: Lab, tmp_path: Path) -> None:
    """What was graded again before the interruption is not graded a third time; after the end everything is."""
    folder, out = hand_in(tmp_path / "class", ada="9", bob="4"), tmp_path / "out"
    grade(lab, folder, out)
    with pytest.raises(KeyboardInterrupt):
        grade(lab, folder, out, Stub(stop_after=1), again=True)
    assert grade(lab, folder, out, again=True)[2] == ["bob"]
    assert grade(lab, folder, out, again=True)[2] == ["ada", "bob"]


def test_sigterm_ends_a_grading_as_ctrl_c_does(lab: Lab, tmp_path: Path) -> None:
    class Terminated(Stub):
        def outcome(self, entry: Entry, known: frozenset[str]) -> Outcome:
            if self.graded:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().outcome(entry, known)

    before = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        grade(lab, hand_in(tmp_path / "class", ada="9", bob="4"), out, Terminated())
    assert (out / "reports" / "ada.json").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_disk_stops_the_grading_and_loses_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = hand_in(tmp_path / "class", ada="9", bob="4"), tmp_path / "out"
    write, room = os.pwrite, [3]  # session, ada, and half of bob

    def full(descriptor: int, data: bytes, offset: int) -> int:
        room[0] -= 1
        if room[0] > 0:
            return write(descriptor, data, offset)
        if room[0] == 0:
            return write(descriptor, data[: len(data) // 2], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    said = io.StringIO()
    with pytest.raises(Fault, match=r"ledger\.jsonl: cannot be written: No space left on device"):
        session.grade(lab, [folder], out, Wish(), Stub(), progress.Lines(said))
    monkeypatch.undo()
    assert "1 of 2 submissions graded and kept" in said.getvalue()
    assert grade(lab, folder, out)[2] == ["bob"]


LOOK = """
import sys
from pathlib import Path
from grader.classroom.ledger import History
with History(Path(sys.argv[1])) as history:
    whole = history.path.stat().st_size == history.index.end and not history.index.damaged
    print("whole" if whole else "torn", len(history.index.students()), "kept")
"""


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(("pages", "full"), [(4, "ledger.jsonl"), (12, "reports/")])
def test_a_real_class_on_a_disk_that_is_full(tmp_path: Path, pages: int, full: str) -> None:
    """The folder of results is a file system of a few pages: too few for all lines, or only for what is made of them."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    course = echo(tmp_path / "course").root.parents[1]
    folder, out = hand_in(tmp_path / "class", **{f"s{n}": WRONG for n in range(9)}), tmp_path / "out"
    out.mkdir()
    script = f"'{sys.executable}' -m grader grade echo '{folder}' -o '{out}' -j 1; echo status $?; "
    script += f"'{sys.executable}' -c '{LOOK}' '{out}'"
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", "--size", str(pages * 4096), "--tmpfs", str(out), "bash", "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PROCLAB_COURSE": str(course)},
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    if done.stderr.startswith("bwrap: "):
        pytest.skip(done.stderr.strip())
    assert f"{out}/{full}" in done.stderr
    assert re.search(r"cannot be written: No space left on device\ncure: .*make room", done.stderr)
    assert "Traceback" not in done.stderr
    assert "status 2\n" in done.stdout
    kept = int(re.findall(r"whole (\d) kept", done.stdout)[0])
    if full == "ledger.jsonl":
        assert 0 < kept < 9
        assert f"{kept} of 9 submissions graded and kept; the same command goes on from there" in done.stdout
    else:
        assert kept == 9


# ---------------------------------------------------------------- killed, at every moment

KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}, {here!r}]
from test_session import Stub, progress, session, Wish
from grader.content import course
course_root, folder, out = map(Path, sys.argv[1:])
lab = course.load_lab(course.find(course_root), "echo")
session.grade(lab, [folder], out, Wish(), Stub(), progress.Quiet(sys.stdout))
"""
CALLS = ("pwrite64", "fdatasync", "write", "rename", "openat")
"""What a grading does to files; it is killed at each of these that concerns its results"""


def killing(call: str, number: int, out: Path, command: list[str]) -> int:
    """Run a command that SIGKILL ends when it makes a call for the n-th time; its status."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    tracing = ["strace", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]
    paths = [out, out / "reports", out / "ledger.jsonl", out / "gradebook.csv"]
    names = [
        out / "reports" / f"{name}.{kind}" for name in ("ada", "bob") for kind in ("json", "txt", "html")
    ]
    if call not in (
        "write",
        "rename",
    ):  # a part that is being written has a name that nobody knows beforehand
        tracing += [word for path in (*paths, *names) for word in ("-P", str(path))]
    done = subprocess.run([*tracing, *command], capture_output=True, check=False, timeout=DEADLINE_S)
    return done.returncode


@pytest.mark.parametrize("call", CALLS)
def test_killed_at_any_call_it_goes_on(lab: Lab, tmp_path: Path, call: str) -> None:
    """Exhaustive: a grading of two students is killed at its first such call, its second, and so on to the last."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = hand_in(tmp_path / "class", ada="9", bob="4")
    grade(lab, folder, tmp_path / "undisturbed")
    code = KILLED.format(tests=str(ROOT / "tests"), root=str(ROOT), here=str(Path(__file__).parent))
    kills = 0
    for number in range(1, 100):
        out = tmp_path / f"out{number}"
        command = [sys.executable, "-B", "-c", code, str(lab.root.parents[1]), str(folder), str(out)]
        status = killing(call, number, out, command)
        if status == 0:
            break
        assert status in (-signal.SIGKILL, 128 + signal.SIGKILL), status
        kills += 1
        _, _, graded = grade(lab, folder, out)
        assert files(out) == files(tmp_path / "undisturbed")
        with History(out) as history:
            assert {student: len(places) for student, places in history.index.places.items()} == {
                "ada": 1,
                "bob": 1,
            }, "nobody was graded twice"
        assert len(graded) <= 2
    else:
        pytest.fail("it never came to its end")
    assert kills


# ---------------------------------------------------------------- the sample class, killed three times

SAMPLES = ROOT / "tests" / "samples" / "pipeline"


def real(out: Path, events: int | None = None) -> list[dict[str, object]]:
    """Grade the sample class with some checks; with `events`, until so many were told: then it is killed.

    The end of the output is the end of all: the workers have it too.
    """
    command = [sys.executable, "-m", "grader", "grade", "pipeline", str(SAMPLES), "-o", str(out)]
    process = subprocess.Popen(
        [*command, "--progress", "json", "-j", "2", "-k", "stages"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PROCLAB_COURSE": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    told = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(json.loads(line))
            if len(told) == events:
                process.kill()
        _, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == (0 if events is None else -signal.SIGKILL), err
    return told


def timeless(path: Path) -> bytes:
    """A report without times, and without the numbers by which the kernel tells pipes apart."""
    made = classes.light(store.read(path))
    checks = tuple(msgspec.structs.replace(check, duration_s=0.0) for check in made.checks)
    made = msgspec.structs.replace(made, started="", duration_s=0.0, checks=checks)
    return re.sub(rb"pipe:\[\d+\]", b"pipe:[N]", msgspec.json.encode(made))


@pytest.mark.usefixtures("full")
def test_a_real_class_that_is_killed_three_times(tmp_path: Path) -> None:
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    real(undisturbed)
    chance = random.Random(20261124)
    graded: list[object] = []
    for _ in range(3):
        told = real(out, chance.randint(4, 12))
        graded += [each["student"] for each in told if each["event"] == "graded" and not each["unchanged"]]
    told = real(out)
    again = [each["student"] for each in told if each["event"] == "graded" and not each["unchanged"]]
    assert len(again) < 17, "it went on, and did not begin anew"
    assert not set(graded) & set(again), "nobody who was told of is graded again"
    assert (out / "gradebook.csv").read_bytes() == (undisturbed / "gradebook.csv").read_bytes()
    assert files(out).keys() == files(undisturbed).keys()
    for path in (out / "reports").glob("*.json"):
        assert timeless(path) == timeless(undisturbed / "reports" / path.name)
