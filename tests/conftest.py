"""What all tests share: programs in sandboxes, and the promise that nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from victims import PROGRAMS, Launch

from grader.model import Level, Limits, SourceFile
from grader.running import machine
from grader.running.process import Program
from grader.running.sandbox import Recipe


def _children() -> set[int]:
    me = os.getpid()
    return {int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """The suite fails if a test leaves a process or an open descriptor of a sandbox behind."""
    before = _children()
    yield
    after = _children() - before
    left = [
        pid
        for pid in after
        if Path(f"/proc/{pid}/comm").exists() and _program(pid) in ("strace", "bwrap", "setpriv")
    ]
    assert not left, f"left behind: {[(pid, _program(pid)) for pid in left]}"


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.fixture(scope="session")
def full() -> None:
    """Skip, with the reason, where this machine has no sandbox."""
    here = machine.inspect()
    if here.level is not Level.FULL:
        pytest.skip("; ".join(f"{fact.detail}: {fact.cure}" for fact in here.facts if not fact.ok))


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Start a victim of tests/programs (or given source) and end it after the test."""
    started: list[Program] = []

    def start(
        source: str | Path,
        *arguments: str,
        level: Level = Level.FULL,
        limits: Limits | None = None,
        lines: str = "",
        **options: object,
    ) -> Program:
        if level is Level.FULL and machine.inspect().level is not Level.FULL:
            pytest.skip("this machine has no sandbox (proclab doctor says why)")
        data = (PROGRAMS / source).read_bytes() if isinstance(source, Path) else source.encode()
        recipe = Recipe(
            (SourceFile(path="victim.py", data=data),), limits=limits or Limits(), level=level, lines=lines
        )
        program = Program(recipe, [sys.executable, "victim.py", *arguments], **options)  # type: ignore[arg-type]
        started.append(program)
        return program

    yield start
    for program in started:
        program.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], bytes]:
    """A C victim, compiled here: the victims are our own."""

    def build(source: Path) -> bytes:
        target = tmp_path_factory.mktemp("c") / "victim"
        subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", target, PROGRAMS / source], check=True)
        return target.read_bytes()

    return build
