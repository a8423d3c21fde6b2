"""What an instructor uploads: all that grading needs, and nothing that is not for those who may read it."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path

import pytest
from victims import ROOT

from grader.content import autograders
from grader.content import course as courses
from grader.content import lab as labs
from grader.content.course import Course

Refused = Callable[..., AbstractContextManager[None]]


def opened(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_gradescope_finds_its_scripts_at_the_root_and_may_run_them(course: Course) -> None:
    with zipfile.ZipFile(io.BytesIO(autograders.gradescope(course, "echo"))) as archive:
        for name in ("setup.sh", "run_autograder"):
            assert archive.getinfo(name).external_attr >> 16 == 0o100755
            assert archive.read(name).startswith(b"#!/usr/bin/env bash\n")
            checked = subprocess.run(
                ["bash", "-n"], input=archive.read(name), capture_output=True, check=False
            )
            assert (checked.returncode, checked.stderr) == (0, b"")


def test_gradescope_gets_one_lab_with_its_hidden_checks_and_no_solution(course: Course) -> None:
    held = opened(autograders.gradescope(course, "echo"))
    mine = {name for name in held if name.startswith("course/")}
    assert mine == {
        "course/labs/course.toml", "course/labs/echo/lab.toml", "course/labs/echo/brief.md",
        "course/labs/echo/checks.py", "course/labs/echo/hidden.py", "course/skeletons/echo/echo.py",
    }  # fmt: skip
    assert b"sys.stdout.flush()" not in held["course/skeletons/echo/echo.py"]
    assert {
        "grader/cli.py",
        "grader/diagnoses.toml",
        "grader/reporting/style.css",
        "requirements.txt",
    } <= set(held)
    assert not any("__pycache__" in name for name in held)


def test_the_same_course_makes_the_same_archive(course: Course) -> None:
    assert autograders.gradescope(course, "echo") == autograders.gradescope(course, "echo")


def test_what_is_unpacked_is_a_course(course: Course, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(autograders.gradescope(course, "echo"))) as archive:
        archive.extractall(tmp_path)
    found = courses.find(tmp_path / "course")
    assert (found.title, found.slugs) == (course.title, ("echo",))
    original, unpacked = courses.load_lab(course, "echo"), courses.load_lab(found, "echo")
    assert unpacked.version == original.version, "reports are by the same version of the lab"
    assert unpacked.checks == original.checks


def test_a_title_may_hold_anything(course: Course, tmp_path: Path) -> None:
    path = course.root / "labs" / "course.toml"
    path.write_text(path.read_text().replace("A small course", 'A \\"small\\" \\\\ course'))
    changed = courses.find(course.root)
    files = autograders.classroom50(changed, "echo", tmp_path / "out")
    assert files
    assert courses.find(tmp_path / "out" / "course").title == changed.title == 'A "small" \\ course'


def test_classroom_50_gets_nothing_secret(course: Course, tmp_path: Path) -> None:
    written = autograders.classroom50(course, "echo", tmp_path / "out")
    held = {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in written}
    assert {"autograder.py", "runtime.json", "requirements.txt", "course/labs/echo/checks.py"} <= set(held)
    assert not any(name.endswith("hidden.py") and name.startswith("course/") for name in held)
    assert not any(b"geheim" in data for data in held.values())
    compile(held["autograder.py"], "autograder.py", "exec")
    assert json.loads(held["runtime.json"])["apt"] == ["bubblewrap", "strace", "gcc", "make"]


def test_no_secret_of_the_real_course_is_published(tmp_path: Path) -> None:
    real = courses.find(ROOT)
    slug = real.slugs[0]
    written = autograders.classroom50(real, slug, tmp_path / "out")
    told = {
        line.strip()
        for path in written
        if "/course/" in path.as_posix()
        for line in path.read_text().splitlines()
    }

    def lines(path: Path) -> set[str]:
        return {line.strip() for line in path.read_text().splitlines() if len(line.strip()) > 20}

    root = ROOT / "labs" / slug
    public = lines(root / "checks.py") | lines(root / "brief.md")
    assert not (lines(root / "hidden.py") - public) & told
    for skeleton in labs.skeletons(labs.load(root)):
        shown = {line.strip() for line in skeleton.files[0].data.decode().splitlines()}
        assert not (lines(root / "solution" / skeleton.entry) - shown - public) & told


@pytest.mark.parametrize("installed", [True, False])
def test_names_what_the_grader_needs_and_no_extras(
    course: Course, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    def requires(name: str) -> list[str]:
        if not installed:
            raise metadata.PackageNotFoundError(name)
        return ["click>=8.1", "msgspec >=0.20", 'nbgrader>=0.9.5; extra == "jupyter"']

    monkeypatch.setattr(metadata, "requires", requires)
    said = opened(autograders.gradescope(course, "echo"))["requirements.txt"].decode().splitlines()
    assert "click>=8.1" in said
    assert "msgspec>=0.20" in said
    assert not any("nbgrader" in line or "hypothesis" in line for line in said)


def test_a_lab_that_is_not_there_is_refused(course: Course, tmp_path: Path, refused: Refused) -> None:
    with refused("there is no lab named 'ecco'", "did you mean echo?"):
        autograders.gradescope(course, "ecco")
    with refused("there is no lab named 'ecco'"):
        autograders.classroom50(course, "ecco", tmp_path / "out")
    assert not (tmp_path / "out").exists()
