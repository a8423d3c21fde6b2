"""A report as HTML: a page that stands alone, and fragments for the cells of notebooks.

It says what `grader.reporting.text` says, in the same order: the explanation, then the evidence. There is no
script and nothing from the network; folding is done by ``<details>``. All text is escaped by
`grader.reporting.markup` on its way in. What is longer than anybody reads is left out, and its length is told.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

from grader.model import CheckResult, Ending, Level, Observation, Report, Turn, Verdict
from grader.reporting import difference, drawing, processes, schedule, story, text, timeline
from grader.reporting.escape import visible
from grader.reporting.markup import Child, Markup, element, joined, verbatim
from grader.reporting.text import number
from grader.running.machine import LOSSES

_BUDGET = 2_000_000
"""Characters of evidence on one page; what comes after has its explanation only"""
_COMMAND = 20_000
_SPEECH = 2_000
_EQUAL = 400
_NOTES = 30
_TURNS = (20, 40)
_SIGNS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.BROKEN: "!", Verdict.SKIPPED: "○"}

Link = Callable[[str], str]
"""Where a section of the brief is for this reader, as an address; empty if there is none"""


def nowhere(section: str) -> str:
    """The reader has no brief beside the report."""
    del section
    return ""


def in_notebook(section: str) -> str:
    """The heading of that name in the same notebook, as JupyterLab and nbconvert name their anchors."""
    return "#" + quote(visible(section).replace(" ", "-"))


@dataclass
class _Form:
    """In which form the parts are made, and what was said already."""

    headings: bool
    """Headings and anchors: in a page. A fragment must not add to the headings of a notebook."""
    reveal: bool
    link: Link
    explained: dict[str, str] = field(default_factory=dict)
    """Where each diagnosis was explained already: again the facts are enough"""
    room: int = field(default_factory=lambda: _BUDGET)
    """Characters of evidence for which there is still room"""

    def title(self, level: int, *children: Child, class_: str) -> Markup:
        return element(f"h{level}" if self.headings else "p", *children, class_=class_)


# ---------------------------------------------------------------- what is made


def page(report: Report, *, reveal: bool = False, link: Link = nowhere) -> str:
    """A whole page.

    :param reveal: also show what students may not see of hidden checks
    """
    form = _Form(headings=True, reveal=reveal, link=link)
    title = f"{report.lab_title}: {report.student}"
    trouble = list(_explanations(report, form))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        _style(),
    )
    sections = [element("section", element("h2", "Checks"), _list(report, form))]
    if trouble:
        sections.append(element("section", element("h2", "What to mend", id="explanations"), trouble))
    skip = element("a", "To the explanations", href="#explanations", class_="pl-skip") if trouble else None
    body = element(
        "body",
        skip,
        element("header", element("h1", report.lab_title), _about(report), _score(report), class_="pl-frame"),
        element("main", sections, class_="pl-frame"),
        element("footer", _next(report), _origin(report), class_="pl-frame"),
        class_="proclab pl-page",
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def fragment(*results: CheckResult, reveal: bool = False, link: Link = in_notebook) -> str:
    """One check or several, to stand in a page of somebody else: no anchors, no headings, its own style.

    What passed needs no style, so a notebook full of passed checks stays small.
    """
    form = _Form(headings=False, reveal=reveal, link=link)
    checks = [_check([result], form) for result in results]
    if all(result.verdict is Verdict.PASSED for result in results):
        return joined([_passed(result) for result in results])
    return _part(checks)


def _passed(check: CheckResult) -> Markup:
    points = f"{number(check.points)} of {number(check.max_points)}"
    basis = f" ({check.basis})" if check.basis else ""
    return element("div", f"{_SIGNS[check.verdict]} {check.verdict.value} ({points}): {check.claim}{basis}")


def fragment_report(report: Report, *, reveal: bool = False, link: Link = in_notebook) -> str:
    """A whole report, to stand in a page of somebody else."""
    form = _Form(headings=False, reveal=reveal, link=link)
    return _part(
        _score(report), _notices(report), _list(report, form), _explanations(report, form), _next(report)
    )


def _part(*children: Child) -> str:
    return element("div", _style(), *children, class_="proclab pl-part")


@cache
def _sheet() -> str:
    """The style sheet without comments and needless blanks."""
    source = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)).strip()


def _style() -> Markup:
    return element("style", verbatim(_sheet()))


def _policy() -> str:
    """Nothing may be loaded, run or sent; only our own style counts."""
    digest = base64.b64encode(hashlib.sha256(_sheet().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# ---------------------------------------------------------------- head and foot


def _facts(pairs: Iterable[tuple[str, Child]]) -> Markup | None:
    """Labels and what they say."""
    found = [joined(element("dt", label), element("dd", value)) for label, value in pairs if value]
    return element("dl", found, class_="pl-facts") if found else None


def _about(report: Report) -> Markup:
    loss = LOSSES[report.level]
    words = f"level {report.level.value}, {text.LEVELS[report.level]}"
    sandbox = element("span", f"{words}: {loss}", class_="pl-notice") if loss else words
    origin = report.origin if report.origin != report.student else ""
    facts = _facts(
        (("student", report.student), ("from", origin), ("language", report.language), ("sandbox", sandbox))
    )
    return joined(facts, _notices(report))


def _notices(report: Report) -> Markup | None:
    if not report.notices:
        return None
    return element("ul", [element("li", f"note: {notice}") for notice in report.notices], class_="pl-notice")


def _score(report: Report) -> Markup:
    final = " so far, not final" if report.broken else ""
    provisional = ", provisional" if report.level is Level.PROCESS_GROUP else ""
    words = f"{number(report.score)} of {number(report.max_score)} points{final}{provisional}"
    counts = ", ".join(text.counts(report)) or "no check was run"
    return joined(element("p", words, " ", element("small", counts), class_="pl-score"), _bar(report))


def _bar(report: Report) -> Markup | None:
    """The points by verdict, as an ornament: the words beside it say the same."""
    if report.max_score <= 0:
        return None
    shares = dict.fromkeys(Verdict, 0.0)
    for check in report.checks:
        shares[Verdict.PASSED] += check.points
        shares[check.verdict] += check.max_points - check.points
    parts, x = [], 0.0
    for verdict, share in shares.items():
        width = round(100 * share / report.max_score, 2)
        if width > 0:
            parts.append(element("rect", x=x, y=0, width=width, height=4, class_=f"pl-{verdict.value}"))
        x += width
    return element(
        "svg", parts, class_="pl-bar", viewBox="0 0 100 4", preserveAspectRatio="none", aria_hidden="true"
    )


def _verdict(verdict: Verdict) -> Markup:
    sign = element("span", _SIGNS[verdict], aria_hidden="true")
    return element("span", sign, " ", verdict.value, class_=f"pl-verdict pl-{verdict.value}")


def _anchor(check: CheckResult) -> str:
    return f"check-{check.name}"


def _list(report: Report, form: _Form) -> Markup:
    """Every check in a line."""
    rows = []
    for check in report.checks:
        claim: Child = check.claim
        if form.headings and check.verdict in (Verdict.FAILED, Verdict.BROKEN):
            claim = element("a", check.claim, href=f"#{_anchor(check)}")
        hidden = element("span", " (hidden)", class_="pl-soft") if check.hidden else None
        reason = (
            f"not run: {check.reason}" if check.verdict is Verdict.SKIPPED and check.reason else check.basis
        )
        rows.append(
            element(
                "li",
                _verdict(check.verdict),
                element("span", f"{number(check.points)} of {number(check.max_points)}", class_="pl-points"),
                element("span", claim, hidden, class_="pl-what"),
                element("span", reason, class_="pl-why") if reason else None,
            )
        )
    return element("ul", rows, class_="pl-checks")


def _next(report: Report) -> Markup | None:
    """Commands that help now."""
    rows = [element("li", element("code", command), ": ", words) for command, words in text.commands(report)]
    return joined(element("p", "In a terminal", class_="pl-label"), element("ul", rows)) if rows else None


def _origin(report: Report) -> Markup:
    started = report.started.replace("T", " ").replace("+00:00", " UTC")
    words = f"Graded {started} in {report.duration_s:.1f} s. " if started else ""
    versions = f"Lab {report.lab} {report.lab_version[:12]}, submission {report.submission_version[:12]}."
    return element("p", words + versions, class_="pl-soft")


# ---------------------------------------------------------------- one check, or several for one reason


def _explanations(report: Report, form: _Form) -> Iterator[Markup]:
    for group in text.groups(report.checks):
        made = _check(group, form)
        form.room -= len(made)
        yield made
    for check in report.checks:
        replayed = check.verdict is Verdict.PASSED and check.observation is not None
        if check.verdict is Verdict.BROKEN or replayed:
            yield _check([check], form)


def _check(group: list[CheckResult], form: _Form) -> Markup:
    """One explanation, for one check or for several of which the very same is to be said."""
    check = group[0]
    points = f"{number(sum(c.points for c in group))} of {number(sum(c.max_points for c in group))} points"
    claim = check.claim if len(group) == 1 else f"{len(group)} checks, all for one reason"
    names = ", ".join(c.name + (" (hidden)" if c.hidden else "") for c in group)
    anchors = [element("span", id=_anchor(c)) for c in group[1:]] if form.headings else None
    return element(
        "section",
        anchors,
        element(
            "div",
            form.title(3, _verdict(check.verdict), " ", claim, class_="pl-claim"),
            element("p", points, class_="pl-soft"),
            class_="pl-head",
        ),
        element("p", names, class_="pl-names"),
        element("ul", [element("li", c.claim) for c in group], class_="pl-soft pl-claims")
        if len(group) > 1
        else None,
        _body(check, form),
        class_=f"pl-check pl-{check.verdict.value}",
        id=_anchor(check) if form.headings else None,
    )


def _body(check: CheckResult, form: _Form) -> Markup | None:
    if check.verdict is Verdict.BROKEN:
        return joined(
            element("p", _prose(check.reason or "the check gave no verdict"), class_="pl-fact pl-odd"),
            element(
                "p",
                "This is the grader's fault, or the lab's, not the program's. It costs no points: the score is "
                "final only when this check has been run again.",
            ),
        )
    if check.verdict is Verdict.SKIPPED:
        return element("p", f"not run: {check.reason}") if check.reason else None
    if check.verdict is Verdict.PASSED:
        return joined(element("p", check.basis) if check.basis else None, _replayed(check, form))
    slug = check.diagnosis.slug if check.diagnosis is not None else ""
    before = form.explained.get(slug, "")
    shown = form.reveal or not check.hidden
    parts: list[Child] = (
        [_diagnosis(check, before, form, evidence=shown)] if check.diagnosis is not None else []
    )
    if slug:
        form.explained.setdefault(slug, check.name)
    if form.room <= 0:
        parts.append(element("p", "The evidence is left out: this page is large enough. proclab report shows it.",
                             class_="pl-gap"))  # fmt: skip
    elif shown:
        parts.append(_evidence(check, before, form))
    else:
        parts.append(
            element("p", "This check is hidden: its command and its data are not shown.", class_="pl-soft")
        )
        if check.observation is not None:
            if not before:
                parts += [_order(check.observation, form), _moment(check, form)]
            parts.append(_left(check.observation, form))
    return joined(parts)


def _replayed(check: CheckResult, form: _Form) -> Markup | None:
    """A run that broke no promise, of which somebody wants to see everything."""
    if check.observation is None or (check.hidden and not form.reveal):
        return None
    return joined(_run(check, form), _order(check.observation, form))


def _diagnosis(check: CheckResult, before: str, form: _Form, *, evidence: bool) -> Markup:
    """The named fault. What holds for every such fault is said where it comes first."""
    found = check.diagnosis
    assert found is not None
    fact = element("p", _prose(found.fact or found.title), class_="pl-fact")
    where = element("span", str(found.place), class_="pl-place") if found.place is not None else None
    if before:
        why: Child = f"see {before} above"
        if form.headings:
            why = joined("see ", element("a", before, href=f"#check-{before}"), " above: ", found.slug)
        return joined(fact, _facts((("where", where), ("why", why))))
    address = form.link(found.section) if found.section else ""
    section = element("a", found.section, href=address) if address else f"“{found.section}”"
    lines = text.untold(check) if evidence else []
    return joined(
        fact,
        _facts(
            (
                ("where", where),
                ("why", _prose(found.why)),
                ("cure", element("span", _prose(found.cure), class_="pl-cure") if found.cure else None),
                ("read", joined("section ", section, " of the brief") if found.section else None),
                (
                    "evidence",
                    element("ul", [element("li", _prose(line)) for line in lines]) if lines else None,
                ),
            )
        ),
    )


def _prose(words: str) -> Markup:
    """Text with its line breaks; the middle of what nobody reads to the end is left out."""
    return joined(*_between(text.elided(words).split("\n"), element("br")))


def _between(lines: list[str], mark: Markup) -> Iterator[str]:
    for index, line in enumerate(lines):
        if index:
            yield mark
        yield line


def _label(form: _Form, words: str) -> Markup:
    return form.title(4, words, class_="pl-label")


# ---------------------------------------------------------------- evidence


def _evidence(check: CheckResult, before: str, form: _Form) -> Markup:
    seen = check.observation
    parts: list[Child] = [_run(check, form)]
    if seen is not None:
        parts += [_order(seen, form), _conversation(seen, form), _errors(check, form)]
        parts += [_moment(check, form) if not before else None]
        parts += [_left(seen, form)]
        parts += [_history(seen) if not before else None]
    if not before:
        return joined(parts)
    summary = element("summary", "What was run, and what came of it", class_="pl-label")
    return element("details", summary, parts, class_="pl-unfold")


def _run(check: CheckResult, form: _Form) -> Markup:
    """What was run, and how it should have come out."""
    parts: list[Child] = []
    seen = check.observation
    if seen is not None and seen.command:
        command = seen.command
        if len(command) > _COMMAND:
            command = f"{command[:_COMMAND]}…({len(command) - _COMMAND} more)"
        parts.append(_label(form, "Run it yourself"))
        parts.append(element("pre", element("code", command), class_="pl-command"))
    if text.compares_output(check):
        parts.append(_label(form, "Expected and observed"))
        where = difference.where(check.expected, check.observed)
        parts.append(element("p", f"Standard output is not what was expected: {where}."))
        parts.append(_comparison(check.expected, check.observed))
    elif check.expected or check.observed:
        pairs = (("expected", check.expected), ("observed", check.observed))
        parts.append(_facts((label, element("span", _prose(words.rstrip("\n")), class_="pl-prose"))
                            for label, words in pairs if words))  # fmt: skip
    return joined(parts)


def _comparison(expected: str, observed: str) -> Markup:
    rows = []
    for line in difference.lines(expected, observed):
        side = {"both": "equal", "gap": ""}.get(line.side, line.side)
        if line.pair:
            differs = element("mark", line.differs) if line.differs else element(
                "mark", "‸", class_="pl-none", title="something is missing here")  # fmt: skip
            words: Child = (line.before, differs, line.after)
        else:
            words = line.before
            if line.side == "both" and len(line.before) > _EQUAL:
                words = f"{line.before[:_EQUAL]}…({len(line.before) - _EQUAL} more)…"
        rows.append(_line(side, words, f"pl-{line.side}", exact=True))
    return element("ul", rows, class_="pl-lines")


def _line(side: Child, words: Child, style: str, *, exact: bool = False) -> Markup:
    return element(
        "li",
        element("span", side, class_="pl-side"),
        element("span", words, class_="pl-mono pl-exact" if exact else "pl-mono"),
        class_=style,
    )


def _order(seen: Observation, form: _Form) -> Markup | None:
    """The order of steps that shows it."""
    if seen.schedule is None or not seen.schedule.steps:
        return None
    needs = schedule.needs(seen.schedule)
    return joined(
        _label(form, "One order of steps that shows it"),
        element("p", f"{needs[:1].upper()}{needs[1:]}."),
        story.listed(seen.schedule),
    )


def _conversation(seen: Observation, form: _Form) -> Markup | None:
    """Who said what, in turn."""
    if not seen.turns:
        return None
    runs = [(turn, len(list(same))) for turn, same in itertools.groupby(seen.turns)]
    begin, left_out, end = text.middle_out(len(runs), _TURNS)
    rows = [_turn(*runs[index]) for index in begin]
    if left_out:
        rows.append(
            element("li", element("span"), element("span", f"… {left_out} more turns"), class_="pl-gap")
        )
    rows += [_turn(*runs[index]) for index in end]
    return joined(_label(form, "Conversation"), element("ol", rows, class_="pl-lines"))


def _turn(turn: Turn, times: int) -> Markup:
    words = turn.text.removesuffix("\n")
    if len(words) > _SPEECH:
        cut = _SPEECH // 2
        words = f"{words[:cut]}…({len(words) - 2 * cut} more)…{words[-cut:]}"
    again = f" … the same line {text.counted(times - 1, 'more time')}" if times > 1 else ""
    if turn.speaker == "event":
        return element("li", element("span"), element("span", words, again), class_="pl-event")
    notes = ("" if turn.text.endswith("\n") else " (no newline)") + again
    note = element("span", notes, class_="pl-gap") if notes else None
    speaks = "err" if turn.speaker == "error" else "in" if _from_outside(turn.speaker) else "out"
    side = "stderr" if turn.speaker == "error" else turn.speaker
    return _line(
        (element("span", "▸ " if speaks == "in" else "◂ ", aria_hidden="true"), side),
        (words, note),
        f"pl-{speaks}",
    )


def _from_outside(speaker: str) -> bool:
    """Whether the grader's side speaks."""
    return speaker == "grader" or speaker.startswith("client")


def _errors(check: CheckResult, form: _Form) -> Markup | None:
    before, lines = text.last_errors(check)
    if not lines:
        return None
    rows = [_line("", line, "pl-err") for line in lines]
    if before:
        rows.insert(
            0, element("li", element("span"), element("span", f"… {before} lines before"), class_="pl-gap")
        )
    return joined(_label(form, "Standard error"), element("ul", rows, class_="pl-lines"))


def _moment(check: CheckResult, form: _Form) -> Markup | None:
    """The processes at the end: drawn, who waits for whom in sentences, and all in words."""
    seen = check.observation
    if seen is None or not seen.processes:
        return None
    names = processes.objects(seen)
    title = processes.MOMENTS[seen.ending]
    picture = element("div", drawing.svg(seen, check.diagnosis), class_="pl-scroll", role="group", tabindex=0,
                      aria_label="drawing of the processes")  # fmt: skip
    waits = [element("li", processes.arrow(edge, seen, names)) for edge in seen.edges[: processes.EDGES]]
    if len(seen.edges) > processes.EDGES:
        waits.append(element("li", f"… {len(seen.edges) - processes.EDGES} more", class_="pl-gap"))
    return joined(
        _label(form, title[:1].upper() + title[1:]),
        element("figure", picture),
        [_label(form, "Who waits for whom"), element("ul", waits, class_="pl-waits")] if waits else None,
        element(
            "details",
            element("summary", "The same in words, with all descriptors", class_="pl-label"),
            _tree(seen, names),
            class_="pl-unfold",
        ),
    )


def _tree(seen: Observation, names: dict[str, str]) -> Markup:
    """Processes under their parents, with what each does and holds."""
    rows: list[Markup] = []
    for branch, _, process in processes.tree(seen.processes):
        notes = list(processes.notes(process, names))
        if len(notes) > _NOTES:
            notes = [*notes[:_NOTES], f"… {len(notes) - _NOTES} more"]
        held = element("ul", [element("li", note, class_="pl-soft") for note in notes]) if notes else None
        words = (element("b", process.label), f", {processes.doing(process)}", held)
        rows.append(element("li", element("span", branch, class_="pl-mono", aria_hidden="true"), *words))
    return element("ul", rows, class_="pl-tree")


def _left(seen: Observation, form: _Form) -> Markup | None:
    """What outlived the program, and whom it did not wait for."""
    parts: list[Markup] = []
    if seen.leftovers:
        rows = [element("li", f"{left.kind} {left.name}") for left in seen.leftovers[:_NOTES]]
        if len(seen.leftovers) > _NOTES:
            rows.append(element("li", f"… {len(seen.leftovers) - _NOTES} more", class_="pl-gap"))
        parts += [_label(form, "Left behind"), element("ul", rows)]
    if seen.unreaped and seen.ending in (Ending.EXITED, Ending.SIGNALLED):
        rows = [element("li", processes.who(pid, seen)) for pid in seen.unreaped]
        parts += [_label(form, "Never waited for"), element("ul", rows)]
    return joined(parts) if parts else None


def _history(seen: Observation) -> Markup | None:
    if not seen.events:
        return None
    words = f"System calls, by process ({text.counted(len(seen.events), 'event')})"
    return element("details", element("summary", words, class_="pl-label"), timeline.listed(seen))
