"""The fixtures of a check: ``run``, ``start`` and ``talk``.

All three are strict, as ``subprocess.run(check=True)`` is: a hang, a crash, an unexpected status, a
process or object left behind fails the check with the diagnosis that the evidence supports, before
any content is compared. A check says what it forgives: ``allow={"process-left-behind"}``.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from grader.judging import explain
from grader.model import Diagnosis, Ending, Lab, Level, Observation, Place, Process
from grader.running.lines import Lines
from grader.running.preparation import Prepared
from grader.running.process import Outcome, Program
from grader.running.terminal import Terminal
from grader.running.trace import History
from grader.running.waitgraph import Roles

Text = str | bytes


class CheckFailed(Exception):
    """A promise that was not kept, with its diagnosis."""

    def __init__(self, diagnosis: Diagnosis, *, expected: str = "", observed: str = ""):
        super().__init__(diagnosis.fact)
        self.diagnosis, self.expected, self.observed = diagnosis, expected, observed


@dataclass
class Bench:
    """Where one check works: it starts programs, remembers them, and ends them all."""

    lab: Lab
    prepared: Prepared
    programs: list[Program] = field(default_factory=list)
    _first: list[Program] = field(default_factory=list)

    def launch(
        self,
        argv: Sequence[str],
        *,
        stdin: Text | None,
        within: float,
        roles: Roles | None,
        closed: Sequence[int] = (),
        terminal: bool = False,
        lines: bool = False,
    ) -> Program:
        """Start the lab's program; `close` ends it with all others of the check."""
        name, *arguments = argv
        if name != self.lab.slug:
            raise ValueError(f"a check starts the lab's program, {self.lab.slug!r}, not {name!r}")
        recipe = self.prepared.recipe
        if lines and self.can_record_lines:
            recipe = replace(recipe, lines=self.prepared.lines)
        program = Program(
            recipe,
            [*self.prepared.argv, *arguments],
            command=_command(self.prepared.words, arguments, stdin, closed),
            stdin=_bytes(stdin) if stdin is not None else None,
            within=within,
            roles=roles if roles is not None else stages(arguments),
            closed=closed,
            terminal=terminal,
        )
        self.programs.append(program)
        return program

    @property
    def can_record_lines(self) -> bool:
        """Whether a repetition could tell more: the history of a Python or C program, in a full sandbox."""
        recipe = self.prepared.recipe
        return recipe.level is Level.FULL and recipe.history and bool(self.prepared.lines)

    def record_lines(self) -> None:
        """From now on record lines; what was run so far stays the evidence if the repetition differs."""
        self._first = list(self.programs)
        self.prepared = replace(
            self.prepared, recipe=replace(self.prepared.recipe, lines=self.prepared.lines)
        )

    def forget_lines(self) -> None:
        """Go back to the evidence of the first run."""
        for program in self.programs[len(self._first) :]:
            program.close()
        self.programs = self._first

    @property
    def latest(self) -> Program | None:
        """The program that was started last: its run is the evidence of a failure."""
        return self.programs[-1] if self.programs else None

    def fail(self, slug: str, fact: str = "", *, expected: str = "", observed: str = "") -> NoReturn:
        """Fail the check with a named fault."""
        raise CheckFailed(
            explain.diagnosis(self.lab.diagnoses, slug, fact), expected=expected, observed=observed
        )

    def close(self) -> None:
        """End every program of the check."""
        for program in self.programs:
            program.close()


def _bytes(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _shown(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _command(words: str, arguments: Sequence[str], stdin: Text | None, closed: Sequence[int]) -> str:
    """A line that the student can paste: small inputs as printf, large ones by their size."""
    line = f"{words} {shlex.join(arguments)}".rstrip()
    line += "".join(f" {number}{'<' if number == 0 else '>'}&-" for number in closed)
    if stdin is None or 0 in closed:
        return line
    data = _bytes(stdin)
    if not data:
        return f"{line} < /dev/null"
    if len(data) <= 200:
        escaped = "".join(
            chr(b) if 32 <= b < 127 and b not in b"%\\'" else {10: "\\n", 9: "\\t"}.get(b, f"\\{b:03o}")
            for b in data
        )
        return f"printf '{escaped}' | {line}"
    if data == data[:1] * len(data) and 32 <= data[0] < 127:
        return f"head -c {len(data)} /dev/zero | tr '\\0' {shlex.quote(chr(data[0]))} | {line}"
    return f"{line}   # with {len(data)} bytes on standard input"


def stages(arguments: Sequence[str]) -> Roles:
    """Where a lab's arguments are commands between bars: what to call the process that runs each."""
    if "|" not in arguments:
        return ()
    commands: list[tuple[str, ...]] = [()]
    for word in arguments:
        if word == "|":
            commands.append(())
        else:
            commands[-1] += (word,)
    return [(f"stage {number}", command) for number, command in enumerate(commands, 1)]


@dataclass(frozen=True)
class Ran:
    """A run that ended cleanly; now its content can be looked at."""

    bench: Bench
    seen: Observation
    history: History | None
    lines: Lines

    def called(self, *names: str) -> Place | None:
        """Where the program first called one of these functions, if it was seen to (``run(lines=True)``)."""
        return next((places[0] for (_, name), places in self.lines.calls.items() if name in names), None)

    @property
    def out(self) -> str:
        """Standard output as text; what is not UTF-8 shows as backslashes."""
        return _shown(self.seen.stdout)

    @property
    def err(self) -> str:
        """Standard error as text."""
        return _shown(self.seen.stderr)

    @property
    def status(self) -> int | None:
        """The exit status; none where a signal ended the program."""
        return self.seen.status

    def prints(self, *texts: Text) -> Ran:
        """Standard output is exactly this (or one of these)."""
        if self.seen.stdout not in [_bytes(text) for text in texts]:
            expected = " or ".join(_shown(_bytes(text)) for text in texts)
            slug = "no-output" if not self.seen.stdout else "wrong-output"
            fact = "The program wrote nothing to standard output." if slug == "no-output" else ""
            self.bench.fail(slug, fact, expected=expected, observed=self.out)
        return self

    def says(self, pattern: str) -> Ran:
        """Standard error has a line in which this regular expression is found."""
        if not re.search(pattern, self.err, re.MULTILINE):
            self.bench.fail(
                "no-message",
                "" if not self.seen.stderr else "Standard error does not say what was expected of it.",
                expected=f"a line on standard error that matches {pattern}",
                observed=self.err or "nothing",
            )
        return self

    def reaped_all(self) -> Ran:
        """Every child of the program was waited for."""
        if self.seen.unreaped:
            count = len(self.seen.unreaped)
            names = ", ".join(_who(self.history, pid) for pid in self.seen.unreaped)
            self.bench.fail(
                "child-not-reaped",
                f"The program ended without having waited for {names}.",
                expected="a wait for every child",
                observed=f"{count} {'child' if count == 1 else 'children'} not waited for: {names}",
            )
        return self


def _who(history: History | None, pid: int) -> str:
    if history is not None:
        for entry in reversed(history.execs):
            if entry.pid == pid:
                return f"{entry.argv[0].rsplit('/', 1)[-1]}[{pid}]"
    return f"process {pid}"


def run(
    bench: Bench,
    *argv: str,
    stdin: Text = b"",
    within: float = 5.0,
    status: int | None = 0,
    allow: Iterable[str] = (),
    roles: Roles | None = None,
    closed: Sequence[int] = (),
    lines: bool = False,
) -> Ran:
    """Run the program to its end.

    :param stdin: all of its standard input
    :param within: patience in seconds; time that a loaded machine takes away does not count
    :param status: the exit status that is promised; none for any
    :param allow: slugs of faults that this check forgives
    :param closed: standard descriptors that the program starts without
    :param lines: record what a Python program calls, and where (`Ran.called`)
    """
    program = bench.launch(argv, stdin=stdin, within=within, roles=roles, closed=closed, lines=lines)
    return _ran(bench, program, program.pump(), status, frozenset(allow))


def _ran(bench: Bench, program: Program, outcome: Outcome, status: int | None, allow: frozenset[str]) -> Ran:
    seen = program.finish(outcome)
    found = explain.fault(seen, bench.lab.diagnoses, status=status, allow=allow)
    if found is not None:
        raise CheckFailed(found, **_comparison(seen, status))
    return Ran(bench, seen, program.history, program.lines)


def _comparison(seen: Observation, status: int | None) -> dict[str, str]:
    expected = "the program ends by itself" + (f", with status {status}" if status is not None else "")
    observed = {
        Ending.EXITED: f"it ended with status {seen.status}",
        Ending.SIGNALLED: f"it was ended by {seen.signal}",
        Ending.HUNG: f"every process was blocked for good after {seen.wall_s:.2f} s",
        Ending.TIMED_OUT: f"it was not done after {seen.within_s:g} s",
        Ending.FLOODED: "it wrote without end",
        Ending.SPUN: f"it went round in circles for {seen.wall_s:.1f} s",
    }.get(seen.ending, "")
    if seen.leftovers:
        observed += " and left behind: " + ", ".join(f"{left.kind} {left.name}" for left in seen.leftovers)
    return {"expected": expected, "observed": observed}


class Started:
    """A program that is still running, in conversation with the check."""

    def __init__(self, bench: Bench, program: Program):
        self._bench, self._program = bench, program

    def send(self, text: Text) -> None:
        """Write to its standard input."""
        self._program.send(_bytes(text))

    def close(self) -> None:
        """End its standard input."""
        self._program.close_input()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its main process."""
        self._program.signal(number)

    def line(self, within: float | None = None) -> str:
        """The next line of its standard output, without the newline.

        The check fails at once, and not after `within`, when the program can only wait for more input.
        """
        outcome, data = self._program.line(within=within)
        if outcome is not Outcome.REACHED:
            self._gone(outcome, "a line of output")
        return _shown(data).removesuffix("\n")

    def rest(self, within: float | None = None) -> tuple[Process, ...]:
        """Wait until all its processes are blocked, and say what each is doing."""
        outcome, found = self._program.rest(within=within)
        if outcome is not Outcome.REACHED:
            self._gone(outcome, "a program at rest")
        return found

    def until(self, condition: Callable[[tuple[Process, ...]], bool], within: float | None = None) -> bool:
        """Wait until its processes are as a check wants them; false if that does not come about."""
        return self._program.until(condition, within=within)

    @property
    def pid(self) -> int:
        """Its main process's id inside the sandbox."""
        return self._program.pid

    def finish(
        self, *, status: int | None = 0, allow: Iterable[str] = (), within: float | None = None
    ) -> Ran:
        """End its input, and wait for its end."""
        self._program.close_input()
        return _ran(self._bench, self._program, self._program.pump(within=within), status, frozenset(allow))

    def _gone(self, outcome: Outcome, waited_for: str) -> NoReturn:
        seen = self._program.finish(outcome)
        raise CheckFailed(
            explain.conversation(seen, self._bench.lab.diagnoses, waited_for),
            expected=waited_for,
            observed=_comparison(seen, None)["observed"],
        )


def start(
    bench: Bench, *argv: str, stdin: Text | None = None, within: float = 5.0, roles: Roles | None = None
) -> Started:
    """Start the program and leave its standard input open; what the check does not finish is ended after it."""
    return Started(bench, bench.launch(argv, stdin=stdin, within=within, roles=roles))


class Talk(Started):
    """A program at a terminal of its own, as a person uses it (pexpect)."""

    def __init__(self, bench: Bench, program: Program):
        super().__init__(bench, program)
        self._terminal = Terminal(program)

    def expect(self, pattern: str, within: float | None = None) -> str:
        """Wait until the terminal shows a match of this regular expression; gives what stood before it."""
        outcome = self._terminal.expect(pattern, within or self._program.within)
        if outcome is not Outcome.REACHED:
            self._gone(outcome, f"output that matches {pattern!r}")
        return self._terminal.before

    def type(self, line: str) -> None:
        """Type a line."""
        self._terminal.type(line)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._terminal.control("c")

    def end_of_file(self) -> None:
        """Press Ctrl-D at the beginning of a line."""
        self._terminal.control("d")

    def ended(self, *, status: int | None = 0, allow: Iterable[str] = (), within: float | None = None) -> Ran:
        """Wait for its end, without touching the terminal."""
        return _ran(self._bench, self._program, self._program.pump(within=within), status, frozenset(allow))


def talk(bench: Bench, *argv: str, within: float = 5.0, roles: Roles | None = None) -> Talk:
    """Start the program at a terminal."""
    return Talk(bench, bench.launch(argv, stdin=None, within=within, roles=roles, terminal=True))
