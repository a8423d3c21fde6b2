"""Who handed in what: paths become entries, one for each student.

Nothing is read here but names and times, and what an export says of itself; what is inside a submission is the
workers' business, and what is wrong with one costs nobody else anything.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grader.classroom import exports
from grader.classroom.exports import Export, Listing, Piece
from grader.content import archive, submission
from grader.model import Fault, Lab
from grader.reporting.escape import visible
from grader.reporting.text import counted

_TEXTS = {".txt", ".md", ".rst", ".csv", ".log", ".json", ".toml", ".yml", ".yaml", ".html"}
_SAME_TIME_NS = 2 * 10**9
"""Archives keep times to two seconds: what lies closer says nothing about which came later"""
_MOST_FILES = 2000
_MOST_TEXT = 256 * 2**20
"""Of what an export says of itself: Gradescope puts the results of all attempts in"""


@dataclass(frozen=True)
class Entry:
    """One student's submission, not yet read. With a fault there is nothing to read."""

    student: str
    path: Path
    notices: tuple[str, ...] = ()
    fault: Fault | None = None
    known_as: tuple[str, ...] = ()
    """Other names of the student: e-mail address, number, login"""
    parts: tuple[tuple[str, str], ...] = ()
    """Which files and folders of `path` are this student's, and what they are called in the submission; none: all"""

    @property
    def origin(self) -> str:
        """Where it lies, for messages."""
        first = f"/{self.parts[0][0]}" if self.parts else ""
        more = f" and {len(self.parts) - 1} more" if len(self.parts) > 1 else ""
        return visible(f"{self.path}{first}{more}")


@dataclass(frozen=True)
class Roster:
    """The class: entries by student, and what was passed over."""

    entries: tuple[Entry, ...]
    notices: tuple[str, ...]


def find(paths: Iterable[Path], lab: Lab, attempt: str = "newest", *, one: bool = False) -> Roster:
    """Find the submissions in folders of submissions and in paths that are one themselves.

    :param attempt: which of several attempts of a student is taken: ``newest``, or with ``best`` all of them,
        the newest first
    :param one: each path is one submission, whatever lies in it
    :raises Fault: for a path that is not there, or a folder in which nobody handed in anything
    """
    entries: list[Entry] = []
    notices: list[str] = []
    for path in paths:
        if not path.exists():
            raise Fault("there is no such file or folder", where=path, cure="check the name")
        if path.is_dir() and not one and not _is_one(path, lab):
            entries += _children(path, lab, notices)
        elif not one and path.suffix.lower() == ".zip" and (found := _class_in(path, lab, notices)):
            entries += found
        else:
            # A link that the instructor named is followed; one that lies among submissions is not.
            entries.append(Entry(_student(path, lab), path.resolve() if path.is_symlink() else path))
    return Roster(tuple(_by_student(entries, attempt)), tuple(notices))


def _is_one(folder: Path, lab: Lab) -> bool:
    """Whether a folder is itself a submission: the lab's program lies directly in it."""
    return any((folder / name).is_file() for name in _programs(lab))


def _programs(lab: Lab) -> set[str]:
    return {*lab.files.values(), lab.slug, f"{lab.slug}.ipynb", "Makefile"}


def _student(path: Path, lab: Lab) -> str:
    """Whose a submission is: its name, or its folder's if the file has the lab's own name."""
    whole = path.resolve()
    name = submission.stem(whole) if whole.is_file() else whole.name
    return _name(whole.parent.name if whole.is_file() and name == lab.slug else name)


def _name(written: str) -> str:
    """A student's name: visible, and one whichever way a system writes an accent."""
    return visible(unicodedata.normalize("NFC", written))


# ---------------------------------------------------------------- a folder of submissions


def _children(folder: Path, lab: Lab, notices: list[str]) -> list[Entry]:
    children = _real(folder)
    inside = [child for child in children if not _passed_over(child)]
    if len(inside) == 1:  # an export is often packed with a folder of its own around it
        (only,) = inside
        if only.is_dir() and not only.is_symlink() and exports.recognise(_listing(only), lab):
            return _children(only, lab, notices)
        if only.suffix.lower() == ".zip" and (found := _class_in(only, lab, notices)):
            return found
    export = exports.recognise(_listing(folder), lab)
    if export is not None:
        return _of_export(folder, export, notices)
    entries = []
    for child in children:
        passed_over = _passed_over(child)
        if passed_over:
            notices.append(f"{visible(str(child))} was passed over: {passed_over}")
            continue
        student = child.name if child.is_dir() else submission.stem(child)
        entries.append(Entry(_name(student), child))
    if not entries:
        cure = "name the folder that holds one folder, archive, notebook or file for each student"
        raise Fault("nobody handed in anything here: there is no submission", where=folder, cure=cure)
    return entries


def _real(folder: Path) -> list[Path]:
    """What lies in a folder, without what systems leave lying about."""
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", where=folder, cure="check its permissions") from None
    return [child for child in children if not (child.name.startswith(".") or archive.litter(child.name))]


def _listing(folder: Path) -> Listing:
    """A folder as exports are recognised in it. Links are nothing."""
    kinds = {child.name: child.lstat().st_mode for child in _real(folder)}

    def inside(name: str) -> Sequence[str]:
        try:
            found = sorted((folder / name).iterdir())
        except OSError:
            return ()
        return [f"{each.name}/" if each.is_dir() and not each.is_symlink() else each.name for each in found]

    def text(name: str) -> str:
        path = folder / name
        if not path.is_file() or path.is_symlink() or path.stat().st_size > _MOST_TEXT:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")

    return Listing(
        files=tuple(name for name, kind in kinds.items() if stat.S_ISREG(kind)),
        folders=tuple(name for name, kind in kinds.items() if stat.S_ISDIR(kind)),
        inside=inside,
        text=text,
    )


def _of_export(path: Path, export: Export, notices: list[str], top: str = "") -> list[Entry]:
    """The entries of an export.

    :param top: the folder in an archive around all of it, with a slash
    """
    if not export.pieces:
        raise Fault(f"is {export.what}, but nobody handed in anything", where=path, cure="name another one")
    notices.append(
        f"{visible(str(path))} was read as {export.what}: {counted(len(export.pieces), 'submission')}"
    )
    notices += [visible(notice) for notice in export.notices]
    entries = []
    for piece in export.pieces:
        whole = not top and path.is_dir() and len(piece.parts) == 1 and not piece.parts[0][1]
        entries.append(
            Entry(
                _name(piece.student),
                path / piece.parts[0][0] if whole else path,
                tuple(map(visible, piece.notices)),
                known_as=tuple(map(visible, piece.known_as)),
                parts=() if whole else tuple((f"{top}{part}", called) for part, called in piece.parts),
            )
        )
    return entries


# ---------------------------------------------------------------- an archive of a whole class


def _class_in(path: Path, lab: Lab, notices: list[str]) -> list[Entry]:
    """The entries in a zip archive, if it holds a class; none if it is one submission, or none at all."""
    try:
        names = archive.listing(path)
    except Fault:
        return []  # whoever reads it as a submission says what is wrong
    top = ""
    while len({name.partition("/")[0] for name in names}) == 1 and all("/" in name for name in names):
        top += names[0].partition("/")[0] + "/"
        names = tuple(name.partition("/")[2] for name in names)
    tree: dict[str, set[str]] = {}
    for name in names:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            inner = parts[depth] + ("/" if depth + 1 < len(parts) else "")
            tree.setdefault("/".join(parts[:depth]), set()).add(inner)

    def text(name: str) -> str:
        return archive.head(path, f"{top}{name}", _MOST_TEXT).decode(errors="replace")

    listing = Listing(
        files=tuple(sorted(name for name in names if "/" not in name)),
        folders=tuple(sorted({name.partition("/")[0] for name in names if "/" in name})),
        inside=lambda name: sorted(tree.get(name, ())),
        text=text,
    )
    export = exports.recognise(listing, lab) or _plain_class(listing, names, lab)
    return _of_export(path, export, notices, top) if export is not None else []


def _plain_class(listing: Listing, names: Sequence[str], lab: Lab) -> Export | None:
    """An archive with the lab's program in several folders, or with several archives or notebooks and no program."""
    programs = [name for name in names if Path(name).name in _programs(lab)]
    tops = {name.partition("/")[0] for name in programs if "/" in name}
    packed = [name for name in listing.files if archive.is_archive(Path(name)) or name.endswith(".ipynb")]
    release = any(Path(name).name == "lab.toml" or "skeletons" in Path(name).parts for name in names)
    several = len(tops) > 1 or (len(packed) > 1 and not programs)
    if release or not several or any("/" not in name for name in programs):
        return None
    pieces = [Piece(name, ((name, ""),)) for name in listing.folders]
    texts = [name for name in listing.files if Path(name).suffix.lower() in _TEXTS]
    pieces += [
        Piece(submission.stem(Path(name)), ((name, name),)) for name in listing.files if name not in texts
    ]
    return Export(
        "the archive of a class",
        tuple(pieces),
        tuple(f"{name} was passed over: it is a text" for name in texts),
    )


def _passed_over(child: Path) -> str:
    """Why a child is no submission; empty if it is one."""
    kind = child.lstat().st_mode
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
        if all(not _same(entry, other) for other in attempts):
            attempts.append(entry)
    for _, attempts in sorted(by_student.items()):
        times = {entry: _handed_in(entry) for entry in attempts} if len(attempts) > 1 else {}
        attempts.sort(key=lambda entry: times.get(entry, 0), reverse=True)
        if attempt == "best":
            yield from attempts
        else:
            yield _newest(attempts, times)


def _same(one: Entry, two: Entry) -> bool:
    return one.path.resolve() == two.path.resolve() and one.parts == two.parts


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
    return replace(first, notices=(*first.notices, notice))


def _handed_in(entry: Entry) -> int:
    """When a submission was last changed, in nanoseconds: a folder is as new as its newest file."""
    if entry.path.is_dir() and entry.parts:
        return max(_changed(entry.path / part) for part, _ in entry.parts)
    return _changed(entry.path)


def _changed(path: Path) -> int:
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
