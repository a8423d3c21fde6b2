"""The fixtures of a check: ``run``, ``start`` and ``talk``.

All three are strict, as ``subprocess.run(check=True)`` is: a hang, a crash, an unexpected status, a
process or object left behind fails the check with the diagnosis that the evidence supports, before
any content is compared. A check says what it forgives: ``allow={"process-left-behind"}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from signal import SIGTERM, Signals
from typing import NoReturn

from grader.judging import clients, explain
from grader.judging.bench import Bench, CheckFailed, Text, as_bytes, shown
from grader.model import Observation, Place, Process
from grader.running.lines import Lines
from grader.running.network import parse
from grader.running.process import Idle, Outcome, Program
from grader.running.terminal import Terminal
from grader.running.trace import History
from grader.running.waitgraph import Roles


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
        return shown(self.seen.stdout)

    @property
    def err(self) -> str:
        """Standard error as text."""
        return shown(self.seen.stderr)

    @property
    def status(self) -> int | None:
        """The exit status; none where a signal ended the program."""
        return self.seen.status

    def prints(self, *texts: Text) -> Ran:
        """Standard output is exactly this (or one of these)."""
        if self.seen.stdout not in [as_bytes(text) for text in texts]:
            expected = " or ".join(shown(as_bytes(text)) for text in texts)
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
    files: Mapping[str, Text] | None = None,
    beside: Started | None = None,
) -> Ran:
    """Run the program to its end.

    :param stdin: all of its standard input
    :param within: patience in seconds; time that a loaded machine takes away does not count
    :param status: the exit status that is promised; none for any
    :param allow: slugs of faults that this check forgives
    :param closed: standard descriptors that the program starts without
    :param lines: record what a Python program calls, and where (`Ran.called`)
    :param files: what lies beside the program when it starts
    :param beside: a started program whose sandbox this one shares
    """
    program = bench.launch(
        argv, stdin=stdin, within=within, roles=roles, closed=closed, lines=lines, files=files,
        beside=beside.program if beside is not None else None,
    )  # fmt: skip
    return _ran(bench, program, program.pump(), status, frozenset(allow))


def _ran(bench: Bench, program: Program, outcome: Outcome, status: int | None, allow: frozenset[str]) -> Ran:
    seen = program.finish(outcome)
    found = explain.fault(seen, bench.lab.diagnoses, status=status, allow=allow)
    if found is not None:
        raise CheckFailed(found, **_comparison(seen, status))
    return Ran(bench, seen, program.history, program.lines)


def _comparison(seen: Observation, status: int | None) -> dict[str, str]:
    expected = "the program ends by itself" + (f", with status {status}" if status is not None else "")
    return {"expected": expected, "observed": explain.ending(seen)}


class Started:
    """A program that is still running, in conversation with the check."""

    def __init__(self, bench: Bench, program: Program):
        self._bench, self._program = bench, program
        self._address = ""

    @property
    def pid(self) -> int:
        """Its main process's id inside the sandbox."""
        return self._program.pid

    @property
    def program(self) -> Program:
        """The program itself, for what checks seldom need."""
        return self._program

    # ------------------------------------------------------------ standard streams

    def send(self, text: Text) -> None:
        """Write to its standard input."""
        self._program.send(as_bytes(text))

    def close(self) -> None:
        """End its standard input."""
        self._program.close_input()

    def line(self, within: float | None = None) -> str:
        """The next line of its standard output, without the newline.

        The check fails at once, and not after `within`, when the program can only wait for more input.
        """
        outcome, data = self._program.line(within=within)
        if outcome is not Outcome.REACHED:
            self._gone(outcome, "a line of output")
        return shown(data).removesuffix("\n")

    @property
    def out(self) -> str:
        """All that has come on its standard output so far."""
        return shown(bytes(self._program.stdout))

    @property
    def err(self) -> str:
        """All that has come on its standard error so far."""
        return shown(bytes(self._program.stderr))

    # ------------------------------------------------------------ states

    def rest(self, within: float | None = None) -> tuple[Process, ...]:
        """Wait until all its processes are blocked, and say what each is doing."""
        outcome, found = self._program.rest(within=within)
        if outcome is not Outcome.REACHED:
            self._gone(outcome, "a program at rest")
        return found

    def settle(self, within: float | None = None) -> None:
        """Wait until it has taken all that was sent to it, and all its processes wait or sleep."""
        clients.settle(self._bench, self._program, within)

    def until(self, condition: Callable[[tuple[Process, ...]], bool], within: float | None = None) -> bool:
        """Wait until its processes are as a check wants them; false if that does not come about."""
        return self._program.until(condition, within=within)

    def processes(self) -> tuple[Process, ...]:
        """Its processes now."""
        return self._program.look()

    def idle(self, seconds: float = 0.5) -> Idle:
        """Let it settle, leave it alone for a time, and say what it used meanwhile."""
        self.settle()
        return self._program.idle(seconds)

    def signal(self, number: Signals, pid: int | None = None) -> None:
        """Send a signal to its main process, or to another one by its id inside the sandbox."""
        self._program.signal(number, pid)

    # ------------------------------------------------------------ a server's clients

    def ready(self, within: float | None = None) -> str:
        """Wait for the line ``ready ADDRESS``, and give the address; again for a second such line."""
        outcome, data = self._program.line(within=within)
        line = shown(data).removesuffix("\n")
        if outcome is not Outcome.REACHED:
            self._gone(outcome, "the line 'ready ADDRESS'", "not-ready")
        word, _, address = line.partition(" ")
        if word != "ready" or not address:
            self._bench.fail(
                "not-ready", f"The server wrote {line!r}.", expected="ready ADDRESS", observed=line
            )
        if parse(address) is not None and not self._address:
            self._address = address
        return address

    def connect(
        self, address: str = "", *, reading: bool = True, within: float | None = None
    ) -> clients.Client:
        """A client, connected.

        :param address: a Unix-domain socket's name in the program's folder, or ``127.0.0.1:PORT``; by default the
            first TCP address that the server announced
        :param reading: false for a client that never reads what is sent to it
        """
        connection = self._program.clients.connect(self._where(address), reading=reading)
        return clients.Client(self._bench, self._program, connection).connected(within)

    def steady(self, request: Text, clients_at_once: int = 4, address: str = "") -> clients.Requests:
        """Clients that connect, send a request and read to end-of-file, again and again."""
        steady = self._program.clients.steady(self._where(address), as_bytes(request), clients_at_once)
        return clients.Requests(self._bench, self._program, steady)

    def split(
        self, text: Text, *, gives: Text, slug: str = "one-read-is-not-one-message", address: str = ""
    ) -> None:
        """The same conversation in every way that a stream may carry it, each by a client of its own.

        Between two pieces the server takes what has come, so each piece is a read of its own.

        :param gives: what the client receives until the server ends the connection
        :param slug: the fault, where the answer is another one only for some of the ways
        """
        for words, pieces in clients.cuts(as_bytes(text)):
            client = self.connect(address)
            for piece in pieces:
                client.send(piece)
                self.settle()
            try:
                answer = client.rest_of()
            except CheckFailed as failure:
                if failure.diagnosis.slug not in ("no-answer", "connection-left-open"):
                    raise
                answer = client.unread
                if answer == shown(as_bytes(gives)):
                    raise  # all was answered, only the end is missing
            if answer != shown(as_bytes(gives)):
                self._bench.fail(
                    slug,
                    f"The answers to a conversation differ when it comes {words}.",
                    expected=shown(as_bytes(gives)),
                    observed=answer or "nothing",
                )
            client.close()

    def _where(self, address: str) -> str:
        if not (address or self._address):
            raise ValueError("no TCP address was announced: call ready() first, or name a socket")
        return address or self._address

    # ------------------------------------------------------------ its folder

    def read(self, name: str) -> str:
        """A file of its folder; empty if it is not there."""
        return shown(self._program.folder.read(name))

    def write(self, name: str, text: Text) -> None:
        """Put a file into its folder, in the place of one of this name."""
        self._program.folder.write(name, as_bytes(text))

    def writer(self, name: str) -> clients.Writer:
        """Somebody who has a FIFO of its folder open for writing: ``with server.writer("log.fifo") as writer``."""
        return clients.Writer(self._bench, self._program, name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file of its folder."""
        self._program.folder.rename(old, new)

    def remove(self, name: str) -> None:
        """Take a file out of its folder."""
        self._program.folder.remove(name)

    def exists(self, name: str) -> bool:
        """Whether its folder has something of this name."""
        return self._program.folder.mode(name) is not None

    def mode(self, name: str) -> int:
        """Type and permissions of a name in its folder (inode(7)); 0 if it is not there."""
        return self._program.folder.mode(name) or 0

    def until_file(self, name: str, condition: Callable[[str], bool], within: float | None = None) -> bool:
        """Wait until a file of its folder is as a check wants it; false if that does not come about."""
        return self._program.until(lambda _: condition(self.read(name)), within=within)

    # ------------------------------------------------------------ its end

    def stop(
        self,
        number: Signals = SIGTERM,
        *,
        status: int | None = 0,
        allow: Iterable[str] = (),
        within: float | None = None,
    ) -> Ran:
        """Send it a signal, and wait for its end."""
        self.signal(number)
        return self.ended(status=status, allow=allow, within=within)

    def ended(self, *, status: int | None = 0, allow: Iterable[str] = (), within: float | None = None) -> Ran:
        """Wait for its end."""
        return _ran(self._bench, self._program, self._program.pump(within=within), status, frozenset(allow))

    def finish(
        self, *, status: int | None = 0, allow: Iterable[str] = (), within: float | None = None
    ) -> Ran:
        """End its input, and wait for its end."""
        self._program.close_input()
        return self.ended(status=status, allow=allow, within=within)

    def _gone(self, outcome: Outcome, waited_for: str, slug: str = "output-held-back") -> NoReturn:
        seen = self._program.finish(outcome)
        found = explain.conversation(seen, self._bench.lab.diagnoses, waited_for)
        if slug != "output-held-back" and found.slug in ("output-held-back", "waits-forever"):
            found = explain.diagnosis(self._bench.lab.diagnoses, slug, found.fact, found.evidence)
        raise CheckFailed(found, expected=waited_for, observed=explain.ending(seen))


def start(
    bench: Bench,
    *argv: str,
    stdin: Text | None = None,
    within: float = 5.0,
    roles: Roles | None = None,
    files: Mapping[str, Text] | None = None,
    beside: Started | None = None,
    shared: bool = False,
) -> Started:
    """Start the program and leave its standard input open; what the check does not finish is ended after it.

    :param within: patience in seconds with each step
    :param files: what lies beside the program when it starts
    :param beside: a program whose sandbox the new one shares: network, folder, IPC objects, process ids
    :param shared: others will start beside this one, also after its end
    """
    program = bench.launch(
        argv, stdin=stdin, within=within, roles=roles, files=files, shared=shared,
        beside=beside.program if beside is not None else None,
    )  # fmt: skip
    return Started(bench, program)


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


def talk(bench: Bench, *argv: str, within: float = 5.0, roles: Roles | None = None) -> Talk:
    """Start the program at a terminal."""
    return Talk(bench, bench.launch(argv, stdin=None, within=within, roles=roles, terminal=True))
