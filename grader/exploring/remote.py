"""The runner of programs that are controlled from outside: C threads, C processes and Python processes.

A server in a sandbox starts the program anew for each schedule and takes away afterwards what it left. Each task
of the program has a socket to the `controller` here. The server is started once for an exploration.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from grader.exploring.controller import Entry, Key, Kind, Over, Run, State, Task, channel
from grader.exploring.naming import Catalogue, Names, Source, Told
from grader.exploring.schedules import Budget, Came, Job, Op, Step, Trace, Waiting
from grader.model import Language, Leftover, Level, SourceFile
from grader.running.preparation import Prepared, instrumented
from grader.running.process import Outcome, Patience, Program
from grader.running.sandbox import PROBE, SandboxError, give

OUTPUT = 2**18
"""Bytes of standard output, and of standard error, that one run of a small set-up may write"""
PATIENCE_S = 8.0
"""How long a task may be silent; a step takes microseconds. Time that a loaded machine takes is not counted"""
_SHIMS = Path(__file__).parent / "shims"
_CONTROL = "control"
_OURS = re.compile(rb'  File "%b/[^\n]*\n(?: {4}[^\n]*\n)*' % PROBE.encode())
"""The shim's own frames in a traceback of the program's"""
_START_S = 30.0


class _Server:
    """A program in its sandbox, ready to be run.

    :raises SandboxError: if the sandbox or the server does not start
    """

    def __init__(
        self, prepared: Prepared, argv: Sequence[str], shims: tuple[SourceFile, ...], patience_s: float
    ):
        limits = msgspec.structs.replace(prepared.recipe.limits, cpu_s=3600)
        recipe = replace(prepared.recipe, history=False, lines="", limits=limits, probe=shims)
        self.recipe, self.patience_s = recipe, patience_s
        self.program = Program(recipe, [*argv, f"{PROBE}/{_CONTROL}"], within=_START_S)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            outcome, line = self.program.line()
            if outcome is not Outcome.REACHED or line != b"ready\n":
                said = bytes(self.program.stderr[:400]).decode(errors="replace").strip()
                raise SandboxError(
                    f"the server of the explorer does not start: {said or outcome.name.lower()}"
                )
            self.control.connect(f"/proc/self/fd/{self.program.probe}/{_CONTROL}")
            self.control.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 250_000))
        except BaseException:
            self.close()
            raise

    def begin(self, arguments: Sequence[str], cpu: int, story: bool, descriptors: Sequence[int]) -> None:
        """Start the program.

        :raises OSError: if the server is gone
        """
        words = b"".join(word.encode() + b"\0" for word in arguments)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]
        self.control.sendmsg([b"R" + struct.pack("<Bi", story, cpu) + words], rights)

    def end(self, over: bool) -> tuple[int, bool, tuple[Leftover, ...]]:
        """Take away what is left of the run: wait status, whether files were changed, and what it had left.

        :param over: the program's first process has ended by itself
        :raises OSError: if the server is gone, or does not do it
        """
        self.control.send(b"Ew" if over else b"Ek")
        patience = self.program.patience(self.patience_s)
        while True:
            try:
                answer = self.control.recv(16384)
                break
            except BlockingIOError:
                patience.note(self.program.glance())
                if patience.over:
                    raise OSError("the server does not answer") from None
        if not answer:
            self.program.pump(within=1)
            raise OSError(
                f"the server is gone {bytes(self.program.stderr[-300:]).decode(errors='replace')}".strip()
            )
        head, _, rest = answer.partition(b"\n")
        status, touched = (int(word) for word in head.split())
        left = []
        for line in rest.decode(errors="replace").splitlines()[:50]:
            kind, _, name = line.partition("\t")
            left.append(Leftover(kind=kind[:40], name=name[:100]))
        return status, bool(touched), tuple(left)

    def close(self) -> None:
        """End it and its sandbox."""
        self.control.close()
        self.program.close()


class _Watch:
    """Patience with a task that is silent: it is called a few times a second then."""

    def __init__(self, server: _Server):
        self._server = server
        self._patience: Patience | None = None
        self._ran: dict[int, int] = {}

    def __call__(self, dying: bool) -> None:
        glance = self._server.program.glance()
        if self._patience is None:
            self._patience = self._server.program.patience(self._server.patience_s)
            self._ran = {task.tid: task.ran_ns for task in glance.tasks}
        self._patience.note(glance)
        if not self._patience.over:
            return
        if dying:
            raise Over(Came.BROKEN, "a process goes on although it has left the grader's control")
        ran = sum(task.ran_ns - self._ran.get(task.tid, 0) for task in glance.tasks) / 1e9
        if ran > self._server.patience_s / 4:
            raise Over(Came.SPUN)
        calls = sorted(
            {task.call for task in glance.tasks if task.call not in ("", "recvmsg", "read", "accept4")}
        )
        raise Over(Came.STALLED, f"it is blocked in {', '.join(calls)}" if calls else "it came to no point")


class Remote:
    """A C program, or a Python program that makes processes, explored from outside (`schedules.Explored`).

    :param prepared: what `preparation.prepare` or `with_driver` gave
    :param patience_s: how long a task may be silent
    """

    def __init__(self, prepared: Prepared, *, patience_s: float = PATIENCE_S):
        self._prepared, self._patience_s = prepared, patience_s
        self._server: _Server | None = None
        self._names: Names = Told()
        self._argv: tuple[str, ...] = ()
        self._shims: tuple[SourceFile, ...] = ()
        self._refusal = ""

    @property
    def budget(self) -> Budget:
        """C takes a few milliseconds a schedule; forking Python takes ten times that."""
        return (
            Budget() if self._prepared.language is Language.C else Budget(sampled=80, delayed=0, shortest=120)
        )

    # ------------------------------------------------------------ the sandbox

    def _build(self) -> None:
        """Make ready what the sandbox gets."""
        prepared = self._prepared
        if prepared.recipe.level is not Level.FULL:
            raise SandboxError("schedules are only explored in a full sandbox")
        if prepared.language is Language.C:
            result = instrumented(prepared, (_SHIMS / "hooks.c").read_bytes())
            if result.prepared.build is not None:
                said = result.prepared.build.stderr.decode(errors="replace").strip()
                self._refusal = f"it cannot be built with hooks: {said[-300:]}"
                return
            texts = {
                file.path: file.data for file in prepared.recipe.files if file.path.endswith((".c", ".h"))
            }
            self._names = Source(result.lines, result.symbols, texts)
            self._prepared, self._argv = result.prepared, result.prepared.argv
            self._shims = (SourceFile(path="none", data=b""),)
        elif prepared.language is Language.PYTHON:
            shim = f"{PROBE}/processes.py"
            self._argv = ("/usr/bin/env", "PYTHONHASHSEED=0", prepared.argv[0], shim, prepared.argv[-1])
            self._shims = (SourceFile(path="processes.py", data=(_SHIMS / "processes.py").read_bytes()),)
        else:
            self._refusal = "only C and Python can be explored"

    def _ready(self) -> _Server | None:
        if not self._argv and not self._refusal:
            self._build()
        if self._refusal:
            return None
        if self._server is None:
            self._server = _Server(self._prepared, self._argv, self._shims, self._patience_s)
        return self._server

    def close(self) -> None:
        """End the server and its sandbox."""
        if self._server is not None:
            self._server.close()
            self._server = None

    # ------------------------------------------------------------ one run

    def runs(self, jobs: Iterable[Job]) -> Iterator[Trace]:
        """One after the other: the tasks and the controller share a processor, which makes handing over cheap."""
        return (self.run(arguments, strategy) for arguments, strategy in jobs)

    def run(self, arguments: Sequence[str], strategy: str, *, story: bool = False) -> Trace:
        """Run it once."""
        server = self._ready()
        if server is None:
            return Trace(Came.BROKEN, detail=self._refusal)
        before = os.sched_getaffinity(0)
        cpu = _processor(before)
        os.sched_setaffinity(0, {cpu})
        try:
            trace, again = self._once(server, arguments, strategy, story, cpu)
        except BaseException:
            self.close()
            raise
        finally:
            os.sched_setaffinity(0, before)
        if not again:
            self.close()
        return trace

    def _once(
        self, server: _Server, arguments: Sequence[str], strategy: str, story: bool, cpu: int
    ) -> tuple[Trace, bool]:
        """The trace, and whether the server can be used again."""
        ours, theirs = channel()
        out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
        run = Run(ours, strategy, place=self._names.raw, watch=_Watch(server), story=story)
        try:
            for descriptor in (out, err):
                give(server.recipe, descriptor)
            try:
                server.begin(arguments, cpu, story, (theirs.fileno(), out, err))
            except OSError as error:
                return Trace(Came.BROKEN, detail=f"the server is gone: {error}"), False
            theirs.close()
            came, detail = run.go()
            first = run.tasks[0] if run.tasks else None
            try:
                status, touched, left = server.end(first is not None and first.process.ended > 0)
            except (OSError, ValueError) as error:
                if came is Came.ENDED or came is Came.DEADLOCK:
                    came, detail = Came.BROKEN, f"it ended the server too: {error}"
                return self._trace(run, came, detail, 0, (), (out, err)), False
            sound = came in (Came.ENDED, Came.DEADLOCK, Came.LIVELOCK)
            return self._trace(run, came, detail, status, left, (out, err)), sound and not touched
        finally:
            theirs.close()
            ours.close()
            run.close()
            os.close(out)
            os.close(err)

    def _trace(
        self,
        run: Run,
        came: Came,
        detail: str,
        status: int,
        left: tuple[Leftover, ...],
        streams: tuple[int, int],
    ) -> Trace:
        out, err = (os.pread(stream, OUTPUT + 1, 0) for stream in streams)
        err = _OURS.sub(b"", err)
        exited, by_signal = None, ""
        main = run.tasks[0].process if run.tasks else None
        if main is not None and main.ended and status and came in (Came.DEADLOCK, Came.LIVELOCK):
            came = Came.ENDED  # it failed, and the others were left alone: because of that they wait for ever
        if main is not None and came is Came.ENDED:
            if os.WIFSIGNALED(status):
                by_signal = _signal_name(os.WTERMSIG(status))
            else:
                exited = os.WEXITSTATUS(status)
                if not main.said_so:
                    came, detail = Came.BROKEN, "it ended without a word"
        labels = _labels(run.tasks)
        if came in (Came.DEADLOCK, Came.LIVELOCK):
            crashed = [labels[each.number] for each in run.processes if each.ended and not each.said_so]
            detail = f"ended before by a signal: {', '.join(crashed)}" if crashed else detail
        if len(out) > OUTPUT or len(err) > OUTPUT:
            came = Came.FLOODED
        steps, delays = _without_constants(run)
        catalogue = Catalogue(self._names, run.uses, run.texts)
        for _, _, key, _, _, _, _ in steps:
            catalogue[key]
        return Trace(
            came,
            status=exited,
            signal=by_signal,
            out=out,
            err=err,
            moments=run.moments,
            length=run.length,
            tasks=labels,
            waiting=tuple(
                self._waiting(run, catalogue, task)
                for task in run.tasks
                if task.state is not State.ENDED and came in (Came.DEADLOCK, Came.LIVELOCK)
                if came is Came.DEADLOCK or task.state is not State.READY
            ),
            steps=tuple(
                Step(task, op, catalogue[key], self._names.place(place), woke, other, blocks)
                for task, op, key, place, woke, other, blocks in steps
            ),
            delays=delays,
            detail=detail,
            left=left,
        )

    def _waiting(self, run: Run, catalogue: Catalogue, task: Task) -> Waiting:
        key: Key = (0, 0, 0)
        other = None
        op = Op.SLEEP
        if task.state is State.JOINING:
            op = Op.JOIN
            if task.key[0] == 0:
                other = task.counted
            else:
                living = [child.number for child in task.process.children if not child.ended]
                other = living[0] if len(living) == 1 else None
        elif task.state is State.BLOCKED:
            key = task.wants
            op = _BLOCKED.get(Kind(key[0]), Op.ACQUIRE)
            if op is Op.RECEIVE and task.op == "v":
                op = Op.SEND
        elif task.state is State.WAITING:
            key, op = task.wants, Op.WAKE
        owner = run.owners.get(key)
        return Waiting(
            task.number,
            op,
            catalogue[key],
            self._names.place(task.place),
            other,
            owner[0] if owner is not None else None,
            tuple(catalogue[each] for each in task.holds),
        )


def _without_constants(run: Run) -> tuple[list[Entry], tuple[tuple[int, int], ...]]:
    """The steps but those that read what nobody writes, which is no part of a story; and the delays among them."""
    written = {key for _, op, key, _, _, _, _ in run.steps if op is Op.WRITE}
    kept, before = [], [0]
    for step in run.steps:
        if step[1] is not Op.READ or step[2] in written or step[2][0] != Kind.MEMORY:
            kept.append(step)
        before.append(len(kept))
    return kept, tuple((before[index], task) for index, task in run.delays if run.steps)


_BLOCKED = {
    Kind.PIPE: Op.RECEIVE, Kind.QUEUE: Op.RECEIVE, Kind.EVENT: Op.WAKE, Kind.SIGNALS: Op.WAKE, Kind.ONCE: Op.WAKE,
}  # fmt: skip


def _processor(allowed: set[int]) -> int:
    """The processor that this thread runs on: the program joins it there, since only one of them runs at a time."""
    with open("/proc/thread-self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    here = int(fields[36])
    return here if here in allowed else min(allowed)


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _labels(tasks: Sequence[Task]) -> tuple[str, ...]:
    """``main``, and the others by the name that the program gave them, or by kind and order."""
    labels, counts = [], {"child": 0, "thread": 0}
    for task in tasks:
        if task.number == 0:
            labels.append("main")
            continue
        kind = "child" if task.process.number == task.number else "thread"
        counts[kind] += 1
        labels.append(task.name or f"{kind} {counts[kind]}")
    return tuple(label if labels.count(label) == 1 else f"{label} {i}" for i, label in enumerate(labels))
