"""Who handed in what: paths become entries, one for each student.

Nothing is read here but names and times; what is inside a submission is the workers' business, and
what is wrong with one costs nobody else anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from grader.content import archive, submission
from grader.model import Fault, Lab
from grader.reporting.escape import visible

_TEXTS = {".txt", ".md", ".rst", ".csv", ".log", ".json", ".toml", ".yml", ".yaml", ".html"}
_SAME_TIME_NS = 2 * 10**9
"""Archives keep times to two seconds: what lies closer says nothing about which came later"""
_MOST_FILES = 2000


@dataclass(frozen=True)
class Entry:
    """One student's submission, not yet read. With a fault there is nothing to read."""

    student: str
    path: Path
    notices: tuple[str, ...] = ()
    fault: Fault | None = None
    known_as: tuple[str, ...] = ()
    """Other names of the student: e-mail address, number, login"""

    @property
    def origin(self) -> str:
        """Where it lies, for messages."""
        return visible(str(self.path))


@dataclass(frozen=True)
class Roster:
    """The class: entries by student, and what was passed over."""

    entries: tuple[Entry, ...]
    notices: tuple[str, ...]


def find(paths: Iterable[Path], lab: Lab, attempt: str = "newest") -> Roster:
    """Find the submissions in folders of submissions and in paths that are one themselves.

    :param attempt: which of several attempts of a student is taken: ``newest``, or with ``best`` all of them,
        the newest first
    :raises Fault: for a path that is not there, or a folder in which nobody handed in anything
    """
    entries: list[Entry] = []
    notices: list[str] = []
    for path in paths:
        if not path.exists():
            raise Fault("there is no such file or folder", where=path, cure="check the name")
        if path.is_dir() and not _is_one(path, lab):
            entries += _children(path, notices)
        else:
            # A link that the instructor named is followed; one that lies among submissions is not.
            entries.append(Entry(_student(path, lab), path.resolve() if path.is_symlink() else path))
    return Roster(tuple(_by_student(entries, attempt)), tuple(notices))


def _is_one(folder: Path, lab: Lab) -> bool:
    """Whether a folder is itself a submission: the lab's program lies directly in it."""
    names = {*lab.files.values(), lab.slug, f"{lab.slug}.ipynb", "Makefile"}
    return any((folder / name).is_file() for name in names)


def _student(path: Path, lab: Lab) -> str:
    """Whose a submission is: its name, or its folder's if the file has the lab's own name."""
    whole = path.resolve()
    name = submission.stem(whole) if whole.is_file() else whole.name
    return visible(whole.parent.name if whole.is_file() and name == lab.slug else name)


def _children(folder: Path, notices: list[str]) -> list[Entry]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", where=folder, cure="check its permissions") from None
    entries = []
    for child in children:
        passed_over = _passed_over(child)
        if passed_over:
            notices.append(f"{visible(str(child))} was passed over: {passed_over}")
            continue
        if child.name.startswith(".") or archive.litter(child.name):
            continue
        student = child.name if child.is_dir() else submission.stem(child)
        entries.append(Entry(visible(student), child))
    if not entries:
        cure = "name the folder that holds one folder, archive, notebook or file for each student"
        raise Fault("nobody handed in anything here: there is no submission", where=folder, cure=cure)
    return entries


def _passed_over(child: Path) -> str:
    """Why a child is no submission; empty if it is one, or litter that needs no word."""
    kind = child.lstat().st_mode
    if child.name.startswith(".") or archive.litter(child.name):
        return ""
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)):
        return "it is neither a file nor a folder"
    if not stat.S_ISREG(kind):
        return ""
    if child.suffix.lower() in _TEXTS or child.stem.lower() in ("readme", "license", "grades", "gradebook"):
        return "it is a text about the submissions, not one of them"
    return ""


def _by_student(entries: list[Entry], attempt: str) -> Iterator[Entry]:
    """The entries by student, of each the attempt that is taken, or all."""
    by_student: dict[str, list[Entry]] = {}
    for entry in entries:
        attempts = by_student.setdefault(entry.student, [])
        if all(not _same(entry.path, other.path) for other in attempts):
            attempts.append(entry)
    for _, attempts in sorted(by_student.items()):
        times = {entry: _handed_in(entry.path) for entry in attempts} if len(attempts) > 1 else {}
        attempts.sort(key=lambda entry: times.get(entry, 0), reverse=True)
        if attempt == "best":
            yield from attempts
        else:
            yield _newest(attempts, times)


def _same(one: Path, two: Path) -> bool:
    return one.resolve() == two.resolve()


def _newest(attempts: list[Entry], times: Mapping[Entry, int]) -> Entry:
    """The first of attempts that are ordered by time, if it is clear that it came last."""
    if len(attempts) == 1:
        return attempts[0]
    first, second = attempts[:2]
    names = " and ".join(entry.origin for entry in attempts)
    if times[first] - times[second] < _SAME_TIME_NS:
        fault = Fault(
            f"more than one attempt, handed in at the same time: {names}",
            cure="keep the one that counts, and move the others out of the folder; or grade with --attempt best",
        )
        return replace(first, fault=fault)
    notice = (
        f"more than one attempt: {names}; graded was the newest, {first.origin}. "
        "If another one counts, move this one out of the folder."
    )
    return replace(first, notices=(notice,))


def _handed_in(path: Path) -> int:
    """When a submission was last changed, in nanoseconds: a folder is as new as its newest file."""
    newest, seen = path.lstat().st_mtime_ns, 0
    if path.is_symlink() or not path.is_dir():
        return newest
    times = []
    for top, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not archive.litter(name)]
        times += [Path(top, name).lstat().st_mtime_ns for name in names if not archive.litter(name)]
        seen += len(names)
        if seen > _MOST_FILES:
            break
    return max(times, default=newest)
