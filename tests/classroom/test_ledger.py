"""The ledger: nothing that was appended is lost, nothing torn is believed, one writer at a time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports import PASSED, SKIPPED, hung, report
from victims import ROOT

from grader.classroom.ledger import Done, Forgotten, Graded, History, Ledger, Session
from grader.model import Fault, Report

DEADLINE_S = 60.0
SESSION = Session(
    command="grade", lab="pipeline", lab_version="1", submissions=("/submissions",), attempt="newest"
)


def of(student: str, number: int = 0) -> Report:
    return report(PASSED, hung(), SKIPPED, student=student, started=f"2026-11-24T09:00:{number:02}+00:00")


def graded(student: str, number: int = 0) -> Graded:
    return Graded(key=f"{student}-{number}", report=of(student, number))


def counting(folder: Path) -> dict[str, Report]:
    with History(folder) as history:
        return {found.student: found for _, found in history.reports()}


def offsets(data: bytes) -> list[int]:
    """Where each line ends."""
    ends = [0]
    for line in data.splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    return ends


# ---------------------------------------------------------------- what is kept


def test_the_last_report_of_a_student_counts(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(SESSION)
        for line in (graded("ada"), graded("bob"), graded("ada", 1)):
            ledger.append(line)
        assert ledger.known("ada") == {"ada-0", "ada-1"}
        assert ledger.known("eve") == frozenset()
    assert counting(tmp_path) == {"ada": of("ada", 1), "bob": of("bob")}
    with Ledger(tmp_path) as ledger:
        assert ledger.index.session == SESSION
        assert not ledger.index.done
        assert ledger.known("ada") == {"ada-0", "ada-1"}
        place = ledger.find("ada", "ada-0")
        assert place is not None
        assert ledger.report(place) == of("ada")
        ledger.append(Done())
        assert ledger.index.done


def test_the_ledger_as_it_was_before_a_session(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(graded("ada"))
        ledger.append(SESSION)
        ledger.append(graded("ada", 1))
        ledger.append(graded("bob"))
        at = ledger.index.session_at
        assert [found for _, found in ledger.reports(at)] == [of("ada")]
        assert ledger.known("ada", at) == {"ada-1"}


def test_an_attempt_does_not_count_by_itself(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(graded("ada"))
        ledger.append(Graded(key="other", report=of("ada", 9), attempt=True))
        assert ledger.known("ada") == {"ada-0", "other"}
    assert counting(tmp_path) == {"ada": of("ada")}


def test_somebody_who_is_forgotten_may_come_back(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for line in (graded("ada"), graded("bob"), Forgotten(student="ada")):
            ledger.append(line)
        assert counting(tmp_path) == {"bob": of("bob")}
        assert ledger.known("ada") == frozenset()
        ledger.append(graded("ada", 1))
    assert counting(tmp_path) == {"ada": of("ada", 1), "bob": of("bob")}


def test_what_the_grader_failed_at_is_not_known(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(Graded(key="", report=of("ada")))
        assert ledger.known("ada") == frozenset()
    assert counting(tmp_path) == {"ada": of("ada")}


def test_each_line_is_json_and_says_its_length_and_hash(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(SESSION)
        ledger.append(graded("ada"))
    for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines():
        told = msgspec.json.decode(line)
        body = line.partition(b'"line":')[2][:-1]
        assert told["length"] == len(body)
        assert told["sha256"] == hashlib.sha256(body).hexdigest()
        assert told["format"] == 1


def test_a_reader_needs_no_lock(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append(graded("ada"))
        assert counting(tmp_path) == {"ada": of("ada")}
        with open(tmp_path / "ledger.jsonl", "ab") as file:
            file.write(b'{"format":1,"len')  # a line that is being written
        assert counting(tmp_path) == {"ada": of("ada")}


def test_says_that_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read: No such file") as caught:
        History(tmp_path)
    assert "proclab grade" in caught.value.cure


# ---------------------------------------------------------------- what is torn, and what is damaged

LINES = st.lists(
    st.builds(graded, st.sampled_from(["ada", "bob", "é\u202e", "x" * 50]), st.integers(0, 59)), max_size=5
)
FAST = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def filled(folder: Path, lines: list[Graded]) -> bytes:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with Ledger(folder) as ledger:
        for line in lines:
            ledger.append(line)
    return (folder / "ledger.jsonl").read_bytes()


def expected(lines: list[Graded]) -> dict[str, Report]:
    return dict(sorted({line.report.student: line.report for line in lines}.items()))


@FAST
@given(lines=LINES, data=st.data())
def test_a_torn_end_is_cut_and_the_rest_is_there(
    tmp_path: Path, lines: list[Graded], data: st.DataObject
) -> None:
    """Wherever a write ends, and whatever a power cut puts in its place."""
    whole = filled(tmp_path / "d", [*lines, graded("last")])
    ends = offsets(whole)
    cut = data.draw(st.integers(ends[-2], len(whole) - 1))
    rubbish = data.draw(
        st.sampled_from([b"", b"\0" * 100, b"\0\n", b'{"format":1,"length":5}\n', whole[:40]])
    )
    path = tmp_path / "d" / "ledger.jsonl"
    path.write_bytes(whole[:cut] + rubbish)
    torn = cut > ends[-2] or bool(rubbish)
    assert counting(tmp_path / "d") == expected(lines)
    with Ledger(tmp_path / "d") as ledger:
        assert path.read_bytes() == whole[: ends[-2]]
        assert bool(ledger.notices) == torn
        assert all("graded again" in notice for notice in ledger.notices)
        ledger.append(graded("next"))
    assert counting(tmp_path / "d") == expected([*lines, graded("next")])


@FAST
@given(lines=LINES.filter(bool), data=st.data())
def test_a_changed_byte_costs_one_line(tmp_path: Path, lines: list[Graded], data: st.DataObject) -> None:
    lines = [*lines, graded("last")]
    whole = filled(tmp_path / "d", lines)
    ends = offsets(whole)
    at = data.draw(st.integers(0, ends[-2] - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value not in (whole[at], ord("\n"))))
    hit = sum(end <= at for end in ends) - 1
    hit_lines = {hit, hit + 1} if whole[at] == ord("\n") else {hit}  # without its end two lines are one
    path = tmp_path / "d" / "ledger.jsonl"
    path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    kept = [line for number, line in enumerate(lines) if number not in hit_lines]
    try:
        found = counting(tmp_path / "d")
    except Fault as fault:
        assert "this is format" in str(fault)  # noqa: PT017 - the one byte that says so was hit
        return
    assert found == expected(kept)
    with Ledger(tmp_path / "d") as ledger:
        assert len(ledger.notices) == 1
        assert "damaged" in ledger.notices[0] or "torn" in ledger.notices[0]


def test_a_later_proclab_is_not_misread(tmp_path: Path) -> None:
    whole = filled(tmp_path / "d", [graded("ada")])
    path = tmp_path / "d" / "ledger.jsonl"
    path.write_bytes(whole + whole.replace(b'{"format":1,', b'{"format":2,'))
    for opened in (History, Ledger):
        with pytest.raises(Fault, match="this is format 2") as caught:
            opened(tmp_path / "d")
        assert "newer proclab" in caught.value.cure
    assert path.read_bytes().startswith(whole), "nothing was cut"


@pytest.mark.parametrize("data", [b"my notes\n", b'{"event":"begin"}\n'])
def test_a_file_that_is_no_ledger_is_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(data)
    with pytest.raises(Fault, match="is no ledger of proclab"):
        Ledger(tmp_path)
    assert (tmp_path / "ledger.jsonl").read_bytes() == data


# ---------------------------------------------------------------- a full disk

FILLS = """
import resource, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from reports import PASSED, hung, report
from grader.classroom.ledger import Graded, History, Ledger
from grader.model import Fault
folder, limit, kept = Path(sys.argv[1]), int(sys.argv[2]), 0
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
with Ledger(folder) as ledger:
    try:
        while True:
            ledger.append(Graded(key=str(kept), report=report(PASSED, hung(), student=f"student{{kept}}")))
            kept += 1
    except Fault as fault:
        assert ledger.path.stat().st_size == ledger.index.end, "the file ends where its last line ends"
        print(fault, "; cure:", fault.cure)
with History(folder) as history:
    found = sorted(report.student for _, report in history.reports())
assert found == sorted(f"student{{number}}" for number in range(kept)), found
with Ledger(folder) as ledger:
    assert ledger.notices == []
print(kept, "kept")
"""


def fill(folder: Path, limit: int = 0, *around: str) -> str:
    """Append until there is no room, in a process of its own; what it said."""
    code = FILLS.format(tests=str(ROOT / "tests"), root=str(ROOT))
    done = subprocess.run(
        [*around, sys.executable, "-c", code, folder, str(limit)],
        capture_output=True, text=True, check=False, timeout=DEADLINE_S,
    )  # fmt: skip
    if done.stderr.startswith("bwrap:"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert "ledger.jsonl: cannot be written: " in done.stdout
    assert "; cure: make room" in done.stdout
    assert "the same command goes on where it stopped" in done.stdout
    return done.stdout


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: write(2) writes a part, then says EFBIG."""
    said = fill(tmp_path, 50_000)
    assert "File too large" in said
    assert not said.endswith("\n0 kept\n")
    with Ledger(tmp_path) as ledger:
        ledger.append(graded("next"))
    assert counting(tmp_path)["next"] == of("next")


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The same on a file system of 200 kB of memory, where ENOSPC comes from the kernel."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    said = fill(
        tmp_path, 0, "bwrap", "--dev-bind", "/", "/", "--size", "200000", "--tmpfs", str(tmp_path)
    )  # fmt: skip
    assert "No space left on device" in said
    assert not said.endswith("\n0 kept\n")


def test_no_place_to_write_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(Fault, match="cannot be written: Is a directory"):
        Ledger(tmp_path)


# ---------------------------------------------------------------- two at once

HOLDS = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}]
from grader.classroom.ledger import Ledger
with Ledger(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the ledger."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS.format(root=str(ROOT)), tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"mine\n"
    yield process
    process.kill()
    process.communicate(timeout=DEADLINE_S)


def test_a_second_writer_is_refused(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(Fault, match="another proclab is grading into this folder now") as caught:
        Ledger(tmp_path)
    assert "wait until it has ended" in caught.value.cure
    assert counting(tmp_path) == {}


def test_the_lock_of_a_killed_writer_is_free(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait(timeout=DEADLINE_S)
    with Ledger(tmp_path) as ledger:
        ledger.append(graded("ada"))
    with Ledger(tmp_path):
        pass


def test_a_ledger_that_was_moved_away_is_not_written_to(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    os.rename(tmp_path / "ledger.jsonl", tmp_path / "old.jsonl")
    with Ledger(tmp_path) as ledger:
        ledger.append(graded("ada"))
    assert (tmp_path / "old.jsonl").read_bytes() == b""
    assert counting(tmp_path) == {"ada": of("ada")}


def test_nobody_inherits_the_lock(tmp_path: Path) -> None:
    with Ledger(tmp_path):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        with Ledger(tmp_path):
            pass
    finally:
        child.communicate(timeout=DEADLINE_S)
