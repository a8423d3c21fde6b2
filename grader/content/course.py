"""The course: where the labs are, and in which order."""

from __future__ import annotations

import difflib
import os
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
    """The course around a folder (by default the current one), or the one that PROCLAB_COURSE names.

    :raises Fault: if there is none, or its course.toml is wrong
    """
    named = os.environ.get("PROCLAB_COURSE")
    begin = (Path(named) if named else start or Path.cwd()).resolve()
    for folder in (begin, *begin.parents):
        path = folder / "labs" / "course.toml"
        if path.is_file():
            written = toml.convert(toml.table(path), _CourseFile, path)
            return Course(root=folder, title=written.title, slugs=written.labs)
    raise Fault(
        "there is no course here: no folder up to the root has labs/course.toml", where=begin,
        cure="go to the course's folder, or set PROCLAB_COURSE to it",
    )  # fmt: skip


def load_lab(course: Course, slug: str) -> Lab:
    """Load one lab of a course.

    :raises Fault: if there is none of that name, or it is wrong
    """
    if slug not in course.slugs:
        near = difflib.get_close_matches(slug, course.slugs, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise Fault(f"there is no lab named {slug!r}", cure=f"{hint}the labs are: {', '.join(course.slugs)}")
    return lab.load(course.root / "labs" / slug)
