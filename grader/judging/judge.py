"""The judge: one lab and one submission become a report.

Checks run under pytest in this process; student code only ever runs in the sandbox. `Judge` is a
pytest plugin that hands the fixtures out and turns each outcome into a `CheckResult`. The order of
judging: the grader's own fault (broken), then time, crash, evidence (`explain`), then content.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from grader.content import submission as submissions
from grader.exploring.schedules import NotDecided
from grader.judging import explain, explorers, fixtures
from grader.judging.bench import Bench, CheckFailed, CheckSkipped, Workshop
from grader.judging.schedules import STRATEGY, Schedules, split
from grader.judging.selection import choose, exactly
from grader.judging.vocabulary import named
from grader.model import CheckInfo, CheckResult, Diagnosis, Fault, Lab, Level, Report, Submission, Verdict
from grader.running import machine
from grader.running.preparation import Prepared, prepare

OnResult = Callable[[CheckResult], None]

_QUIET = [
    "-p", "no:cacheprovider", "-p", "no:doctest", "-p", "no:junitxml", "-p", "no:pastebin", "-p", "no:stepwise",
    "-p", "no:logging", "-p", "no:faulthandler", "-p", "no:unittest", "-p", "no:threadexception",
    "-p", "no:unraisableexception", "-p", "no:recwarn", "-p", "no:setuponly", "-p", "no:setupplan",
    "--import-mode=importlib", "--noconftest", "-vv", "--tb=short", "-c", os.devnull,
]  # fmt: skip
"""pytest without what would read or write anything beside the check files."""


_REPEAT_S = 3.0
"""A check that took longer than this is not repeated for its lines."""


class Judge:
    """The pytest plugin of one grading."""

    def __init__(
        self,
        lab: Lab,
        prepared: Prepared,
        chosen: tuple[CheckInfo, ...],
        force: bool,
        on_result: OnResult,
        replay: str = "",
    ):
        self._lab, self._prepared, self._force, self._on_result = lab, prepared, force, on_result
        self._workshop = Workshop(lab, prepared)
        self._replay = replay
        self._schedule = STRATEGY.fullmatch(replay.rpartition(":")[2]) is not None
        """Whether a schedule is to be run again, and not a signal point"""
        self.replayed = False
        """Whether a check has asked for what could be it"""
        self._chosen = {check.name: check for check in chosen}
        self._bench: Bench | None = None
        self._started = 0.0
        self.results: dict[str, CheckResult] = {}
        self.trouble: list[str] = []
        """What pytest said of check files that it could not collect"""

    # ------------------------------------------------------------ what checks ask for

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """One bench for each check."""
        self._bench = Bench(self._workshop)
        yield self._bench
        self._bench.close()

    @pytest.fixture
    def run(self, bench: Bench) -> Callable[..., fixtures.Ran]:
        """`fixtures.run` at this check's bench."""
        return functools.partial(fixtures.run, bench)

    @pytest.fixture
    def start(self, bench: Bench) -> Callable[..., fixtures.Started]:
        """`fixtures.start` at this check's bench."""
        return functools.partial(fixtures.start, bench)

    @pytest.fixture
    def talk(self, bench: Bench) -> Callable[..., fixtures.Talk]:
        """`fixtures.talk` at this check's bench."""
        return functools.partial(fixtures.talk, bench)

    @pytest.fixture
    def signal_points(self, bench: Bench, request: pytest.FixtureRequest) -> explorers.SignalPoints:
        """`explorers.SignalPoints` at this check's bench."""
        replay = "" if self._schedule else self._replay
        self.replayed = self.replayed or bool(replay)
        return explorers.SignalPoints(bench, self._chosen[request.node.name], replay)

    @pytest.fixture
    def schedules(self, bench: Bench, request: pytest.FixtureRequest) -> Iterator[Schedules]:
        """`schedules.Schedules` at this check's bench."""
        self.replayed = self.replayed or self._schedule
        explorer = Schedules(bench, self._chosen[request.node.name], self._replay)
        yield explorer
        explorer.close()

    # ------------------------------------------------------------ pytest's hooks

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen checks."""
        items[:] = [item for item in items if item.name in self._chosen]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember why a check file could not be read."""
        if report.failed:
            self.trouble.append(str(report.longrepr))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Begin a check, or skip it with the reason."""
        self._bench, self._started = None, time.monotonic()
        named.set(None)
        reason = self._lacking(item)
        if reason:
            self._note(item.name, Verdict.SKIPPED, reason=reason)
        result = yield
        return result

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Run nothing of a check that is skipped."""
        if item.name in self.results:
            pytest.skip(self.results[item.name].reason)

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        """Judge what a check raised."""
        if isinstance(node, pytest.Function) and node.name not in self.results and call.excinfo is not None:
            self._judge(node.name, call.excinfo)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Run a failed check once more to learn the lines of the student's source, if that can be had.

        The first run decides; the second only speaks for it if it fails in the same way.
        """
        try:
            result = yield
        except (CheckFailed, AssertionError) as first:
            bench, slug = self._bench, self._slug(first)
            if bench is None or bench.evidence or not bench.can_record_lines:
                raise
            if time.monotonic() - self._started > _REPEAT_S:
                raise
            latest = bench.latest
            if latest is not None:
                latest.finish()
            bench.record_lines()
            said = named.get()
            named.set(None)
            try:
                item.runtest()
            except (CheckFailed, AssertionError) as second:
                if self._slug(second) == slug:
                    raise second from None
            bench.forget_lines()
            named.set(said)
            raise
        return result

    @staticmethod
    def _slug(error: BaseException) -> str:
        if isinstance(error, CheckFailed):
            return error.diagnosis.slug
        said = named.get()
        return said.slug if said else ""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a check that came to its end as passed."""
        name = report.nodeid.rpartition("::")[2]
        if report.when == "teardown" and report.passed and name not in self.results:
            self._note(name, Verdict.PASSED)

    # ------------------------------------------------------------ from outcome to verdict

    def _lacking(self, item: pytest.Item) -> str:
        """Why a check cannot run on this machine; empty if it can."""
        here = machine.inspect()
        check = self._chosen[item.name]
        level = self._prepared.recipe.level
        wanted: frozenset[str] = getattr(getattr(item, "function", None), "needs", frozenset())
        missing = sorted(wanted - here.capabilities)
        if missing:
            return f"this machine lacks: {', '.join(missing)} (see proclab doctor)"
        if check.hidden and level > Level.OWN_UID and not self._force:
            return f"hidden checks need isolation level 2 or better; this is level {level.value} (see proclab doctor)"
        return ""

    def _judge(self, name: str, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        error = excinfo.value
        if isinstance(error, CheckFailed):
            self._note(
                name, Verdict.FAILED, error.diagnosis, expected=error.expected, observed=error.observed
            )
        elif isinstance(error, AssertionError):
            diagnosis = self._assertion(error)
            self._note(name, Verdict.FAILED, diagnosis, observed=_difference(error, diagnosis.fact))
        elif isinstance(error, CheckSkipped):
            self._note(name, Verdict.SKIPPED, reason=str(error))
        elif isinstance(error, (KeyboardInterrupt, SystemExit)):
            return
        elif isinstance(error, NotDecided):
            self._note(name, Verdict.BROKEN, reason=str(error))
        else:
            lines = traceback.format_exception_only(error)
            where = excinfo.traceback[-1]
            reason = f"{lines[-1].strip()} ({os.path.basename(where.path)}, line {where.lineno + 1})"
            self._note(name, Verdict.BROKEN, reason=reason)

    def _assertion(self, error: AssertionError) -> Diagnosis:
        said = named.get()
        kinds = self._lab.diagnoses
        if said is None:
            return explain.diagnosis(kinds, "unexpected-behaviour")
        return explain.diagnosis(kinds, said.slug, said.fact, said.evidence, said.place)

    def _note(
        self,
        name: str,
        verdict: Verdict,
        diagnosis: Diagnosis | None = None,
        *,
        expected: str = "",
        observed: str = "",
        reason: str = "",
    ) -> None:
        check = self._chosen[name]
        latest = self._bench.latest if self._bench else None
        seen = None
        if self._bench is not None and self._bench.evidence is not None:
            seen = self._bench.evidence
        elif latest is not None and verdict is Verdict.FAILED:
            seen = latest.finish()
        result = CheckResult(
            name=name,
            claim=check.claim,
            verdict=verdict,
            points=check.points if verdict is Verdict.PASSED else 0.0,
            max_points=check.points,
            hidden=check.hidden,
            reason=reason,
            basis="; ".join(self._bench.basis) if self._bench and verdict is Verdict.PASSED else "",
            diagnosis=diagnosis,
            expected=expected,
            observed=observed,
            observation=seen,
            duration_s=round(time.monotonic() - self._started, 4),
        )
        self.results[name] = result
        self._on_result(result)


def _difference(error: AssertionError, fact: str) -> str:
    """pytest's comparison of two texts or lists; what it says of other asserts is said better by the fact."""
    lines = [line for line in str(error).splitlines() if not re.match(r" \+ +(where|and) ", line)]
    said = named.get()
    if said is None or said.slug == "unexpected-behaviour":
        return "\n".join(lines)
    lines = lines[1:]
    compared = any(line.lstrip().startswith(("Full diff", "- ", "+ ", "At index")) for line in lines)
    return "\n".join(line for line in lines if line != fact) if compared else ""


def judge(
    lab: Lab,
    submission: Submission,
    *,
    select: str | None = None,
    hidden: bool = True,
    force: bool = False,
    level: Level | None = None,
    on_result: OnResult | None = None,
    replay: str = "",
) -> Report:
    """Grade one submission.

    :param select: only checks whose name contains this or matches it as a pattern
    :param hidden: also the hidden checks, where the lab has them
    :param force: run hidden checks even where isolation is too weak for them
    :param level: a weaker isolation than the machine offers, for tests
    :param on_result: called with each result as soon as it stands
    :param replay: the id of one run of the many that an explorer tries: only that check, and only that run
    :raises Fault: if `select` or `replay` fits no check
    """
    started = time.monotonic()
    began = datetime.now(UTC).isoformat(timespec="seconds")
    here = machine.inspect()
    level = level or here.level
    name, rest = split(replay) if replay else ("", "")
    chosen = exactly(lab, name, hidden=hidden) if replay else choose(lab, select, hidden=hidden)
    tell = on_result or (lambda result: None)
    notices = submission.notices
    results: dict[str, CheckResult] = {}
    trouble = ""
    try:
        prepared = prepare(
            submission,
            lab.limits,
            level,
            hide=(lab.root.parent.parent,),
            history="trace" in here.capabilities,
        )
    except Exception as error:  # any fault of ours on the way to the first check leaves all of them broken
        trouble = f"the program could not be prepared: {error}"
    else:
        if prepared.build is not None:
            results = {check.name: _unbuilt(lab, check, prepared) for check in chosen}
            for result in results.values():
                tell(result)
        else:
            results, trouble = _check(lab, prepared, chosen, force, tell, rest)
    for check in chosen:
        if check.name not in results:
            results[check.name] = CheckResult(
                name=check.name, claim=check.claim, verdict=Verdict.BROKEN, points=0.0, max_points=check.points,
                hidden=check.hidden, reason=trouble or "the check gave no result",
            )  # fmt: skip
            tell(results[check.name])
    return Report(
        lab=lab.slug,
        lab_title=lab.title,
        lab_version=lab.version,
        student=submission.student,
        origin=submission.origin,
        language=submission.language.value,
        submission_version=submissions.version(submission),
        level=level,
        notices=notices,
        checks=tuple(results[check.name] for check in chosen),
        started=began,
        duration_s=round(time.monotonic() - started, 3),
    )


def _check(
    lab: Lab, prepared: Prepared, chosen: tuple[CheckInfo, ...], force: bool, tell: OnResult, replay: str
) -> tuple[dict[str, CheckResult], str]:
    """Run pytest over the check files."""
    plugin = Judge(lab, prepared, chosen, force, tell, replay)
    files = [str(lab.root / "checks.py")]
    if any(check.hidden for check in chosen):
        files.append(str(lab.root / "hidden.py"))
    quiet = io.StringIO()
    before = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            pytest.main([*_QUIET, "--rootdir", str(lab.root), *files], plugins=[plugin])
    finally:
        _forget(lab)
        if before is None:
            del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        else:
            os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = before
    if replay and not plugin.replayed:
        raise Fault(
            f"{chosen[0].name} tries nothing that is called {replay!r}", cure="take the id from a report"
        )
    return plugin.results, " ".join(plugin.trouble) or quiet.getvalue()[-2000:]


def _forget(lab: Lab) -> None:
    """Take the check files out of Python's module table, where the next lab's would be mistaken for them."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(f"{lab.root}{os.sep}"):
            del sys.modules[name]


def _unbuilt(lab: Lab, check: CheckInfo, prepared: Prepared) -> CheckResult:
    """The result of every check of a program that does not compile."""
    seen = prepared.build
    assert seen is not None
    words = seen.stderr.decode(errors="backslashreplace")
    first = next((line for line in words.splitlines() if "error" in line), "the compiler gave no program")
    time_or_size = explain.fault(seen, lab.diagnoses, status=None)
    fact = time_or_size.fact if time_or_size and not words else first
    return CheckResult(
        name=check.name, claim=check.claim, verdict=Verdict.FAILED, points=0.0, max_points=check.points,
        hidden=check.hidden, diagnosis=explain.diagnosis(lab.diagnoses, "does-not-compile", fact),
        expected="a program", observed=words, observation=seen,
    )  # fmt: skip
