"""The student's line behind a system call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from victims import Launch

from grader.model import Place, SourceFile
from grader.running import lines
from grader.running.process import Program
from grader.running.sandbox import Recipe

pytestmark = pytest.mark.usefixtures("full")

PYTHON = """\
import os

def make():
    return os.pipe()

r, w = make()
pid = os.fork()
if pid == 0:
    os.dup2(r, 0)
    os.execvp("cat", ["cat"])
os.waitpid(pid, 0)
"""


def test_python(launch: Launch) -> None:
    program = launch(PYTHON, lines="python")
    seen = program.finish(program.pump())
    places = {(event.call, event.pid): event.place for event in seen.events}
    assert places["pipe2", 2] == Place(file="victim.py", line=4)
    assert places["clone", 2] == Place(file="victim.py", line=7)
    assert places["dup2", 3] == Place(file="victim.py", line=9)
    assert places["execve", 3] == Place(file="victim.py", line=10)
    waiting = next(process for process in seen.processes if process.pid == 2)
    assert waiting.place == Place(file="victim.py", line=11)


def test_c(compiled: Callable[[Path], bytes]) -> None:
    data = compiled(Path("keeps_write_end.c"))
    program = Program(
        Recipe((SourceFile(path="victim", data=data, executable=True),), lines="c"), ["./victim"]
    )
    seen = program.finish(program.pump())
    program.close()
    places = {(event.call, event.pid): event.place for event in seen.events}
    assert places.get(("pipe", 2)) or places.get(("pipe2", 2))
    assert {place.file for place in places.values() if place} == {"keeps_write_end.c"}


def test_a_forged_log_is_no_trouble() -> None:
    found = lines.from_log("2 pipe victim.py:7\nnonsense\n2 pipe /etc/passwd\n\x00\n9" * 3)
    assert found.calls[2, "pipe"][0] == Place(file="victim.py", line=7)
