"""A check that runs beside the kernel, and its page in the notebook, which grows with each verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from html import escape
from pathlib import Path
from typing import Any

import msgspec
from IPython.display import DisplayHandle, display

from grader.model import CheckResult, Report, Verdict
from grader.reporting import html
from grader.reporting.escape import visible


class Stopped(Exception):
    """The kernel was interrupted."""


class _Event(msgspec.Struct):
    """One line of ``proclab check --jsonl``; each kind has some of these."""

    event: str
    title: str = ""
    total: int = 0
    result: CheckResult | None = None
    report: Report | None = None


class Score:
    """The points of a check: a number for nbgrader, a page for people."""

    def __init__(self, report: Report, checks: tuple[CheckResult, ...]):
        self.report, self.checks = report, checks
        self.points = sum(check.points for check in checks)
        self.most = sum(check.max_points for check in checks)

    @property
    def words(self) -> str:
        """What to say where there is only text."""
        lines = []
        for check in self.checks:
            if check.points < check.max_points:
                why = check.diagnosis.fact if check.diagnosis is not None else check.reason
                lines += textwrap.wrap(f"{check.claim} {visible(why)}", 78)
        return "\n".join(lines)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        del include, exclude
        return {
            "text/plain": f"{self.points:g}",
            "text/html": html.fragment(*self.checks),
        }


class Checking:
    """One run of ``proclab check``.

    :param words: its arguments
    :param quiet: show nothing while it runs
    """

    def __init__(self, words: list[str], *, quiet: bool):
        self._words, self._quiet = words, quiet
        self._results: list[CheckResult] = []
        self._begin = _Event("")
        self._handle: DisplayHandle | None = None

    def run(self) -> Report | None:
        """Run it to its end; gives the report, and none where there was nothing to check, which it says.

        :raises Stopped: if the kernel was interrupted; then it has ended, and all that it had started
        """
        report: Report | None = None
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                [sys.executable, "-m", "grader", "check", *self._words, "--saved", "--jsonl"],
                stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL, start_new_session=True,
                env=os.environ | {"PYTHONPATH": _path()},
            )  # fmt: skip
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    event = msgspec.json.decode(line, type=_Event)
                    self._take(event)
                    report = event.report or report
                process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                process.wait()
                self._show('<p style="color:#b45309">stopped</p>')
                raise Stopped from None
            finally:
                process.stdout.close()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace")
        if report is None:
            print(said, end="")
        elif not self._quiet:
            self._show(html.fragment_report(report))
        return report

    def _take(self, event: _Event) -> None:
        if event.event == "begin":
            self._begin = event
        if event.result is not None:
            self._results.append(event.result)
        self._show(_progress(self._begin, self._results))

    def _show(self, page: str) -> None:
        if self._quiet:
            return
        bundle: dict[str, Any] = {"text/html": page, "text/plain": "(this page needs HTML)"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _path() -> str:
    """Where this package was found, for a kernel that found it by other means than being installed."""
    here = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(part for part in (here, known) if part)


_MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.BROKEN: "!", Verdict.SKIPPED: "○"}


def _progress(begin: _Event, results: list[CheckResult]) -> str:
    """What is known so far: a line for each verdict, and how many are to come."""
    lines = [
        f"<div>{_MARKS[result.verdict]} {escape(result.claim)} <small>{result.duration_s:.1f} s</small></div>"
        for result in results
    ]
    left = begin.total - len(results)
    if left:
        lines.append(f"<div>… {left} of {begin.total} to come</div>")
    return f'<div style="line-height:1.5"><strong>{escape(begin.title)}</strong>{"".join(lines)}</div>'
