"""nbgrader's exchange without its trust in links: a submission brings regular files, and nothing else."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from nbgrader.exchange.default import ExchangeCollect


class SafeCollect(ExchangeCollect):
    """Collect submissions; links, FIFOs and devices in them are left where they are.

    Stock nbgrader copies what a link points to, with the instructor's rights: a link to the source notebook
    hands in the instructor's solution.
    """

    def do_copy(self, src: str, dest: str, log: object = None) -> None:
        """Copy the regular files of one submission, by nbgrader's own rules of size and names."""
        with tempfile.TemporaryDirectory(prefix="proclab-") as folder:
            clean = Path(folder) / "submission"
            self._stage(Path(src), clean)
            super().do_copy(str(clean), dest, log)

    def _stage(self, source: Path, clean: Path) -> None:
        """What the student can change meanwhile is read exactly once, into a folder of ours."""
        left = 1000 * self.coursedir.max_dir_size
        for top, folders, names in os.walk(source):
            links = [name for name in folders if Path(top, name).is_symlink()]
            folders[:] = [name for name in folders if name not in links]
            into = clean / Path(top).relative_to(source)
            into.mkdir(parents=True)
            for name in links:
                self.log.warning("%s is not collected: it is a link", Path(top, name))
            for name in names:
                left -= self._copy(Path(top, name), into / name, left)

    def _copy(self, path: Path, to: Path, most: int) -> int:
        """Copy one file; gives its size, and 0 if it is not collected."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.log.warning("%s is not collected: %s", path, error.strerror)
            return 0
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                self.log.warning("%s is not collected: it is no regular file", path)
                return 0
            if found.st_size > most:
                self.log.warning("%s is not collected: the submission is too large", path)
                return 0
            with to.open("xb") as copy:
                shutil.copyfileobj(file, copy, 2**20)
            os.utime(to, ns=(found.st_atime_ns, found.st_mtime_ns))
            return found.st_size
