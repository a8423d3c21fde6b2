"""``%%lab FILE`` saves a cell as the student's file; ``%check LAB`` runs the visible checks on it.

Neither runs the student's code in the kernel: fork there hangs the notebook, and a signal ends it.
The check is the command line's own, in a process of its own; interrupting the kernel ends it and
everything that it started.
"""

from __future__ import annotations

import ast
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class


@magics_class
class LabMagics(Magics):
    """The two magics, and what this notebook last saved."""

    def __init__(self, shell: InteractiveShell):
        super().__init__(shell)
        self._saved: dict[Path, bytes] = {}

    @cell_magic
    def lab(self, line: str, cell: str) -> None:
        """Save the cell as a file beside the notebook: ``%%lab pipeline.py``."""
        path = Path(line.strip())
        if not line.strip() or path.name != line.strip():
            print("%%lab needs the name of a file: %%lab pipeline.py")
            return
        data = cell.encode()
        if path.exists() and path.read_bytes() not in (data, self._saved.get(path)):
            backup = path.with_name(path.name + ".bak")
            path.replace(backup)
            print(f"{path} was changed outside this notebook; the old one is now {backup}")
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
        self._saved[path] = data
        print(f"saved {path}, {len(cell.splitlines())} lines")
        if path.suffix == ".py":
            try:
                ast.parse(cell, filename=str(path))
            except SyntaxError as error:  # the first line of the cell is the magic's own
                print(
                    f"syntax error in line {error.lineno} (line {(error.lineno or 0) + 1} of the cell): {error.msg}"
                )

    @line_magic
    def check(self, line: str) -> None:
        """Run the visible checks: ``%check pipeline``, or one of them: ``%check pipeline -k test_name``."""
        command = [sys.executable, "-m", "grader", "check", *shlex.split(line)]
        if len(command) == 4 or command[4].startswith("-"):
            print("%check needs the name of a lab: %check pipeline")
            return
        if len(command) == 5 or command[5].startswith("-"):
            command.insert(5, ".")
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, text=True, errors="replace", env=os.environ | {"COLUMNS": "100"},
        )  # fmt: skip
        assert process.stdout is not None
        try:
            for text in process.stdout:
                print(text, end="", flush=True)
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            print("stopped")
        finally:
            process.stdout.close()
