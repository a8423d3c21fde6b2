"""From a submission to a program that can be started: compiled, if it must be, in a sandbox of its own.

A compiler is a program under the student's control (``#include`` reads files, a Makefile runs anything),
so it gets the same sandbox as the program. Only the bytes of the result come out.
"""

from __future__ import annotations

import functools
import io
import re
import shlex
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from grader.model import Ending, Language, Level, Limits, Observation, SourceFile, Submission
from grader.running.process import Program
from grader.running.sandbox import Recipe, SandboxError

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
    language: Language = Language.EXECUTABLE
    sources: tuple[str, ...] = ()
    """What was compiled, the entry first; empty but for C"""


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
        words = f"python3 {entry}"
        return Prepared(recipe, (sys.executable, entry), words, lines="python", language=Language.PYTHON)
    program = entry.removesuffix(".c")
    present = {file.path for file in submission.files}
    if submission.language is Language.C:
        sources = [entry, *sorted(p for p in present if p.endswith(".c") and p != entry and "/" not in p)]
        build = f"gcc {_FLAGS} -o {shlex.quote(program)} {shlex.join(sources)}"
    else:
        files = tuple(
            msgspec.structs.replace(file, executable=True) if file.path == entry else file
            for file in submission.files
        )
        recipe = replace(recipe, files=files)
        return (
            _made(recipe, entry) if "Makefile" in present else Prepared(recipe, (f"./{entry}",), f"./{entry}")
        )
    plain = Prepared(recipe, (), "", lines="c", language=Language.C, sources=tuple(sources))
    return _linked(plain, build, program)


DRIVER = "driver"
"""What the lab's own driver is called, in checks and in the sandbox."""


def with_driver(prepared: Prepared, sources: Mapping[Language, bytes]) -> Prepared | None:
    """The same submission as a library, called by the lab's driver instead of by its own ``main``.

    A Python driver imports the student's module. A C driver is linked with the student's files, in which
    ``main`` has another name.

    :param sources: the lab's driver for each language that has one
    :return: none where the submission is no library in a language that the lab has a driver for
    """
    source = sources.get(prepared.language)
    if source is None:
        return None
    path = f"{DRIVER}.{'py' if prepared.language is Language.PYTHON else 'c'}"
    others = tuple(file for file in prepared.recipe.files if file.path != path)
    recipe = replace(prepared.recipe, files=(*others, SourceFile(path=path, data=source)))
    if prepared.language is Language.PYTHON:
        return replace(prepared, recipe=recipe, argv=(sys.executable, path), words=f"python3 {path}")
    objects = [f"{index}.o" for index, _ in enumerate(prepared.sources)]
    steps = [
        f"gcc {_FLAGS} -Dmain=student_main -c -o {target} {shlex.quote(student)}"
        for target, student in zip(objects, prepared.sources, strict=True)
    ]
    steps.append(f"gcc {_FLAGS} -o {DRIVER} {path} {' '.join(objects)}")
    return _linked(replace(prepared, recipe=recipe), " && ".join(steps), DRIVER)


@dataclass(frozen=True)
class Instrumented:
    """A C program whose accesses to memory and whose calls go through hooks."""

    prepared: Prepared
    """The same submission with the instrumented program; `Prepared.build` says so if it cannot be built"""
    lines: bytes = b""
    """Which address belongs to which line (objdump --dwarf=decodedline)"""
    symbols: bytes = b""
    """Where each global variable lies (nm -S)"""


_HOOKS = "proclab-hooks"
_OBJECT_FLAGS = "-std=gnu17 -O0 -g -pthread -fno-pie -U_FORTIFY_SOURCE -w"
"""Not optimised: each access is where the student wrote it, and no loop keeps a shared variable in a register"""


def instrumented(prepared: Prepared, hooks: bytes, *, jumps: bool = False) -> Instrumented:
    """Build a C submission (or the lab's driver with it) once more, for an explorer.

    The compiler puts a call before every access to memory (-fsanitize=thread), and the linker redirects the
    functions that the hooks stand in for. Addresses are the same in each run (no PIE), so they can be named.

    :param hooks: C source that defines the calls, and ``WRAP(type, name, ...)`` for each redirected function
    :param jumps: also a call at every place to which the program can jump (-fsanitize-coverage=trace-pc)
    :raises ValueError: for a submission that is not in C
    """
    if prepared.language is not Language.C:
        raise ValueError("only C can be instrumented")
    program = prepared.argv[0].removeprefix("./")
    student = " -Dmain=student_main" if program == DRIVER else ""
    sanitize = "-fsanitize=thread" + (" -fsanitize-coverage=trace-pc" if jumps else "")
    steps = [
        f"gcc {_OBJECT_FLAGS} {sanitize}{student} -c -o {_HOOKS}-{index}.o {shlex.quote(source)}"
        for index, source in enumerate(prepared.sources)
    ]
    objects = [f"{_HOOKS}-{index}.o" for index in range(len(prepared.sources))]
    if program == DRIVER:
        steps.append(f"gcc {_OBJECT_FLAGS} {sanitize} -c -o {_HOOKS}-driver.o {DRIVER}.c")
        objects.append(f"{_HOOKS}-driver.o")
    wrapped = re.findall(rb"\bWRAP\([^,]+, (\w+), ", hooks)
    redirect = " ".join(f"-Wl,--wrap={name.decode()}" for name in [b"main", *wrapped])
    target = shlex.quote(program)
    steps += [
        f"gcc -no-pie -pthread -o {target} {' '.join(objects)} {_HOOKS}.o {redirect}",
        f"{{ objdump --dwarf=decodedline {target} > {_HOOKS}.lines; nm -S {target} > {_HOOKS}.symbols; }}",
    ]
    hook_object = SourceFile(path=f"{_HOOKS}.o", data=_compiled(prepared.recipe.level, hooks))
    files = (*(file for file in prepared.recipe.files if file.path != program), hook_object)
    built = _build(
        replace(prepared.recipe, files=files, history=False), " && ".join(steps),
        f"exec tar -cf - {target} {_HOOKS}.lines {_HOOKS}.symbols",
    )  # fmt: skip
    found = {file.path: file.data for file in _members(built.stdout)}
    if program not in found:
        return Instrumented(replace(prepared, build=built))
    result = SourceFile(path=program, data=found[program], executable=True)
    recipe = replace(prepared.recipe, files=(*files[:-1], result))
    return Instrumented(
        replace(prepared, recipe=recipe),
        found.get(f"{_HOOKS}.lines", b""),
        found.get(f"{_HOOKS}.symbols", b""),
    )


@functools.lru_cache(maxsize=4)
def _compiled(level: Level, source: bytes) -> bytes:
    """Our own C, compiled once in a process's life; without line numbers, so that no place is in it.

    :raises SandboxError: if this machine's compiler does not take it
    """
    recipe = Recipe((SourceFile(path="hooks.c", data=source),), Limits(), level, history=False)
    built = _build(recipe, "gcc -std=gnu17 -O1 -fno-pie -w -c -o hooks.o hooks.c", "exec cat hooks.o")
    if not built.stdout:
        raise SandboxError(f"the hooks do not compile: {built.stderr.decode(errors='replace')[:400]}")
    return built.stdout


def _linked(prepared: Prepared, build: str, program: str) -> Prepared:
    """The same files with another program, built by these commands."""
    built = _build(prepared.recipe, build, f"exec cat {shlex.quote(program)}")
    argv, words = (f"./{program}",), f"./{program}"
    if built.ending is not Ending.EXITED or built.status != 0 or not built.stdout:
        return replace(prepared, argv=argv, words=words, build=built)
    files = (
        *(file for file in prepared.recipe.files if file.path != program),
        SourceFile(path=program, data=built.stdout, executable=True),
    )
    return replace(prepared, recipe=replace(prepared.recipe, files=files), argv=argv, words=words)


def _made(recipe: Recipe, program: str) -> Prepared:
    """Run make; every file that there is afterwards belongs to the program."""
    argv, words = (f"./{program}",), f"./{program}"
    built = _build(recipe, "make", "exec tar -cf - --exclude=./*.o .")
    files = _members(built.stdout) if built.ending is Ending.EXITED and built.status == 0 else ()
    if not any(file.path == program for file in files):
        return Prepared(recipe, argv, words, built)
    return Prepared(replace(recipe, files=files), argv, words)


def _members(data: bytes) -> tuple[SourceFile, ...]:
    """Regular files of the tar that came out of the sandbox; whatever else is in it is passed over."""
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None and ".." not in name.split("/") and not name.startswith("/"):
                    found.append(
                        SourceFile(path=name, data=content.read(), executable=bool(member.mode & 0o111))
                    )
    except (tarfile.TarError, EOFError, ValueError):
        return ()
    return tuple(found)


def _build(recipe: Recipe, command: str, deliver: str) -> Observation:
    """Run the compiler; the result comes back on standard output, the compiler's words on standard error."""
    limits = Limits(cpu_s=60, memory_mib=2048, processes=64, file_mib=64, output_mib=32, descriptors=256)
    script = f"{{ {command}; }} >&2 && {deliver}"
    run = Program(
        replace(recipe, limits=limits), ["/bin/sh", "-c", script], command=command, within=_COMPILE_S
    )
    try:
        return run.finish(run.pump())
    finally:
        run.close()
