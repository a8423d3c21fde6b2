"""A new lab is a lab: it loads, builds, and stands at the end of the course."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grader.content import build, files, scaffold
from grader.content import course as courses
from grader.content import lab as labs
from grader.content import mutant as mutants
from grader.content.course import Course

Refused = Callable[..., AbstractContextManager[None]]


def listed(course: Course) -> list[str]:
    found = tomllib.loads((course.root / "labs" / "course.toml").read_text())["labs"]
    assert isinstance(found, list)
    return found


def test_a_new_lab_loads_and_builds(course: Course) -> None:
    folder = scaffold.new(course, "log_collector")
    assert folder == course.root / "labs" / "log_collector"
    again = courses.find(course.root)
    assert again.slugs == ("echo", "log_collector")
    lab = courses.load_lab(again, "log_collector")
    assert lab.title == "Log collector"
    assert [check.hidden for check in lab.checks] == [False, False, True]
    assert len(mutants.load(lab)) == 2
    assert [each.student for each in labs.variants(lab)] == ["unbuffered"]
    assert [path.name for path in build.write(again)] == ["log_collector.ipynb", "log_collector.py"]
    skeleton = (course.root / "skeletons" / "log_collector" / "log_collector.py").read_text()
    compile(skeleton, "log_collector.py", "exec")
    assert "YOUR CODE HERE" in skeleton


LISTS = {
    "one line": 'labs = ["echo"]',
    "comma": 'labs = ["echo",]',
    "blanks": "labs  =  [ 'echo' , ]",
    "empty": "labs = []",
    "empty lines": "labs = [\n]",
    "lines": 'labs = [\n    "echo",\n]',
    "no last comma": 'labs = [\n    "echo"\n]',
    "comment": 'labs = [  # in [teaching] order\n    "echo",  # the "first", of course\n    # "later",\n]',
    "comment, no comma": 'labs = [\n    "echo"  # the first, ]\n]',
    "bracket on the last line": 'labs = [\n    "echo"]',
}


@pytest.mark.parametrize("written", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_course_toml_keeps_everything_else(course: Course, written: str, end: str) -> None:
    path = course.root / "labs" / "course.toml"
    text = f'# Our course [labs = "x"]\ntitle = "A small course"  # short\n\n{written}\n\n# the end, without a lab\n'
    path.write_bytes(text.replace("\n", end).encode())
    before = courses.find(course.root)
    scaffold.new(before, "cat")
    assert courses.find(course.root).slugs == (*before.slugs, "cat")
    scaffold.new(courses.find(course.root), "tac")
    assert courses.find(course.root).slugs == (*before.slugs, "cat", "tac")
    now = path.read_bytes().decode()
    assert now.replace(end, "").count("\r") == 0
    assert now.count("\n") == now.count(end)
    kept = iter(now.replace(",", ""))
    missing = [char for char in text.replace("\n", end).replace(",", "") if char not in kept]
    assert missing == [], "each character is still there, in its order"


def test_lists_with_a_line_for_each_lab_stay_so(course: Course) -> None:
    path = course.root / "labs" / "course.toml"
    path.write_text('title = "x"\nlabs = [\n    "echo",  # first\n]\n')
    scaffold.new(courses.find(course.root), "cat")
    assert path.read_text() == 'title = "x"\nlabs = [\n    "echo",  # first\n    "cat",\n]\n'


@pytest.mark.parametrize(
    "slug", ["Echo", "my-lab", "1st", "", "../x", "a b", "é", "a" * 41, "x\n", "_x", "a/b"]
)
def test_a_wrong_name_is_refused(course: Course, refused: Refused, slug: str) -> None:
    with refused(repr(slug), "is no name for a lab", "log_collector"):
        scaffold.new(course, slug)
    assert listed(course) == ["echo"]


def test_a_name_that_is_taken_is_refused(course: Course, refused: Refused) -> None:
    (course.root / "labs" / "draft").mkdir()
    for slug in ("echo", "draft"):
        with refused(
            course.root / "labs" / slug, "there is a lab of that name already", "choose another name"
        ):
            scaffold.new(course, slug)
    assert listed(course) == ["echo"]


@pytest.mark.parametrize(
    "text", ['title = "x"\n[labs]\n', 'title = "x"\n"labs" = ["echo"]\n', "x = '''\nlabs = []\n'''\n"]
)
def test_a_list_that_cannot_be_found_leaves_no_half_lab(course: Course, refused: Refused, text: str) -> None:
    path = course.root / "labs" / "course.toml"
    path.write_text(text)
    with refused(path, "labs: ", 'labs = [..., "cat"]'):
        scaffold.new(course, "cat")
    assert path.read_text() == text
    assert not (course.root / "labs" / "cat").exists()


def test_a_write_that_fails_leaves_no_half_lab(
    course: Course, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write

    def full(path: Path, data: bytes) -> None:
        if path.name == "mutants.toml":
            raise OSError(28, "No space left on device")
        write(path, data)

    with monkeypatch.context() as patched, refused("labs/cat", "cannot be written: No space left on device"):
        patched.setattr(files, "write", full)
        scaffold.new(course, "cat")
    assert not (course.root / "labs" / "cat").exists()
    assert listed(course) == ["echo"]
