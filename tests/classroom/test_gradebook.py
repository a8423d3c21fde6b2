"""The gradebook: CSV that no spreadsheet computes, files for each student, and the class in words."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import pytest
from reports import BROKEN, PASSED, REPORTS, SKIPPED, hung, report
from rich.console import Console

from grader.classroom import gradebook
from grader.classroom.gradebook import Shelf
from grader.model import Fault, Report
from grader.reporting import store


def of(student: str, **changes: object) -> Report:
    return msgspec.structs.replace(report(PASSED, hung(), SKIPPED), student=student, **changes)


def rows(*reports: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(gradebook.table(reports))))


def test_has_a_row_for_each_student_in_order() -> None:
    found = rows(of("grace"), of("ada", notices=("late",)), of("tim"))
    assert [row["student"] for row in found] == ["ada", "grace", "tim"]
    ada = found[0]
    assert list(ada.items()) == [
        ("student", "ada"), ("score", "1"), ("max_score", "5"), ("percent", "20"),
        ("passed", "1"), ("failed", "1"), ("broken", "0"), ("skipped", "1"), ("level", "1"),
        ("test_runs_one_command", "1"), ("test_stops_at_end_of_file", "0"),
        ("test_reaps_every_child", "skipped"),
        ("first_diagnosis", "write-end-left-open"), ("notices", "late"),
    ]  # fmt: skip


def test_gives_no_points_and_no_zero_for_what_the_grader_broke() -> None:
    (row,) = rows(report(PASSED, BROKEN))
    assert row["test_passes_arguments_unchanged"] == "broken"
    assert row["broken"] == "1"


def test_leaves_a_check_empty_that_was_not_selected() -> None:
    ada, tim = rows(of("ada"), report(PASSED, student="tim"))
    assert ada["test_stops_at_end_of_file"] == "0"
    assert tim["test_stops_at_end_of_file"] == ""


@pytest.mark.parametrize("student", ["=1+1", "@SUM(A1:A9)", "+1", "-1", '=HYPERLINK("http://x")', "\t=1"])
def test_computes_nothing(student: str) -> None:
    (row,) = rows(of(student, notices=("=cmd|' /C calc'!A0",)))
    assert row["student"][0] not in "=+-@\t"
    assert row["notices"].startswith("'=")


def test_keeps_what_a_student_may_see_and_what_an_instructor_needs(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "grades")
    made = msgspec.structs.replace(REPORTS["leftovers"], student="ada")
    shelf.keep(made)
    shelf.close([made])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "grades/gradebook.csv", "grades/reports/ada.json", "grades/reports/ada.txt",
    ]  # fmt: skip
    assert store.read(shelf.reports / "ada.json") == made
    assert "sleep 100" in (shelf.reports / "ada.json").read_text()
    assert "sleep 100" not in (shelf.reports / "ada.txt").read_text()  # the command of a hidden check


def test_names_files_so_that_none_leaves_the_folder_or_meets_another(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "grades")
    students = ["../../evil", "a/b", "a_b", "..", "é ñ", "x" * 300, "x" * 301, "a\\nb", "CON:"]
    for student in students:
        shelf.keep(of(student))
    found = list(shelf.reports.glob("*.json"))
    assert len(found) == len(students)
    assert {path.name for path in tmp_path.iterdir()} == {"grades"}
    assert all(len(path.name.encode()) < 255 for path in found)


def test_says_that_there_is_no_place_for_results(tmp_path: Path) -> None:
    (tmp_path / "grades").write_text("a file")
    with pytest.raises(Fault, match="cannot be made"):
        Shelf(tmp_path / "grades").open()


def test_shows_the_class(tmp_path: Path) -> None:
    stream = io.StringIO()
    reports = [of("ada"), of("[red]bob[/]\x1b[2J"), report(PASSED, BROKEN, student="tim")]
    Console(file=stream, width=100).print(gradebook.overview(reports))
    shown = stream.getvalue()
    assert "[red]bob[/]\\e[2J" in shown
    assert "\x1b" not in shown
    assert "tim*" in shown
    assert "1 / 5" in shown


def test_tells_what_an_instructor_wants_to_know() -> None:
    class_ = [of(f"s{number}") for number in range(5)] + [report(PASSED, student=f"t{n}") for n in range(9)]
    class_.append(report(PASSED, BROKEN, student="zoe", notices=("two attempts",)))
    lines = gradebook.findings(class_)
    assert any(line.startswith("    5 of 15: write-end-left-open ") for line in lines)
    assert "    5 of 5 failed test_stops_at_end_of_file" in lines
    assert "  zoe: two attempts" in lines
    assert any("the grader itself failed" in line for line in lines)


def test_has_nothing_to_tell_of_a_class_without_faults() -> None:
    assert gradebook.findings([report(PASSED)]) == ()
