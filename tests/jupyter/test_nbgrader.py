"""The whole circle with the real nbgrader: make, release, fetch, submit, collect, autograde, feedback, export."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from courses import make
from nbcourses import BRIEF, HELD, RIGHT, Book, cell, nbgrader, released

from grader.content import course as courses
from grader.content import notebook, restore
from grader.content.course import Course
from grader.jupyter import instructing
from grader.model import Lab

pytestmark = [pytest.mark.usefixtures("full"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    made = make(tmp_path_factory.mktemp("course"))
    (made.root / "labs/echo/brief.md").write_text(BRIEF)
    return courses.find(made.root)


@pytest.fixture
def lab(course: Course) -> Lab:
    return courses.load_lab(course, "echo")


@pytest.fixture(scope="module")
def template(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An nbgrader course with its assignment generated, which takes nbgrader some seconds."""
    folder = tmp_path_factory.mktemp("template") / "nb"
    instructing.init(course, folder)
    nbgrader(folder, "generate_assignment", "echo")
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """Such a course, with an exchange of its own."""
    folder = tmp_path / "nb"
    shutil.copytree(template, folder)
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange").chmod(0o777)
    config = folder / instructing.CONFIG
    config.write_text(config.read_text() + f'c.Exchange.root = "{tmp_path / "exchange"}"\n')
    return folder


def hand_in(root: Path, student: str, book: bytes | Book) -> Path:
    path = root / "submitted" / student / "echo" / "echo.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(book if isinstance(book, bytes) else json.dumps(book).encode())
    return path


def with_program(root: Path, program: str) -> Book:
    book = released(root)
    cell(book, "echo-file-echo-py")["source"] = f"%%lab echo.py\n{program}"
    cell(book, "echo-question-why")["source"] = "The wall."
    return book


def scores(root: Path) -> dict[str, float]:
    nbgrader(root, "export")
    with (root / "grades.csv").open() as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file) if row["score"]}


def grade(course: Course, root: Path) -> list[str]:
    told: list[str] = []
    lab = courses.load_lab(course, "echo")
    notices = instructing.autograde(
        lab, root, jobs=2, again=False, on_report=lambda r: told.append(r.student)
    )
    return [*told, *notices]


# ---------------------------------------------------------------- the circle


def test_release_to_feedback(course: Course, root: Path, tmp_path: Path) -> None:
    """What an instructor and a student type, in order."""
    nbgrader(root, "release_assignment", "echo")
    student = tmp_path / "student"
    student.mkdir()
    shutil.copy(root / instructing.CONFIG, student / instructing.CONFIG)
    nbgrader(student, "fetch_assignment", "echo", USER="ana", LOGNAME="ana")
    mine = student / "echo" / "echo.ipynb"
    assert (student / "echo/labs/echo/checks.py").exists()
    assert not list((student / "echo").rglob("hidden.py"))
    book = json.loads(mine.read_text())
    cell(book, "echo-file-echo-py")["source"] = f"%%lab echo.py\n{HELD}"
    cell(book, "echo-question-why")["source"] = "The wall. <script>document.title = 'mine'</script>"
    mine.write_text(json.dumps(book))
    nbgrader(student, "submit", "echo", USER="ana", LOGNAME="ana")
    nbgrader(root, "collect", "echo")
    grade(course, root)
    ((name, score),) = scores(root).items()
    assert score == 2.0, name  # copies and copies secrets, but does not answer
    nbgrader(root, "generate_feedback", "echo")
    (page,) = root.glob("feedback/*/echo/echo.html")
    text = page.read_text()
    assert "stdout" in text or "standard output" in text
    assert "output-held-back" in text or "has read all input so far" in text
    assert "<script>document.title" not in text
    assert "geheim" not in text, "what hidden checks send is not the student's to know"
    nbgrader(root, "release_feedback", "echo")


def test_grading_runs_no_cell(course: Course, root: Path, tmp_path: Path) -> None:
    """Nothing of a notebook is executed where nbgrader runs, whichever command grades it."""
    trace = tmp_path / "ran"
    book = with_program(root, RIGHT)
    evil = f"open({str(trace)!r}, 'w').write('ran')"
    for each in book["cells"]:
        if each["cell_type"] == "code" and "%%lab" not in "".join(each["source"]):
            each["source"] = evil
    book["cells"].insert(0, {"cell_type": "code", "metadata": {}, "source": evil, "outputs": [],
                             "execution_count": None, "id": "x"})  # fmt: skip
    hand_in(root, "eva", book)
    nbgrader(root, "autograde", "echo")
    assert scores(root) == {"eva": 3.0}
    assert not trace.exists()


def test_students_do_anything_to_their_notebooks(course: Course, root: Path, lab: Lab) -> None:
    """Deleted, copied, split, retyped, renamed cells; forged points; no notebook at all: each a fair result."""
    base = with_program(root, RIGHT)

    def variant(change: Callable[[Book], object]) -> Book:
        book: Book = json.loads(json.dumps(base))
        change(book)
        return book

    def split(book: Book) -> None:
        at = book["cells"].index(cell(book, "echo-file-echo-py"))
        whole = cell(book, "echo-file-echo-py")
        first, second = f"%%lab echo.py\n{RIGHT}".split("\n\n")
        book["cells"][at : at + 1] = [whole | {"source": first + "\n"}, whole | {"source": second}]

    def forge(book: Book) -> None:
        cell(book, "echo-file-echo-py")["source"] = "%%lab echo.py\nprint('x')\n"
        for each in book["cells"]:
            if each["metadata"].get("nbgrader", {}).get("grade"):
                each["metadata"]["nbgrader"]["points"] = 1000
                each["source"] = "1000"
                each["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "1000"},
                                    "metadata": {}, "execution_count": 1}]  # fmt: skip

    hand_in(root, "copied", variant(lambda b: b["cells"].append(cell(b, "echo-file-echo-py"))))
    hand_in(root, "deleted", variant(lambda b: b.update(cells=[cell(b, "echo-file-echo-py")])))
    hand_in(root, "forged", variant(forge))
    hand_in(root, "nothing", released(root))
    hand_in(root, "retyped", variant(lambda b: [c.update(metadata={}) for c in b["cells"]]))
    hand_in(root, "split", variant(split))
    hand_in(root, "torn", b'{"cells": [')
    told = grade(course, root)
    assert any("torn" in each and "not a notebook" in each for each in told)
    assert scores(root) == {
        "copied": 3.0, "deleted": 3.0, "forged": 0.0, "nothing": 0.0, "retyped": 3.0, "split": 3.0, "torn": 0.0,
    }  # fmt: skip


def test_what_was_graded_is_not_graded_again(course: Course, root: Path) -> None:
    hand_in(root, "ana", with_program(root, RIGHT))
    hand_in(root, "bob", with_program(root, RIGHT + "\n"))
    assert sorted(grade(course, root)) == ["ana", "bob"]
    shutil.rmtree(root / "autograded")
    assert grade(course, root) == []
    assert scores(root) == {"ana": 3.0, "bob": 3.0}


def test_collect_follows_no_link(course: Course, root: Path, tmp_path: Path) -> None:
    nbgrader(root, "release_assignment", "echo")
    inbound = next((tmp_path / "exchange").glob("*/inbound"))
    mine = inbound / "mallory+echo+2026-11-24 10:00:00 UTC+abc"
    mine.mkdir()
    (mine / "timestamp.txt").write_text("2026-11-24 10:00:00 UTC")
    (mine / "echo.ipynb").symlink_to(course.root / "labs/echo/solution/echo.py")
    (mine / "secret").symlink_to("/etc")
    os.mkfifo(mine / "fifo")
    said = nbgrader(root, "collect", "echo")
    assert "not collected" in said
    got = {path.name for path in (root / "submitted/mallory/echo").iterdir()}
    assert got == {"timestamp.txt"}


def test_a_broken_grader_costs_nobody_points(course: Course, root: Path) -> None:
    """Where the grader itself fails, nbgrader shows the submission as not graded yet."""
    hand_in(root, "ana", with_program(root, RIGHT))
    checks = course.root / "labs/echo/checks.py"
    before = checks.read_text()
    checks.write_text(before.replace('run("echo"', 'run("no-such-lab"', 1))
    try:
        said = nbgrader(root, "autograde", "echo", fails=True)
    finally:
        checks.write_text(before)
    assert "GraderBroken" in said
    assert not (root / "autograded/ana/echo/echo.ipynb").exists()


def test_validate_tells_what_fails(course: Course, root: Path) -> None:
    shown = root / "release/echo"
    book = with_program(root, HELD)
    (shown / "echo.ipynb").chmod(0o644)
    (shown / "echo.ipynb").write_text(json.dumps(book))
    said = nbgrader(shown, "validate", "echo.ipynb", PYDEVD_DISABLE_FILE_VALIDATION="1")
    assert "FAILED ON 1 CELL" in said, said
    assert re.search(r"at once", said)
    assert (shown / "echo.py").read_text() == HELD
    (shown / "echo.ipynb").write_text(json.dumps(with_program(root, RIGHT)))
    said = nbgrader(shown, "validate", "echo.ipynb", PYDEVD_DISABLE_FILE_VALIDATION="1")
    assert "Success" in said


def test_files_and_notebooks_share_a_gradebook(course: Course, root: Path, tmp_path: Path) -> None:
    """Who hands in a file has the same cells, comments and feedback as who hands in the notebook."""
    hand_in(root, "ana", with_program(root, RIGHT))
    handed = tmp_path / "files"
    (handed / "bob").mkdir(parents=True)
    (handed / "bob/echo.py").write_text(HELD)
    (handed / "cleo").mkdir()
    (handed / "cleo/echo").write_text("#!/bin/sh\nexec cat\n")
    (handed / "cleo/echo").chmod(0o755)
    grade(course, root)

    def record() -> None:
        words = ["grade", "echo", str(handed), "-j", "2", "-o", str(tmp_path / "grades")]
        subprocess.run(
            [sys.executable, "-m", "grader", *words, "--quiet", "--gradebook", str(root / "gradebook.db")],
            cwd=course.root, check=True, timeout=300,
        )  # fmt: skip

    record()
    assert scores(root) == {"ana": 3.0, "bob": 2.0, "cleo": 3.0}
    shown = json.loads((root / "autograded/bob/echo/echo.ipynb").read_text())
    assert HELD in "".join(cell(shown, "echo-file-echo-py")["source"])
    assert "handed in as executable" in (root / "autograded/cleo/echo/echo.ipynb").read_text().lower()

    later = time.time() + 60
    (handed / "bob/echo.py").write_text(RIGHT)
    os.utime(handed / "bob", (later, later))
    record()
    assert scores(root) == {"ana": 3.0, "bob": 3.0, "cleo": 3.0}


def test_init_leaves_what_is_the_instructors(course: Course, root: Path) -> None:
    before = (root / instructing.CONFIG).read_bytes()
    (root / "source/echo/echo.ipynb").write_text("old")
    written, kept = instructing.init(course, root)
    assert [path.name for path in written] == ["echo.ipynb"]
    assert kept == (root / instructing.CONFIG,)
    assert (root / instructing.CONFIG).read_bytes() == before


def test_a_file_is_wrapped_into_the_notebook(lab: Lab) -> None:
    book = restore.wrap(lab, [("echo.py", RIGHT.encode())])
    assert notebook.files(book, lab, Path("x")) == (("echo.py", RIGHT.encode()),)
