"""Who waits for whom: each way to hang is proved at once and named with process and descriptor."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from victims import Launch

from grader.model import Ending, Observation

pytestmark = pytest.mark.usefixtures("full")

PIPE = "import os\nr, w = os.pipe()\n"
READER = "if os.fork() == 0: os.dup2(r, 0); os.closerange(3, 20); os.execvp('cat', ['cat'])\n"


@dataclass(frozen=True)
class Hang:
    """A victim, and what the graph must say of it: (waiter, call, words) for each stuck process."""

    source: str
    waits: tuple[tuple[str, str, str], ...]
    holder: tuple[str, int] | None = None
    """Process and descriptor that keep somebody waiting"""


HANGS = {
    "parent keeps the write end": Hang(
        PIPE + READER + "os.close(r); os.wait()",
        (("cat", "read", "end-of-file"), ("victim.py", "wait4", "a child to end")),
        ("victim.py", 4),
    ),
    "reader keeps the write end": Hang(
        PIPE + "if os.fork() == 0: os.dup2(r, 0); os.set_inheritable(w, True); os.execvp('cat', ['cat'])\n"
        "os.close(r); os.close(w); os.wait()",
        (("cat", "read", "end-of-file"), ("victim.py", "wait4", "a child")),
        ("cat", 4),
    ),
    "sibling keeps the write end": Hang(
        PIPE + READER + "os.close(r)\nq, v = os.pipe()\n"
        "if os.fork() == 0: os.close(v); os.read(q, 1)\n"
        "os.close(q); os.close(w); os.wait()",
        (
            ("cat", "read", "end-of-file"),
            ("victim.py", "read", "end-of-file"),
            ("victim.py", "wait4", "a child"),
        ),
        ("victim.py", 4),
    ),
    "nobody reads a full pipe": Hang(
        PIPE + "pid = os.fork()\nif pid == 0: os.write(w, b'x' * 200000); os._exit(0)\nos.waitpid(pid, 0)",
        (("victim.py", "wait4", "to end"), ("victim.py", "write", "which is full")),
        ("victim.py", 3),
    ),
    "two FIFOs opened in the wrong order": Hang(
        "import os\nos.mkfifo('a'); os.mkfifo('b')\nfirst, second = ('a', 'b') if os.fork() else ('b', 'a')\n"
        "os.open(first, os.O_RDONLY); os.open(second, os.O_WRONLY)",
        (("victim.py", "openat", "FIFO"), ("victim.py", "openat", "FIFO")),
    ),
    "waits for a signal that nobody sends": Hang(
        "import signal; signal.pause()", (("victim.py", "pause", "a signal"),)
    ),
    "two locks in two orders": Hang(
        "import multiprocessing as m\n"
        "def f(a, b, mine, other):\n    with a: mine.set(); other.wait(); b.acquire()\n"
        "if __name__ == '__main__':\n    m.set_start_method('fork'); a, b, e, g = m.Lock(), m.Lock(), m.Event(), m.Event()\n"
        "    p = m.Process(target=f, args=(a, b, e, g)); p.start(); f(b, a, g, e)",
        (("victim.py", "futex", "lock"), ("victim.py", "futex", "lock")),
    ),
    "waits for itself at a socket pair": Hang(
        "import socket; a, b = socket.socketpair(); a.recv(1)", (("victim.py", "recvfrom", "data"),)
    ),
    "selects on its own pipe": Hang(
        PIPE + "import select; select.select([r], [], [])",
        (("victim.py", "pselect6", "data or end-of-file"),),
    ),
    "polls its own pipe": Hang(
        PIPE + "import select\np = select.poll(); p.register(r, select.POLLIN); p.poll()",
        (("victim.py", "poll", "data or end-of-file"),),
    ),
    "epoll on its own pipe": Hang(
        PIPE + "import select\np = select.epoll(); p.register(r, select.EPOLLIN); p.poll()",
        (("victim.py", "epoll_wait", "data or end-of-file"),),
    ),
    "accepts where nobody can connect": Hang(
        "import socket; s = socket.create_server(('127.0.0.1', 0)); s.accept()",
        (("victim.py", "accept4", "a client to connect"),),
    ),
    "a stopped child": Hang(
        "import os, signal\npid = os.fork()\nif pid == 0: os.kill(os.getpid(), signal.SIGSTOP)\nos.waitpid(pid, 0)",
        (("victim.py", "stopped", "continue"), ("victim.py", "wait4", "to end")),
    ),
    "an empty System V queue": Hang(
        "import ctypes\nc = ctypes.CDLL(None)\nq = c.msgget(0, 0o600)\nc.msgrcv(q, ctypes.create_string_buffer(64), 8, 0, 0)",
        (("victim.py", "msgrcv", "a message"),),
    ),
}


def _hang(launch: Launch, source: str) -> Observation:
    program = launch(source, within=60)
    seen = program.finish(program.pump())
    assert seen.ending is Ending.HUNG, (seen.ending, seen.stderr.decode(), seen.processes)
    return seen


@pytest.mark.parametrize("name", HANGS)
def test_proves_and_names_the_hang(launch: Launch, name: str) -> None:
    hang = HANGS[name]
    seen = _hang(launch, hang.source)
    living = [process for process in seen.processes if process.wait is not None]
    assert all(process.stuck for process in living)
    found = sorted((process.name, process.wait.call, process.wait.text) for process in living if process.wait)
    assert [(who, call) for who, call, _ in found] == [(who, call) for who, call, _ in sorted(hang.waits)]
    for (_, _, text), (_, _, words) in zip(found, sorted(hang.waits), strict=True):
        assert words in text
    if hang.holder:
        names = {process.pid: process.name for process in seen.processes}
        assert hang.holder in {(names.get(edge.holder), edge.descriptor) for edge in seen.edges}


def test_the_graders_own_end_is_a_node(launch: Launch) -> None:
    program = launch("input()", stdin=None)
    program.rest()
    assert program.graph is not None
    assert [(edge.holder, edge.text) for edge in program.graph.edges] == [
        (0, "data or end-of-file on standard input")
    ]


def test_a_writer_to_the_grader_is_never_stuck(launch: Launch) -> None:
    program = launch("import sys; sys.stdout.write('x' * 2**20)")
    assert len(program.finish(program.pump()).stdout) == 2**20


def test_names_stages_by_their_command(launch: Launch) -> None:
    source = PIPE + (
        "if os.fork() == 0: os.dup2(w, 1); os.execvp('cat', ['cat'])\n"
        "if os.fork() == 0: os.dup2(r, 0); os.execvp('cat', ['cat'])\nos.wait(); os.wait()"
    )
    program = launch(source, roles=[("stage 1", ("cat",)), ("stage 2", ("cat",))])
    seen = program.finish(program.pump())
    assert {process.label for process in seen.processes} >= {"stage 2 (cat)", "the parent (victim.py)"}
    waiting = next(process for process in seen.processes if process.role == "stage 2")
    assert waiting.wait is not None
    assert waiting.wait.text == "data or end-of-file on the pipe from stage 1 to stage 2"
