"""The brief: Markdown with a few directives that say where the student's work goes.

A directive is a fenced block whose info string begins with a word in braces::

    ```{file} pipeline.py        here goes the student's file (no body)
    ```{check}                   here the visible checks are run (no body)
    ```{example} python          a worked example that runs as a process of its own
    ```{question} slug 2         a question and its points

All else is theory for the student to read.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from grader.content import files
from grader.model import Fault, Lab, Language

_OPEN = re.compile(r"(?P<fence>`{3,})\{(?P<kind>\w+)\}[ \t]*(?P<rest>[^`]*?)[ \t]*")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}(?=[^`]*$)|~{3,})")
_KINDS = ("file", "check", "example", "question")


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
    return parse(files.text(path, "students need something to read"), path, lab)


def parse(text: str, where: Path, lab: Lab) -> tuple[Part, ...]:
    """Parse the text of a brief. Theory is split at its second-level headings.

    :raises Fault: for an unknown directive, a block without its end, or arguments that make no sense
    """
    parts: list[Part] = []
    theory: list[str] = []
    lines = re.findall(r"[^\n]*\n|[^\n]+", text.replace("\r\n", "\n"))
    index = 0
    while index < len(lines):
        bare = lines[index].rstrip("\n")
        opening = _OPEN.fullmatch(bare)
        code = opening or _FENCE.match(bare)
        if code is None:
            if bare.startswith("## "):
                _flush(theory, parts)
            theory.append(lines[index])
            index += 1
            continue
        if opening is None and re.match(r" +`+\{\w+\}", bare):
            raise Fault(
                f"line {index + 1}: a directive begins at the margin",
                where=where,
                cure="take its indentation away",
            )
        end = _end(lines, index, code["fence"], where, directive=opening is not None)
        if opening is None:
            theory += lines[index : end + 1]  # an ordinary code block: directives in it are only shown
        else:
            _flush(theory, parts)
            body = "".join(lines[index + 1 : end])
            part = _directive(opening["kind"], opening["rest"], body, index + 1, where, lab)
            _no_second(part, parts, index + 1, where)
            parts.append(part)
        index = end + 1
    _flush(theory, parts)
    return tuple(parts)


def _end(lines: list[str], begin: int, fence: str, where: Path, *, directive: bool) -> int:
    """The line that closes a block: the same fence or a longer one, and nothing else."""
    closing = re.compile(rf" {{0,3}}{re.escape(fence)}{re.escape(fence[0])}*[ \t]*")
    for index in range(begin + 1, len(lines)):
        bare = lines[index].rstrip("\n")
        if closing.fullmatch(bare):
            return index
        if directive and _OPEN.fullmatch(bare) and bare.startswith(fence):
            raise Fault(
                f"line {begin + 1}: the block never ends; line {index + 1} begins another", where=where,
                cure=f"close it with a line of {fence}, or begin it with more of them to show a directive in it",
            )  # fmt: skip
    raise Fault(
        f"line {begin + 1}: the block never ends", where=where, cure=f"close it with a line of {fence}"
    )


def _no_second(part: Part, parts: list[Part], line: int, where: Path) -> None:
    """Names become ids of notebook cells, and the student's file has one cell."""
    if part.kind == "file" and any(each.kind == "file" for each in parts):
        raise Fault(
            f"line {line}: a second {{file}}", where=where,
            cure="a program has one place in the brief, for all languages: take one of them away",
        )  # fmt: skip
    if part.kind == "question" and any((each.kind, each.name) == ("question", part.name) for each in parts):
        raise Fault(
            f"line {line}: a second question {part.name!r}", where=where, cure="give it a name of its own"
        )


def _flush(theory: list[str], parts: list[Part]) -> None:
    text = "".join(theory).strip("\n")
    if text:
        parts.append(Part("theory", text + "\n"))
    theory.clear()


def _directive(kind: str, rest: str, body: str, line: int, where: Path, lab: Lab) -> Part:
    def fault(what: str, cure: str) -> Fault:
        return Fault(f"line {line}: {what}", where=where, cure=cure)

    if kind not in _KINDS:
        near = difflib.get_close_matches(kind, _KINDS, 1)
        cure = f"did you mean {near[0]}?" if near else f"the directives are: {', '.join(_KINDS)}"
        raise fault(f"there is no directive {kind!r}", cure)
    if kind in ("file", "check") and body.strip():
        raise fault(
            f"{{{kind}}} takes no text", "close it in the next line; write what is to be read below that"
        )
    if kind == "file":
        if rest not in lab.files.values():
            raise fault(f"{rest!r} is no file of this lab", f"the files are: {', '.join(lab.files.values())}")
        return Part("file", name=rest)
    if kind == "check":
        if rest:
            raise fault("{check} takes no argument", "write ```{check}")
        return Part("check")
    if kind == "example":
        if rest not in ("python", "bash"):
            raise fault(
                f"examples are python or bash, not {rest!r}", "use an ordinary code block for other languages"
            )
        return Part("example", body, rest)
    match = re.fullmatch(r"([a-z0-9-]+)[ \t]+([0-9]{1,6}(?:\.[0-9]{1,6})?)", rest)
    if not match:
        raise fault("a question needs a name and points", "write ```{question} who-holds-the-end 1")
    if match[1].endswith("-text"):
        raise fault(f"{match[1]!r} is what the notebook calls a question's text", "give it another name")
    if not body.strip():
        raise fault(f"the question {match[1]!r} asks nothing", "write it between the two lines")
    return Part("question", body, match[1], float(match[2]))


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
            longest = max((len(run) for run in re.findall("`+", part.text)), default=0)
            fence = "`" * max(3, longest + 1)
            pieces.append(f"{fence}{part.name}\n{part.text}{fence}\n")
        else:
            pieces.append(f"**Question** ({part.points:g}): {part.text}")
    return "\n".join(pieces)
