"""Archives from anywhere, unpacked in memory: nothing that stands in one can reach this machine's files.

Names are made relative or refused, links and devices are passed over, and a bomb is stopped while it
is being read, whatever sizes its headers claim.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Self, cast

from grader.model import Fault, SourceFile

MOST_FILES = 200
MOST_BYTES = 16 * 2**20
_MOST_MEMBERS = 20 * MOST_FILES
"""Of an archive, with all that is passed over: a repository's .git may well be in it"""
_MOST_STREAM = 16 * MOST_BYTES
"""Of a tar archive unpacked: what is passed over has to be decompressed all the same"""
_MOST_CLASS_MEMBERS = 200_000
_MOST_CLASS_BYTES = 8 * 2**30
"""Of an archive that holds a whole class, packed: only what one student handed in is unpacked at a time"""
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_LITTER = (
    "__MACOSX", ".DS_Store", "__pycache__", ".git", ".ipynb_checkpoints", ".idea", ".vscode",
    ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache",
)  # fmt: skip


@dataclass
class Unpacked:
    """The files of an archive or a folder, and what was passed over."""

    files: list[SourceFile] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, data: bytes, *, executable: bool, where: Path) -> None:
        """Take one file in.

        :raises Fault: if there are too many files or bytes by now
        """
        self.size += len(data)
        if len(self.files) >= MOST_FILES or self.size > MOST_BYTES:
            raise Fault(
                f"holds more than {MOST_FILES} files or {MOST_BYTES // 2**20} MiB", where=where,
                cure="hand in the source files alone, without build results or environments",
            )  # fmt: skip
        for file in self.files:
            if file.path == name:
                self.notices.append(f"{name!r} occurs twice; the first one counts")
                return
            if file.path.startswith(f"{name}/") or name.startswith(f"{file.path}/"):
                self.notices.append(f"{name!r} was passed over: it would be a file and a folder at once")
                return
        self.files.append(SourceFile(path=name, data=data, executable=executable))


def is_archive(path: PurePath) -> bool:
    """Whether a name is that of an archive."""
    return path.name.lower().endswith(ENDINGS)


def litter(name: str) -> bool:
    """Whether a path is what editors and systems leave lying about, not work."""
    parts = PurePosixPath(name).parts
    return any(part in _LITTER or part.startswith("._") for part in parts)


def clean_name(name: str) -> str | None:
    """A relative path below the folder; none for one that leads out of it or cannot be a file's name.

    Bytes that are not UTF-8 are read as Latin-1, which is what they mostly are; reports are UTF-8.
    """
    if not name.isprintable():
        try:
            name = name.encode(errors="surrogateescape").decode("utf-8")
        except UnicodeDecodeError:
            name = name.encode(errors="surrogateescape").decode("latin-1")
        except UnicodeEncodeError:
            return None
    name = name.replace("\\", "/")
    if name.startswith("/") or ":" in name[:2]:
        return None
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return None
    if len(name.encode()) > 400 or max(len(part.encode()) for part in parts) > 255:
        return None
    return clean_name("/".join(parts)) if parts != name.split("/") else name


PASSED_OVER = "was passed over: the name leads out of the folder, or no file can have it"
NO_FILE = "was passed over: it is a link or a device, not a file"


def unpack(path: Path, data: bytes | None = None) -> Unpacked:
    """Read a zip or tar archive.

    :param data: its bytes, if it lies inside another one; `path` is its name for messages then
    :raises Fault: if it is no archive, damaged, encrypted, or too large unpacked
    """
    found = Unpacked()
    opened = _zip if path.name.lower().endswith(".zip") else _tar
    with _damage(path), open(path, "rb") if data is None else io.BytesIO(data) as file:
        for name, executable, read in opened(path, file, found):
            clean = clean_name(name)
            if clean is None:
                found.notices.append(f"{name!r} {PASSED_OVER}")
            elif not litter(clean):
                found.add(clean, read(), executable=executable, where=path)
    strip(found)
    return found


def listing(path: Path) -> tuple[str, ...]:
    """The names of the files in a zip archive of a whole class, without litter and what no file can be called.

    :raises Fault: if it is no such archive
    """
    with _damage(path), open(path, "rb") as file:
        members = _zip(path, file, Unpacked(), _MOST_CLASS_MEMBERS, _MOST_CLASS_BYTES)
        names = (clean_name(name) for name, _, _ in members)
        return tuple(name for name in names if name is not None and not litter(name))


def pick(path: Path, parts: Iterable[tuple[str, str]]) -> Unpacked:
    """One student's files out of the zip archive of a whole class. The others are not unpacked.

    :param parts: files and folders in the archive, and what each is called in the submission
    :raises Fault: if it is damaged, encrypted, or these files are too large
    """
    found = Unpacked()
    wanted = tuple(parts)
    with _damage(path), open(path, "rb") as file:
        for name, executable, read in _zip(path, file, found, _MOST_CLASS_MEMBERS, _MOST_CLASS_BYTES):
            clean = clean_name(name)
            for part, called in wanted:
                if clean is None or litter(clean) or not (clean == part or clean.startswith(f"{part}/")):
                    continue
                inside = f"{called}/{clean[len(part) + 1 :]}".strip("/") or clean.rpartition("/")[2]
                found.add(inside, read(), executable=executable, where=path)
    # Links of others are no business of this student, and would name them.
    starts = tuple(f"{quote}{part}" for part, _ in wanted for quote in "'\"")
    found.notices = [each for each in found.notices if not each.endswith(NO_FILE) or each.startswith(starts)]
    return found


def head(path: Path, wanted: str, most: int) -> bytes:
    """The beginning of one file in the zip archive of a whole class; nothing if it is not there.

    :raises Fault: if it cannot be unpacked
    """
    with _damage(path), zipfile.ZipFile(path) as opened:
        for info in opened.infolist():
            if clean_name(_zip_name(info)) == wanted and not info.is_dir():
                with opened.open(info) as stream:
                    return stream.read(most)
    return b""


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Whatever zipfile, tarfile and four decompressors raise of damage is a Fault."""
    try:
        yield
    except Fault:
        raise
    except Exception as error:
        raise Fault(
            f"cannot be unpacked: {error}", where=path, cure="pack it again as a plain zip or tar"
        ) from None


_Member = tuple[str, bool, Callable[[], bytes]]
"""Name, whether it is executable, and how to read it: nobody reads what is passed over"""


def _bounded(stream: IO[bytes], found: Unpacked) -> bytes:
    """At most what may still be taken, and one byte more, so that `Unpacked.add` notices the excess."""
    with stream:
        return stream.read(MOST_BYTES - found.size + 1)


def _too_many(path: Path) -> Fault:
    return Fault("has too many members", where=path, cure="hand in the source files alone")


def _too_large(path: Path) -> Fault:
    return Fault(
        f"holds more than {_MOST_STREAM // 2**20} MiB", where=path,
        cure="hand in the source files alone, without build results or environments",
    )  # fmt: skip


def _zip(
    path: Path,
    file: IO[bytes],
    found: Unpacked,
    most_members: int = _MOST_MEMBERS,
    most_bytes: int = _MOST_STREAM,
) -> Iterator[_Member]:
    if file.seek(0, io.SEEK_END) > most_bytes:
        raise _too_large(path)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > most_members:
            raise _too_many(path)
        for info in members:
            kind = info.external_attr >> 16 & 0o170000
            name = _zip_name(info)
            if name.endswith(("/", "\\")):
                continue
            if kind not in (0, 0o100000):
                found.notices.append(f"{name!r} {NO_FILE}")
                continue

            def data(info: zipfile.ZipInfo = info, name: str = name) -> bytes:
                if info.flag_bits & 1:
                    raise Fault(f"{name!r} is encrypted", where=path, cure="pack it again without a password")
                # zipfile unpacks the other methods in one go, whatever size is asked for
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Fault(
                        f"{name!r} is compressed in an unusual way", where=path,
                        cure="pack it again as a plain zip or tar",
                    )  # fmt: skip
                return _bounded(archive.open(info), found)

            yield name, bool(info.external_attr >> 16 & 0o111), data


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A member's name. Many programs write UTF-8 and do not say so; what is not is the IBM PC's code page 437."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


class _Stream(io.RawIOBase):
    """A decompressed archive, which ends with a Fault where it is too long."""

    def __init__(self, path: Path, inner: IO[bytes]):
        self._path, self._inner, self._left = path, inner, _MOST_STREAM

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; tarfile asks for a few kilobytes at a time."""
        data = self._inner.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._path)
        return data


class _Info(tarfile.TarInfo):
    """A header. tarfile takes a damaged one for the end, and what comes after it would be lost in silence."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """The next header."""
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("EmptyHeaderError", "EOFHeaderError"):  # the end as it ought to be
                raise
            raise tarfile.ReadError(str(error)) from None


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if magic.startswith((b"\xfd7zXZ", b"\x5d\0\0")):
        return lzma.LZMAFile(file)
    return file


def _tar(path: Path, file: IO[bytes], found: Unpacked) -> Iterator[_Member]:
    with (
        _decompressed(file) as inner,
        tarfile.open(fileobj=_Stream(path, inner), mode="r|", tarinfo=_Info, errorlevel=1) as archive,
    ):
        for count, info in enumerate(archive):
            if count >= _MOST_MEMBERS:
                raise _too_many(path)
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
            if info.isdir():
                continue
            stream = archive.extractfile(info) if info.isreg() else None
            if stream is None:
                found.notices.append(f"{info.name!r} {NO_FILE}")
                continue

            def data(stream: IO[bytes] = stream) -> bytes:
                return _bounded(stream, found)

            yield info.name, bool(info.mode & 0o111), data


def strip(found: Unpacked) -> None:
    """Most archives hold one folder that holds the work, or one in another: take those levels away."""
    while len({file.path.partition("/")[0] for file in found.files}) == 1 and all(
        "/" in file.path for file in found.files
    ):
        found.files = [
            SourceFile(path=file.path.partition("/")[2], data=file.data, executable=file.executable)
            for file in found.files
        ]
