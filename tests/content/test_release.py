"""What students get, and above all what they do not get."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
from victims import ROOT

from grader.content import course as courses
from grader.content import handout, regions
from grader.content import lab as labs
from grader.content.course import Course
from grader.content.release import release
from grader.model import Language

Refused = Callable[..., AbstractContextManager[None]]


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def lines(path: Path) -> set[str]:
    """What tells something: no short lines, imports, or rules between parts."""
    found = {line.strip() for line in path.read_text().splitlines() if len(line.strip()) > 20}
    return {
        line for line in found if not line.startswith(("import ", "from ", "#include ", "# ---", "/* ---"))
    }


def test_a_release_holds_what_students_need_and_no_more(course: Course, tmp_path: Path) -> None:
    written = release(course, tmp_path / "out")
    assert set(everything(tmp_path / "out")) == {
        "README.md", "labs/course.toml", "labs/echo/lab.toml", "labs/echo/brief.md", "labs/echo/checks.py",
        "notebooks/echo.ipynb", "skeletons/echo/echo.py", "skeletons/echo/README.md",
        "requirements.txt", ".github/workflows/proclab.yml",
    }  # fmt: skip
    assert sorted(written) == sorted(tmp_path / "out" / name for name in everything(tmp_path / "out"))
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course", "out"]


def test_students_install_the_grader_that_grades_them(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"proclab": "1.2.3"}[name])
    release(course, tmp_path / "out")
    assert (tmp_path / "out" / "requirements.txt").read_text() == "proclab==1.2.3\n"
    assert "pip install -r requirements.txt" in (tmp_path / "out" / "README.md").read_text()


def test_a_clone_that_is_not_installed_names_no_version(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    release(course, tmp_path / "out")
    assert (tmp_path / "out" / "requirements.txt").read_text() == "proclab\n"


def test_only_labs_with_two_languages_offer_a_choice(course: Course, tmp_path: Path) -> None:
    release(course, tmp_path / "small")
    assert "--language" not in (tmp_path / "small" / "README.md").read_text()
    release(courses.find(ROOT), tmp_path / "real")
    assert (
        "start pipeline        # or: start pipeline --language c"
        in (tmp_path / "real" / "README.md").read_text()
    )


def test_a_released_course_loads_and_starts(course: Course, tmp_path: Path) -> None:
    release(course, tmp_path / "out")
    found = courses.find(tmp_path / "out" / "labs" / "echo")
    assert (found.root, found.title, found.slugs) == (tmp_path / "out", course.title, course.slugs)
    lab = courses.load_lab(found, "echo")
    assert [check.name for check in lab.checks] == ["test_copies", "test_answers"]
    assert not any(check.hidden for check in lab.checks)
    assert len(handout.start(found, lab, Language.PYTHON, tmp_path / "work")) == 2


def test_the_release_of_the_real_course_tells_nothing(tmp_path: Path) -> None:
    course = courses.find(ROOT)
    release(course, tmp_path / "out")
    for slug in course.slugs:
        told = {
            line.strip()
            for name, data in everything(tmp_path / "out").items()
            for line in data.decode().splitlines()
            if slug in str(name)
        }
        root = course.root / "labs" / slug
        public = lines(root / "checks.py") | lines(root / "brief.md")
        assert not (lines(root / "hidden.py") - public) & told
        for skeleton in labs.skeletons(labs.load(root)):
            solution = lines(root / "solution" / skeleton.entry)
            shown = {line.strip() for line in skeleton.files[0].data.decode().splitlines()}
            assert not (solution - shown - public) & told
        names = [check.name for check in labs.load(root).checks if check.hidden]
        assert names
        assert not [name for name in names if any(name in line for line in told)]


@pytest.mark.parametrize(
    ("file", "text", "secret"),
    [
        ("brief.md", '\n    run("echo", stdin="geheim\\n").prints("geheim\\n")\n', "geheim"),
        ("checks.py", "\n    # sys.stdout.write(line)\n    sys.stdout.write(line)\n", "sys.stdout.write(line)"),
        ("brief.md", "\n```python\n    sys.stdout.write(line)\n```\n", "sys.stdout.write(line)"),
        ("lab.toml", "\n# ### BEGIN SOLUTION\n", "BEGIN SOLUTION"),
    ],
)  # fmt: skip
def test_a_secret_is_not_released(
    course: Course, root: Path, tmp_path: Path, refused: Refused, file: str, text: str, secret: str
) -> None:
    with open(root / file, "a") as opened:
        opened.write(text)
    with refused("echo/" + file, "would tell students: ", secret, "take it out of"):
        release(course, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course"]


def test_a_destination_that_holds_something_is_refused(
    course: Course, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".hidden").write_text("mine")
    with refused(tmp_path / "out", "is not empty", "name a folder that does not exist yet"):
        release(course, tmp_path / "out")
    assert everything(tmp_path / "out") == {".hidden": b"mine"}


def test_a_file_as_destination_is_refused(course: Course, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out").write_text("mine")
    with refused(tmp_path / "out", "is no folder"):
        release(course, tmp_path / "out")
    with refused(tmp_path / "out" / "deeper", "cannot be written: File exists", "name another folder"):
        release(course, tmp_path / "out" / "deeper")
    assert (tmp_path / "out").read_text() == "mine"


def test_an_empty_folder_is_filled(course: Course, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    release(course, tmp_path / "out")
    assert (tmp_path / "out" / "README.md").is_file()


@pytest.mark.parametrize("step", ["replace", "write_bytes"])
def test_a_release_that_fails_leaves_nothing(
    course: Course, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = everything(tmp_path)
    with (
        monkeypatch.context() as patched,
        refused(tmp_path / "out", "cannot be written: No space left on device"),
    ):
        patched.setattr(os if step == "replace" else Path, step, full)
        release(course, tmp_path / "out")
    assert everything(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course"]


def test_a_wrong_lab_releases_nothing(course: Course, root: Path, tmp_path: Path, refused: Refused) -> None:
    (root / "brief.md").unlink()
    with refused(root / "brief.md", "is missing"):
        release(course, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course"]


def test_a_course_without_labs_is_not_released(course: Course, tmp_path: Path, refused: Refused) -> None:
    with refused(course.root / "labs" / "course.toml", "labs: is empty", "proclab new"):
        release(msgspec.structs.replace(course, slugs=()), tmp_path / "out")


def test_what_stands_in_regions_is_known_line_by_line() -> None:
    text = "a\n### BEGIN SOLUTION\nb\n### END SOLUTION\nc\n  ### BEGIN SOLUTION\n  d\n  ### END SOLUTION\n"
    assert regions.inside(text, Language.PYTHON) == ("b\n", "  d\n")
