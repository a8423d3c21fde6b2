"""``%%lab FILE`` saves a cell as the student's file; ``%check LAB`` runs the visible checks on it.

Neither runs the student's code in the kernel: fork there hangs the notebook, and a signal ends it.
The check is the command line's own, in a process of its own; interrupting the kernel ends it and
everything that it started.
"""

from __future__ import annotations

import ast
import os
import shlex
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from grader.jupyter.checking import Checking, Score, Stopped
from grader.model import Report


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
    def check(self, line: str) -> Score | None:
        """Run the visible checks: ``%check pipeline``, or one of them: ``%check pipeline -k test_name``.

        With ``-k`` the value is the score, which nbgrader reads.
        """
        words = shlex.split(line)
        if not words or words[0].startswith("-"):
            print("%check needs the name of a lab: %check pipeline")
            return None
        if "--hidden" in words:
            return self._hidden()
        one = words[words.index("-k") + 1] if "-k" in words[:-1] else None
        if len(words) == 1 or words[1].startswith("-"):
            words.insert(1, ".")
        try:
            report = Checking(words, quiet=one is not None).run()
        except Stopped:
            print("stopped")
            return None
        if report is None or one is None:
            return None
        return self._score(report, one)

    @staticmethod
    def _score(report: Report, name: str) -> Score:
        exact = tuple(check for check in report.checks if check.name == name)
        score = Score(report, exact or report.checks)
        if os.environ.get("NBGRADER_EXECUTION") == "validate" and score.points < score.most:
            print(score.words, file=sys.stderr)  # all that its dialog shows
        return score

    @staticmethod
    def _hidden() -> None:
        """Hidden checks exist only where submissions are graded.

        nbgrader gives full points to a cell without output, so one that is graded without proclab's
        configuration must raise.
        """
        if os.environ.get("NBGRADER_EXECUTION") == "autograde":
            raise RuntimeError(
                "hidden checks are graded with proclab's nbgrader configuration, which was not used"
            )
        print("these checks run after you have handed in")
