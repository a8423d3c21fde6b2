"""``proclab new``: a lab of one small promise that is already proved, to be changed into a real one."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

from grader.content import files
from grader.content.course import Course
from grader.content.lab import SLUG
from grader.model import Fault

_LAB = """\
title = "{title}"
objectives = ["say in one line each what a student can do afterwards"]
out_of_scope = ["say what this lab does not ask for"]

[files]
python = "{slug}.py"

# Faults that only this lab knows; those that all labs share are listed by `proclab explain`.
# [diagnoses.my-fault]
# title = "..."
# why = "..."
# cure = "..."
"""
_BRIEF = """\
# {title}

Say here what this lab is about, and what a program needs to know of the kernel.

## Your task

`{slug}` copies its standard input to its standard output, each line as soon as it comes, and ends at
end-of-file with status 0.

```{{file}} {slug}.py
```

```{{check}}
```

```{{question}} when-does-it-end 1
What exactly tells the program that no more input will come?
```
"""
_SOLUTION = '''\
#!/usr/bin/env python3
"""usage: {slug}   copies standard input to standard output, line by line."""

import sys


def copy():
    """Pass each line on at once."""
    ### BEGIN SOLUTION
    for line in sys.stdin:
        sys.stdout.write(line)
        sys.stdout.flush()  # somebody may be waiting for it
    ### END SOLUTION


if __name__ == "__main__":
    copy()
'''
_CHECKS = '''\
"""What `{slug}` promises, as far as students may see and run it."""

from grader import points


@points(1)
def test_copies_its_input(run):
    """What goes in comes out, and the program ends at end-of-file."""
    run("{slug}", stdin="uno\\ndos\\n").prints("uno\\ndos\\n")


@points(1)
def test_answers_while_input_is_open(start):
    """Each line is passed on at once, not only when the input ends."""
    program = start("{slug}")
    program.send("uno\\n")
    assert program.line() == "uno"
    program.finish()
'''
_HIDDEN = '''\
"""What only the grader has."""

from grader import points


@points(1)
def test_copies_much_input(run):
    """A megabyte goes through unchanged."""
    run("{slug}", stdin="x" * 2**20 + "\\n").prints("x" * 2**20 + "\\n")
'''
_MUTANTS = """\
# Known-bad programs: the solution with one fault each, and exactly the checks that must notice it.

[forgets-to-flush]
story = "Leaves its output in the buffer, so whoever waits for an answer waits for ever."
edit = { file = "SLUG.py", old = "        sys.stdout.flush()  # somebody may be waiting for it\\n", new = "" }
fails = { test_answers_while_input_is_open = "output-held-back" }

[swallows-the-line-end]
story = "Strips each line and forgets to put the line end back."
edit = { file = "SLUG.py", old = "sys.stdout.write(line)", new = "sys.stdout.write(line.strip())" }
fails.test_copies_its_input = "wrong-output"
fails.test_answers_while_input_is_open = "output-held-back"
fails.test_copies_much_input = "wrong-output"
"""
_VARIANT = '''\
"""Another right program: no buffers at all, only read(2) and write(2)."""

import os

while data := os.read(0, 4096):
    while data:
        data = data[os.write(1, data) :]
'''


def new(course: Course, slug: str) -> Path:
    """Make a lab that passes `proclab verify`, and put it at the end of the course; gives its folder.

    :raises Fault: for a name that is no slug or is taken
    """
    if not re.fullmatch(SLUG, slug):
        raise Fault(
            f"{slug!r} is no name for a lab",
            cure="use lower case, digits and _, at most 40 of them: log_collector",
        )
    folder = course.root / "labs" / slug
    if folder.exists() or slug in course.slugs:
        raise Fault("there is a lab of that name already", where=folder, cure="choose another name")
    words = {"slug": slug, "title": slug.replace("_", " ").capitalize()}
    path = course.root / "labs" / "course.toml"
    longer = _append(path, slug)
    try:
        for name, text in {
            "lab.toml": _LAB.format(**words),
            "brief.md": _BRIEF.format(**words),
            f"solution/{slug}.py": _SOLUTION.format(**words),
            "checks.py": _CHECKS.format(**words),
            "hidden.py": _HIDDEN.format(**words),
            "mutants.toml": _MUTANTS.replace("SLUG", slug),
            "variants/unbuffered.py": _VARIANT,
        }.items():
            files.write(folder / name, text.encode())
        files.write(path, longer.encode())
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise Fault(
                f"cannot be written: {error.strerror}",
                where=folder,
                cure="make room, or get the right to write",
            ) from None
        raise
    return folder


_TOKEN = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[],]""")


def _append(path: Path, slug: str) -> str:
    """The course with a lab more in ``labs = [...]``; the rest of the file, comments too, stays as it is."""
    text = files.text(path, "a course has one")
    begin = re.search(r"^labs[ \t]*=[ \t]*\[", text, re.MULTILINE)
    longer = _insert(text, begin.end(), slug) if begin else ""
    try:
        before, after = tomllib.loads(text), tomllib.loads(longer)
    except tomllib.TOMLDecodeError:
        before = after = {}
    if not begin or after != {**before, "labs": [*before.get("labs", []), slug]}:
        raise Fault(
            "has no list of labs that can be made longer here", where=path, key="labs",
            cure=f'write it yourself, then try again: labs = [..., "{slug}"] with the names of all labs',
        )  # fmt: skip
    return longer


def _insert(text: str, begin: int, slug: str) -> str:
    """Put a name at the end of the list that begins there."""
    last, comma, close = begin, True, None
    for token in _TOKEN.finditer(text, begin):
        kind = token.group(0)[0]
        if kind == "]":
            close = token.start()
            break
        if kind == ",":
            comma = True
        elif kind != "#":
            last, comma = token.end(), False
    if close is None:
        return ""
    inner = text[last:close]
    missing = "" if comma else ","
    if "\n" not in text[begin:close]:
        inner = inner.rstrip(" \t")
        separator = " " if last > begin else ""
        return (
            f'{text[:last]}{missing}{inner}{separator}"{slug}"{text[last + len(inner) : close]}{text[close:]}'
        )
    end = "\r\n" if "\r\n" in text[begin:close] else "\n"
    line = text.rfind("\n", 0, close) + 1
    if text[line:close].strip():  # the bracket stands behind the last name
        return f'{text[:last]}{missing}{inner}{end}    "{slug}",{end}{text[close:]}'
    return f'{text[:last]}{missing}{text[last:line]}    "{slug}",{end}{text[line:]}'
