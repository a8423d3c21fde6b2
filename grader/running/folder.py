"""The program's own folder, as the grader reads and writes it from outside while the program runs.

The program may put links, FIFOs and devices there to lead the grader astray. So every name is one
component below the folder's descriptor, no link is followed, and only regular files are read.
"""

from __future__ import annotations

import errno
import os
import stat

_MOST = 8 * 2**20
"""Bytes that are read of a file"""


class Folder:
    """Files beside the program. They can be looked at until `close`, also when the program has ended.

    :param descriptor: the folder, of which a duplicate is kept; none if it is gone
    :param owner: user id of what the grader writes, where that is not its own
    """

    def __init__(self, descriptor: int | None, owner: int | None):
        self._descriptor = None if descriptor is None else os.dup(descriptor)
        self._owner = owner

    def close(self) -> None:
        """Give the folder back; harmless when done already."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _in(self) -> int:
        if self._descriptor is None:
            raise FileNotFoundError("the program's folder is gone")
        return self._descriptor

    @staticmethod
    def _name(name: str) -> str:
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"{name!r} is no name of a file in the program's folder")
        return name

    def path(self, name: str) -> str:
        """A path by which the grader reaches a name, for connect(2).

        :raises ValueError: for a name that leads out of the folder
        """
        return f"/proc/self/fd/{self._in()}/{self._name(name)}"

    def read(self, name: str) -> bytes:
        """A regular file's content; empty if there is none of this name."""
        try:
            descriptor = os.open(
                self._name(name),
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=self._in(),
            )
        except OSError:
            return b""
        with open(descriptor, "rb") as file:
            return file.read(_MOST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""

    def write(self, name: str, data: bytes) -> None:
        """Write a file as an editor does: a new one takes the old one's place at once."""
        new = f".{self._name(name)}.new"
        descriptor = os.open(
            new,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o666,
            dir_fd=self._in(),
        )
        with open(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, 0o666)
            if self._owner is not None:
                os.fchown(descriptor, self._owner, self._owner)
        os.rename(new, name, src_dir_fd=self._in(), dst_dir_fd=self._in())

    def pipe(self, name: str) -> int:
        """A descriptor to write into a FIFO that somebody reads.

        :raises OSError: ENXIO if nobody has it open for reading, ENOENT if it is not there, EINVAL if it is no FIFO
        """
        descriptor = os.open(
            self._name(name),
            os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            dir_fd=self._in(),
        )
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is no FIFO")
        return descriptor

    def rename(self, old: str, new: str) -> None:
        """Give a file another name.

        :raises FileNotFoundError: if it is not there
        """
        os.rename(self._name(old), self._name(new), src_dir_fd=self._in(), dst_dir_fd=self._in())

    def remove(self, name: str) -> None:
        """Take a file away; harmless if it is not there."""
        try:
            os.unlink(self._name(name), dir_fd=self._in())
        except FileNotFoundError:
            pass

    def mode(self, name: str) -> int | None:
        """Type and permissions (inode(7)) of a name, links not followed; none if it is not there."""
        try:
            return os.stat(self._name(name), dir_fd=self._in(), follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None

    def names(self) -> tuple[str, ...]:
        """All names in the folder."""
        return tuple(sorted(os.listdir(self._in())))
