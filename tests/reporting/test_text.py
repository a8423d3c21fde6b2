"""The terminal report: golden files for each ending, and what must hold whatever a student writes.

``make bless`` accepts the reports as they are now; read the difference before you commit it.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import msgspec
import pytest
from reports import BROKEN, REPORTS, failed, hung, leftovers, report

from grader.model import Diagnosis, Ending, Observation, Report, Turn
from grader.reporting import text

MESSAGES = Path(__file__).parents[1] / "messages"


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_reads_as_blessed(name: str) -> None:
    golden = MESSAGES / f"{name}.txt"
    page = text.render(REPORTS[name]).plain
    if os.environ.get("BLESS"):
        golden.write_text(page)
    assert page == golden.read_text(), "read the difference, then: make bless"


def test_every_golden_file_has_a_report() -> None:
    assert {path.stem for path in MESSAGES.glob("*.txt")} >= set(REPORTS)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_fits_the_width_except_for_what_is_to_be_copied(width: int) -> None:
    for made in REPORTS.values():
        commands = {check.observation.command for check in made.checks if check.observation}
        for line in text.render(made, width=width).plain.splitlines():
            if not any(command in line for command in commands) and "proclab " not in line:
                assert len(line) <= width, line


def test_comes_from_the_json_alone() -> None:
    made = REPORTS["hung"]
    stored = msgspec.json.decode(msgspec.json.encode(made), type=Report)
    assert text.render(stored).plain == text.render(made).plain


def test_hides_command_and_data_of_hidden_checks() -> None:
    made = report(msgspec.structs.replace(hung(), hidden=True, expected="SECRET", observed="SECRET too"))
    page = text.render(made).plain
    assert "SECRET" not in page
    assert "head -c 1048576" not in page
    assert "Stage 2 (wc) waits for end-of-file" in page
    assert "proclab check" not in page
    revealed = text.render(made, reveal=True).plain
    assert "SECRET too" in revealed
    assert "head -c 1048576" in revealed


HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07 [bold red]markup[/] :smile: "
    "\u202egnp.exe\u2066 a\u0300 \x9b31m \ud800 \r\b\b 100 of 100"
)


def hostile() -> Report:
    seen = Observation(
        argv=("x",), command=f"./pipeline {HOSTILE}", ending=Ending.EXITED, status=0,
        stdout=b"\xff\x1b[31m", stderr=b"\x9b\n" + HOSTILE.encode(errors="replace"),
        turns=(Turn(speaker="program", text=HOSTILE), Turn(speaker="event", text=HOSTILE)),
    )  # fmt: skip
    diagnosis = Diagnosis(
        slug="x", title=HOSTILE, fact=HOSTILE, evidence=(HOSTILE,), why=HOSTILE, cure=HOSTILE
    )
    check = failed("test_x", HOSTILE, diagnosis, seen, expected=HOSTILE, observed="\\xff\x1b[31m")
    broken = msgspec.structs.replace(BROKEN, reason=HOSTILE)
    return report(check, broken, student=HOSTILE, origin=HOSTILE, notices=(HOSTILE,))


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_escapes_whatever_a_student_wrote() -> None:
    page = text.render(hostile()).plain
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page)
    assert "\\e[2J" in page
    assert "[bold red]markup[/]" in page
    assert ":smile:" in page


def test_colours_only_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, terminal = io.StringIO(), Terminal()
    text.render(hostile()).write(plain)
    text.render(hostile()).write(terminal)
    assert "\x1b" not in plain.getvalue()
    shown = terminal.getvalue()
    assert "\x1b[" in shown
    without = re.sub("\x1b\\[[0-9;]*m", "", shown)  # nothing but colours
    assert "\x1b" not in without
    assert without == plain.getvalue()


def test_has_no_colour_if_the_reader_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    text.render(REPORTS["hung"]).write(terminal)
    assert not re.search("\x1b\\[[0-9;]*3[0-9]m", terminal.getvalue())


def test_writes_to_a_stream_that_is_not_unicode() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    text.render(REPORTS["hung"]).write(stream)
    shown = raw.getvalue().decode("ascii")
    assert "|- stage 1 (cat)" in shown or "|-- stage 1" in shown or "|- stage 1" in shown


def test_says_once_what_holds_for_all_checks() -> None:
    page = text.render(REPORTS["does_not_compile"]).plain
    assert page.count("Begin with the first message of the compiler.") == 1
    assert "2 checks, all for one reason" in page
    assert "0 of 4 points" in page


def test_survives_a_damaged_tree() -> None:
    check = leftovers()
    assert check.observation is not None
    first = check.observation.processes[0]
    twisted = tuple(msgspec.structs.replace(first, pid=a, parent=b) for a, b in ((3, 4), (4, 3), (5, 5)))
    seen = msgspec.structs.replace(check.observation, processes=twisted)
    page = text.render(report(msgspec.structs.replace(check, observation=seen)), reveal=True).plain
    assert page.count("stage 1 (sleep)  ") >= 3
