"""Reading an author's files, and writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from grader.model import Fault


def text(path: Path, cure: str) -> str:
    """An author's text file, its line ends as they are.

    :param cure: what to do if it is missing
    :raises Fault: if it is missing, cannot be read, or is not UTF-8
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Fault("is missing", where=path, cure=cure) from None
    except OSError as error:
        raise Fault(
            f"cannot be read: {error.strerror}", where=path, cure="put a file that you may read there"
        ) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault(f"is not UTF-8 text (byte {error.start})", where=path, cure="save it as UTF-8") from None


def write(path: Path, data: bytes) -> None:
    """Write a file as a whole: beside its place first, then renamed into it. Makes missing folders.

    A new file gets the rights that the umask leaves (asked of the kernel by creating it: umask(2) can
    only be read by changing it, which other threads would notice); a replaced one keeps those it had.

    :raises OSError: if there is no room or no right; what stood there before still stands then
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{path.name[:40]}.{secrets.token_hex(8)}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if path.is_file():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def is_part(path: Path) -> bool:
    """Whether a file is one that `write` was interrupted at."""
    return re.fullmatch(r"\..{1,40}\.[0-9a-f]{16}\.part", path.name, re.DOTALL) is not None
