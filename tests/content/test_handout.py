"""Where a student works: nothing is ever overwritten, and the work is found again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grader.content import files, handout
from grader.content import lab as labs
from grader.content.course import Course
from grader.model import Lab, Language

Refused = Callable[..., AbstractContextManager[None]]
PYTHON = Language.PYTHON


@pytest.fixture
def fresh(root: Path) -> Lab:
    return labs.load(root)


def test_a_start_puts_skeleton_and_brief_into_a_folder(course: Course, fresh: Lab, tmp_path: Path) -> None:
    work = tmp_path / "a" / "echo"
    assert handout.start(course, fresh, PYTHON, work) == (work / "echo.py", work / "README.md")
    assert (work / "echo.py").read_bytes() == (course.root / "skeletons" / "echo" / "echo.py").read_bytes()
    assert "proclab check echo" in (work / "README.md").read_text()


@pytest.mark.parametrize("name", ["echo.py", "README.md"])
@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_overwritten(
    course: Course, fresh: Lab, tmp_path: Path, refused: Refused, name: str, link: bool
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    if link:
        (work / name).symlink_to("nowhere yet")
    else:
        (work / name).write_text("mine")
    with refused(work / name, "exists already and is not overwritten", "choose another folder"):
        handout.start(course, fresh, PYTHON, work)
    assert [path.name for path in work.iterdir()] == [name]


def test_a_language_that_the_lab_lacks_is_refused(
    course: Course, fresh: Lab, tmp_path: Path, refused: Refused
) -> None:
    with refused("echo has no skeleton in c", "choose python"):
        handout.start(course, fresh, Language.C, tmp_path / "work")
    with refused("echo has no skeleton in executable", "choose python"):
        handout.start(course, fresh, Language.EXECUTABLE, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_missing_skeleton_is_named(course: Course, fresh: Lab, tmp_path: Path, refused: Refused) -> None:
    path = course.root / "skeletons" / "echo" / "echo.py"
    path.unlink()
    with refused(path, "the skeleton is missing", "proclab build"):
        handout.start(course, fresh, PYTHON, tmp_path / "work")


def test_a_file_in_the_folders_place_is_named(
    course: Course, fresh: Lab, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "work").write_text("mine")
    with refused(tmp_path / "work", "cannot be written: ", "choose another folder"):
        handout.start(course, fresh, PYTHON, tmp_path / "work")


def test_a_start_that_fails_halfway_can_be_repeated(
    course: Course, fresh: Lab, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write

    def full(path: Path, data: bytes) -> None:
        if path.name == "README.md":
            raise OSError(28, "No space left on device")
        write(path, data)

    with monkeypatch.context() as patched, refused(tmp_path / "work", "cannot be written: No space left"):
        patched.setattr(files, "write", full)
        handout.start(course, fresh, PYTHON, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
    handout.start(course, fresh, PYTHON, tmp_path / "work")


def test_work_is_found_in_the_folder_named_as_the_lab(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "echo").mkdir()
    assert handout.workplace(lab, tmp_path) == tmp_path / "echo"


@pytest.mark.parametrize("name", ["echo.py", "echo", "echo.ipynb", "Makefile"])
def test_work_is_found_where_one_stands(lab: Lab, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert handout.workplace(lab, tmp_path) == tmp_path


def test_no_work_is_answered_with_what_to_do(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path, "there is no echo to check here", "proclab start echo", "proclab check echo PATH"):
        handout.workplace(lab, tmp_path)
