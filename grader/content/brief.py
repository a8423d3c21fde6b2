"""The brief: Markdown with a few directives that say where the student's work goes.

A directive is a fenced block whose info string begins with a word in braces::

    ```{file} pipeline.py        here goes the student's file (no body)
    ```{check}                   here the visible checks are run (no body)
    ```{example} python          a worked example that runs as a process of its own
    ```{question} slug 2         a question and its points

All else is theory for the student to read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from grader.model import Fault, Lab, Language

_OPEN = re.compile(r"^(?P<fence>`{3,})\{(?P<kind>\w+)\}[ \t]*(?P<rest>.*?)[ \t]*$")


@dataclass(frozen=True)
class Part:
    """A piece of the brief, in order. `kind` is theory, file, check, example or question."""

    kind: str
    text: str = ""
    name: str = ""
    """File, language or question"""
    points: float = 0.0


def read(lab: Lab) -> tuple[Part, ...]:
    """Parse a lab's brief.md.

    :raises Fault: naming file and line
    """
    path = lab.root / "brief.md"
    try:
        return parse(path.read_text(encoding="utf-8"), path, lab)
    except FileNotFoundError:
        raise Fault("is missing", where=path, cure="students need something to read") from None


def parse(text: str, where: Path, lab: Lab) -> tuple[Part, ...]:
    """Parse the text of a brief. Theory is split at its second-level headings.

    :raises Fault: for an unknown directive, one without its end, or arguments that make no sense
    """
    parts: list[Part] = []
    theory: list[str] = []
    fence = ""  # of an ordinary code block: directives in it are only shown
    lines = text.splitlines(keepends=True)
    index = 0
    while index < len(lines):
        line = lines[index]
        opening = _OPEN.match(line.rstrip("\n")) if not fence else None
        if opening is None:
            code = re.match(r"^(`{3,})", line)
            if code and not fence:
                fence = code.group(1)
            elif code and line.rstrip() == fence:
                fence = ""
            if line.startswith("## ") and not fence:
                _flush(theory, parts)
            theory.append(line)
            index += 1
            continue
        end = next((i for i in range(index + 1, len(lines)) if lines[i].rstrip() == opening["fence"]), None)
        if end is None:
            raise Fault(
                f"line {index + 1}: the block never ends", where=where, cure="close it with a line of ```"
            )
        _flush(theory, parts)
        parts.append(
            _directive(
                opening["kind"], opening["rest"], "".join(lines[index + 1 : end]), index + 1, where, lab
            )
        )
        index = end + 1
    _flush(theory, parts)
    return tuple(parts)


def _flush(theory: list[str], parts: list[Part]) -> None:
    text = "".join(theory).strip("\n")
    if text:
        parts.append(Part("theory", text + "\n"))
    theory.clear()


def _directive(kind: str, rest: str, body: str, line: int, where: Path, lab: Lab) -> Part:
    def fault(what: str, cure: str) -> Fault:
        return Fault(f"line {line}: {what}", where=where, cure=cure)

    if kind == "file":
        if rest not in lab.files.values():
            raise fault(f"{rest!r} is no file of this lab", f"the files are: {', '.join(lab.files.values())}")
        return Part("file", name=rest)
    if kind == "check":
        return Part("check")
    if kind == "example":
        if rest not in ("python", "bash"):
            raise fault(
                f"examples are python or bash, not {rest!r}", "use an ordinary code block for other languages"
            )
        return Part("example", body, rest)
    if kind == "question":
        match = re.fullmatch(r"([a-z0-9-]+)[ \t]+(\d+(?:\.\d+)?)", rest)
        if not match:
            raise fault("a question needs a name and points", "write ```{question} who-holds-the-end 1")
        return Part("question", body, match.group(1), float(match.group(2)))
    raise fault(f"there is no directive {kind!r}", "the directives are: file, check, example, question")


def markdown(lab: Lab, language: Language) -> str:
    """The brief for students who work with the skeleton in a terminal: plain Markdown."""
    pieces = []
    for part in read(lab):
        if part.kind == "theory":
            pieces.append(part.text)
        elif part.kind == "file":
            name = lab.files.get(language, part.name)
            pieces.append(f"Your code goes into `{name}`, where it says YOUR CODE HERE.\n")
        elif part.kind == "check":
            pieces.append(f"```bash\nproclab check {lab.slug}\n```\n")
        elif part.kind == "example":
            pieces.append(f"```{part.name}\n{part.text}```\n")
        else:
            pieces.append(f"**Question** ({part.points:g}): {part.text}")
    return "\n".join(pieces)
