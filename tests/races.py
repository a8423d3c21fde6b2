"""The programs of races_c and races_processes, as explorers see them: right ones, and each with one fault."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from victims import PROGRAMS

from grader.exploring.remote import Remote
from grader.exploring.schedules import Came, Judge, Setup, Trace
from grader.model import Language, Level, Limits, SourceFile, Submission
from grader.running import machine
from grader.running.preparation import Prepared, prepare

C, PROCESSES = PROGRAMS / "races_c", PROGRAMS / "races_processes"
SMALL = [(1, 1, 2, 1), (2, 1, 2, 1), (1, 2, 2, 1), (2, 2, 2, 1), (2, 2, 2, 2)]
"""Producers, consumers, items of each producer, capacity"""
DEEP = bool(os.environ.get("DEEP"))
"""Whether to try as much as the study did; else a part that takes seconds"""


@dataclass(frozen=True)
class Fault:
    """One faulty program."""

    name: str
    program: str
    source: str


def faults(folder: Path) -> list[Fault]:
    """All faults of a folder."""
    found = []
    for name, entry in tomllib.loads((folder / "faults.toml").read_text()).items():
        source = (folder / entry["program"]).read_text()
        for old, new in entry["edits"]:
            assert source.count(old) == 1, f"{name}: {old!r} does not stand once in {entry['program']}"
            source = source.replace(old, new)
        found.append(Fault(name, entry["program"], source))
    return found


def ready(language: Language, source: str | bytes, **files: bytes) -> Prepared:
    """A program made ready to run, as the grader does it; the test is skipped where it cannot be.

    :param files: files beside it, with two underscores for the dot
    """
    here = machine.inspect()
    if here.level is not Level.FULL:
        pytest.skip("this machine has no sandbox (proclab doctor says why)")
    if language is Language.C and "compiler" not in here.capabilities:
        pytest.skip("no C compiler")
    entry = "victim.c" if language is Language.C else "victim.py"
    data = source.encode() if isinstance(source, str) else source
    all_files = {entry: data, **{name.replace("__", "."): text for name, text in files.items()}}
    submission = Submission(
        student="x",
        origin="x",
        language=language,
        entry=entry,
        files=tuple(SourceFile(path=name, data=text) for name, text in all_files.items()),
    )
    return prepare(submission, Limits(), Level.FULL)


def c_program(source: str | Path, *, patience_s: float = 8.0) -> Remote:
    """A runner of a C program."""
    text = source.read_text() if isinstance(source, Path) else source
    return Remote(ready(Language.C, text, common__h=(C / "common.h").read_bytes()), patience_s=patience_s)


def python_program(source: str | Path, *, patience_s: float = 8.0) -> Remote:
    """A runner of a Python program that makes processes."""
    text = source.read_text() if isinstance(source, Path) else source
    return Remote(ready(Language.PYTHON, text), patience_s=patience_s)


def arguments(setup: tuple[int, int, int, int]) -> tuple[str, ...]:
    """The command line of a small set-up."""
    producers, consumers, items, capacity = map(str, setup)
    return (
        "--capacity", capacity, "--producers", producers, "--consumers", consumers, "--items", items,
    )  # fmt: skip


def setups(runner: Remote) -> list[Setup]:
    """All small set-ups of a program."""
    return [Setup(runner, arguments(setup)) for setup in SMALL]


def judge(counts: bool) -> Judge:
    """What is promised: each item once and in order, or the right total; a clean end."""
    return lambda index, trace: wrong(trace, SMALL[index], counts)


def wrong(trace: Trace, setup: tuple[int, int, int, int], counts: bool) -> str:
    """What a run did wrong; empty if nothing."""
    if trace.came is not Came.ENDED:
        return f"{trace.came} {trace.detail}".strip()
    if trace.status or trace.signal:
        return f"status {trace.status} {trace.signal}"
    producers, _, items, _ = setup
    text = trace.out.decode()
    if counts:
        return "" if text == f"{producers * items}\n" else "wrong total"
    lines = [line.split() for line in text.splitlines()]
    taken = [(consumer, int(producer[9:]), int(item)) for consumer, producer, item in lines]
    if sorted(each[1:] for each in taken) != [(p, i) for p in range(producers) for i in range(items)]:
        return "not each item once"
    orders = {(consumer, producer): [] for consumer, producer, _ in taken}
    for consumer, producer, item in taken:
        orders[consumer, producer].append(item)
    return "" if all(order == sorted(order) for order in orders.values()) else "wrong order"
