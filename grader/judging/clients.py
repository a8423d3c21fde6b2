"""Clients of a server, as checks drive them: ``server.connect()``, ``server.steady()``, ``server.split()``.

A step that waits for the server fails at once when nothing more can come: all processes of the program wait,
everything that was sent has arrived and has been taken. It does not have to be out of time for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NoReturn

from grader.judging import explain
from grader.judging.bench import Bench, CheckFailed, Text, as_bytes, shown
from grader.model import Turn
from grader.running import clients, network
from grader.running.process import Outcome, Program


class Client:
    """One connection to the program."""

    def __init__(self, bench: Bench, program: Program, connection: network.Client):
        self._bench, self._program, self._connection = bench, program, connection
        self._taken = 0

    @property
    def name(self) -> str:
        """What messages call it: ``client 2``."""
        return self._connection.name

    @property
    def unread(self) -> str:
        """What has come and was not looked at."""
        return shown(bytes(self._connection.received[self._taken :]))

    @property
    def ended(self) -> str:
        """How it came to its end: ``end-of-file`` or ``reset`` by the program, ``closed`` by us; empty before."""
        return self._connection.ended

    @property
    def unsent(self) -> int:
        """Bytes of `send` that found no room, since the program does not read them."""
        return self._connection.unsent

    # ------------------------------------------------------------ sending

    def send(self, text: Text) -> None:
        """Send, as soon as there is room; this returns at once."""
        self._program.clients.tell(self._connection, as_bytes(text))

    def shutdown(self) -> None:
        """End the own direction: the program sees end-of-file, and can still answer."""
        self._program.clients.shut(self._connection)

    def close(self) -> None:
        """Close the connection in an orderly way."""
        self._program.clients.leave(self._connection)

    def reset(self) -> None:
        """Break the connection off with a reset (SO_LINGER of 0 in socket(7))."""
        self._program.clients.leave(self._connection, reset=True)

    def read(self) -> None:
        """Begin to read, after ``connect(reading=False)``."""
        self._program.clients.hear(self._connection)

    # ------------------------------------------------------------ waiting

    def connected(self, within: float | None = None) -> Client:
        """Wait until the connection stands.

        Standing, it may still wait for the program to accept it.
        """
        connection = self._connection
        outcome = self._program.pump(lambda: connection.connected or bool(connection.ended), within=within)
        if connection.refused:
            self._bench.fail(
                "connection-refused",
                f"{self.name} was refused: {connection.refused}.",
                expected="a connection",
                observed=connection.refused,
            )
        if outcome is not Outcome.REACHED:
            self._missed(outcome, "a connection")
        return self

    def line(self, within: float | None = None, *, slug: str = "no-answer") -> str:
        """The next line that comes, without its newline.

        :param slug: the fault, if nothing more can come
        """
        received = self._connection.received

        def complete() -> bool:
            return received.find(b"\n", self._taken) >= 0 or bool(self._connection.ended)

        outcome = self._program.pump(complete, within=within)
        end = received.find(b"\n", self._taken) + 1
        if not end:
            self._missed(outcome, f"a line for {self.name}", slug)
        text = shown(bytes(received[self._taken : end - 1]))
        self._taken = end
        return text

    def lines(self, count: int, within: float | None = None) -> list[str]:
        """The next so many lines."""
        return [self.line(within) for _ in range(count)]

    def rest_of(self, within: float | None = None) -> str:
        """Everything that comes until the program ends the connection."""
        self.closed(within)
        text = self.unread
        self._taken = len(self._connection.received)
        return text

    def closed(self, within: float | None = None) -> None:
        """Wait until the program ends the connection, in an orderly way."""
        connection = self._connection
        outcome = self._program.pump(lambda: bool(connection.ended), within=within)
        if connection.ended == "end-of-file":
            return
        if connection.ended == "reset" or connection.refused:
            self._missed(outcome, f"the orderly end of {self.name}'s connection")
        self._missed(outcome, f"the end of {self.name}'s connection", "connection-left-open")

    def gone(self, within: float | None = None) -> None:
        """Wait until the program ends the connection, in whatever way."""
        connection = self._connection
        outcome = self._program.pump(lambda: bool(connection.ended), within=within)
        if not connection.ended:
            self._missed(outcome, f"the end of {self.name}'s connection", "connection-left-open")

    def silent(self, within: float | None = None) -> bool:
        """Wait until the program rests; whether nothing new has come."""
        settle(self._bench, self._program, within)
        return len(self._connection.received) == self._taken

    def _missed(self, outcome: Outcome, waited_for: str, slug: str = "no-answer") -> NoReturn:
        """Say why what was waited for did not come; the fault of the whole program goes first."""
        program, connection = self._program, self._connection
        ended = connection.ended
        if ended and outcome is Outcome.REACHED:  # the end of the whole program would show here first
            outcome = program.settle()
            outcome = outcome if outcome is Outcome.ENDED else Outcome.REACHED
        fail_if_gone(self._bench, program, outcome, waited_for)
        if connection.refused:
            self._bench.fail("connection-refused", f"{self.name} was refused: {connection.refused}.")
        came = f"{self.name} got {_quoted(self.unread)}" if self.unread else f"{self.name} got nothing"
        if ended == "closed":
            raise ValueError(f"{self.name} has closed its connection; the check cannot wait for its lines")
        if ended:
            slug = "connection-closed" if ended == "end-of-file" else "connection-reset"
            how = "closed" if ended == "end-of-file" else "reset"
            self._bench.fail(
                slug,
                f"The connection of {self.name} was {how} while it waited for {waited_for.partition(' for ')[0]}.",
                expected=waited_for,
                observed=f"{came}, then {ended}",
            )
        seen = program.finish(outcome)
        doing = explain.doing(seen)
        fact = (
            f"The connection of {self.name} is over, but the server does not close it."
            if slug == "connection-left-open"
            else f"{self.name} waits for {waited_for.partition(' for ')[0]}, and all processes of the server "
            "wait for something else; nothing is in flight."
        )
        if slug not in ("connection-left-open", "no-answer"):  # a check's own name for it says more
            fact = f"{self._bench.lab.diagnoses[slug].title.removesuffix('.')}. {fact}"
        raise CheckFailed(
            explain.diagnosis(self._bench.lab.diagnoses, slug, fact, doing),
            expected=waited_for,
            observed=came,
        )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:100]}…{text[-100:]}")


def fail_if_gone(bench: Bench, program: Program, outcome: Outcome, waited_for: str) -> None:
    """Fail with the program's own fault, if that is why a step was not answered: it ended, spins, is out of time."""
    if outcome in (Outcome.REACHED, Outcome.HUNG):
        return
    seen = program.finish(outcome)
    raise CheckFailed(
        explain.conversation(seen, bench.lab.diagnoses, waited_for),
        expected=waited_for,
        observed=explain.ending(seen),
    )


def settle(bench: Bench, program: Program, within: float | None = None) -> None:
    """Wait until the program has taken all that was sent, and all its processes wait."""
    outcome = program.settle(within=within)
    if outcome is not Outcome.REACHED:
        fail_if_gone(bench, program, outcome, "a program at rest")


class Writer:
    """Somebody who has a FIFO of the program's open for writing, as ``with server.writer(NAME) as writer``."""

    def __init__(self, bench: Bench, program: Program, name: str):
        self._program, self._name = program, name
        try:
            self._descriptor = program.folder.pipe(name)
        except OSError as error:
            bench.fail(
                "fifo-without-reader",
                f"The FIFO {name} cannot be opened for writing: {os.strerror(error.errno or 0)}.",
                expected=f"a FIFO {name} that the program has open for reading",
                observed=os.strerror(error.errno or 0),
            )

    def send(self, text: Text) -> None:
        """Write at once; a FIFO has room for what a check sends."""
        data = as_bytes(text)
        self._program.turns.append(
            Turn(speaker="event", text=f"a writer sends {_quoted(shown(data))} to {self._name}\n")
        )
        os.write(self._descriptor, data)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.turns.append(Turn(speaker="event", text=f"the writer closes {self._name}\n"))
        os.close(self._descriptor)


class Requests:
    """A steady stream of requests, each by a client of its own, while the check does other things.

    Leaving the ``with`` block waits for the answers of those that are under way.
    """

    def __init__(self, bench: Bench, program: Program, steady: clients.Steady):
        self._bench, self._program, self._steady = bench, program, steady

    @property
    def answers(self) -> list[str]:
        """The answers so far, in the order in which they came."""
        return self._steady.answers

    @property
    def lost(self) -> list[str]:
        """What became of each request that was not answered."""
        return self._steady.lost

    def reach(self, more: int, within: float | None = None) -> None:
        """Wait until so many more requests were answered or lost."""
        steady = self._steady
        wanted = len(steady.answers) + len(steady.lost) + more
        self._wait(lambda: len(steady.answers) + len(steady.lost) >= wanted, f"{more} more answers", within)

    def until(self, condition: Callable[[list[str]], bool], within: float | None = None) -> None:
        """Wait until the answers are as a check wants them, or one is lost."""
        steady = self._steady
        self._wait(
            lambda: condition(steady.answers) or bool(steady.lost), "the answers that are promised", within
        )

    def _wait(self, condition: Callable[[], bool], waited_for: str, within: float | None) -> None:
        outcome = self._program.pump(condition, within=within)
        if outcome is Outcome.REACHED or self._steady.lost:
            return
        fail_if_gone(self._bench, self._program, outcome, waited_for)
        seen = self._program.finish(outcome)
        raise CheckFailed(
            explain.diagnosis(
                self._bench.lab.diagnoses,
                "no-answer",
                "A request was sent, and all processes of the server wait for something else.",
                explain.doing(seen),
            ),
            expected=waited_for,
            observed=f"{len(self.answers)} answers",
        )

    def __enter__(self) -> Requests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._steady.stopping = True
        if kind is None:
            self._wait(lambda: self._steady.done, "the last answers", None)
        self._steady.close()


def cuts(text: bytes) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """A conversation in every way that a stream may carry it: in words, and the pieces."""
    yield "in one piece", (text,)
    yield "byte by byte", tuple(text[index : index + 1] for index in range(len(text)))
    for index in range(1, len(text)):
        yield (
            f"cut after byte {index}: {_quoted(shown(text[:index]))} and then {_quoted(shown(text[index:]))}",
            (text[:index], text[index:]),
        )
