"""The gradebook: CSV that no spreadsheet computes, files for each student, and the class in words."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import msgspec
import pytest
from reports import BROKEN, PASSED, REPORTS, SKIPPED, hung, report
from rich.console import Console
from victims import ROOT

from grader.classroom import gradebook, worker
from grader.classroom.gradebook import Shelf
from grader.classroom.roster import Entry
from grader.content import lab as labs
from grader.model import Fault, Report
from grader.reporting import classes, store


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
    assert shelf.write([made]) == (classes.light(made),)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "grades/.written-with", "grades/gradebook.csv", "grades/reports/ada.html", "grades/reports/ada.json", "grades/reports/ada.txt",
    ]  # fmt: skip
    assert store.read(shelf.reports / "ada.json") == made
    assert "sleep 100" in (shelf.reports / "ada.json").read_text()
    for kind in ("txt", "html"):  # the command of a hidden check
        assert "sleep 100" not in (shelf.reports / f"ada.{kind}").read_text()
    assert shelf.gradebook.read_text() == gradebook.table([made])


def test_writes_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tmp_path / "grades")
    shelf.write([of("ada"), of("bob")])
    before = {path: path.stat().st_mtime_ns for path in shelf.reports.iterdir()}
    (shelf.reports / "bob.txt").unlink()
    os.utime(shelf.reports / "bob.json", (1, 1))

    def written() -> set[str]:
        now = {path: path.stat().st_mtime_ns for path in shelf.reports.iterdir()}
        return {path.name for path, time in now.items() if before.get(path) != time}

    shelf.write([of("ada"), of("bob")])
    assert written() == {"bob.txt", "bob.json", "bob.html"}
    shelf.write([of("ada", duration_s=9.0), of("bob")])
    assert written() >= {"ada.txt", "ada.json", "ada.html"}
    before = {path: path.stat().st_mtime_ns for path in shelf.reports.iterdir()}
    monkeypatch.setattr(gradebook, "_words_version", lambda: "another version of the words")
    shelf.write([of("ada", duration_s=9.0), of("bob")])
    assert len(written()) == 6


def test_without_reports_nothing_is_changed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.gradebook.write_text("of an earlier grading")
    assert shelf.write([]) == ()
    assert shelf.gradebook.read_text() == "of an earlier grading"


def test_halves_of_a_killed_grading_are_swept_away_and_nothing_else(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "grades")
    shelf.open()
    shelf.write([of("ada")])
    mine = [
        shelf.folder / ".notes",
        shelf.reports / ".ada.json.part",
        shelf.reports / "x.0123456789abcdef.part",
    ]
    halves = [
        shelf.reports / ".ada.json.0123456789abcdef.part",
        shelf.folder / ".gradebook.csv.0123456789abcdef.part",
    ]
    for path in (*mine, *halves):
        path.write_text("")
    shelf.sweep()
    assert all(path.exists() for path in mine)
    assert not any(path.exists() for path in halves)
    assert (shelf.reports / "ada.json").exists()


def test_a_student_who_is_dropped_leaves_no_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "grades")
    shelf.write([of("../ada"), of("bob")])
    shelf.drop("../ada")
    shelf.drop("nobody")
    assert sorted(path.name for path in shelf.reports.iterdir()) == ["bob.html", "bob.json", "bob.txt"]


def test_names_files_so_that_none_leaves_the_folder_or_meets_another(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "grades")
    students = ["../../evil", "a/b", "a_b", "..", "é ñ", "x" * 300, "x" * 301, "a\\nb", "CON:"]
    shelf.write(map(of, students))
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


def class_of(faulty: int, right: int) -> list[Report]:
    return [of(f"s{n}") for n in range(faulty)] + [report(PASSED, student=f"t{n}") for n in range(right)]


def test_tells_what_an_instructor_wants_to_know() -> None:
    class_ = [*class_of(5, 9), report(PASSED, BROKEN, student="zoe", notices=("two attempts",))]
    lines = gradebook.findings(class_)
    assert any(line.startswith("    5 of 15: write-end-left-open ") for line in lines)
    way = next(line for line in lines if line.startswith("      5 of them: "))
    assert "its write end is still open in the parent, descriptor N." in way
    assert "    5 of 5 failed test_stops_at_end_of_file" in lines
    assert "  s0: 20 %; A write end of a pipe stays open, so its reader never sees end-of-file." in lines
    assert "  zoe: two attempts" in lines
    assert any(line.startswith("  zoe: the grader itself failed here: NameError") for line in lines)
    assert any(line.startswith("Points: 1 of 5 on average, median 1") for line in lines)
    assert "        100 %    9 ########################################" in lines


def test_lists_what_cannot_be_read_with_the_cure() -> None:
    fault = Fault("is not a notebook", where="eve.ipynb", cure="hand in the .ipynb file that Jupyter saves")
    entry = Entry("eve", Path("eve.ipynb"), fault=fault)
    lab = labs.load(ROOT / "labs" / "pipeline")
    lines = gradebook.findings([worker.unreadable(lab, entry, None, fault)])
    (line,) = (line for line in lines if line.startswith("  eve: ") and "Cure" in line)
    assert "eve.ipynb: is not a notebook. Cure: Hand in the .ipynb file that Jupyter saves." in line


def test_names_those_who_were_graded_by_an_older_version_of_the_lab() -> None:
    old = of("ada", lab_version="old", started="2026-01-01T00:00:00+00:00")
    (line,) = (line for line in gradebook.findings([old, of("bob")]) if "older version" in line)
    assert "ada" in line
    assert "bob" not in line


def test_does_not_bury_an_instructor_in_a_class_of_hundreds() -> None:
    lines = gradebook.findings(class_of(300, 0))
    assert len(lines) < 60
    assert "  and 280 more (see the gradebook)" in lines


def test_has_nothing_to_tell_of_a_class_without_faults() -> None:
    assert gradebook.findings([report(PASSED)]) == ()
    assert gradebook.findings([]) == ()
