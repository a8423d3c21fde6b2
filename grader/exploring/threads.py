"""The runner of Python programs that make threads: a fork server in a sandbox, of which this is the outside.

What comes out of the sandbox is bounded and read as if an enemy had written it: it may have. It is worth
what the plain run of the same check is worth beside it.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from grader.exploring.schedules import Budget, Came, Job, Op, Step, Trace, Waiting
from grader.exploring.shims.forkserver import CPU_S, HEAD, READY, WAKE
from grader.model import Level, Place
from grader.running.preparation import Prepared
from grader.running.process import Outcome, Program
from grader.running.sandbox import SandboxError

OUTPUT = 2**18
"""Bytes of standard output, and of standard error, that one run of a small set-up may write"""
_SAID = 4 * 2**20
_PATIENCE_S = 6.0
"""How long a run may be silent: two or three milliseconds are usual. Time that a loaded machine takes is not counted"""
_AHEAD = 8
"""Jobs that a server has before it has answered the first"""
_SHIMS = ("strategy.py", "shims/points.py", "shims/threads.py", "shims/forkserver.py")
_BOOT = """\
import os, sys, types, json
def take(n):
    data = b""
    while len(data) < n:
        piece = os.read(0, n - len(data))
        if not piece:
            os._exit(3)
        data += piece
    return data
options = json.loads(take(int(take(8))))
for name in ("grader", "grader.exploring", "grader.exploring.shims"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
for name, source in options["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, "<explorer>", "exec"), module.__dict__)
    parent, _, last = name.rpartition(".")
    setattr(sys.modules[parent], last, module)
for name in list(sys.modules):
    if name.split(".")[0] == "grader":
        del sys.modules[name]
del sys.modules["__main__"]
module.serve(open(0, closefd=False), options)
"""
"""What Python is told to run: it takes the shim from standard input, so that no file of ours lies beside the
program's."""


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """What a child says of its run."""

    came: str
    detail: str
    moments: int
    length: int
    tasks: list[str]
    waiting: list[tuple[int, str, str, str, int, int | None, int | None, list[str]]]
    steps: list[tuple[int, str, str, str, int, int | None, int | None, bool]]
    delays: list[tuple[int, int]]


_decoder = msgspec.json.Decoder(_Said)


class _Server:
    """One fork server."""

    def __init__(self, prepared: Prepared, number: int):
        folder = Path(__file__).parent
        entry = prepared.argv[-1]
        modules = [
            (f"grader.exploring.{name.removesuffix('.py').replace('/', '.')}", (folder / name).read_text())
            for name in _SHIMS
        ]
        private = prepared.recipe.level is Level.FULL
        options = {"entry": entry, "modules": modules, "server": number, "private": private}
        head = json.dumps(options).encode()
        recipe = replace(
            prepared.recipe,
            history=False,
            lines="",
            limits=msgspec.structs.replace(prepared.recipe.limits, cpu_s=3600, output_mib=64),
        )
        argv = [
            "/usr/bin/env", "PYTHONHASHSEED=0", "MALLOC_ARENA_MAX=1", *prepared.argv[:-1], "-c", _BOOT,
        ]  # fmt: skip
        self.program = Program(recipe, argv, stdin=None, within=_PATIENCE_S)
        self.program.send(b"%8d" % len(head) + head)
        self._ready = False
        self._files = [file.path for file in recipe.files]

    def send(self, number: int, job: Job, story: bool) -> None:
        """Give it a job; the answer comes later."""
        arguments, strategy = job
        line = {"id": number, "arguments": arguments, "strategy": strategy, "story": story, "limit": OUTPUT}
        self.program.send(json.dumps(line).encode() + b"\n")

    def answer(self, number: int) -> Trace | None:
        """The answer to a job, those to earlier ones passed over; none where the server gives none."""
        asked = False
        while True:
            outcome = self.program.pump(self._whole, within=_PATIENCE_S)
            if outcome is Outcome.TIMED_OUT and self._ready and not asked:
                asked = True
                self.program.signal(WAKE)
                continue
            if not self._whole():
                return self._silent(outcome)
            sizes = HEAD.unpack_from(self.program.stdout)
            said_number, status, cpu, said, out, err = sizes
            if said > _SAID or out > OUTPUT + 1 or err > OUTPUT + 1:
                return Trace(Came.BROKEN, detail="the answer is too long")
            start = HEAD.size
            data = bytes(self.program.stdout[start : start + said + out + err])
            del self.program.stdout[: start + said + out + err]
            self._ready = self._ready or said_number == READY
            if said_number == number:
                return self._trace(
                    status, cpu, data[:said], data[said : said + out], data[said + out :], asked
                )

    def _whole(self) -> bool:
        """Whether an answer is there."""
        buffer = self.program.stdout
        if len(buffer) < HEAD.size:
            return False
        sizes = HEAD.unpack_from(buffer)
        return bool(len(buffer) >= HEAD.size + sum(sizes[3:]) or max(sizes[3:]) > _SAID)

    def _silent(self, outcome: Outcome) -> Trace | None:
        if not self._ready:
            words = self.program.stderr.decode(errors="replace").strip()
            raise SandboxError(f"the server of schedules did not start: {words[-500:]}")
        if outcome is Outcome.ENDED:
            return None
        return Trace(Came.STALLED)

    def _trace(self, status: int, cpu_us: int, said: bytes, out: bytes, err: bytes, asked: bool) -> Trace:
        """What an answer says, and where the program was if it was ended for its silence."""
        trace = _trace(status, cpu_us, said, out, err)
        if trace.signal == "SIGXCPU" and asked:
            trace = replace(trace, came=Came.STALLED, signal="")
        if trace.came in (Came.SPUN, Came.STALLED):
            trace = replace(trace, place=_told_place(err, self._files))
        return trace

    def close(self) -> None:
        """End it and its sandbox."""
        self.program.close()


def _trace(status: int, cpu_us: int, said: bytes, out: bytes, err: bytes) -> Trace:
    """What a child's end and its words come to."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if len(out) > OUTPUT or len(err) > OUTPUT:
        return Trace(Came.FLOODED, out=out, err=err)
    if number:
        if cpu_us > CPU_S * 500_000 and number in (signal.SIGXCPU, signal.SIGKILL):
            return Trace(Came.SPUN, out=out, err=err)
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return Trace(Came.ENDED, signal=name, out=out, err=err)
    if not said:
        return Trace(
            Came.ESCAPED, out=out, err=err, status=os.WEXITSTATUS(status), detail="an end without exit"
        )
    try:
        words = _decoder.decode(said)
        came = Came(words.came)
        count = len(words.tasks)
        return Trace(
            came,
            status=os.WEXITSTATUS(status) if came in (Came.ENDED, Came.ESCAPED) else None,
            out=out,
            err=err,
            moments=words.moments,
            length=words.length,
            tasks=tuple(name[:60] for name in words.tasks),
            waiting=tuple(
                Waiting(
                    _within(task, count), Op(op), thing[:80], _place(file, line), _other(other, count),
                    _other(holder, count), tuple(each[:80] for each in holds),
                )
                for task, op, thing, file, line, other, holder, holds in words.waiting
            ),
            steps=tuple(
                Step(_within(task, count), Op(op), thing[:80], _place(file, line), woke, _other(other, count), blocks)
                for task, op, thing, file, line, woke, other, blocks in words.steps
            ),
            delays=tuple((index, _within(task, count)) for index, task in words.delays[:100]),
            detail=words.detail[:200],
        )  # fmt: skip
    except (msgspec.DecodeError, ValueError, IndexError) as error:
        return Trace(Came.BROKEN, detail=f"the shim speaks nonsense: {error}")


_THREAD = re.compile(rb"^(?:Current thread|Thread) 0x[0-9a-f]+.*\n", re.MULTILINE)
_FRAME = re.compile(rb'^  File "([^"\n]+)", line (\d+) in ', re.MULTILINE)


def _told_place(err: bytes, files: Sequence[str]) -> Place | None:
    """The student's line in what faulthandler wrote of the thread that does not wait for its turn."""
    for told in _THREAD.split(err)[1:]:
        frames = [(path.decode(errors="replace"), int(line)) for path, line in _FRAME.findall(told)[:50]]
        if not frames or frames[0][0] == "<explorer>":
            continue
        for path, line in frames:
            file = next((each for each in files if path.endswith(f"/{each}")), None)
            if file is not None:
                return Place(file=file, line=line)
    return None


def _place(file: str, line: int) -> Place | None:
    return Place(file=file[:200], line=line) if file else None


def _within(task: int, count: int) -> int:
    if not 0 <= task < count:
        raise IndexError(f"no task {task}")
    return task


def _other(task: int | None, count: int) -> int | None:
    return None if task is None else _within(task, count)


class Threads:
    """A Python program whose threads are explored (`schedules.Explored`).

    :param servers: how many runs at a time, each on a processor of its own
    """

    def __init__(self, prepared: Prepared, *, servers: int = 2):
        self._prepared = prepared
        self._count = max(1, min(servers, len(os.sched_getaffinity(0))))
        self._servers: dict[int, _Server] = {}
        self._numbers = itertools.count(1)

    @property
    def budget(self) -> Budget:
        """Two or three milliseconds a run."""
        return Budget()

    def _server(self, index: int) -> _Server:
        if index not in self._servers:
            self._servers[index] = _Server(self._prepared, index)
        return self._servers[index]

    def _drop(self, index: int) -> None:
        server = self._servers.pop(index, None)
        if server is not None:
            server.close()

    def run(self, arguments: Sequence[str], strategy: str, *, story: bool = False) -> Trace:
        """Run it once; a second time on a new server if the first dies with it."""
        return self._once(0, (tuple(arguments), strategy), story)

    def _once(self, index: int, job: Job, story: bool) -> Trace:
        for _ in range(2):
            number = next(self._numbers)
            self._server(index).send(number, job, story)
            trace = self._server(index).answer(number)
            if trace is not None:
                if trace.came in (Came.STALLED, Came.BROKEN):
                    self._drop(index)
                return trace
            self._drop(index)
        return Trace(Came.ENDED, signal="SIGKILL", detail="it ended every process that it could reach")

    def runs(self, jobs: Iterable[Job]) -> Iterator[Trace]:
        """Several at a time, and ahead of the caller; the answers in the order of the jobs."""
        source = iter(jobs)
        under_way: deque[tuple[int, int, Job]] = deque()
        turn = itertools.cycle(range(self._count))
        while True:
            while len(under_way) < _AHEAD * self._count and (job := next(source, None)) is not None:
                under_way.append(self._sent(next(turn), job))
            if not under_way:
                return
            index, number, job = under_way.popleft()
            trace = self._server(index).answer(number)
            if trace is None or trace.came in (Came.STALLED, Came.BROKEN):
                self._drop(index)
                trace = trace or self._once(index, job, False)
                for place, (other, _, waiting) in enumerate(under_way):  # they are gone with their server
                    if other == index:
                        under_way[place] = self._sent(index, waiting)
            yield trace

    def _sent(self, index: int, job: Job) -> tuple[int, int, Job]:
        """Give a server one more job."""
        number = next(self._numbers)
        self._server(index).send(number, job, False)
        return index, number, job

    def close(self) -> None:
        """End the servers."""
        for index in list(self._servers):
            self._drop(index)
