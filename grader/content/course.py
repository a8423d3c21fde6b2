"""The course: where the labs are, and in which order."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from grader.content import lab, toml
from grader.model import Fault, Lab, Value


class Course(Value, frozen=True, kw_only=True):
    """A folder with ``labs/course.toml``; ``slugs`` in teaching order."""

    root: Path
    title: str
    slugs: tuple[str, ...]


class _CourseFile(Value, frozen=True, kw_only=True):
    """course.toml as an instructor writes it."""

    title: str
    labs: tuple[str, ...]


def find(start: Path | None = None) -> Course:
    """The course around a folder; by default the one that PROCLAB_COURSE names, or else the current folder's.

    :raises Fault: if there is none, or its course.toml is wrong
    """
    named = os.environ.get("PROCLAB_COURSE") if start is None else None
    try:
        begin = (start or Path(named or ".")).resolve()
        for folder in (begin, *begin.parents):
            path = folder / "labs" / "course.toml"
            if path.is_file():
                written = toml.convert(toml.table(path), _CourseFile, path)
                _slugs(written.labs, path)
                return Course(root=folder, title=written.title, slugs=written.labs)
    except FileNotFoundError:
        raise Fault("the current folder is gone", cure="cd to the course's folder") from None
    except OSError as error:
        begin = Path(named or start or ".")
        if not named:
            raise Fault(
                f"cannot be read: {error.strerror}", where=begin, cure="name another folder"
            ) from None
    if named:
        raise Fault(
            "names no course: there and above is no labs/course.toml", where=begin, key="PROCLAB_COURSE",
            cure="set it to the course's folder, or unset it",
        )  # fmt: skip
    raise Fault(
        "there is no course here: no folder up to the root has labs/course.toml", where=begin,
        cure="go to the course's folder, or set PROCLAB_COURSE to it",
    )  # fmt: skip


def _slugs(written: tuple[str, ...], path: Path) -> None:
    for number, slug in enumerate(written):
        if not re.fullmatch(lab.SLUG, slug):
            raise Fault(
                f"{slug!r} is no name of a lab", where=path, key=f"labs[{number}]",
                cure="write the name of its folder in labs: lower case, digits and _",
            )  # fmt: skip
        if slug in written[:number]:
            raise Fault(
                f"{slug!r} occurs twice", where=path, key=f"labs[{number}]", cure="take one of them away"
            )


def load_lab(course: Course, slug: str) -> Lab:
    """Load one lab of a course.

    :raises Fault: if there is none of that name, or it is wrong
    """
    if slug not in course.slugs:
        near = difflib.get_close_matches(slug, course.slugs, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise Fault(f"there is no lab named {slug!r}", cure=f"{hint}the labs are: {', '.join(course.slugs)}")
    return lab.load(course.root / "labs" / slug)
