"""A course of one small lab, made by the scaffold: `echo` copies its input and is proved in a second."""

from __future__ import annotations

import textwrap
from pathlib import Path

from grader.content import build, scaffold
from grader.content import course as courses
from grader.content.course import Course
from grader.model import Lab

RIGHT = """\
import sys
for line in sys.stdin:
    sys.stdout.write(line)
    sys.stdout.flush()
"""
HOLDS_BACK = "import sys\nsys.stdout.write(sys.stdin.read())\n"
WRONG = "print('uno')\n"


def make(folder: Path, checks: str | None = None) -> Course:
    """A course with the lab `echo`; with `checks` in the place of its own and no hidden ones."""
    (folder / "labs").mkdir(parents=True)
    (folder / "labs" / "course.toml").write_text('title = "A small course"\nlabs = []\n')
    lab = scaffold.new(courses.find(folder), "echo")
    if checks is not None:
        (lab / "checks.py").write_text(textwrap.dedent(checks))
        (lab / "hidden.py").unlink()
    course = courses.find(folder)
    build.write(course)
    return course


def echo(folder: Path, checks: str | None = None) -> Lab:
    return courses.load_lab(make(folder, checks), "echo")


def hand_in(folder: Path, **programs: str) -> Path:
    """A folder of submissions: student=source."""
    for student, source in programs.items():
        (folder / student).mkdir(parents=True)
        (folder / student / "echo.py").write_text(source)
    return folder
