"""A lab's notebook: built from the brief, and read back, hostile as it may be.

The format is nbformat 4.5 with nbgrader's metadata (schema 3). Building is deterministic: a cell's id
is its grade id. Reading trusts nothing but the lab: which files there are and what they are called is
never taken from the submission. Only the standard library reads it; nbformat's validators are slow
and were not made for hostile input.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from grader.content import brief
from grader.content import files as texts
from grader.content.regions import hollow
from grader.content.skeleton import untouched
from grader.model import Fault, Lab, Language

MOST_BYTES = 8 * 2**20
_DEEPEST = 60
_MAGIC = re.compile(r"\A(?:[ \t]*\r?\n)*+%%lab[ \t]+(\S+)[ \t]*(?:\r?\n|\Z)")
"""The header of a file's cell; IPython, too, passes over blank lines before it"""


def grade_id(lab: Lab, name: str) -> str:
    """The grade id of the cell that holds a file."""
    return f"{lab.slug}-file-{name.replace('.', '-')}"


def _id(identity: str) -> str:
    """A cell id as nbformat wants it: at most 64 of few characters; what is too long keeps its beginning."""
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identity):
        return identity
    return (
        re.sub(r"[^a-zA-Z0-9_-]", "-", identity)[:51]
        + "-"
        + hashlib.sha256(identity.encode()).hexdigest()[:12]
    )


def _cell(
    kind: str, identity: str, source: str, *, grade: bool, solution: bool, locked: bool, points: float = 0
) -> dict[str, Any]:
    nbgrader: dict[str, Any] = {
        "grade": grade, "grade_id": identity, "locked": locked, "schema_version": 3, "solution": solution,
        "task": False,
    }  # fmt: skip
    if grade:
        nbgrader["points"] = int(points) if points == int(points) else points
    cell: dict[str, Any] = {"cell_type": kind, "id": _id(identity), "metadata": {"nbgrader": nbgrader}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": source.splitlines(keepends=True)}


def build(lab: Lab) -> bytes:
    """The notebook that students get. Where a lab is in Python and in C, students of C use the skeleton instead.

    :raises Fault: for a brief or a solution that is wrong
    """
    read_only: dict[str, Any] = {"grade": False, "solution": False, "locked": True}
    prefix = lab.slug
    cells: list[dict[str, Any]] = []
    theory = example = check = 0
    for part in brief.read(lab):
        if part.kind == "theory":
            theory += 1
            cells.append(_cell("markdown", f"{prefix}-theory-{theory}", part.text.rstrip("\n"), **read_only))
            if theory == 1:
                cells.append(_cell("code", f"{prefix}-load", "%load_ext grader", **read_only))
        elif part.kind == "example":
            example += 1
            source = f"%%{part.name}\n{part.text}".rstrip("\n")
            cells.append(_cell("code", f"{prefix}-example-{example}", source, **read_only))
        elif part.kind == "file":
            language = Language.PYTHON if Language.PYTHON in lab.files else Language.C
            name = lab.files[language]
            source = f"%%lab {name}\n{_skeleton(lab, language)}"
            cells.append(_cell("code", grade_id(lab, name), source, grade=False, solution=True, locked=False))
        elif part.kind == "check":
            check += 1
            identity = f"{prefix}-check-{check}" if check > 1 else f"{prefix}-check"
            cells.append(_cell("code", identity, f"%check {lab.slug}", **read_only))
        else:
            identity = f"{prefix}-question-{part.name}"
            source = f"**Question** ({part.points:g})\n\n{part.text}".rstrip("\n")
            cells.append(_cell("markdown", f"{identity}-text", source, **read_only))
            cells.append(
                _cell(
                    "markdown",
                    identity,
                    "*Your answer:*",
                    grade=True,
                    solution=True,
                    locked=False,
                    points=part.points,
                )
            )
    cells += _grade_cells(lab)
    book = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(book, indent=1, ensure_ascii=False) + "\n").encode()


def _skeleton(lab: Lab, language: Language) -> str:
    """A file's text as students get it."""
    path = lab.root / "solution" / lab.files[language]
    text = texts.text(path, f"write it, or take {language.value} out of [files] in lab.toml")
    try:
        return hollow(text, language, lab.files[language])
    except Fault as fault:
        raise Fault(fault.what, where=path, cure=fault.cure) from None


def check_id(lab: Lab, name: str) -> str:
    """The grade id of the cell that holds the points of a visible check."""
    return f"{lab.slug}--{name}"


def hidden_id(lab: Lab) -> str:
    """The grade id of the one cell that holds the points of all hidden checks."""
    return f"{lab.slug}--hidden"


def _grade_cells(lab: Lab) -> list[dict[str, Any]]:
    """One locked cell for each visible check, and one for all hidden ones, of which nothing else stands here."""
    read_only: dict[str, Any] = {"solution": False, "locked": True}
    words = "## Points\n\nEach cell below is one promise and its points."
    cells = [_cell("markdown", f"{lab.slug}-points", words, grade=False, **read_only)]
    for check in lab.checks:
        if not check.hidden:
            source = f"# {check.claim}\n%check {lab.slug} -k {check.name}"
            cells.append(
                _cell("code", check_id(lab, check.name), source, grade=True, points=check.points, **read_only)
            )
    hidden = sum(check.points for check in lab.checks if check.hidden)
    if hidden:
        source = (
            f"# These run after you have handed in: other data, other schedules.\n%check {lab.slug} --hidden"
        )
        cells.append(_cell("code", hidden_id(lab), source, grade=True, points=hidden, **read_only))
    return cells


def files(data: bytes, lab: Lab, where: Path) -> tuple[tuple[str, bytes], ...]:
    """The student's files from a notebook: (name, content), as `build` put them in.

    A file's cell is known by its grade id, wherever it was moved and whatever type it has; the pieces of a
    split cell share the id and are joined in order, the copies of a cell count once. Where the metadata is
    gone, a first line ``%%lab FILE`` tells; it also tells that the file's cell holds another file of the lab,
    as that of a student does who works in C.

    :raises Fault: if it is no notebook, holds no file of the lab, or one of them in several versions
    """
    cells = [_as_headed(lab, *cell) for cell in read(data, where)]
    found: list[tuple[str, bytes]] = []
    for name in lab.files.values():
        own = _versions([source for _, identity, source in cells if identity == grade_id(lab, name)])
        if all(untouched(lab, name, each) for each in own):
            own += [each for each in _retyped(cells, lab, name) if each not in own]
        if own:
            found.append((name, _one(own, lab, name, where)))
    if not found:
        raise Fault(
            f"has no cell that begins with '%%lab {next(iter(lab.files.values()))}'", where=where,
            cure="put the program into such a cell, as the lab's own notebook has it",
        )  # fmt: skip
    return tuple(found)


def _as_headed(lab: Lab, kind: str, identity: str, source: str) -> tuple[str, str, str]:
    """A file's cell whose first line names another file of the lab holds that one."""
    header = _MAGIC.match(source)
    ids = {grade_id(lab, name): name for name in lab.files.values()}
    if header and identity in ids and header.group(1) in lab.files.values():
        identity = grade_id(lab, header.group(1))
    return kind, identity, source


def _versions(pieces: list[str]) -> list[bytes]:
    """The different programs that cells with the same grade id hold.

    A cell with a header begins a program; one without it is a piece that was split off the cell before.
    """
    programs: list[list[str]] = []
    for source in pieces:
        text = _MAGIC.sub("", source, count=1)
        if text != source or not programs:
            programs.append([text])
        else:
            programs[-1].append(text)
    if len(pieces) > 1 and len(set(pieces)) == 1:
        programs = [programs[0][:1]]  # copies, with or without a header
    return list(dict.fromkeys(_joined(each).encode(errors="surrogatepass") for each in programs))


def _retyped(cells: list[tuple[str, str, str]], lab: Lab, name: str) -> list[bytes]:
    """The different programs of cells without the grade id: their header alone tells what they are."""
    pieces = [
        source
        for kind, identity, source in cells
        if kind == "code" and identity != grade_id(lab, name)
        if (header := _MAGIC.match(source)) and header.group(1) == name
    ]
    return _versions(pieces)


def _one(versions: list[bytes], lab: Lab, name: str, where: Path) -> bytes:
    """The version that was worked on."""
    worked = [each for each in versions if not untouched(lab, name, each)]
    if len(worked) > 1:
        raise Fault(
            f"holds {len(worked)} versions of {name}, each in a cell that begins with '%%lab {name}'",
            where=where, cure="delete all but the one that is to be graded",
        )  # fmt: skip
    return (worked or versions)[0]


def _joined(texts: list[str]) -> str:
    """Pieces of one cell: the front end takes away the line end where it splits."""
    return "\n".join([*(text.removesuffix("\n") for text in texts[:-1]), texts[-1]])


def read(data: bytes, where: Path) -> list[tuple[str, str, str]]:
    """(type, grade id, source) of each cell: ``code`` or ``text``. Whatever has another shape is passed over.

    :raises Fault: if it is no notebook, or one that is too large or too deep to be looked at
    """
    cure = "hand in the .ipynb file that Jupyter saves"
    if len(data) > MOST_BYTES:
        raise Fault(
            f"is larger than {MOST_BYTES // 2**20} MiB", where=where, cure="clear the outputs, then save"
        )
    try:
        text = data.decode("utf-8-sig")
        if _deep(text):
            raise Fault("is nested too deeply for a notebook", where=where, cure=cure)
        book = json.loads(text)
    except (ValueError, RecursionError):
        raise Fault("is not a notebook", where=where, cure=cure) from None
    cells = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(cells, list):
        raise Fault("is not a notebook: it has no list of cells", where=where, cure=cure)
    found = []
    for cell in cells:
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", "")
        if isinstance(source, list):
            source = "".join(piece for piece in source if isinstance(piece, str))
        metadata = cell.get("metadata")
        nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        identity = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        if isinstance(source, str):
            kind = "code" if cell.get("cell_type") == "code" else "text"
            found.append((kind, identity if isinstance(identity, str) else "", source))
    return found


_TOKEN = re.compile(r'"(?:[^"\\]++|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string or a bracket. An unterminated string reaches to the end, and nothing is ever tried twice: a
search that failed at each of a million quotes would take hours."""


def _deep(text: str) -> bool:
    """Whether brackets outside strings are nested too deeply, found without building anything."""
    depth = 0
    for match in _TOKEN.finditer(text):
        piece = match.group(0)
        if piece in "[{":
            depth += 1
            if depth > _DEEPEST:
                return True
        elif piece in "]}":
            depth -= 1
    return False
