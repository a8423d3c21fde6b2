"""A course of one small lab that is graded in a second: `echo` passes each line on at once."""

from __future__ import annotations

import textwrap
from pathlib import Path

from grader.content import build
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

_FILES = {
    "labs/course.toml": 'title = "A small course"\nlabs = ["echo"]\n',
    "labs/echo/lab.toml": """\
        title = "An echo"
        [files]
        python = "echo.py"

        [diagnoses.not-loud-enough]
        title = "It is not loud enough."
        why = "Nobody hears it."
        cure = "Speak up."
        """,
    "labs/echo/brief.md": "# An echo\n\n```{file} echo.py\n```\n\n```{check}\n```\n",
    "labs/echo/checks.py": '''\
        from grader import points


        @points(1)
        def test_copies(run):
            """What goes in comes out."""
            run("echo", stdin="uno\\ndos\\n").prints("uno\\ndos\\n")


        @points(1)
        def test_answers(start):
            """Each line is answered at once."""
            program = start("echo")
            program.send("uno\\n")
            assert program.line() == "uno"
            program.finish()
        ''',
    "labs/echo/hidden.py": '''\
        from grader import points


        @points(1)
        def test_copies_secrets(run):
            """Whatever goes in comes out."""
            run("echo", stdin="geheim\\n").prints("geheim\\n")
        ''',
    "labs/echo/mutants.toml": """\
        [forgets-to-flush]
        story = "Leaves its answer in the buffer."
        edit = { file = "echo.py", old = "    sys.stdout.flush()\\n", new = "" }
        fails = { test_answers = "output-held-back" }
        """,
    "labs/echo/solution/echo.py": """\
        import sys

        ### BEGIN SOLUTION
        for line in sys.stdin:
            sys.stdout.write(line)
            sys.stdout.flush()
        ### END SOLUTION
        """,
    "labs/echo/variants/unbuffered.py": """\
        import os

        while data := os.read(0, 4096):
            os.write(1, data)
        """,
}


def make(folder: Path, checks: str | None = None) -> Course:
    """The course; with `checks` in the place of its own and no hidden ones."""
    contents = dict(_FILES)
    if checks is not None:
        contents["labs/echo/checks.py"] = checks
        del contents["labs/echo/hidden.py"]
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
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
