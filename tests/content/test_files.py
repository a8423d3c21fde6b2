"""Nobody ever sees half a file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from victims import ROOT

from grader.content import files


def test_makes_missing_folders(tmp_path: Path) -> None:
    files.write(tmp_path / "a" / "b" / "c.txt", b"new")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"new"


def test_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for data in (b"old", b"new"):
        files.write(tmp_path / "c.txt", data)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"c.txt": b"new"}


def test_a_failing_rename_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.txt").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            files.write(tmp_path / "c.txt", b"new")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"c.txt": b"old"}


def test_an_interrupted_write_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.txt").write_bytes(b"old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            files.write(tmp_path / "c.txt", b"new")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"c.txt": b"old"}


FULL = """
import errno, resource, signal, sys
from pathlib import Path
from grader.content import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    sys.exit(errno.errorcode[error.errno])
"""


def test_a_write_that_the_kernel_refuses_halfway_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"old")
    words = [sys.executable, "-c", FULL, tmp_path / "c.txt"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "EFBIG\n")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"c.txt": b"old"}


def test_a_new_file_has_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    files.write(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_replaced_file_keeps_its_rights(tmp_path: Path) -> None:
    """Whoever keeps a gradebook from other eyes does not want it opened by the next write."""
    path = tmp_path / "grades.csv"
    path.write_bytes(b"old")
    path.chmod(0o600)
    files.write(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_writes_names_as_long_as_the_system_allows(tmp_path: Path) -> None:
    files.write(tmp_path / ("x" * 255), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x" * 255]
