"""Generated files: skeletons and notebooks, committed, never edited by hand."""

from __future__ import annotations

from pathlib import Path

from grader.content import course as courses
from grader.content import files, lab, notebook
from grader.content.course import Course


def outputs(course: Course) -> dict[Path, bytes]:
    """Every generated file of a course and what it must hold.

    :raises Fault: for a lab that is wrong
    """
    found: dict[Path, bytes] = {}
    for slug in course.slugs:
        the_lab = courses.load_lab(course, slug)
        for skeleton in lab.skeletons(the_lab):
            found[course.root / "skeletons" / slug / skeleton.entry] = skeleton.files[0].data
        found[course.root / "notebooks" / f"{slug}.ipynb"] = notebook.build(the_lab)
    return found


def stale(course: Course) -> tuple[Path, ...]:
    """Generated files that are missing, differ from what they must hold, or belong to nothing."""
    wanted = outputs(course)
    there = {
        path
        for folder in ("skeletons", "notebooks")
        for path in (course.root / folder).rglob("*")
        if (path.is_symlink() or path.is_file())
        and not any(
            part.startswith(".") or part == "__pycache__" for part in path.relative_to(course.root).parts
        )
    }
    wrong = {path for path, data in wanted.items() if not path.is_file() or path.read_bytes() != data}
    return tuple(sorted(wrong | (there - set(wanted))))


def write(course: Course) -> tuple[Path, ...]:
    """Make all generated files as they must be; gives those that changed."""
    wanted = outputs(course)
    changed = stale(course)
    for path in changed:
        if path in wanted:
            files.write(path, wanted[path])
        else:
            path.unlink()
            if path.parent.parent == course.root / "skeletons" and not any(path.parent.iterdir()):
                path.parent.rmdir()
    return changed
