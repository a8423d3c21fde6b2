"""The bench: where one check works. It starts programs, remembers them, and ends them all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NoReturn

from grader.content import lab as labs
from grader.judging import explain
from grader.model import Diagnosis, Lab, Level, Observation, SourceFile
from grader.running import preparation
from grader.running.preparation import DRIVER, Instrumented, Prepared
from grader.running.process import Program
from grader.running.waitgraph import Roles

Text = str | bytes
_SHORT = 200
"""Bytes that a command line can still hold"""


class CheckFailed(Exception):
    """A promise that was not kept, with its diagnosis."""

    def __init__(self, diagnosis: Diagnosis, *, expected: str = "", observed: str = ""):
        super().__init__(diagnosis.fact)
        self.diagnosis, self.expected, self.observed = diagnosis, expected, observed


class CheckSkipped(Exception):
    """A promise that cannot be looked at with this submission or on this machine, with the reason."""


class Workshop:
    """One submission's program in every form that checks ask for. Each is built once, when it is first needed."""

    def __init__(self, lab: Lab, prepared: Prepared):
        self.lab, self.prepared = lab, prepared
        self._instrumented: dict[tuple[str, bytes, bool], Instrumented] = {}

    def instrumented(self, name: str, hooks: bytes, *, jumps: bool = False) -> Instrumented:
        """The C program that `named` gives, built once more with hooks (`grader.running.preparation`)."""
        key = (name, hooks, jumps)
        if key not in self._instrumented:
            self._instrumented[key] = preparation.instrumented(self.named(name), hooks, jumps=jumps)
        return self._instrumented[key]

    @cached_property
    def driver(self) -> Prepared | None:
        """The program as a library under the lab's driver; none where that cannot be."""
        return preparation.with_driver(self.prepared, labs.drivers(self.lab))

    def named(self, name: str) -> Prepared:
        """What a check starts by this name: the lab's program or its driver.

        :raises CheckSkipped: if the submission is no library that the driver can call
        :raises CheckFailed: if it does not fit the driver
        :raises ValueError: if a check asks for something else
        """
        if name == self.lab.slug:
            return self.prepared
        if name != DRIVER:
            raise ValueError(f"a check starts {self.lab.slug!r} or {DRIVER!r}, not {name!r}")
        if self.driver is None:
            raise CheckSkipped(
                f"the functions of a {self.prepared.language.value} submission cannot be called"
            )
        if self.driver.build is not None:
            words = shown(self.driver.build.stderr)
            first = next(
                (line for line in words.splitlines() if re.search(r"error|undefined reference", line)),
                "the linker gave no program",
            )
            raise CheckFailed(
                explain.diagnosis(self.lab.diagnoses, "interface-differs", first),
                expected="the functions that the skeleton declares", observed=words,
            )  # fmt: skip
        return self.driver


@dataclass
class Bench:
    """Where one check works: it starts programs, remembers them, and ends them all."""

    workshop: Workshop
    programs: list[Program] = field(default_factory=list)
    _first: list[Program] = field(default_factory=list)
    _recording: bool = False
    _keepers: list[Program] = field(default_factory=list)
    evidence: Observation | None = None
    """A run that is to be shown, where it is not that of the latest program"""
    basis: list[str] = field(default_factory=list)
    """What was tried, where a check tries many runs: what a pass stands on"""

    @property
    def lab(self) -> Lab:
        """The lab whose check works here."""
        return self.workshop.lab

    def launch(
        self,
        argv: Sequence[str],
        *,
        stdin: Text | None,
        within: float,
        roles: Roles | None = None,
        closed: Sequence[int] = (),
        terminal: bool = False,
        lines: bool = False,
        files: Mapping[str, Text] | None = None,
        beside: Program | None = None,
        shared: bool = False,
        prepared: Prepared | None = None,
    ) -> Program:
        """Start the lab's program or its driver; `close` ends it with all others of the check.

        :param files: what lies beside the program when it starts
        :param beside: a program whose sandbox the new one shares; if that has ended, it was started `shared`
        :param shared: other programs will start beside it, also after its end
        :param prepared: another form of the program, with a probe of its own
        """
        name, *arguments = argv
        plain = prepared is None
        prepared = prepared or self.workshop.named(name)
        recipe = prepared.recipe
        if plain and (lines or self._recording) and self.can_record_lines:
            recipe = replace(recipe, lines=prepared.lines)
        if files:
            extra = tuple(SourceFile(path=path, data=as_bytes(data)) for path, data in files.items())
            recipe = replace(recipe, files=(*(f for f in recipe.files if f.path not in files), *extra))
        if shared:  # a program of our own keeps the sandbox, whatever becomes of the student's
            beside = Program(replace(recipe, history=False, lines=""), ["cat"], stdin=None)
            self._keepers.append(beside)
        program = Program(
            recipe,
            [*prepared.argv, *arguments],
            command=_placed(files or {}) + _command(prepared.words, arguments, stdin, closed),
            stdin=as_bytes(stdin) if stdin is not None else None,
            within=within,
            roles=roles if roles is not None else stages(arguments),
            closed=closed,
            terminal=terminal,
            beside=beside,
        )
        self.programs.append(program)
        return program

    @property
    def can_record_lines(self) -> bool:
        """Whether a repetition could tell more: the history of a Python or C program, in a full sandbox."""
        prepared = self.workshop.prepared
        return prepared.recipe.level is Level.FULL and prepared.recipe.history and bool(prepared.lines)

    def record_lines(self) -> None:
        """From now on record lines; what was run so far stays the evidence if the repetition differs."""
        self._first = list(self.programs)
        self._recording = True

    @property
    def recording(self) -> bool:
        """Whether the check failed and is being repeated for its lines."""
        return self._recording

    def discard(self, program: Program) -> None:
        """End a program, and forget it: it is no evidence."""
        program.close()
        self.programs.remove(program)

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
        for program in (*reversed(self.programs), *self._keepers):
            program.close()


def as_bytes(text: Text) -> bytes:
    """Text as it travels."""
    return text.encode() if isinstance(text, str) else text


def shown(data: bytes) -> str:
    """Bytes as people read them; what is not UTF-8 shows as backslashes."""
    return data.decode(errors="backslashreplace")


def _placed(files: Mapping[str, Text]) -> str:
    """What to type first, so that the files are there; those of more than a few lines are only named."""
    line = ""
    for path, text in files.items():
        data = as_bytes(text)
        if len(data) <= _SHORT:
            line += f"printf '{_escaped(data)}' > {shlex.quote(path)}; "
        else:
            line += f"test -s {shlex.quote(path)} && "
    return line


def _command(words: str, arguments: Sequence[str], stdin: Text | None, closed: Sequence[int]) -> str:
    """A line that the student can paste: small inputs as printf, large ones by their size."""
    line = f"{words} {shlex.join(arguments)}".rstrip()
    line += "".join(f" {number}{'<' if number == 0 else '>'}&-" for number in closed)
    if stdin is None or 0 in closed:
        return line
    data = as_bytes(stdin)
    if not data:
        return f"{line} < /dev/null"
    if len(data) <= _SHORT:
        return f"printf '{_escaped(data)}' | {line}"
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


def _escaped(data: bytes) -> str:
    """Bytes as printf(1) takes them between single quotes."""
    return "".join(
        chr(b) if 32 <= b < 127 and b not in b"%\\'" else {10: "\\n", 9: "\\t"}.get(b, f"\\{b:03o}")
        for b in data
    )
