"""The terminal report: explanation first, then the evidence for it.

Everything is made from a `Report` alone. What students may not see of a hidden check (its command, its
data, what it compares) is shown only on request.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator

from grader.model import CheckResult, Ending, Level, Observation, Report, Turn, Verdict
from grader.reporting import difference, processes, schedule
from grader.reporting.escape import visible
from grader.reporting.page import WIDTH, Page
from grader.running.machine import LOSSES

_COLOURS = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "bold red",
    Verdict.BROKEN: "bold magenta",
    Verdict.SKIPPED: "yellow",
}
LEVELS = {
    Level.FULL: "full",
    Level.OWN_UID: "own user id",
    Level.SAME_USER: "same user",
    Level.PROCESS_GROUP: "process group only",
}
_SPEAKERS = {"grader": "cyan", "program": "", "error": "yellow", "event": "dim"}
_TURNS = (12, 24)
"""How many turns of a long conversation are shown of its beginning and of its end"""
_PROSE = (40, 20)
_EVENTS = 10
_ERRORS = 12
_INDENT = 4
_COLUMN = 10


def render(report: Report, *, width: int = WIDTH, reveal: bool = False, told: bool = False) -> Page:
    """A report as a page.

    :param reveal: also show what students may not see of hidden checks
    :param told: the reader has seen the head and the line of each check already
    """
    page = Page(width)
    if not told:
        head(page, report)
        page.blank()
        for check in report.checks:
            summary(page, check)
    explained: dict[str, str] = {}
    for group in groups(report.checks):
        page.blank()
        _failed(page, group, reveal, explained)
    for check in report.checks:
        if check.verdict is Verdict.BROKEN:
            page.blank()
            _broken(page, check)
        elif check.verdict is Verdict.PASSED and check.observation is not None:  # it was asked for: a replay
            page.blank()
            _replayed(page, check, check.observation)
    page.blank()
    _foot(page, report)
    return page


def counted(count: int, noun: str) -> str:
    """``1 check``, ``3 checks``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def number(points: float) -> str:
    """Points without needless zeros."""
    return f"{round(points, 2):g}"


def head(page: Page, report: Report) -> None:
    """Whose report this is, and how the program was kept apart."""
    page.line((f"{report.lab_title} ({report.lab})", "bold"))
    page.labelled("student", report.student, indent=2, column=_COLUMN)
    if report.origin and report.origin != report.student:
        page.labelled("from", report.origin, indent=2, column=_COLUMN)
    if report.language:
        page.labelled("language", report.language, indent=2, column=_COLUMN)
    loss = LOSSES[report.level]
    words = f"level {report.level.value}, {LEVELS[report.level]}" + (f": {loss}" if loss else "")
    page.labelled("sandbox", words, indent=2, column=_COLUMN, style="yellow" if loss else "")
    for notice in report.notices:
        page.labelled(("note", "yellow"), notice, indent=2, column=_COLUMN)


def summary(page: Page, check: CheckResult) -> None:
    """One check in one line, with the reason if it was skipped."""
    points = f"{number(check.points)} of {number(check.max_points)}"
    hidden = " (hidden)" if check.hidden else ""
    room = page.width - 2 - 9 - 10 - len(hidden)
    claim = visible(check.claim)
    if len(claim) > room:
        claim = claim[: room - 1] + "…"
    colour = _COLOURS[check.verdict]
    style = "bold" if check.verdict in (Verdict.FAILED, Verdict.BROKEN) else ""
    page.line(
        (f"{check.verdict.value:<9}", colour), f"{points:<10}", (claim, style), (hidden, "dim"), indent=2
    )
    if check.verdict is Verdict.SKIPPED and check.reason:
        page.paragraph(f"not run: {check.reason}", indent=21, style="dim")


def preface(report: Report) -> str:
    """What is to be said of the whole, for those who show each check by itself: score, isolation, notices."""
    page = Page()
    _score(page, report)
    loss = LOSSES[report.level]
    if loss:
        page.labelled(
            "sandbox", f"level {report.level.value}, {LEVELS[report.level]}: {loss}", column=_COLUMN
        )
    for notice in report.notices:
        page.labelled("note", notice, column=_COLUMN)
    return page.plain


def explanation(check: CheckResult, *, width: int = WIDTH, reveal: bool = False) -> str:
    """All that is to be said of one check, for those who show each by itself; empty if it passed."""
    page = Page(width)
    if check.verdict is Verdict.FAILED:
        _failed(page, [check], reveal, {})
    elif check.verdict is Verdict.BROKEN:
        _broken(page, check)
    elif check.verdict is Verdict.SKIPPED:
        page.paragraph(f"not run: {check.reason}")
    return page.plain


# ---------------------------------------------------------------- failed checks


def groups(checks: tuple[CheckResult, ...]) -> list[list[CheckResult]]:
    """Failed checks, together where the very same thing is to be said of them."""
    groups: dict[object, list[CheckResult]] = {}
    for check in checks:
        if check.verdict is Verdict.FAILED:
            what = check.diagnosis
            same = (what.slug, what.fact, what.place) if what is not None else check.name
            groups.setdefault((same, check.expected, check.observed), []).append(check)
    return list(groups.values())


def _failed(page: Page, group: list[CheckResult], reveal: bool, explained: dict[str, str]) -> None:
    """One explanation.

    :param explained: where each diagnosis was explained already: again the facts are enough
    """
    check = group[0]
    points = f"{number(sum(c.points for c in group))} of {number(sum(c.max_points for c in group))} points"
    title = f"FAILED  {check.name}" if len(group) == 1 else f"FAILED  {len(group)} checks, all for one reason"
    if len(group) == 1 and check.hidden:
        title += " (hidden)"
    page.line((title, "bold red"), " " * max(page.width - len(title) - len(points), 2), points)
    if len(group) == 1:
        page.paragraph(check.claim, indent=_INDENT, style="bold")
    else:
        page.paragraph(", ".join(c.name for c in group), indent=_INDENT)
    page.blank()
    slug = check.diagnosis.slug if check.diagnosis is not None else ""
    before = explained.get(slug, "")
    if check.diagnosis is not None:
        _diagnosis(page, check, before, evidence=reveal or not check.hidden)
        explained.setdefault(slug, check.name)
    if check.hidden and not reveal:
        page.blank()
        page.paragraph("This check is hidden: its command and its data are not shown.", indent=_INDENT)
        if check.observation is not None and not before:
            _order(page, check.observation)
            processes.draw(page, check.observation, _INDENT)
            _left(page, check.observation)
        return
    _run(page, check)
    if check.observation is not None:
        _order(page, check.observation)
        _conversation(page, check.observation)
        _standard_error(page, check)
        if not before:
            processes.draw(page, check.observation, _INDENT)
        _left(page, check.observation)
        if not before:
            _history(page, check.observation)


def _replayed(page: Page, check: CheckResult, seen: Observation) -> None:
    """A run that broke no promise, of which somebody wants to see everything."""
    page.line((f"PASSED  {check.name}", "green"), " in this order of steps")
    page.blank()
    page.line(("run".ljust(_COLUMN), "bold"), (seen.command, "cyan"), indent=_INDENT)
    _order(page, seen)


def _order(page: Page, seen: Observation) -> None:
    if seen.schedule is not None:
        schedule.draw(page, seen.schedule, _INDENT)


def _say(page: Page, label: str, text: str, style: str = "") -> None:
    page.labelled(label, text, indent=_INDENT, column=_COLUMN, style=style)


def _diagnosis(page: Page, check: CheckResult, before: str, *, evidence: bool) -> None:
    """The named fault. What holds for every such fault is said where it comes first."""
    found = check.diagnosis
    assert found is not None
    _say(page, "what", found.fact or found.title)
    if found.place is not None:
        _say(page, "where", str(found.place), "cyan")
    if before:
        _say(page, "why", f"see {before} above: {found.slug}")
        return
    if found.why:
        _say(page, "why", found.why)
    if found.cure:
        _say(page, "cure", found.cure, "green")
    if found.section:
        _say(page, "read", f'section "{found.section}" of the brief')
    if evidence and (lines := untold(check)):
        _say(page, "evidence", "\n".join(lines))


def untold(check: CheckResult) -> list[str]:
    """Lines of evidence, without those that the picture of the processes tells."""
    found, seen = check.diagnosis, check.observation
    labels = tuple(process.label for process in seen.processes) if seen is not None else ()
    told = tuple(f"{label} {verb} " for label in labels for verb in ("waits", "is", "has"))
    return [line for line in found.evidence if not line.startswith(told)] if found is not None else []


def _run(page: Page, check: CheckResult) -> None:
    """What was run, and how it should have come out."""
    page.blank()
    seen = check.observation
    if seen is not None and seen.command:
        # Never wrapped: the line is there to be copied.
        page.line(("run".ljust(_COLUMN), "bold"), (seen.command, "cyan"), indent=_INDENT)
    if not check.expected and not check.observed:
        return
    if compares_output(check):
        _comparison(page, check.expected, check.observed)
        return
    for label, text in (("expected", check.expected), ("observed", check.observed)):
        if text:
            _say(page, label, elided(text))


def compares_output(check: CheckResult) -> bool:
    """Whether expected and observed are what standard output was to be and was, not prose."""
    seen = check.observation
    output = seen.stdout.decode(errors="backslashreplace") if seen is not None else None
    return bool(check.expected) and check.observed == output and check.expected != output


def elided(text: str) -> str:
    """Prose and pytest's own comparison, without the middle of what nobody reads to the end."""
    lines = text.rstrip("\n").split("\n")
    first, last = _PROSE
    if len(lines) > first + last:
        lines = [*lines[:first], f"… {len(lines) - first - last} more lines", *lines[-last:]]
    return "\n".join(
        line if len(line) <= 2000 else f"{line[:1200]}…({len(line) - 1600} more)…{line[-400:]}"
        for line in lines
    )


def _comparison(page: Page, expected: str, observed: str) -> None:
    _say(
        page, "differs", f"Standard output is not what was expected: {difference.where(expected, observed)}."
    )
    page.blank()
    colours = {"expected": "green", "observed": "red", "caret": "bold red", "gap": "dim"}
    margin = _INDENT + 2
    for row in difference.rows(expected, observed, page.width - margin - 11):
        name = "" if row.side in ("caret", "gap") else row.side
        page.line((f"{name:<8} | ", "dim"), (row.text, colours.get(row.side, "")), indent=margin)


def middle_out(count: int, limits: tuple[int, int]) -> tuple[range, int, range]:
    """Indices of the beginning and of the end, and how many are left out between them."""
    first, last = limits
    if count <= first + last:
        return range(count), 0, range(0)
    return range(first), count - first - last, range(count - last, count)


def _conversation(page: Page, seen: Observation) -> None:
    """Who said what, in turn."""
    if not seen.turns:
        return
    page.blank()
    page.line(("conversation", "bold"), indent=_INDENT)
    runs = [(turn, len(list(same))) for turn, same in itertools.groupby(seen.turns)]
    begin, left_out, end = middle_out(len(runs), _TURNS)
    width = max(8, *(len(turn.speaker) for turn in seen.turns))
    for index in begin:
        _turn(page, *runs[index], width)
    if left_out:
        page.line((f"{'':{width}} … {left_out} more turns", "dim"), indent=_INDENT + 2)
    for index in end:
        _turn(page, *runs[index], width)


def _turn(page: Page, turn: Turn, times: int, width: int) -> None:
    colour = _SPEAKERS.get(turn.speaker, "cyan" if turn.speaker.startswith("client") else "")
    if turn.speaker == "event":
        page.labelled((f"{'':{width}} - ", "dim"), turn.text.rstrip("\n"), indent=_INDENT + 2, style=colour)
        return
    whole = turn.text.endswith("\n")
    text = turn.text.removesuffix("\n")
    shown = text if len(text) <= 600 else f"{text[:400]}…({len(text) - 500} more)…{text[-100:]}"
    name = "stderr" if turn.speaker == "error" else turn.speaker
    mark: tuple[str, str] = ("" if whole else "  (no newline)", "dim")
    page.line((f"{name:<{width}} | ", "dim"), (shown, colour), mark, indent=_INDENT + 2)
    if times > 1:
        page.line((f"{'':{width}} | … the same line {times - 1} more times", "dim"), indent=_INDENT + 2)


def _standard_error(page: Page, check: CheckResult) -> None:
    before, lines = last_errors(check)
    if not lines:
        return
    page.blank()
    page.line(("standard error", "bold"), indent=_INDENT)
    if before:
        page.line((f"… {before} lines before", "dim"), indent=_INDENT + 2)
    for line in lines:
        page.paragraph(line, indent=_INDENT + 2, style="yellow")


def last_errors(check: CheckResult) -> tuple[int, list[str]]:
    """The last lines of standard error where nothing else shows them, and how many there are before."""
    seen = check.observation
    if seen is None or not seen.stderr or any(turn.speaker == "error" for turn in seen.turns):
        return 0, []
    words = seen.stderr.decode(errors="backslashreplace")
    if words == check.observed:
        return 0, []
    lines = words.rstrip("\n").split("\n")
    return max(len(lines) - _ERRORS, 0), [line[:1000] for line in lines[-_ERRORS:]]


def _left(page: Page, seen: Observation) -> None:
    """What outlived the program, and whom it did not wait for."""
    if seen.leftovers:
        page.blank()
        page.line(("left behind", "bold"), indent=_INDENT)
        for left in seen.leftovers:
            page.paragraph(f"{left.kind} {left.name}", indent=_INDENT + 2)
    if seen.unreaped and seen.ending in (Ending.EXITED, Ending.SIGNALLED):
        page.blank()
        page.line(("never waited for", "bold"), indent=_INDENT)
        for pid in seen.unreaped:
            page.paragraph(processes.who(pid, seen), indent=_INDENT + 2)


def _history(page: Page, seen: Observation) -> None:
    if not seen.events:
        return
    page.blank()
    page.line(("last events", "bold"), indent=_INDENT)
    last = seen.events[-_EVENTS:]
    names = [processes.who(event.pid, seen) for event in last]
    column = min(max(len(visible(name)) for name in names) + 2, page.width // 3)
    for event, name in zip(last, names, strict=True):
        at = f"  ({event.place})" if event.place else ""
        label = f"{event.at_s:7.3f} s  {visible(name)[: column - 1]:<{column}}"
        page.labelled((label, "dim"), f"{event.text}{at}", indent=_INDENT + 2)


# ---------------------------------------------------------------- the grader's own fault, and the foot


def _broken(page: Page, check: CheckResult) -> None:
    title = f"BROKEN  {check.name}"
    page.line((title, "bold magenta"))
    page.paragraph(check.claim, indent=_INDENT, style="bold")
    page.blank()
    _say(page, "what", check.reason or "the check gave no verdict")
    _say(page, "whose", "This is the grader's fault, or the lab's, not the program's. It costs no points: "
                        "the score is final only when this check has been run again.")  # fmt: skip


def counts(report: Report) -> Iterator[str]:
    """How many checks had each verdict that occurs."""
    for verdict in Verdict:
        count = report.count(verdict)
        if count:
            yield f"{count} {verdict.value}"


def _score(page: Page, report: Report) -> None:
    final = " so far, not final" if report.broken else ""
    provisional = ", provisional" if report.level is Level.PROCESS_GROUP else ""
    score = f"{number(report.score)} of {number(report.max_score)} points{final}{provisional}"
    page.line((score, "bold"), f"  ({', '.join(counts(report)) or 'no check was run'})")


def _foot(page: Page, report: Report) -> None:
    _score(page, report)
    if told := commands(report):
        page.blank()
        column = max(len(command) for command, _ in told) + 3
        for command, words in told:
            page.line((f"{command:<{column}}", "cyan"), (words, "dim"), indent=2)


def commands(report: Report) -> list[tuple[str, str]]:
    """What to type now, and what for."""
    failed = [check for check in report.checks if check.verdict is Verdict.FAILED]
    commands = []
    slugs = list(dict.fromkeys(check.diagnosis.slug for check in failed if check.diagnosis is not None))
    commands += [(f"proclab explain {slug}", "what this fault is") for slug in slugs[:3]]
    ids = [
        check.observation.schedule.replay
        for check in failed
        if check.observation and check.observation.schedule
    ]
    commands += [
        (
            f"proclab check {shlex.quote(report.lab)} --replay {each}",
            "run this order of steps again, and see all of it",
        )
        for each in ids[:2]
        if each
    ]
    again = next((check for check in failed if not check.hidden), None)
    if again is not None:
        commands.append((f"proclab check {shlex.quote(report.lab)} -k {again.name}", "run this check again"))
    return commands
