"""Archives from anywhere, unpacked in memory: nothing that stands in one can reach this machine's files.

Names are made relative or refused, links and devices are passed over, and a bomb is stopped while it
is being read, whatever sizes its headers claim.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from grader.model import Fault, SourceFile

MOST_FILES = 200
MOST_BYTES = 16 * 2**20
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_LITTER = ("__MACOSX", ".DS_Store", "__pycache__", ".git", ".ipynb_checkpoints", ".idea", ".vscode")


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
        if any(file.path == name for file in self.files):
            self.notices.append(f"{name!r} occurs twice; the first one counts")
            return
        self.files.append(SourceFile(path=name, data=data, executable=executable))


def is_archive(path: Path) -> bool:
    """Whether a name is that of an archive."""
    return path.name.lower().endswith(ENDINGS)


def litter(name: str) -> bool:
    """Whether a path is what editors and systems leave lying about, not work."""
    parts = PurePosixPath(name).parts
    return any(part in _LITTER or part.startswith("._") for part in parts)


def clean_name(name: str) -> str | None:
    """A relative path below the folder; none for one that leads out of it or cannot be a file's name."""
    name = name.replace("\\", "/")
    if name.startswith("/") or "\0" in name or any(ord(char) < 32 for char in name) or ":" in name[:2]:
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or len(name.encode(errors="surrogateescape")) > 400:
        return None
    return "/".join(parts)


def unpack(path: Path) -> Unpacked:
    """Read a zip or tar archive.

    :raises Fault: if it is no archive, damaged, encrypted, or too large unpacked
    """
    found = Unpacked()
    opened = _zip if path.name.lower().endswith(".zip") else _tar
    try:
        for name, executable, data in opened(path, found):
            clean = clean_name(name)
            if clean is None:
                found.notices.append(f"{name!r} was passed over: the name leads out of the archive")
            elif not litter(clean):
                if is_archive(Path(clean)):
                    found.notices.append(f"{clean!r} is an archive inside the archive; it was not opened")
                found.add(clean, data, executable=executable, where=path)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise Fault(
            f"cannot be unpacked: {error}", where=path, cure="pack it again as a plain zip or tar"
        ) from None
    strip(found)
    return found


def _bounded(stream: IO[bytes], found: Unpacked) -> bytes:
    """At most what may still be taken, and one byte more, so that `Unpacked.add` notices the excess."""
    return stream.read(MOST_BYTES - found.size + 1)


def _zip(path: Path, found: Unpacked) -> Iterator[tuple[str, bool, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist()[: MOST_FILES * 20]:
            kind = info.external_attr >> 16 & 0o170000
            if info.is_dir():
                continue
            if kind not in (0, 0o100000):
                found.notices.append(
                    f"{info.filename!r} was passed over: it is a link or a device, not a file"
                )
                continue
            with archive.open(info) as stream:
                yield info.filename, bool(info.external_attr >> 16 & 0o111), _bounded(stream, found)


def _tar(path: Path, found: Unpacked) -> Iterator[tuple[str, bool, bytes]]:
    with tarfile.open(path, "r:*", errorlevel=1) as archive:
        for count, info in enumerate(archive):
            if count > MOST_FILES * 20:
                raise Fault("has too many members", where=path, cure="hand in the source files alone")
            if info.isdir():
                continue
            stream = archive.extractfile(info) if info.isreg() else None
            if stream is None:
                found.notices.append(f"{info.name!r} was passed over: it is a link or a device, not a file")
                continue
            with stream:
                yield info.name, bool(info.mode & 0o111), _bounded(stream, found)


def strip(found: Unpacked) -> None:
    """Most archives hold one folder that holds the work: take that level away."""
    tops = {file.path.partition("/")[0] for file in found.files}
    if len(tops) == 1 and all("/" in file.path for file in found.files):
        found.files = [
            SourceFile(path=file.path.partition("/")[2], data=file.data, executable=file.executable)
            for file in found.files
        ]
