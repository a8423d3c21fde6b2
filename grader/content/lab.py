"""A lab's folder becomes a value, and its programs become submissions."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from grader.content import checks, diagnosis, files, submission, toml
from grader.content.regions import hollow
from grader.model import (
    FORMAT_VERSION,
    CheckInfo,
    Fault,
    Lab,
    Language,
    Limits,
    SourceFile,
    Submission,
    Value,
)

SLUG = r"[a-z][a-z0-9_]{0,39}"
"""A lab's name: that of its folder, its program and, as part of others, of files and notebook cells"""


class _LabFile(Value, frozen=True, kw_only=True):
    """lab.toml as an instructor writes it."""

    title: str
    files: dict[str, str]
    objectives: tuple[str, ...] = ()
    out_of_scope: tuple[str, ...] = ()
    limits: Limits = Limits()
    diagnoses: dict[str, dict[str, Any]] = {}  # noqa: RUF012 (msgspec copies it)


def load(folder: Path) -> Lab:
    """Read and validate a lab. In a student release there is no hidden.py.

    :raises Fault: naming file, key and cure
    """
    path = folder / "lab.toml"
    slug = folder.name
    if not re.fullmatch(SLUG, slug):
        raise Fault(
            "a lab's folder is named in lower case, digits and _, at most 40 of them",
            where=folder,
            cure="rename the folder",
        )
    if not folder.is_dir():
        raise Fault("there is no such lab", where=folder, cure="proclab list shows the labs")
    written = toml.convert(toml.table(path), _LabFile, path)
    _no_limit_of_nothing(written.limits, path)
    promises = checks.read(folder / "checks.py", hidden=False)
    if (folder / "hidden.py").exists():
        promises += checks.read(folder / "hidden.py", hidden=True)
    _no_name_twice(promises, folder)
    own = diagnosis.kinds(written.diagnoses, path, "diagnoses")
    _no_slug_twice(own, path)
    return Lab(
        slug=slug,
        root=folder.resolve(),
        title=written.title,
        objectives=written.objectives,
        out_of_scope=written.out_of_scope,
        files=_files(written.files, slug, path),
        limits=written.limits,
        diagnoses=diagnosis.shared() | own,
        own_diagnoses=tuple(own),
        checks=promises,
        version=_version(folder),
    )


def _files(written: dict[str, str], slug: str, path: Path) -> dict[Language, str]:
    wanted = {"python": f"{slug}.py", "c": f"{slug}.c"}
    if not written:
        raise Fault("names no file", where=path, key="files", cure=f'write python = "{slug}.py"')
    for language, name in written.items():
        if language not in wanted:
            raise Fault(
                "is no language of labs", where=path, key=f"files.{language}", cure="python and c are"
            )
        if name != wanted[language]:
            raise Fault(
                f"is {name!r}; a program is named as its lab", where=path, key=f"files.{language}",
                cure=f"write {wanted[language]!r}",
            )  # fmt: skip
    return {Language(language): name for language, name in written.items()}


def _no_limit_of_nothing(limits: Limits, path: Path) -> None:
    for name, value in msgspec.structs.asdict(limits).items():
        if value <= 0:
            raise Fault(
                f"is {value}: no program could run",
                where=path,
                key=f"limits.{name}",
                cure="say a number above 0",
            )


def _no_name_twice(promises: tuple[CheckInfo, ...], folder: Path) -> None:
    names = [check.name for check in promises]
    for name in names:
        if names.count(name) > 1:
            raise Fault(
                "occurs in checks.py and in hidden.py", where=folder, key=name, cure="rename one of them"
            )


def _no_slug_twice(own: dict[str, Any], path: Path) -> None:
    for slug in own:
        if slug in diagnosis.shared():
            raise Fault(
                "is a diagnosis that all labs share", where=path, key=f"diagnoses.{slug}", cure="rename it"
            )


def _version(folder: Path) -> str:
    """Hash of everything that a verdict depends on."""
    digest = hashlib.sha256(str(FORMAT_VERSION).encode())
    written = ("lab.toml", "checks.py", "hidden.py", *DRIVERS.values())
    for path in (*(folder / name for name in written), diagnosis.SHARED):
        digest.update(path.read_bytes() if path.exists() else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:16]


DRIVERS = {Language.PYTHON: "driver.py", Language.C: "driver.c"}
"""A lab that is by nature a library may have a driver for each language, which calls the student's functions."""


def drivers(lab: Lab) -> dict[Language, bytes]:
    """The lab's drivers."""
    found = {language: lab.root / name for language, name in DRIVERS.items()}
    return {language: path.read_bytes() for language, path in found.items() if path.exists()}


def solutions(lab: Lab) -> tuple[Submission, ...]:
    """The reference solutions, one for each language.

    :raises Fault: if one is missing
    """
    found = []
    for language, name in lab.files.items():
        path = lab.root / "solution" / name
        if not path.exists():
            raise Fault(
                "is missing",
                where=path,
                cure=f"write it, or take {language.value} out of [files] in lab.toml",
            )
        found.append(_program(lab, language, path.read_bytes(), f"{language.value}", path))
    return tuple(found)


def skeletons(lab: Lab) -> tuple[Submission, ...]:
    """The skeletons as they are shipped: the solutions without their regions.

    :raises Fault: for markers that do not match
    """
    found = []
    for solution in solutions(lab):
        text = files.text(Path(solution.origin), "write it")
        try:
            data = hollow(text, solution.language, solution.entry).encode()
        except Fault as fault:
            raise Fault(fault.what, where=solution.origin, cure=fault.cure) from None
        found.append(_program(lab, solution.language, data, solution.student, Path(solution.origin)))
    return tuple(found)


def variants(lab: Lab) -> tuple[Submission, ...]:
    """Other right programs: ``variants/NAME.py``, ``variants/NAME.c``, or a folder for several files."""
    folder = lab.root / "variants"
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith((".", "__")):
            continue
        if path.is_dir():
            read = submission.read(path, lab, path.name)
            found.append(msgspec.structs.replace(read, origin=str(path)))
            continue
        language = {".py": Language.PYTHON, ".c": Language.C}.get(path.suffix)
        if language is None or language not in lab.files:
            raise Fault(
                "is no program of this lab", where=path, cure="name it NAME.py or NAME.c, or make a folder"
            )
        found.append(_program(lab, language, path.read_bytes(), path.stem, path))
    return tuple(found)


def _program(lab: Lab, language: Language, data: bytes, name: str, path: Path) -> Submission:
    entry = lab.files[language]
    return Submission(
        student=name,
        origin=str(path),
        language=language,
        entry=entry,
        files=(SourceFile(path=entry, data=data),),
    )
