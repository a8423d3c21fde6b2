"""The page and the fragments: they say what the text says, nothing in them acts, and none grows without end."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from observations import REPORTS as ANY_REPORTS
from reports import BROKEN, PASSED, REPORTS, SKIPPED, failed, hung, leftovers, report, wrong_output

from grader.model import Diagnosis, Ending, Event, Level, Observation, Report, Turn
from grader.reporting import html, text
from grader.reporting.html import fragment, fragment_report, page


def tree(made: str) -> ElementTree.Element:
    return ElementTree.fromstring(made.removeprefix("<!DOCTYPE html>\n"))


def read(made: str) -> str:
    """What a reader sees, without the style sheet."""
    root = tree(made)
    for parent in root.iter():
        for child in list(parent):
            if child.tag == "style":
                parent.remove(child)
    return " ".join("".join(root.itertext()).split())


class Tags(HTMLParser):
    """What a browser's parser makes of a page: its tags and their attributes."""

    def __init__(self, made: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(made)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# ---------------------------------------------------------------- what it says


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_says_what_the_text_says(name: str) -> None:
    """Each sentence of the diagnosis, the command, expected and observed, what was left, the score."""
    made = REPORTS[name]
    shown = read(page(made))
    plain = " ".join(text.render(made).plain.split())
    for check in made.checks:
        assert check.claim in shown
        found = check.diagnosis
        if found is None:
            assert (check.reason in shown) == (check.reason in plain)
            continue
        for words in (found.fact, found.why, found.cure, *found.evidence):
            first = " ".join(words.split())
            if first in plain:
                assert first in shown
        if check.observation is not None and not check.hidden:
            assert " ".join(check.observation.command.split()) in shown
    score = f"{text.number(made.score)} of {text.number(made.max_score)} points"
    assert score in shown
    assert score in plain


def test_the_explanation_comes_before_the_evidence() -> None:
    shown = read(page(REPORTS["hung"]))
    order = [
        "Stage 2 (wc) waits for end-of-file", "pipeline.py:31", "A reader sees end-of-file", "Close every write end",
        "Who holds which end", "made this pipe at", "head -c 1048576", "every process was blocked for good",
        "Conversation", "Processes at the moment when none could go on", "Who waits for whom", "System calls",
    ]  # fmt: skip
    places = [shown.index(words, shown.index("What to mend")) for words in order]
    assert places == sorted(places)


def test_marks_what_differs() -> None:
    root = tree(page(report(wrong_output())))
    marks = ["".join(mark.itertext()) for mark in root.iter("mark")]
    assert marks == ["s\\tcuatro", "\\u200bs cuatro "]
    sides = ["".join(e.itertext()) for e in root.iter("span") if e.get("class") == "pl-side"]
    assert sides[:6] == ["", "equal", "equal", "expected", "observed", "equal"]


def test_marks_the_place_where_something_is_missing() -> None:
    seen = Observation(argv=(), command="x", ending=Ending.EXITED, stdout=b"ab\n")
    check = failed(
        "test_x", "X.", Diagnosis(slug="s", title="t", fact="f"), seen, expected="aXb\n", observed="ab\n"
    )
    marks = ["".join(mark.itertext()) for mark in tree(page(report(check))).iter("mark")]
    assert marks == ["X", "‸"]


def test_never_cuts_where_two_long_lines_differ() -> None:
    ours, theirs = "a" * 5000 + "X" * 300 + "b" * 5000 + "\n", "a" * 5000 + "Y" * 300 + "b" * 5000 + "\n"
    seen = Observation(argv=(), command="x", ending=Ending.EXITED, stdout=theirs.encode())
    check = failed(
        "test_x", "X.", Diagnosis(slug="s", title="t", fact="f"), seen, expected=ours, observed=theirs
    )
    shown = read(page(report(check)))
    assert "X" * 300 in shown
    assert "Y" * 300 in shown
    assert "equal)…" in shown


def test_the_conversation_has_its_voices() -> None:
    turns = (
        Turn(speaker="client 1", text="name ann\n"), Turn(speaker="to client 1", text="ok\n"),
        Turn(speaker="error", text="oh"), Turn(speaker="event", text="client 1 leaves"),
        Turn(speaker="program", text="y\n"), Turn(speaker="program", text="y\n"), Turn(speaker="program", text="y\n"),
    )  # fmt: skip
    check = hung()
    assert check.observation is not None
    seen = msgspec.structs.replace(check.observation, turns=turns)
    root = tree(page(report(msgspec.structs.replace(check, observation=seen))))
    lines = next(e for e in root.iter("ol") if e.get("class") == "pl-lines")
    assert [(line.get("class"), " ".join("".join(line.itertext()).split())) for line in lines] == [
        ("pl-in", "▸ client 1name ann"),
        ("pl-out", "◂ to client 1ok"),
        ("pl-err", "◂ stderroh (no newline)"),
        ("pl-event", "client 1 leaves"),
        ("pl-out", "◂ programy … the same line 2 more times"),
    ]


def test_says_once_what_holds_for_all_checks() -> None:
    shown = read(page(REPORTS["twice"]))
    assert shown.count("A reader sees end-of-file") == 1
    assert "see test_stops_at_end_of_file above: write-end-left-open" in shown


def test_hides_command_and_data_of_hidden_checks() -> None:
    check = msgspec.structs.replace(hung(), hidden=True, expected="SECRET", observed="SECRET too", points=0.0)
    assert check.observation is not None
    seen = msgspec.structs.replace(
        check.observation, stderr=b"SECRET", turns=(Turn(speaker="program", text="SECRET"),)
    )
    check = msgspec.structs.replace(check, observation=seen)
    for made in (page(report(check)), fragment(check), fragment_report(report(check))):
        assert "SECRET" not in made
        assert "head -c 1048576" not in made
        assert "System calls" not in made
        assert "Stage 2 (wc) waits for end-of-file" in made
        assert "This check is hidden" in made
        assert "proclab check" not in made
    for made in (page(report(check), reveal=True), fragment(check, reveal=True)):
        assert "SECRET too" in made
        assert "head -c 1048576" in made


def test_says_whose_fault_a_broken_check_is() -> None:
    shown = read(page(report(PASSED, BROKEN)))
    assert "NameError" in shown
    assert "This is the grader's fault" in shown
    assert "so far, not final" in shown


def test_says_why_a_check_was_not_run_and_that_points_are_provisional() -> None:
    shown = read(page(report(PASSED, SKIPPED, level=Level.PROCESS_GROUP)))
    assert "not run: this machine lacks: trace" in shown
    assert "provisional" in shown


def test_the_section_of_the_brief_is_a_link_where_the_reader_has_it() -> None:
    check = hung()
    assert '<a href="#Who-holds-which-end">Who holds which end</a>' in fragment(check)
    assert "“Who holds which end”" in page(report(check))
    linked = page(report(check), link=lambda section: f"brief.html#{section[:3]}")
    assert '<a href="brief.html#Who">' in linked


def test_links_within_the_page_lead_somewhere() -> None:
    for made in REPORTS.values():
        tags = Tags(page(made)).found
        known = {attributes.get("id") for _, attributes in tags} - {None}
        targets = {str(a["href"]) for tag, a in tags if tag == "a"}
        assert targets <= {f"#{name}" for name in known}
        ids = [a["id"] for _, a in tags if "id" in a]
        assert len(ids) == len(set(ids))


# ---------------------------------------------------------------- nothing in it acts

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> </style></svg></title> \" ' javascript:x "
    "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u2066 a\u0300 \x9b31m \ud800 \r\b\b 100 of 100"
)


def hostile() -> Report:
    seen = Observation(
        argv=("x",), command=f"./pipeline {HOSTILE}", ending=Ending.EXITED, status=0,
        stdout=b"\xff\x1b[31m", stderr=b"\x9b\n" + HOSTILE.encode(errors="replace"),
        turns=(Turn(speaker="program", text=HOSTILE), Turn(speaker="event", text=HOSTILE)),
        events=(Event(at_s=0.0, pid=2, call="execve", text=HOSTILE),), names={2: HOSTILE},
        processes=tuple(msgspec.structs.replace(p, name=HOSTILE, role=HOSTILE) for p in _processes()),
    )  # fmt: skip
    found = Diagnosis(
        slug="x", title=HOSTILE, fact=HOSTILE, evidence=(HOSTILE,), why=HOSTILE, cure=HOSTILE, section=HOSTILE
    )
    check = failed("test_x", HOSTILE, found, seen, expected=HOSTILE, observed="\\xff\x1b[31m")
    broken = msgspec.structs.replace(BROKEN, reason=HOSTILE)
    return report(check, broken, student=HOSTILE, origin=HOSTILE, notices=(HOSTILE,))


def _processes() -> tuple[object, ...]:
    check = leftovers()
    assert check.observation is not None
    return check.observation.processes


ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "a", "header", "main", "footer", "section", "div", "span", "p",
    "h1", "h2", "h3", "h4", "dl", "dt", "dd", "ul", "ol", "li", "pre", "code", "figure", "details", "summary", "mark",
    "b", "i", "br", "small", "svg", "g", "desc", "text", "rect", "path", "circle",
}  # fmt: skip


@pytest.mark.parametrize("make", [page, fragment_report, lambda made: fragment(*made.checks)])
def test_nothing_of_a_student_becomes_an_element(make: html.Link) -> None:
    made = make(hostile())  # type: ignore[arg-type]
    tags = Tags(made).found
    assert {tag for tag, _ in tags} <= ALLOWED
    attributes = {name for _, found in tags for name in found}
    assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcdoc")]
    assert all(str(found["href"]).startswith("#") for _, found in tags if "href" in found)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", made)
    assert "\\e[2J" in made
    assert "\\u202egnp.exe" in made
    assert "&lt;script&gt;" in made


def test_the_policy_lets_nothing_in_but_this_style() -> None:
    made = page(REPORTS["hung"])
    sheet = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    assert len(sheet) == 1
    digest = base64.b64encode(hashlib.sha256(sheet[0].encode()).digest()).decode()
    policy = next(
        str(found["content"])
        for _, found in Tags(made).found
        if found.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert made.index("Content-Security-Policy") < made.index("<style>")
    assert not re.search(r"url\(|@import|expression\(|https?:", made)


def test_fragments_bring_no_names_that_could_meet_on_one_page() -> None:
    made = fragment(hung(), leftovers()) + fragment_report(REPORTS["twice"])
    tags = Tags(made).found
    assert not [found for _, found in tags if "id" in found]
    assert not {tag for tag, _ in tags} & {
        "h1",
        "h2",
        "h3",
        "h4",
        "table",
        "script",
        "main",
        "header",
        "footer",
    }
    assert fragment(hung(), leftovers()).count("<style>") == 1


def rules(sheet: str) -> Iterator[str]:
    """The selectors of the outermost rules, those within @media too."""
    while sheet.strip():
        prelude, _, rest = sheet.partition("{")
        depth, end = 1, 0
        while depth:
            depth += {"{": 1, "}": -1}.get(rest[end], 0)
            end += 1
        if prelude.strip().startswith("@media"):
            yield from rules(rest[: end - 1])
        else:
            yield prelude.strip()
        sheet = rest[end:]


def test_the_style_of_a_fragment_ends_at_its_border() -> None:
    """Every rule is about .proclab and what is in it, so it changes nothing around the fragment."""
    found = list(rules(html._sheet()))
    assert len(found) > 4
    assert [rule for rule in found for selector in rule.split(",") if ".proclab" not in selector] == []


def test_a_cell_of_a_check_that_passed_is_one_line() -> None:
    assert (
        fragment(PASSED)
        == "<div>✓ passed (1 of 1): A single command runs as if it had been started alone.</div>"
    )


# ---------------------------------------------------------------- its form


def test_headings_are_in_order_and_landmarks_are_there() -> None:
    for name, made in REPORTS.items():
        tags = [tag for tag, _ in Tags(page(made)).found]
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1, name
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (
            name,
            levels,
        )
        assert {"header", "main", "footer"} <= set(tags)
        assert 'lang="en"' in page(made)


def test_a_verdict_is_a_word_and_not_a_colour_alone() -> None:
    root = tree(page(report(PASSED, hung(), SKIPPED, BROKEN)))
    words = {"".join(e.itertext()) for e in root.iter("span") if "pl-verdict" in (e.get("class") or "")}
    assert words == {"✓ passed", "✗ failed", "○ skipped", "! broken"}


# ---------------------------------------------------------------- its size


def flood() -> Report:
    big = "y" * 8 * 2**20
    turns = tuple(Turn(speaker="program", text=f"{number} " + "z" * 5000 + "\n") for number in range(5000))
    events = tuple(Event(at_s=0.0, pid=2, call="write", text="w" * 5000) for _ in range(200))
    seen = Observation(
        argv=(), command="c" * 10**6, ending=Ending.FLOODED, stdout=big.encode(), stderr=b"e\n" * 10**6,
        turns=turns, events=events, leftovers=leftovers().observation.leftovers * 1000,  # type: ignore[union-attr]
    )  # fmt: skip
    found = Diagnosis(slug="too-much-output", title="t", fact="f" * 10**6, evidence=("g" * 10**6,) * 3)
    checks = [
        failed(f"test_{number}", "X.", msgspec.structs.replace(found, slug=f"s{number}", fact=f"{number}" * 10**5),
               seen, expected="x" * 8 * 2**20, observed=big)
        for number in range(20)
    ]  # fmt: skip
    return report(*checks)


def test_a_flood_of_output_makes_no_flood_of_page() -> None:
    made = flood()
    began = time.process_time()
    shown = page(made)
    assert time.process_time() - began < 60
    assert len(shown.encode()) < 4_000_000
    assert "more turns" in shown
    assert "more)…" in shown


def test_says_what_was_left_out_of_a_page_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "_BUDGET", 5_000)
    shown = page(report(hung(), wrong_output(), leftovers()), reveal=True)
    assert "head -c 1048576" in shown
    assert "The evidence is left out" in shown
    assert "Standard output is not what was promised." in shown
    assert shown.count("<mark") == 0


def test_an_ordinary_page_is_small() -> None:
    assert len(page(REPORTS["hung"]).encode()) < 40_000


# ---------------------------------------------------------------- any report


@given(ANY_REPORTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_report_is_a_page(made: Report) -> None:
    shown = page(made, reveal=True)
    tree(shown)
    assert {tag for tag, _ in Tags(shown).found} <= ALLOWED
    tree(fragment_report(made))
    tree(f"<div>{fragment(*made.checks)}</div>")


def test_comes_from_the_json_alone() -> None:
    made = REPORTS["hung"]
    stored = msgspec.json.decode(msgspec.json.encode(made), type=Report)
    assert page(stored) == page(made)
