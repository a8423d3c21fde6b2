"""Where a student works: a folder with the skeleton and the brief, and finding it again."""

from __future__ import annotations

import os
from pathlib import Path

from grader.content import brief, files
from grader.content.course import Course
from grader.model import Fault, Lab, Language


def start(course: Course, lab: Lab, language: Language, folder: Path) -> tuple[Path, ...]:
    """Put the skeleton and the brief into a folder; gives the files that were written.

    :raises Fault: if the lab has no such language, or anything would be overwritten
    """
    if language not in lab.files:
        there = " or ".join(known.value for known in lab.files)
        raise Fault(f"{lab.slug} has no skeleton in {language.value}", cure=f"choose {there}")
    name = lab.files[language]
    source = course.root / "skeletons" / lab.slug / name
    if not source.is_file():
        raise Fault("the skeleton is missing", where=source, cure="run: proclab build")
    contents = {
        folder / name: source.read_bytes(),
        folder / "README.md": brief.markdown(lab, language).encode(),
    }
    for path in contents:
        if os.path.lexists(path):
            cure = "choose another folder, or move this file away if you want to begin anew"
            raise Fault("exists already and is not overwritten", where=path, cure=cure)
    written: list[Path] = []
    for path, data in contents.items():
        try:
            files.write(path, data)
            written.append(path)
        except OSError as error:
            for each in written:
                each.unlink(missing_ok=True)
            raise Fault(
                f"cannot be written: {error.strerror}", where=path, cure="choose another folder"
            ) from None
    return tuple(contents)


def workplace(lab: Lab, here: Path) -> Path:
    """The folder of a lab's work: the one named as the lab, or this one if the program lies in it.

    :raises Fault: if there is neither
    """
    if (here / lab.slug).is_dir():
        return here / lab.slug
    names = (*lab.files.values(), lab.slug, f"{lab.slug}.ipynb", "Makefile")
    if any((here / name).is_file() for name in names):
        return here
    raise Fault(
        f"there is no {lab.slug} to check here: no folder {lab.slug}, and no {' or '.join(names[:-1])}",
        where=here,
        cure=f"run: proclab start {lab.slug}   or name the file or folder: proclab check {lab.slug} PATH",
    )
