"""Reports for nbgrader, made before it asks: a class in parallel, and never twice.

nbgrader grades one notebook after the other, in its own process. Here a class is graded beforehand, with a
worker for each core, into a store that its preprocessors look into. What they do not find there is graded on
the spot, by a worker too: student code never runs below a process of the instructor's Jupyter.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from grader.classroom.executor import Grading
from grader.classroom.roster import Entry
from grader.content import files as texts
from grader.content import notebook, restore
from grader.model import Fault, Lab, Report
from grader.reporting import store

FOLDER = ".proclab"


class Reports:
    """The reports of a lab, by what was graded.

    :param root: the nbgrader course's folder
    """

    def __init__(self, root: Path, lab: Lab):
        self._folder = root / FOLDER / lab.slug
        self._lab = lab

    def key(self, book: bytes) -> str:
        """What the verdict depends on: the lab, and the program in a restored notebook."""
        digest = hashlib.sha256(f"{self._lab.version}\0".encode())
        for name, data in notebook.files(book, self._lab, Path(self._lab.slug)):
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()[:32]

    def find(self, key: str, student: str) -> Report | None:
        """The report of what has this key, as that of a student."""
        for path in (self._own(key, student), self._folder / f"{key}.json"):
            if path.is_file():
                return msgspec.structs.replace(store.read(path), student=student)
        return None

    def _own(self, key: str, student: str) -> Path:
        whose = hashlib.sha256(student.encode(errors="surrogateescape")).hexdigest()[:16]
        return self._folder / f"{key}-{whose}.json"

    def assign(self, key: str, student: str, report: Report) -> None:
        """Keep a report for one student alone: of a submission that has more in it than its notebook shows."""
        self._folder.mkdir(parents=True, exist_ok=True)
        texts.write(self._own(key, student), store.encoded(report))

    def keep(self, key: str, report: Report) -> None:
        """Keep a report; one that is broken is no verdict and is not kept."""
        if not report.broken:
            self._folder.mkdir(parents=True, exist_ok=True)
            texts.write(self._folder / f"{key}.json", store.encoded(report))


OnReport = Callable[[Report], None]


def grade(
    lab: Lab, root: Path, books: Iterable[tuple[str, bytes]], *, jobs: int, on_report: OnReport | None = None
) -> dict[str, Report]:
    """Grade restored notebooks, each of which holds a program; what is known already is not graded again.

    :param books: student and notebook
    :return: reports by student
    """
    known = Reports(root, lab)
    found: dict[str, Report] = {}
    keys: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="proclab-") as folder:
        entries = []
        for number, (student, book) in enumerate(books):
            keys[student] = known.key(book)
            report = known.find(keys[student], student)
            if report is not None:
                found[student] = report
                continue
            path = Path(folder) / str(number) / f"{lab.slug}.ipynb"
            path.parent.mkdir()
            path.write_bytes(book)
            entries.append(Entry(student, path))
        for entry, report in Grading(lab, jobs).run(entries):
            report = msgspec.structs.replace(report, origin=f"{lab.slug}.ipynb")
            known.keep(keys[entry.student], report)
            found[entry.student] = report
            if on_report is not None:
                on_report(report)
    return found


def submitted(root: Path, lab: Lab) -> tuple[list[tuple[str, bytes]], list[str]]:
    """The notebooks in ``submitted/STUDENT/LAB/``, restored, and what is wrong with the others, in words."""
    books, notices = [], []
    for path in sorted((root / "submitted").glob(f"*/{lab.slug}/{lab.slug}.ipynb")):
        student = path.parent.parent.name
        book, fault = restore.restore(lab, content(path), path)
        if fault is None:
            books.append((student, book))
        else:
            notices.append(f"{student}: {fault}")
    return books, notices


def unreadable(lab: Lab, student: str, fault: Fault) -> Report:
    """The report of a notebook in which there is no program."""
    from grader.classroom import worker

    entry = Entry(student, Path(f"{lab.slug}.ipynb"), fault=fault)
    return worker.unreadable(lab, entry, None, fault)


def content(path: Path) -> bytes:
    """A submitted file's bytes; nothing of what is no regular file, or is larger than a notebook may be."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return file.read(notebook.MOST_BYTES + 1)
