"""An nbgrader course made of proclab's labs: its folder, its configuration, and grading it in parallel."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from grader.classroom import roster
from grader.classroom.gradebook import Shelf, file_name
from grader.classroom.roster import Entry
from grader.content import build, files, release, restore, submission
from grader.content.course import Course
from grader.jupyter import pregrading
from grader.model import Fault, Lab, Report
from grader.reporting import store

CONFIG = "nbgrader_config.py"

_CONFIG = """\
# nbgrader with proclab: notebooks are read, never run, and programs are graded in a sandbox.
# `proclab nbgrader init` wrote this once and does not change it any more.
c = get_config()  # noqa: F821

c.CourseDirectory.course_id = {course_id}
c.LabExporter.course = {course}

# The notebooks in source/ are generated: there is no solution in them that would have to be taken out.
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors.IncludeHeaderFooter",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# A submission comes back as the lab's own cells with the student's text in them ...
c.Autograde.exporter_class = "grader.jupyter.exporter.LabExporter"
c.Autograde.sanitize_preprocessors = [
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# ... and is graded without a kernel.
c.Autograde.autograde_preprocessors = [
    "grader.jupyter.preprocessors.GradeLab",
    "grader.jupyter.preprocessors.SaveGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Links in the exchange are not followed; students' Markdown runs nothing in your browser.
c.ExchangeFactory.collect = "grader.jupyter.exchange.SafeCollect"
c.TemplateExporter.filters = {{"markdown2html": "grader.jupyter.sanitize.markdown2html"}}
"""


def init(course: Course, root: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Make a folder an nbgrader course, or bring the notebooks of one up to date.

    Each assignment brings the lab's brief and visible checks along, so that ``%check`` works wherever a student
    fetches it.

    :return: files that were written, and those that were there and were left alone
    :raises Fault: if the folder is inside the course itself, or cannot be written
    """
    if root.resolve() == course.root or root.resolve().is_relative_to(course.root / "labs"):
        raise Fault("is the folder of the labs", where=root, cure="choose a folder of its own")
    contents: dict[Path, bytes] = {}
    notebooks = {path.stem: data for path, data in build.outputs(course).items() if path.suffix == ".ipynb"}
    for slug in course.slugs:
        folder = root / "source" / slug
        contents[folder / f"{slug}.ipynb"] = notebooks[slug]
        contents |= {folder / name: data for name, data in release.assignment(course, slug).items()}
    config = root / CONFIG
    kept = (config,) if config.exists() else ()
    if not kept:
        contents[config] = _CONFIG.format(
            course_id=json.dumps(re.sub(r"[^a-z0-9]+", "_", course.title.lower()).strip("_") or "course"),
            course=json.dumps(str(course.root)),
        ).encode()
    written = []
    for path, data in contents.items():
        if path.exists() and path.read_bytes() == data:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, data)
        except OSError as error:
            raise Fault(
                f"cannot be written: {error.strerror}", where=path, cure="choose another folder"
            ) from None
        written.append(path)
    return tuple(written), kept


def needed() -> None:
    """Say what is missing before anything else goes wrong.

    :raises Fault: if nbgrader is not installed
    """
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise Fault(
            "nbgrader is not installed", cure="run: pip install 'proclab[jupyter]' in this environment"
        ) from None


def root_of(folder: Path) -> Path:
    """The nbgrader course in a folder.

    :raises Fault: if there is none
    """
    if not (folder / CONFIG).is_file():
        raise Fault(
            f"there is no {CONFIG} here", where=folder,
            cure="go to the nbgrader course's folder, or make one: proclab nbgrader init DIR",
        )  # fmt: skip
    return folder.resolve()


def course_of(root: Path) -> Path:
    """The course whose labs an nbgrader course uses, as its configuration says.

    :raises Fault: if it does not
    """
    text = files.text(root / CONFIG, "run: proclab nbgrader init")
    found = re.search(r"^c\.LabExporter\.course = (\"[^\n]*\")$", text, re.MULTILINE)
    if not found:
        raise Fault(
            "does not say where the labs are", where=root / CONFIG, key="c.LabExporter.course",
            cure='write c.LabExporter.course = "/path/to/the/course"',
        )  # fmt: skip
    return Path(json.loads(found.group(1)))


def autograde(
    lab: Lab, root: Path, *, jobs: int, again: bool, on_report: Callable[[Report], None]
) -> tuple[str, ...]:
    """Grade all submissions of an assignment: in parallel first, then nbgrader takes the verdicts.

    :param again: also those that nbgrader has graded already
    :return: notes on submissions in which there is nothing to grade
    :raises Fault: if nbgrader cannot finish
    """
    needed()
    books, notices = pregrading.submitted(root, lab)
    pregrading.grade(lab, root, books, jobs=jobs, on_report=on_report)
    run(root, ["autograde", lab.slug, *(["--force"] if again else [])])
    return tuple(notices)


def record(lab: Lab, gradebook: Path, submissions: Iterable[Path], results: Path) -> tuple[str, ...]:
    """Write graded files into an nbgrader course's gradebook, each as a notebook around it.

    So late penalties, the formgrader, feedback and export serve those who hand in files, too.

    :param gradebook: the course's gradebook.db
    :param submissions: what was graded
    :param results: the folder of that grading
    :return: notes on submissions that were left out
    :raises Fault: if there is no such course or assignment, or nbgrader cannot finish
    """
    needed()
    root = root_of(gradebook.parent)
    if not (root / "release" / lab.slug).is_dir():
        raise Fault(
            f"knows no assignment {lab.slug}", where=gradebook,
            cure=f"in {root}, run: nbgrader generate_assignment {lab.slug}",
        )  # fmt: skip
    known = pregrading.Reports(root, lab)
    notices = []
    attempts: dict[str, list[Entry]] = {}
    for each in roster.find(submissions, lab, "best").entries:
        attempts.setdefault(each.student, []).append(each)
    for student, entries in attempts.items():
        path = Shelf(results).reports / f"{file_name(student)}.json"
        report = store.read(path) if path.is_file() else None
        # Of several attempts the one that the report is about, whichever was asked for
        entry = next((each for each in entries if report and each.origin == report.origin), entries[0])
        if report is None or report.broken:
            notices.append(f"{entry.student} is not in the gradebook: there is no verdict")
        elif not re.fullmatch(r"[^/+\0]{1,200}", entry.student) or entry.student.startswith("."):
            notices.append(f"{entry.student!r} is not in the gradebook: this cannot be a student's id there")
        else:
            notices += _hand_in(lab, root, entry, report, known)
    run(root, ["autograde", lab.slug])
    return tuple(notices)


def _hand_in(lab: Lab, root: Path, entry: Entry, report: Report, known: pregrading.Reports) -> Iterator[str]:
    """Put a submission where nbgrader looks for it, unless a later one of the student is there."""
    try:
        book = restore.wrap_submission(submission.read(entry.path, lab, entry.student, entry.parts), lab)
    except Fault:
        book = restore.wrap(
            lab, [(next(iter(lab.files.values())), b"# What was handed in cannot be read.\n")]
        )
    folder = root / "submitted" / entry.student / lab.slug
    path, stamp = folder / f"{lab.slug}.ipynb", folder / "timestamp.txt"
    handed_in = datetime.fromtimestamp(entry.path.stat().st_mtime, UTC) if entry.path.exists() else None
    if path.exists() and path.read_bytes() != book:
        there = files.text(stamp, "") if stamp.exists() else ""
        if handed_in is None or there >= handed_in.strftime(_STAMP):
            yield f"{entry.student}: the notebook that is in {folder} is newer, and was kept"
            return
    known.assign(known.key(book), entry.student, report)
    folder.mkdir(parents=True, exist_ok=True)
    files.write(path, book)
    if handed_in is not None:
        files.write(stamp, handed_in.strftime(_STAMP).encode())
    graded = root / "autograded" / entry.student / lab.slug
    if graded.is_dir():  # nbgrader passes over what it has graded
        shutil.rmtree(graded)


_STAMP = "%Y-%m-%d %H:%M:%S UTC"


def environment() -> dict[str, str]:
    """The environment in which nbgrader works: it calls ``alembic`` by name, which lies beside our Python."""
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join((scripts, os.environ.get("PATH", os.defpath)))}


def run(root: Path, arguments: list[str]) -> None:
    """Run an nbgrader command in a course's folder, in a process of its own.

    :raises Fault: with nbgrader's own words, if it fails
    """
    import subprocess

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nbgrader", *arguments], cwd=root, capture_output=True,
        text=True, errors="replace", check=False, env=environment(),
    )  # fmt: skip
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()
        raise Fault(
            f"nbgrader {arguments[0]} failed: {errors[-1].strip() if errors else 'it does not say why'}",
            where=root,
            cure=f"see what it says: nbgrader {' '.join(arguments)} --debug",
        )
