"""How a grading gets on: a bar on a terminal, a plain line for each submission otherwise."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grader.model import Report, Verdict
from grader.reporting.escape import visible
from grader.reporting.text import number


class Ticker:
    """Tells of each report as it comes."""

    def __init__(self, total: int, stream: IO[str]):
        self._total, self._stream = total, stream
        self._done = 0
        self._began = time.monotonic()
        self._verdicts: Counter[Verdict] = Counter()
        self._bar: Progress | None = None
        if stream.isatty():
            self._bar = Progress(
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[words]}", markup=False),
                TimeRemainingColumn(compact=True),
                console=Console(file=stream, markup=False, highlight=False, emoji=False),
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, words="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, report: Report) -> None:
        """Count one report."""
        self._done += 1
        self._verdicts.update(check.verdict for check in report.checks)
        if self._bar is not None:
            self._bar.update(self._task, advance=1, words=f"{self._rate()}  {_words(self._verdicts)}")
            return
        width = len(str(self._total))
        points = f"{number(report.score)} of {number(report.max_score)} points"
        counts = _words(Counter(check.verdict for check in report.checks))
        self._stream.write(
            f"[{self._done:>{width}}/{self._total}] {visible(report.student)}: {points} ({counts}) "
            f"{report.duration_s:.1f} s\n"
        )
        self._stream.flush()

    def _rate(self) -> str:
        return f"{60 * self._done / max(time.monotonic() - self._began, 0.001):.0f}/min"


def _words(verdicts: Counter[Verdict]) -> str:
    return ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict])
