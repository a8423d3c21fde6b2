"""How a grading gets on: count, rate, time left, what is in work, the verdicts so far.

For a terminal two lines that change, for a file or a pipe a line for each submission, for programs one JSON
object on each line, or nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from grader.classroom import gradebook
from grader.classroom.gradebook import Shelf
from grader.model import Report, Verdict
from grader.reporting.escape import visible
from grader.reporting.text import counted, number

_SHOWN = 4
"""Names of submissions in work that fit on a line"""


class Pace:
    """What a grading has done, and when it will be done.

    :param clock: seconds of a clock that never goes back
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic):
        self.total = total
        self.graded = 0
        self.unchanged = 0
        self.verdicts: Counter[Verdict] = Counter()
        self.current: list[str] = []
        """Students whose submissions are in work, oldest first"""
        self._clock, self._began = clock, clock()

    def begun(self, student: str) -> None:
        """A submission is in work."""
        self.current.append(student)

    def finished(self, report: Report, unchanged: bool) -> None:
        """It is done; or nothing had to be done, since it was graded before."""
        if report.student in self.current:
            self.current.remove(report.student)
        self.graded += not unchanged
        self.unchanged += unchanged
        self.verdicts.update(check.verdict for check in report.checks)

    @property
    def done(self) -> int:
        """Submissions that are done with."""
        return self.graded + self.unchanged

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    @property
    def per_minute(self) -> float:
        """Submissions graded in a minute; what was only looked at does not count."""
        return 60 * self.graded / max(self.elapsed_s, 0.001)

    @property
    def left_s(self) -> float | None:
        """Seconds until all are graded, at the pace so far; nobody knows before the first."""
        return 60 * (self.total - self.done) / self.per_minute if self.graded else None


def duration(seconds: float | None) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 5 min``; a question mark where it is not known."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Show(Protocol):
    """What is told, and when."""

    def note(self, words: str) -> None:
        """Something that had to be decided."""

    def begin(self, lab: str, total: int, jobs: int, folder: Path) -> None:
        """Before the first submission."""

    def begun(self, student: str) -> None:
        """A submission is in work."""

    def finished(self, report: Report, unchanged: bool) -> None:
        """A submission is done."""

    def stopped(self, why: str) -> None:
        """The grading ends before all is done."""

    def end(self, shelf: Shelf, reports: Sequence[Report]) -> None:
        """All is done, and everything is written: the reports of everybody who is in the results."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Quiet:
    """Only where the results are.

    :param table: also the table of the class, for those who tell more than this one
    """

    def __init__(self, stream: IO[str], *, table: bool = True):
        self._stream, self._table = stream, table
        self._pace = Pace(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def note(self, words: str) -> None:
        """Nothing."""

    def begin(self, lab: str, total: int, jobs: int, folder: Path) -> None:
        """Only count."""
        self._pace = Pace(total)

    def begun(self, student: str) -> None:
        """Only count."""
        self._pace.begun(student)

    def finished(self, report: Report, unchanged: bool) -> None:
        """Only count."""
        self._pace.finished(report, unchanged)

    def stopped(self, why: str) -> None:
        """How far it came, and that nothing is lost."""
        pace = self._pace
        self._write(
            f"{why}: {pace.done} of {counted(pace.total, 'submission')} graded and kept; "
            "the same command goes on from there"
        )

    def end(self, shelf: Shelf, reports: Sequence[Report]) -> None:
        """Where everything lies."""
        unchanged = self._pace.unchanged
        if unchanged:
            self._write(
                f"{counted(unchanged, 'submission')} unchanged since graded with this version of the lab, "
                "so not graded again (--again does it)"
            )
        count = counted(len(reports), "submission")
        self._write(f"{count}; gradebook {shelf.gradebook}, reports in {shelf.reports}/")


class Lines(Quiet):
    """A line for each submission that was graded."""

    def note(self, words: str) -> None:
        """What had to be decided."""
        self._write(f"note: {words}")

    def finished(self, report: Report, unchanged: bool) -> None:
        """Count, points, verdicts, time, pace."""
        super().finished(report, unchanged)
        if unchanged:
            return
        pace = self._pace
        width = len(str(pace.total))
        points = f"{number(report.score)} of {number(report.max_score)} points"
        left = f", {duration(pace.left_s)} left" if pace.done < pace.total else ""
        self._write(
            f"[{pace.done:>{width}}/{pace.total}] {visible(report.student)}: {points} "
            f"({_words(Counter(check.verdict for check in report.checks))}) {report.duration_s:.1f} s"
            f" – {pace.per_minute:.0f}/min{left}"  # noqa: RUF001
        )

    def end(self, shelf: Shelf, reports: Sequence[Report]) -> None:
        """The class, then where everything lies."""
        if self._table:
            gradebook.show(reports, self._stream)
        super().end(shelf, reports)


class Bar(Lines):
    """A bar at the foot of a terminal: count, pace and time left, verdicts, and what is in work."""

    def __init__(self, stream: IO[str], *, table: bool = True):
        super().__init__(stream, table=table)
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=Console(file=stream, markup=False, highlight=False, emoji=False),
            transient=True,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, lab: str, total: int, jobs: int, folder: Path) -> None:
        """Draw the bar."""
        super().begin(lab, total, jobs, folder)
        self._task = self._bar.add_task("", total=total, words="")
        self._bar.start()

    def begun(self, student: str) -> None:
        """Who is in work."""
        super().begun(student)
        self._draw()

    def finished(self, report: Report, unchanged: bool) -> None:
        """Count on."""
        Quiet.finished(self, report, unchanged)
        self._draw()

    def stopped(self, why: str) -> None:
        """The bar goes, the words stay."""
        self._bar.stop()
        super().stopped(why)

    def end(self, shelf: Shelf, reports: Sequence[Report]) -> None:
        """The bar goes, the class comes."""
        self._bar.stop()
        super().end(shelf, reports)

    def _draw(self) -> None:
        pace = self._pace
        names = [visible(name) for name in pace.current]
        now = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        words = [f"{pace.per_minute:.0f}/min, {duration(pace.left_s)} left", _words(pace.verdicts), now]
        self._bar.update(self._task, completed=pace.done, words="\n".join(filter(None, words)))


class Json(Quiet):
    """One JSON object on each line, for programs: the stream holds nothing else."""

    def _event(self, kind: str, **values: object) -> None:
        self._write(msgspec.json.encode({"event": kind, **values}).decode())

    def note(self, words: str) -> None:
        """``note``."""
        self._event("note", text=words)

    def begin(self, lab: str, total: int, jobs: int, folder: Path) -> None:
        """``begin``: what is going to be graded."""
        super().begin(lab, total, jobs, folder)
        self._event("begin", lab=lab, total=total, jobs=jobs, folder=visible(str(folder)))

    def begun(self, student: str) -> None:
        """``begun``: a submission is in work."""
        super().begun(student)
        self._event("begun", student=student)

    def finished(self, report: Report, unchanged: bool) -> None:
        """``graded``: points and verdicts of a submission, and how far the class is."""
        super().finished(report, unchanged)
        pace = self._pace
        self._event(
            "graded",
            student=report.student,
            origin=report.origin,
            score=report.score,
            max_score=report.max_score,
            verdicts={verdict.value: report.count(verdict) for verdict in Verdict},
            duration_s=report.duration_s,
            unchanged=unchanged,
            done=pace.done,
            total=pace.total,
            per_minute=round(pace.per_minute, 2),
            left_s=None if pace.left_s is None else round(pace.left_s, 1),
        )

    def stopped(self, why: str) -> None:
        """``stopped``: interrupted, or no room for results."""
        self._event("stopped", why=why, done=self._pace.done, total=self._pace.total)

    def end(self, shelf: Shelf, reports: Sequence[Report]) -> None:
        """``end``: where everything lies."""
        pace = self._pace
        self._event(
            "end",
            graded=pace.graded,
            unchanged=pace.unchanged,
            students=len(reports),
            verdicts={verdict.value: pace.verdicts[verdict] for verdict in Verdict},
            seconds=round(pace.elapsed_s, 3),
            gradebook=visible(str(shelf.gradebook)),
            reports=visible(str(shelf.reports)),
        )


def _words(verdicts: Counter[Verdict]) -> str:
    return ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict])
