"""What students get: briefs, visible checks, skeletons and notebooks; nothing that tells a solution."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from grader.content import brief, build
from grader.content import course as courses
from grader.content.course import Course
from grader.model import Fault, Language

_README = """\
# {title}

Everything that you need to do the labs and to check your own work.

    python3 -m venv .venv
    .venv/bin/pip install proclab
    .venv/bin/proclab list
    .venv/bin/proclab start {first}        # or: start {first} --language c
    .venv/bin/proclab check {first}

Linux also wants `bubblewrap` and `strace`; `proclab doctor` says what is missing, and how to get it.
To work in a notebook instead, open `notebooks/{first}.ipynb` in JupyterLab (`pip install 'proclab[jupyter]'`).
"""


def release(course: Course, destination: Path) -> tuple[Path, ...]:
    """Write the student release; gives the files that it holds.

    :raises Fault: if the destination holds something already, or a released file would tell a secret
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise Fault("is not empty", where=destination, cure="name a folder that does not exist yet")
    contents = _contents(course)
    _no_secrets(course, contents)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}."))
    try:
        for name, data in contents.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        part.chmod(0o755)
        os.replace(part, destination)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return tuple(destination / name for name in sorted(contents))


def _contents(course: Course) -> dict[str, bytes]:
    contents = {str(path.relative_to(course.root)): data for path, data in build.outputs(course).items()}
    contents["labs/course.toml"] = (course.root / "labs" / "course.toml").read_bytes()
    for slug in course.slugs:
        lab = courses.load_lab(course, slug)
        for name in ("lab.toml", "brief.md", "checks.py"):
            contents[f"labs/{slug}/{name}"] = (lab.root / name).read_bytes()
        contents[f"skeletons/{slug}/README.md"] = brief.markdown(lab, Language.PYTHON).encode()
    contents["README.md"] = _README.format(title=course.title, first=course.slugs[0]).encode()
    return contents


def _no_secrets(course: Course, contents: dict[str, bytes]) -> None:
    """No released file holds a line of a hidden check or of a solution region that its skeleton lacks."""
    for slug in course.slugs:
        root = course.root / "labs" / slug
        secret = {line.strip() for line in _lines(root / "hidden.py")} - {
            line.strip() for line in _lines(root / "checks.py")
        }
        secret = {line for line in secret if len(line) > 20}
        for name, data in contents.items():
            lines = {line.strip() for line in data.decode(errors="replace").splitlines()}
            leaked = secret & lines
            if leaked or b"BEGIN SOLUTION" in data:
                what = min(leaked) if leaked else "BEGIN SOLUTION"
                raise Fault(
                    f"would tell students: {what}",
                    where=name,
                    cure="take it out of the brief or of checks.py",
                )


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
