"""Known-bad programs: the solution with one fault, its story, and the failures that it must earn."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from grader.content import files, toml
from grader.content import lab as labs
from grader.model import Fault, Lab, SourceFile, Submission, Value


class Edit(Value, frozen=True, kw_only=True):
    """A change of one file: `old` occurs exactly once and becomes `new`."""

    file: str
    old: str
    new: str


class _Entry(Value, frozen=True, kw_only=True):
    """One table of mutants.toml."""

    story: str
    fails: dict[str, str]
    may: dict[str, str] = {}  # noqa: RUF012 (msgspec copies it)
    edit: Edit | None = None
    edits: tuple[Edit, ...] = ()


class Mutant(Value, frozen=True, kw_only=True):
    """One known-bad program."""

    name: str
    story: str
    edits: tuple[Edit, ...]
    fails: dict[str, str]
    """Check to slug: exactly these fail; ``*`` stands for all checks without an entry, an empty slug for none"""
    may: dict[str, str]
    """Check to slugs, with blanks between them: these may fail too, since the program itself varies from run to run"""


def load(lab: Lab) -> tuple[Mutant, ...]:
    """Read mutants.toml.

    :raises Fault: for an unknown check, slug or file, or an edit that does not match exactly once
    """
    path = lab.root / "mutants.toml"
    return tuple(_mutant(name, entry, lab, path) for name, entry in toml.table(path).items())


def _mutant(name: str, table: Any, lab: Lab, path: Path) -> Mutant:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise Fault(
            "is not kebab-case", where=path, key=name, cure="say who does what wrong: parent-keeps-write-end"
        )
    entry = toml.convert(table, _Entry, path, name)
    edits = entry.edits or ((entry.edit,) if entry.edit else ())
    if not edits or (entry.edit and entry.edits):
        raise Fault(
            "needs an edit, or edits, and not both", where=path, key=name, cure="edit = { file, old, new }"
        )
    if len({edit.file for edit in edits}) > 1:
        raise Fault(
            "changes several files", where=path, key=name, cure="a mutant is one program: change one file"
        )
    for key, declared in (("fails", entry.fails), ("may", entry.may)):
        for check, slug in declared.items():
            for each in slug.split() if key == "may" and slug else [slug]:
                _declared(f"{name}.{key}.{check}", check, each, lab, path, optional=key == "may")
    if not any(entry.fails.values()):
        raise Fault(
            "names no check that notices the fault", where=path, key=f"{name}.fails",
            cure="name at least one check and the diagnosis that it must make",
        )  # fmt: skip
    mutant = Mutant(name=name, story=entry.story, edits=edits, fails=entry.fails, may=entry.may)
    submission(mutant, lab)
    return mutant


def _declared(place: str, check: str, slug: str, lab: Lab, path: Path, *, optional: bool) -> None:
    """One line of `fails` or `may`: check to diagnosis."""

    def near(word: str, known: list[str], else_: str) -> str:
        found = difflib.get_close_matches(word, known, 1)
        return f"did you mean {found[0]}?" if found else else_

    if optional and check == "*":
        raise Fault("stands for no check here", where=path, key=place, cure="name each check that may fail")
    names = [each.name for each in lab.checks]
    if check != "*" and check not in names:
        cure = near(check, names, "see checks.py and hidden.py")
        raise Fault("is no check of this lab", where=path, key=place, cure=cure)
    if optional and not slug:
        raise Fault("names nothing that may happen", where=path, key=place, cure="name the diagnosis")
    if slug and slug not in lab.diagnoses:
        cure = near(slug, list(lab.diagnoses), "proclab explain lists them")
        raise Fault(f"{slug!r} is no diagnosis", where=path, key=place, cure=cure)


def submission(mutant: Mutant, lab: Lab) -> Submission:
    """The mutant as a submission.

    :raises Fault: if an edit does not match exactly once
    """
    path = lab.root / "mutants.toml"
    file = mutant.edits[0].file
    solution = next((each for each in labs.solutions(lab) if each.entry == file), None)
    if solution is None:
        known = ", ".join(lab.files.values())
        raise Fault(
            f"{file!r} is no file of the solution", where=path, key=f"{mutant.name}.edit", cure=f"use {known}"
        )
    text = files.text(Path(solution.origin), "write it")
    for number, edit in enumerate(mutant.edits, 1):
        if not edit.old or edit.old == edit.new:
            what = "changes nothing" if edit.old else "'old' is empty"
            raise Fault(
                f"edit {number}: {what}",
                where=path,
                key=mutant.name,
                cure="quote what is to change, and write it wrong",
            )
        count = text.count(edit.old)
        if count != 1:
            raise Fault(
                f"edit {number}: 'old' occurs {count} times in {file}", where=path, key=mutant.name,
                cure="quote as much of the solution as makes it unique",
            )  # fmt: skip
        text = text.replace(edit.old, edit.new)
    return Submission(
        student=mutant.name,
        origin=str(path),
        language=solution.language,
        entry=file,
        files=(SourceFile(path=file, data=text.encode()),),
    )
