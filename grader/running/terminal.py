"""A conversation at a terminal: pexpect's patterns over `Program`'s own loop.

pexpect only knows patience; here a read also ends when the program has ended or can never go on.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import pexpect
from pexpect.spawnbase import SpawnBase

from grader.running.process import Outcome, Program

if TYPE_CHECKING:
    _Base = SpawnBase[str]  # generic for the type checker only
else:
    _Base = SpawnBase


class _Stream(_Base):
    """What pexpect reads from: the output that `Program` has collected so far."""

    def __init__(self, program: Program):
        super().__init__(timeout=program.within, encoding="utf-8", codec_errors="backslashreplace")
        self._program = program
        self._taken = 0
        self._text = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.outcome = Outcome.REACHED

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:
        store = self._program.stdout
        if len(store) <= self._taken:
            self.outcome = self._program.pump(lambda: len(store) > self._taken, within=timeout or 0.001)
            if self.outcome is Outcome.TIMED_OUT:
                raise pexpect.TIMEOUT("no match in time")
            if self.outcome is not Outcome.REACHED:
                self.flag_eof = True
                raise pexpect.EOF(self.outcome.name)
        data = bytes(store[self._taken : self._taken + size])
        self._taken += len(data)
        return self._text.decode(data)


class Terminal:
    """The keyboard and the screen of one program."""

    def __init__(self, program: Program):
        self._program = program
        self._stream = _Stream(program)
        self.before = ""
        """What the screen showed before the last match"""

    def expect(self, pattern: str, within: float) -> Outcome:
        """Wait for a match; anything but `Outcome.REACHED` says why there will be none."""
        found = self._stream.expect([pattern, pexpect.EOF, pexpect.TIMEOUT], timeout=within)
        self.before = str(self._stream.before or "")
        if found == 0:
            return Outcome.REACHED
        return self._stream.outcome if found == 1 else Outcome.TIMED_OUT

    def type(self, line: str) -> None:
        """Type a line and press return."""
        self._program.send(line.encode() + b"\n")

    def control(self, letter: str) -> None:
        """Press control and a letter."""
        self._program.send(bytes([ord(letter.upper()) - 64]))
