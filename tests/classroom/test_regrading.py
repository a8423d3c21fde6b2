"""A class graded again after the lab was changed."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Generator, Iterable
from pathlib import Path

import msgspec
import pytest
from courses import echo, hand_in
from reports import check, report

from grader.classroom import progress, regrading, session
from grader.classroom.executor import Begun, Finished, Order
from grader.classroom.session import Wish
from grader.classroom.worker import Outcome
from grader.model import Fault, Lab, Verdict
from grader.reporting import store
from grader.reporting.changes import Changes


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return echo(tmp_path_factory.mktemp("course"))


def version(lab: Lab, number: int) -> Lab:
    return msgspec.structs.replace(lab, version=f"v{number}")


class Stub:
    """A lab that wants so many letters, by its version: v3 passes a program of three, nothing is run."""

    def __init__(self, lab: Lab, stop_after: int = 99):
        self._lab, self._stop_after = lab, stop_after
        self.graded: list[str] = []

    def follow(self, orders: Iterable[Order]) -> Generator[Begun | Finished, None, None]:
        wanted = int(self._lab.version.removeprefix("v"))
        for order in orders:
            if len(self.graded) >= self._stop_after:
                raise KeyboardInterrupt
            text = (order.entry.path / "echo.py").read_text()
            key = f"{self._lab.version} {text}"
            yield Begun(order.entry)
            if key in order.known:
                yield Finished(order.entry, Outcome(key, None))
                continue
            self.graded.append(order.entry.student)
            verdict = Verdict.PASSED if len(text) >= wanted else Verdict.FAILED
            made = report(
                check("test_is_long", "Long.", verdict), lab="echo", lab_version=self._lab.version,
                student=order.entry.student, submission_version=text, origin=order.entry.origin,
            )  # fmt: skip
            yield Finished(order.entry, Outcome(key, made))


def grade(lab: Lab, folder: Path, out: Path, stub: Stub | None = None) -> None:
    session.grade(lab, [folder], out, Wish(), stub or Stub(lab), progress.Lines(io.StringIO()))


def regrade(
    lab: Lab, out: Path, again: bool = False, stop_after: int = 99
) -> tuple[dict[str, float], Changes, list[str], str]:
    """Points of everybody, what changed, who was really graded, what was said."""
    stub, said = Stub(lab, stop_after), io.StringIO()
    reports, found = regrading.regrade(lab, out, again, stub, progress.Lines(said, table=False))
    return {report.student: report.score for report in reports}, found, stub.graded, said.getvalue()


def test_says_who_gained_and_who_lost(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="a", bob="bb", eve="eee"), tmp_path / "out"
    grade(version(lab, 2), folder, out)
    points, found, graded, _ = regrade(version(lab, 3), out)
    assert points == {"ada": 0, "bob": 0, "eve": 2}
    assert sorted(graded) == ["ada", "bob", "eve"]
    assert ([change.student for change in found.lost], found.gained, found.compared) == (["bob"], (), 3)
    points, found, _, _ = regrade(version(lab, 1), out)
    assert points == {"ada": 2, "bob": 2, "eve": 2}
    assert [change.student for change in found.gained] == ["ada", "bob"]
    assert (
        (out / "changes.csv")
        .read_text()
        .splitlines()[1]
        .startswith("ada,0,2,,test_is_long,0,2,failed,passed,")
    )
    assert store.read(out / "reports" / "ada.json").lab_version == "v1"


def test_a_lab_that_did_not_change_is_not_graded_again(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="a"), tmp_path / "out"
    grade(version(lab, 2), folder, out)
    _, found, graded, _ = regrade(version(lab, 2), out)
    assert (graded, found.compared) == ([], 0)
    _, found, graded, _ = regrade(version(lab, 2), out, again=True)
    assert (graded, found.compared, found.changes) == (["ada"], 1, ())


def test_asked_once_more_it_says_the_same(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="a", bob="bb"), tmp_path / "out"
    grade(version(lab, 1), folder, out)
    first = regrade(version(lab, 2), out)
    second = regrade(version(lab, 2), out)
    assert (first[1], second[2]) == (second[1], [])


def test_a_class_that_was_graded_with_the_new_lab_already_is_compared_too(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="a", bob="bb"), tmp_path / "out"
    grade(version(lab, 1), folder, out)
    grade(version(lab, 2), folder, out)
    _, found, graded, _ = regrade(version(lab, 2), out)
    assert graded == []
    assert [change.student for change in found.lost] == ["ada"]


@pytest.mark.parametrize("again", [False, True])
def test_interrupted_it_goes_on_and_compares_with_what_was_before(
    lab: Lab, tmp_path: Path, again: bool
) -> None:
    folder, out = hand_in(tmp_path / "class", ada="a", bob="bb", eve="eee"), tmp_path / "out"
    grade(version(lab, 3), folder, out)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            regrade(version(lab, 1), out, again, stop_after=1)
    points, found, graded, _ = regrade(version(lab, 1), out, again)
    assert graded == ["eve"], "nobody was graded twice"
    assert points == {"ada": 2, "bob": 2, "eve": 2}
    assert [change.student for change in found.gained] == ["ada", "bob"]


def test_what_was_handed_in_since_is_no_change_of_the_lab(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="a", bob="b"), tmp_path / "out"
    grade(version(lab, 2), folder, out)
    (folder / "ada" / "echo.py").write_text("aaaa")
    hand_in(folder, zoe="z")
    _, found, graded, said = regrade(version(lab, 3), out)
    assert graded == ["ada", "bob"]
    (change,) = found.changes
    assert (change.student, change.anew) == ("ada", True)
    assert "handed in since and not graded here (proclab grade does it): zoe" in said


def test_what_is_gone_costs_nobody_points(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name, programs in (("class", {"ada": "aa", "bob": "bb"}), ("late", {"eve": "ee"})):
        grade(version(lab, 2), hand_in(tmp_path / name, **programs), out)
    shutil.rmtree(tmp_path / "late")
    shutil.rmtree(tmp_path / "class" / "bob")
    points, found, _, said = regrade(version(lab, 3), out)
    assert points == {"ada": 0, "bob": 2, "eve": 2}
    assert found.kept == ("bob", "eve")
    assert f"note: {tmp_path}/late is not there any more" in said


def test_attempts_that_cannot_be_told_apart_any_more_cost_nobody_points(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="aa", bob="bb"), tmp_path / "out"
    grade(version(lab, 2), folder, out)
    (folder / "ada.py").write_text("aa")
    for path in (folder / "ada.py", folder / "ada" / "echo.py"):
        os.utime(path, (1_000_000, 1_000_000))
    points, found, graded, _ = regrade(version(lab, 3), out)
    assert (points, found.kept, graded) == ({"ada": 2, "bob": 0}, ("ada",), ["bob"])


def test_says_where_everything_should_be(lab: Lab, tmp_path: Path) -> None:
    folder, out = hand_in(tmp_path / "class", ada="aa"), tmp_path / "out"
    grade(version(lab, 2), folder, out)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(Fault, match="all that was handed in is gone") as caught:
        regrade(version(lab, 3), out)
    assert "proclab grade" in caught.value.cure
    assert str(folder) in str(caught.value)


def test_a_folder_of_any_name_is_found_again(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"cl\xffass %20")
    grade(version(lab, 1), hand_in(folder, ada="a"), tmp_path / "out")
    assert regrade(version(lab, 2), tmp_path / "out")[2] == ["ada"]


def test_no_folder_of_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read"):
        regrading.asked_before(tmp_path)
