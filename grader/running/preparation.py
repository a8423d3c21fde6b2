"""From a submission to a program that can be started: compiled, if it must be, in a sandbox of its own.

A compiler is a program under the student's control (``#include`` reads files, a Makefile runs anything),
so it gets the same sandbox as the program. Only the bytes of the result come out.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from grader.model import Ending, Language, Level, Limits, Observation, SourceFile, Submission
from grader.running.process import Program
from grader.running.sandbox import Recipe

_FLAGS = "-std=gnu17 -O1 -g -Wall -Wextra -pthread"
_COMPILE_S = 60.0


@dataclass(frozen=True)
class Prepared:
    """A program that can be started again and again, each time from fresh files."""

    recipe: Recipe
    argv: tuple[str, ...]
    """What the program's own arguments follow"""
    words: str
    """The same for people: ``python3 pipeline.py``"""
    build: Observation | None = None
    """The run of the compiler, where there was one and it failed"""
    lines: str = ""
    """How the lines of system calls can be found (`Recipe.lines`); empty where they cannot"""


def prepare(
    submission: Submission, limits: Limits, level: Level, *, hide: tuple[Path, ...] = (), history: bool = True
) -> Prepared:
    """Compile what must be compiled.

    :param hide: folders that student code must not see even below /usr
    :raises SandboxError: if there is no sandbox to compile in
    """
    recipe = Recipe(submission.files, limits, level, hide, history)
    entry = submission.entry
    if submission.language is Language.PYTHON:
        return Prepared(recipe, (sys.executable, entry), f"python3 {entry}", lines="python")
    program = entry.removesuffix(".c")
    present = {file.path for file in submission.files}
    if submission.language is Language.C:
        sources = [entry, *sorted(p for p in present if p.endswith(".c") and p != entry and "/" not in p)]
        build = f"gcc {_FLAGS} -o {shlex.quote(program)} {shlex.join(sources)}"
    elif entry not in present:
        build = "make"
    else:
        files = tuple(
            msgspec.structs.replace(file, executable=True) if file.path == entry else file
            for file in submission.files
        )
        return Prepared(replace(recipe, files=files), (f"./{entry}",), f"./{entry}")
    built = _build(recipe, build, program)
    argv, words = (f"./{program}",), f"./{program}"
    if built.ending is not Ending.EXITED or built.status != 0 or not built.stdout:
        return Prepared(recipe, argv, words, built)
    files = (
        *(f for f in submission.files if f.path != program),
        SourceFile(path=program, data=built.stdout, executable=True),
    )
    return Prepared(
        replace(recipe, files=files), argv, words, lines="c" if submission.language is Language.C else ""
    )


def _build(recipe: Recipe, command: str, program: str) -> Observation:
    """Run the compiler; the program comes back on standard output, the compiler's words on standard error."""
    limits = Limits(cpu_s=60, memory_mib=2048, processes=64, file_mib=64, output_mib=32, descriptors=256)
    script = f"{command} >&2 && exec cat {shlex.quote(program)}"
    run = Program(
        replace(recipe, limits=limits), ["/bin/sh", "-c", script], command=command, within=_COMPILE_S
    )
    try:
        return run.finish(run.pump())
    finally:
        run.close()
