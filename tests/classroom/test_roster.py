"""Who handed in what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from courses import RIGHT, echo, hand_in

from grader.classroom import roster
from grader.model import Fault, Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return echo(tmp_path_factory.mktemp("course"))


def students(found: roster.Roster) -> list[str]:
    return [entry.student for entry in found.entries]


def aged(path: Path, seconds: int) -> Path:
    os.utime(path, (seconds, seconds))
    return path


def test_finds_one_entry_for_each_child(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    for name in ("grace.c", "guido.ipynb", "tim.tar.gz", "margaret.zip", "alan"):
        (tmp_path / name).write_bytes(b"x")
    found = roster.find([tmp_path], lab)
    assert students(found) == ["ada", "alan", "grace", "guido", "margaret", "tim"]
    assert found.notices == ()


def test_passes_over_what_is_no_submission(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("twelve students")
    (tmp_path / "grades.xlsx").write_text("")
    os.mkfifo(tmp_path / "pipe")
    found = roster.find([tmp_path], lab)
    assert students(found) == ["ada"]
    assert [notice.split(": ")[0].rsplit("/", 1)[1] for notice in found.notices] == [
        "README.md was passed over",
        "grades.xlsx was passed over",
        "pipe was passed over",
    ]


def test_keeps_a_file_that_nobody_can_read_as_a_submission(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "bob.rar").write_bytes(b"x")
    assert [entry.path.name for entry in roster.find([tmp_path], lab).entries] == ["bob.rar"]


@pytest.mark.parametrize("name", ["echo.py", "echo", "echo.ipynb", "Makefile"])
def test_takes_a_folder_with_the_program_for_one_submission(lab: Lab, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "ada"
    folder.mkdir()
    (folder / name).write_text(RIGHT)
    (folder / "more.py").write_text("")
    assert students(roster.find([folder], lab)) == ["ada"]


def test_takes_named_files_for_one_submission_each(lab: Lab, tmp_path: Path) -> None:
    paths = [tmp_path / "ada.py", tmp_path / "grace.c"]
    for path in paths:
        path.write_text(RIGHT)
    assert students(roster.find(paths, lab)) == ["ada", "grace"]


def test_names_a_file_with_the_labs_name_after_its_folder(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT, bob=RIGHT)
    found = roster.find([tmp_path / "ada" / "echo.py", tmp_path / "bob" / "echo.py"], lab)
    assert students(found) == ["ada", "bob"]


def test_follows_a_link_that_was_named(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    (tmp_path / "link").symlink_to(tmp_path / "ada")
    entry = roster.find([tmp_path / "link"], lab).entries[0]
    assert entry.path == tmp_path / "ada"


def test_grades_the_newest_of_two_attempts(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    aged(tmp_path / "ada" / "echo.py", 1_000_000)
    aged((tmp_path / "ada.zip"), 2_000_000) if (tmp_path / "ada.zip").write_bytes(b"x") else None
    (entry,) = roster.find([tmp_path], lab).entries
    assert entry.path.name == "ada.zip"
    assert entry.fault is None
    (notice,) = entry.notices
    assert "ada.zip" in notice
    assert f"{tmp_path}/ada;" in notice
    assert "move this one out of the folder" in notice


def test_a_folder_is_as_new_as_its_newest_file(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    (tmp_path / "ada.zip").write_bytes(b"x")
    aged(tmp_path / "ada.zip", 2_000_000)
    aged(tmp_path / "ada" / "echo.py", 3_000_000)
    aged(tmp_path / "ada", 1_000_000)
    assert roster.find([tmp_path], lab).entries[0].path.name == "ada"


def test_does_not_guess_between_attempts_of_the_same_time(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    (tmp_path / "ada.py").write_text(RIGHT)
    aged(tmp_path / "ada.py", 1_000_001)
    aged(tmp_path / "ada" / "echo.py", 1_000_000)
    (entry,) = roster.find([tmp_path], lab).entries
    assert entry.fault is not None
    assert f"{tmp_path}/ada.py" in str(entry.fault)
    assert "keep the one that counts" in entry.fault.cure


def test_the_same_path_twice_is_one_submission(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, ada=RIGHT)
    (entry,) = roster.find([tmp_path, tmp_path / "ada"], lab).entries
    assert entry.fault is None
    assert not entry.notices


def test_makes_names_visible(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path, **{"eve\x1b[2J\n": RIGHT})
    (tmp_path / os.fsdecode(b"bob\xff.py")).write_text(RIGHT)
    found = roster.find([tmp_path], lab)
    assert students(found) == ["bob\\xff", "eve\\e[2J\\n"]
    assert all(entry.origin.isprintable() for entry in found.entries)


def test_refuses_an_empty_folder(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="nobody handed in anything") as caught:
        roster.find([tmp_path], lab)
    assert "one folder, archive, notebook or file for each student" in caught.value.cure


def test_refuses_a_path_that_is_not_there(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="there is no such file or folder"):
        roster.find([tmp_path / "nowhere"], lab)


def test_a_folder_is_one_submission_if_it_is_said_to_be(lab: Lab, tmp_path: Path) -> None:
    """As a platform hands over what one student uploaded, in whatever folders."""
    hand_in(tmp_path / "submission", work=RIGHT)
    (entry,) = roster.find([tmp_path / "submission"], lab, one=True).entries
    assert (entry.student, entry.path) == ("submission", tmp_path / "submission")
