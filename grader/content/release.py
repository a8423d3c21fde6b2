"""What students get: briefs, visible checks, skeletons and notebooks; nothing that tells a solution."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from grader.content import brief, build, regions
from grader.content import course as courses
from grader.content import lab as labs
from grader.content.course import Course
from grader.model import Fault, Lab, Language

_README = """\
# {title}

Everything that you need to do the labs and to check your own work.

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
    .venv/bin/proclab list
    .venv/bin/proclab start {first}{other}
    .venv/bin/proclab check {first}

`requirements.txt` names the version of proclab that grades you; your instructor may tell you another source of it.

Linux also wants `bubblewrap` and `strace`; `proclab doctor` says what is missing, and how to get it.
To work in a notebook instead, open `notebooks/{first}.ipynb` in JupyterLab
(`pip install -r requirements.txt 'proclab[jupyter]'`).
"""


WORKFLOW = ".github/workflows/proclab.yml"
_WORKFLOW = """\
# At every push: checks the labs that were begun. Faults stand at their lines, and the summary explains them.
name: proclab
on: [push, workflow_dispatch]
permissions:
  contents: read
jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install
        run: |
          sudo apt-get update
          sudo apt-get install --yes bubblewrap strace gcc make
          # Ubuntu 24.04 refuses namespaces to programs without a profile.
          sudo sysctl --write kernel.apparmor_restrict_unprivileged_userns=0 || true
          python -m pip install --requirement requirements.txt
      - name: Check
        run: |
          status=0
          for lab in @LABS@; do
            [ -e "$lab" ] || continue
            proclab check "$lab" --json > "$RUNNER_TEMP/$lab.json" || status=1
            proclab export actions "$RUNNER_TEMP/$lab.json"
          done
          exit "$status"
"""


def release(course: Course, destination: Path) -> tuple[Path, ...]:
    """Write the student release; gives the files that it holds.

    :raises Fault: if the destination holds something already, or a released file would tell a secret
    """
    if os.path.lexists(destination) and (not destination.is_dir() or any(destination.iterdir())):
        what = "is not empty" if destination.is_dir() else "is no folder"
        raise Fault(what, where=destination, cure="name a folder that does not exist yet")
    if not course.slugs:
        raise Fault(
            "is empty",
            where=course.root / "labs" / "course.toml",
            key="labs",
            cure="proclab new SLUG makes a lab",
        )
    contents = _contents(course)
    _no_secrets(course, contents)
    try:
        _write(contents, destination)
    except OSError as error:
        raise Fault(
            f"cannot be written: {error.strerror}", where=destination, cure="name another folder"
        ) from None
    return tuple(destination / name for name in sorted(contents))


def _write(contents: dict[str, bytes], destination: Path) -> None:
    """All of it or nothing: beside its place first, then renamed into it."""
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


def _contents(course: Course) -> dict[str, bytes]:
    contents = {str(path.relative_to(course.root)): data for path, data in build.outputs(course).items()}
    contents["labs/course.toml"] = (course.root / "labs" / "course.toml").read_bytes()
    for slug in course.slugs:
        lab = courses.load_lab(course, slug)
        contents |= _lab_files(lab)
        contents[f"skeletons/{slug}/README.md"] = brief.markdown(lab, Language.PYTHON).encode()
    first = courses.load_lab(course, course.slugs[0])
    other = f"        # or: start {first.slug} --language c" if len(first.files) > 1 else ""
    contents["README.md"] = _README.format(title=course.title, first=first.slug, other=other).encode()
    contents["requirements.txt"] = f"{_requirement()}\n".encode()
    contents[WORKFLOW] = _WORKFLOW.replace("@LABS@", " ".join(course.slugs)).encode()
    return contents


def _lab_files(lab: Lab) -> dict[str, bytes]:
    """What a student's machine needs of a lab to check it."""
    found = {name: (lab.root / name).read_bytes() for name in ("lab.toml", "brief.md", "checks.py")}
    found |= {labs.DRIVERS[language]: source for language, source in labs.drivers(lab).items()}
    return {f"labs/{lab.slug}/{name}": data for name, data in found.items()}


def assignment(course: Course, slug: str) -> dict[str, bytes]:
    """A course of one lab, for those who get the lab alone: beside its notebook, ``%check`` finds all it needs."""
    title = json.dumps(course.title, ensure_ascii=False)
    alone = f"title = {title}\nlabs = [{json.dumps(slug)}]\n".encode()
    made = {str(path.relative_to(course.root)): data for path, data in build.outputs(course).items()}
    skeletons = {name: data for name, data in made.items() if name.startswith(f"skeletons/{slug}/")}
    return {"labs/course.toml": alone, **_lab_files(courses.load_lab(course, slug)), **skeletons}


def _requirement() -> str:
    """The grader that students install: this one, since another may judge or explain differently."""
    try:
        return f"proclab=={metadata.version('proclab')}"
    except metadata.PackageNotFoundError:  # run from a clone
        return "proclab"


def _no_secrets(course: Course, contents: dict[str, bytes]) -> None:
    """No released file holds a line of a hidden check, or one of a solution region that no skeleton shows.

    Short lines, such as ``return 0``, stand everywhere and tell nothing.
    """
    for lab in (courses.load_lab(course, slug) for slug in course.slugs):
        for language, name in lab.files.items():
            solution = (lab.root / "solution" / name).read_text(encoding="utf-8")
            shown = _long(contents[f"skeletons/{lab.slug}/{name}"].decode().splitlines())
            secret = _long(regions.inside(solution, language)) - shown
            for file in ("brief.md", "checks.py", "lab.toml"):
                path = f"labs/{lab.slug}/{file}"
                _no_leak(secret & _long(contents[path].decode().splitlines()), path)
    for slug in course.slugs:
        root = course.root / "labs" / slug
        secret = _long(_lines(root / "hidden.py")) - _long(_lines(root / "checks.py"))
        for name, data in contents.items():
            leaked = secret & _long(data.decode(errors="replace").splitlines())
            _no_leak(leaked | ({"BEGIN SOLUTION"} if b"BEGIN SOLUTION" in data else set()), name)


def _no_leak(leaked: set[str], name: str) -> None:
    if leaked:
        raise Fault(f"would tell students: {min(leaked)}", where=name, cure="take it out of that file")


_EVERYWHERE = re.compile(r"(import|from [\w.]+ import)\b|#\s*include\b|(#|/\*) ?-{3}")
"""How lines begin that stand in any program: what it imports, and rules between its parts"""


def _long(lines: Iterable[str]) -> set[str]:
    """Lines that would tell something."""
    found = {line.strip() for line in lines if len(line.strip()) > 20}
    return {line for line in found if not _EVERYWHERE.match(line)}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
