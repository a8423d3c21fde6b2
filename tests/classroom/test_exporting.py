"""Reports in the formats of others, from a file, from standard input, and from a folder of results."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import msgspec
import pytest
from reports import PASSED, hung, report

from grader.classroom import exporting, gradebook
from grader.classroom.exporting import Choice, Format
from grader.classroom.gradebook import Shelf
from grader.classroom.ledger import Graded, Ledger
from grader.model import Fault, Report
from grader.reporting import store

CLASSROOM50 = {
    "CLASSROOM": "ipc", "ASSIGNMENT": "pipeline", "SUBMISSION_TAG": "submit/1", "COMMIT_URL": "https://x/1",
    "RELEASE_URL": "https://x/2",
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results of two students."""
    shelf = Shelf(tmp_path / "results")
    shelf.open()
    with Ledger(shelf.folder) as ledger:
        for student in ("ada", "../bob"):
            made = report(PASSED, hung(), student=student, origin=student)
            ledger.append(Graded(key=student, report=made, known_as=(f"{student}@example.edu",)))
        shelf.write(found for _, found in ledger.reports())
    return shelf.folder


@pytest.fixture
def one(tmp_path: Path) -> Path:
    store.write(report(PASSED, hung(), origin="work"), tmp_path / "one.json")
    return tmp_path / "one.json"


def export(
    wanted: Format, source: Path, out: Path | None = None, **choice: object
) -> tuple[tuple[Path, ...], str]:
    told = io.StringIO()
    options = {"environment": {}} | choice
    return exporting.export(wanted, source, out, Choice(**options), told), told.getvalue()  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [f for f in Format if f not in (Format.CLASSROOM50, Format.CANVAS)])
def test_a_report_goes_to_standard_output_or_to_a_file(
    one: Path, tmp_path: Path, wanted: Format, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert export(wanted, one)[0] == ()
    data, _ = capsysbinary.readouterr()
    assert data.endswith(b"\n")
    assert export(wanted, one, Path("-"))[0] == ()
    assert capsysbinary.readouterr()[0] == data
    (path,), _ = export(wanted, one, tmp_path / "deep" / "out")
    assert path.read_bytes() == data


def test_a_report_comes_from_standard_input(
    one: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    class Input:
        buffer = io.BytesIO(one.read_bytes())

    monkeypatch.setattr(sys, "stdin", Input)
    export(Format.GRADESCOPE, Path("-"))
    assert json.loads(capsysbinary.readouterr()[0])["score"] == 1


def test_classroom_50_reads_the_environment(one: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="the environment has no CLASSROOM"):
        export(Format.CLASSROOM50, one)
    (path,), _ = export(
        Format.CLASSROOM50,
        one,
        tmp_path / "result.json",
        environment=CLASSROOM50,
        submitted="2026-01-01T00:00:00Z",
    )
    assert json.loads(path.read_bytes())["datetime"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("wanted", [Format.GRADESCOPE, Format.PRAIRIELEARN, Format.MARKDOWN])
def test_a_class_has_a_file_for_each_student(results: Path, tmp_path: Path, wanted: Format) -> None:
    paths, _ = export(wanted, results)
    assert {path.parent for path in paths} == {results / wanted.value}
    assert len(paths) == 2
    assert all(path.stat().st_size for path in paths)
    paths, _ = export(wanted, results, tmp_path / "elsewhere")
    assert {path.parent for path in paths} == {tmp_path / "elsewhere"}


@pytest.mark.parametrize("wanted", [Format.JUNIT, Format.CANVAS, Format.FIGURES])
def test_a_class_in_one_file(results: Path, tmp_path: Path, wanted: Format) -> None:
    (path,), _ = export(wanted, results, tmp_path / "out")
    assert "bob" in path.read_text()


def test_canvas_takes_its_own_gradebook(results: Path, tmp_path: Path) -> None:
    exported = tmp_path / "canvas.csv"
    exported.write_text(
        "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Essay (1)\n"
        '"Lovelace, Ada",7,,ada@example.edu,Mo,\n', encoding="utf-8",
    )  # fmt: skip
    (path,), told = export(
        Format.CANVAS, results, tmp_path / "out.csv", gradebook=exported, assignment="Pipeline (2)"
    )
    assert path.read_text().splitlines()[2:] == ['"Lovelace, Ada",7,,ada@example.edu,Mo,1']
    assert told == "not in the table: ../bob: not in the gradebook\n"
    exported.write_bytes(b"\xff\xfe")
    with pytest.raises(Fault, match="is not UTF-8 text"):
        export(Format.CANVAS, results, gradebook=exported)
    with pytest.raises(Fault, match="cannot be read"):
        export(Format.CANVAS, results, gradebook=tmp_path / "nowhere.csv")


@pytest.mark.parametrize("wanted", [Format.ACTIONS, Format.CLASSROOM50])
def test_what_is_about_one_submission_is_not_made_of_a_class(results: Path, wanted: Format) -> None:
    with pytest.raises(Fault, match="is about one submission") as caught:
        export(wanted, results)
    assert "reports/STUDENT.json" in caught.value.cure


def test_a_folder_without_reports_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be read"):
        export(Format.JUNIT, tmp_path)
    Ledger(tmp_path).__exit__(None, None, None)
    with pytest.raises(Fault, match="nobody has a report here"):
        export(Format.JUNIT, tmp_path)
    with pytest.raises(Fault, match="nobody has a report here"):
        gradebook.read(tmp_path)


def annotated(tmp_path: Path, made: Report, **environment: str) -> str:
    store.write(made, tmp_path / "made.json")
    (path,), _ = export(Format.ACTIONS, tmp_path / "made.json", tmp_path / "out", environment=environment)
    return path.read_text().split("file=")[1].split(",")[0]


def test_annotations_name_files_as_the_repository_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline").mkdir()
    made = report(hung())
    for origin, path in (
        ("pipeline", "pipeline/pipeline.py"), (".", "pipeline.py"), ("mine.py", "mine.py"),
        (str(tmp_path / "pipeline"), "pipeline/pipeline.py"),
    ):  # fmt: skip
        moved = msgspec.structs.replace(made, origin=origin)
        assert annotated(tmp_path, moved, GITHUB_WORKSPACE=str(tmp_path)) == path


def test_the_summary_goes_where_the_runner_asks_for_it(one: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("what was there\n")
    export(Format.ACTIONS, one, tmp_path / "out", environment={"GITHUB_STEP_SUMMARY": str(summary)})
    assert summary.read_text().startswith("what was there\n## A pipeline of processes\n")
    with pytest.raises(Fault, match="cannot be written"):
        export(Format.ACTIONS, one, tmp_path / "out", environment={"GITHUB_STEP_SUMMARY": str(tmp_path)})


def test_a_class_can_be_shown_again(results: Path) -> None:
    said = io.StringIO()
    gradebook.show(gradebook.read(results), said)
    assert "    2 of 2: write-end-left-open" in said.getvalue()
    assert all(check.observation is None for made in gradebook.read(results) for check in made.checks)
