"""The ledger: every finished report as one line of an append-only file, as soon as it is there.

All else in a folder of results is made from this file and can be made again. What was appended stays,
whatever happens to the grader afterwards:

- A line is one ``write`` and one ``fdatasync``: killing the grader loses at most the report that it is about to
  write, a power cut the same. A report costs seconds of grading, ``fdatasync`` milliseconds, so there is nothing to
  be saved by syncing less often.
- A line says its own length and hash. What a power cut or a full disk leaves of a line is recognised and cut away
  when the ledger is opened again; a damaged line further up is left out and told, and costs nobody else anything.
- A line that does not fit on the disk is taken back at once.
- One process has the ledger at a time (flock(2)); the lock ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from grader.model import Fault, Report, Value
from grader.reporting.text import counted

NAME = "ledger.jsonl"
FORMAT = 1
"""Of the lines; a reader refuses those of a later proclab"""
_HEAD = re.compile(rb'\{"format":(\d+),"length":(\d+),"sha256":"([0-9a-f]{64})","line":')
_BEGINS = b'{"format":'
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


# ---------------------------------------------------------------- what stands in it


class Session(Value, frozen=True, kw_only=True, tag_field="kind", tag="session"):
    """A grading begins. What was asked for; the same again goes on where it stopped."""

    command: str
    """grade or regrade"""
    lab: str
    lab_version: str
    submissions: tuple[str, ...]
    """Absolute paths; bytes that are not UTF-8 as ``%FF``"""
    attempt: str
    select: str | None = None
    force: bool = False
    again: bool = False
    one: bool = False


class Done(Value, frozen=True, kw_only=True, tag_field="kind", tag="done"):
    """The grading that began last came to its end."""


class Forgotten(Value, frozen=True, kw_only=True, tag_field="kind", tag="forgotten"):
    """A student does not belong to the class any more."""

    student: str


class Graded(Value, frozen=True, kw_only=True, tag_field="kind", tag="report"):
    """A finished report: from now on the one that counts for its student."""

    key: str
    """Hash of what the verdict depends on; empty if it must be found again: the grader itself failed"""
    report: Report
    known_as: tuple[str, ...] = ()
    """Other names of the student: e-mail address, number, login"""
    attempt: bool = False
    """One of several attempts, of which the best counts; not this one by itself"""


Line = Session | Done | Forgotten | Graded


class _Whose(msgspec.Struct, frozen=True):
    student: str
    lab: str
    lab_version: str


class _Head(msgspec.Struct, tag_field="kind", tag="report", frozen=True):
    """As `Graded`, but no more of it than an index needs."""

    key: str
    report: _Whose
    known_as: tuple[str, ...] = ()
    attempt: bool = False


@dataclass(frozen=True)
class Place:
    """Where a report lies, and what it is known by."""

    offset: int
    length: int
    key: str
    known_as: tuple[str, ...]
    lab_version: str
    attempt: bool


@dataclass
class Index:
    """What the lines come to: for each student which report counts."""

    lab: str = ""
    session: Session | None = None
    session_at: int = 0
    """Offset of the session's line"""
    done: bool = True
    submissions: dict[str, None] = field(default_factory=dict)
    """All paths that were ever graded, in order"""
    places: dict[str, list[Place]] = field(default_factory=dict)
    """All reports of a student, oldest first"""
    damaged: list[int] = field(default_factory=list)
    """Numbers of lines that are not what they say"""
    torn: int = 0
    """Lines at the end that are not what they say"""
    end: int = 0
    """After the last good line"""

    def take(self, offset: int, length: int, line: Session | Done | Forgotten | Graded | _Head) -> None:
        """One more line."""
        match line:
            case Session():
                self.session, self.session_at, self.done, self.lab = line, offset, False, line.lab
                self.submissions |= dict.fromkeys(line.submissions)
            case Done():
                self.done = True
            case Forgotten():
                self.places.pop(line.student, None)
            case Graded() | _Head():
                self.lab = line.report.lab
                self.places.setdefault(line.report.student, []).append(
                    Place(offset, length, line.key, line.known_as, line.report.lab_version, line.attempt)
                )

    def latest(self, student: str, before: int | None = None) -> Place | None:
        """The report that counts, now or as the file was `before` an offset."""
        for place in reversed(self.places.get(student, ())):
            if not place.attempt and (before is None or place.offset < before):
                return place
        return None

    def of_other_version(self, student: str, lab_version: str) -> Place | None:
        """The report that counted while the lab was another one."""
        places = [p for p in self.places.get(student, ()) if not p.attempt and p.lab_version != lab_version]
        return places[-1] if places else None

    def students(self, before: int | None = None) -> list[str]:
        """Everybody who has a report that counts, in order."""
        return sorted(student for student in self.places if self.latest(student, before) is not None)


# ---------------------------------------------------------------- reading


def _encoded(line: Line) -> bytes:
    data = msgspec.json.encode(line)
    digest = hashlib.sha256(data).hexdigest()
    return b'{"format":%d,"length":%d,"sha256":"%s","line":%s}\n' % (FORMAT, len(data), digest.encode(), data)


def _body(raw: bytes, path: Path) -> bytes | None:
    """What a line says, if it is whole.

    :raises Fault: if a later proclab wrote it
    """
    head = _HEAD.match(raw)
    if head is None:
        return None
    if int(head.group(1)) > FORMAT:
        raise Fault(
            f"this is format {head.group(1).decode()}; this proclab reads format {FORMAT}",
            where=path, key="format", cure="install the newer proclab that wrote it",
        )  # fmt: skip
    body, rest = raw[head.end() : head.end() + int(head.group(2))], raw[head.end() + int(head.group(2)) :]
    good = rest == b"}\n" and hashlib.sha256(body).hexdigest().encode() == head.group(3)
    return body if good else None


def _index(path: Path, descriptor: int) -> Index:
    """Read the whole file once; reports are only looked at from outside.

    :raises Fault: if a later proclab wrote it
    """
    found = Index()
    bad: list[int] = []
    offset = 0
    decoder = msgspec.json.Decoder(Session | Done | Forgotten | _Head)
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        for number, raw in enumerate(file, 1):
            body = _body(raw, path)
            try:
                line = None if body is None else decoder.decode(body)
                if line is not None:
                    found.take(offset, len(raw), line)
            except msgspec.MsgspecError:
                line = None
            offset += len(raw)
            if line is None:
                bad.append(number)
                continue
            found.damaged += bad  # good lines come after them, so this is no torn end
            bad.clear()
            found.end = offset
        found.torn = len(bad)
        if found.torn and not found.end:
            file.seek(0)
            begins = file.read(len(_BEGINS))
            # Nothing is cut away from a file that somebody else may have put there.
            if not (_BEGINS.startswith(begins) or not begins.strip(b"\0\n")):
                raise Fault(
                    "is no ledger of proclab",
                    where=path,
                    cure="move it away, or choose another folder with -o",
                )
    return found


def _report(descriptor: int, place: Place, path: Path) -> Report:
    raw = os.pread(descriptor, place.length, place.offset)
    body = _body(raw, path)
    if body is None:
        raise Fault("changed while it was being read", where=path, cure="give the command again")
    return msgspec.json.decode(body, type=Graded).report


class History:
    """A ledger as it stands, for those who only read: a line that is being written is not there yet.

    :raises Fault: if there is none, or a later proclab wrote it
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            cure = "name a folder that proclab grade wrote (option -o; by default grades/LAB)"
            raise Fault(f"cannot be read: {error.strerror}", where=self.path, cure=cure) from None
        try:
            self.index = _index(self.path, self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def report(self, place: Place) -> Report:
        """One report.

        :raises Fault: if the file was changed meanwhile
        """
        return _report(self._descriptor, place, self.path)

    def reports(self, before: int | None = None) -> Iterator[tuple[Place, Report]]:
        """The reports that count, by student, one at a time: a class may be larger than memory."""
        for student in self.index.students(before):
            place = self.index.latest(student, before)
            if place is not None:
                yield place, self.report(place)

    def known_as(self) -> Mapping[str, tuple[str, ...]]:
        """Other names of each student."""
        found = {}
        for student in self.index.students():
            place = self.index.latest(student)
            found[student] = place.known_as if place is not None else ()
        return found


# ---------------------------------------------------------------- writing


class Ledger(History):
    """The ledger of one folder, for the one process that may write to it.

    Opening it cuts a torn end away; `notices` says so.

    :raises Fault: if another process has it, it cannot be written, or a later proclab wrote it
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self.notices: list[str] = []
        self._descriptor = self._locked()
        try:
            self.index = _index(self.path, self._descriptor)
            size = os.fstat(self._descriptor).st_size
            if size > self.index.end:
                os.ftruncate(self._descriptor, self.index.end)
                self._sync()
                self.notices.append(
                    f"{self.path}: the end was torn, as when the machine is switched off while the grader writes; "
                    f"{counted(self.index.torn, 'line')} cut away, and what stood there is graded again"
                )
            for number in self.index.damaged:
                self.notices.append(
                    f"{self.path}: line {number} is damaged and was left out; the reports of all others are there"
                )
        except OSError as error:
            os.close(self._descriptor)
            raise self._unwritable(error) from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def _unwritable(self, error: OSError) -> Fault:
        cure = "make room or choose another folder; the same command goes on where it stopped"
        return Fault(f"cannot be written: {error.strerror}", where=self.path, cure=cure)

    def _locked(self) -> int:
        """The file, open and locked. A file that was moved away while we waited for it is not ours."""
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise self._unwritable(error) from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine, there = os.fstat(descriptor), os.stat(self.path)
                if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
                        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
                        try:
                            os.fsync(folder)
                        finally:
                            os.close(folder)
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise Fault(
                    "another proclab is grading into this folder now",
                    where=self.path.parent, cure="wait until it has ended, or choose another folder with -o",
                ) from None  # fmt: skip
            except FileNotFoundError:
                pass
            except OSError as error:  # ENOLCK: a network file system without locks
                os.close(descriptor)
                raise Fault(
                    f"cannot be locked: {error.strerror}",
                    where=self.path, cure="choose a folder on a disk of this machine with -o",
                ) from None  # fmt: skip
            os.close(descriptor)

    def _sync(self) -> None:
        # fdatasync writes the size too, where it changed: fdatasync(2)
        getattr(os, "fdatasync", os.fsync)(self._descriptor)

    def append(self, line: Line) -> None:
        """Write one line, whole or not at all.

        :raises Fault: if there is no room: what was there before is still there, and nothing more
        """
        data = _encoded(line)
        end = self.index.end
        # Ctrl-C waits until the index knows what the file holds.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            try:
                # At the end that the index knows: what an earlier failure may have left there is overwritten.
                written = os.pwrite(self._descriptor, data, end)
                if written < len(data):  # a disk that is almost full; the rest says so
                    written += os.pwrite(self._descriptor, data[written:], end + written)
                if written < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._sync()
            except OSError as error:
                with contextlib.suppress(OSError):  # else whoever opens it next cuts it away
                    os.ftruncate(self._descriptor, end)
                raise self._unwritable(error) from None
            self.index.take(end, len(data), line)
            self.index.end = end + len(data)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def known(self, student: str, since: int = 0) -> frozenset[str]:
        """Keys of what was graded of a student; only `since` an offset, if it must be graded again."""
        places = self.index.places.get(student, ())
        return frozenset(place.key for place in places if place.key and place.offset >= since)

    def find(self, student: str, key: str) -> Place | None:
        """The newest report of a student with a key."""
        for place in reversed(self.index.places.get(student, ())):
            if place.key == key:
                return place
        return None
