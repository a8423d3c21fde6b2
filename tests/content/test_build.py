"""Generated files: what is stale is listed, and made right."""

from __future__ import annotations

from pathlib import Path

import pytest
from victims import ROOT

from grader.content import build
from grader.content import course as courses
from grader.content.course import Course

SKELETON, NOTEBOOK = "skeletons/echo/echo.py", "notebooks/echo.ipynb"


def stale(course: Course) -> list[str]:
    return [path.relative_to(course.root).as_posix() for path in build.stale(course)]


def test_a_built_course_is_fresh(course: Course) -> None:
    assert stale(course) == []


def test_missing_changed_and_orphaned_files_are_stale_and_mended(course: Course) -> None:
    (course.root / SKELETON).unlink()
    (course.root / NOTEBOOK).write_text("{}")
    orphan = course.root / "skeletons" / "old_lab" / "old_lab.py"
    orphan.parent.mkdir()
    orphan.write_text("")
    wanted = [NOTEBOOK, SKELETON, "skeletons/old_lab/old_lab.py"]
    assert stale(course) == wanted
    assert [path.relative_to(course.root).as_posix() for path in build.write(course)] == wanted
    assert stale(course) == []
    assert not orphan.parent.exists(), "no empty folder stays"
    assert {path: path.read_bytes() for path in build.outputs(course)} == build.outputs(course)


def test_a_second_write_changes_nothing(course: Course) -> None:
    before = {path: path.stat().st_mtime_ns for path in build.outputs(course)}
    assert build.write(course) == ()
    assert {path: path.stat().st_mtime_ns for path in build.outputs(course)} == before


def test_what_follows_from_a_source_is_stale_when_it_changes(course: Course, root: Path) -> None:
    path = root / "solution" / "echo.py"
    path.write_text("# first\n" + path.read_text())
    assert stale(course) == [NOTEBOOK, SKELETON]
    build.write(course)
    path.write_text(path.read_text().replace("sys.stdout.flush", "sys.stdout.close"))
    assert stale(course) == [], "what stands in a region is in no generated file"
    (root / "brief.md").write_text("# Other words\n\n```{file} echo.py\n```\n")
    assert stale(course) == [NOTEBOOK]


@pytest.mark.parametrize("name", ["notebooks/.ipynb_checkpoints/echo-checkpoint.ipynb", "skeletons/.gitkeep"])
def test_hidden_files_are_left_alone(course: Course, name: str) -> None:
    (course.root / name).parent.mkdir(exist_ok=True)
    (course.root / name).write_text("")
    assert build.write(course) == ()
    assert (course.root / name).exists()


def test_what_python_leaves_behind_is_left_alone(course: Course) -> None:
    path = course.root / "skeletons" / "echo" / "__pycache__" / "echo.pyc"
    path.parent.mkdir()
    path.write_text("")
    assert stale(course) == []


def test_an_orphaned_link_is_stale_wherever_it_leads(course: Course) -> None:
    (course.root / "notebooks" / "old.ipynb").symlink_to("nowhere")
    assert stale(course) == ["notebooks/old.ipynb"]
    build.write(course)
    assert stale(course) == []


def test_the_real_course_is_fresh() -> None:
    assert stale(courses.find(ROOT)) == []
