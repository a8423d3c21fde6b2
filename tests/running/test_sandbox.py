"""The sandbox: what a program cannot see, reach, use up or leave behind."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from victims import ROOT, Launch

from grader.model import Ending, Limits

pytestmark = pytest.mark.usefixtures("full")


def _says(launch: Launch, source: str, **options: object) -> str:
    program = launch(source, **options)
    seen = program.finish(program.pump())
    return (seen.stdout + seen.stderr).decode(errors="replace")


def test_this_project_is_not_in_the_tree(launch: Launch) -> None:
    said = _says(
        launch,
        "import os\nfor top, folders, files in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if f not in ('proc', 'sys')]\n"
        "    for f in files:\n        if f in ('hidden.py', 'mutants.toml', 'lab.toml'): print(top, f)\n",
        within=60,
    )
    assert said == ""
    assert "False" in _says(launch, f"import os; print(os.path.exists({str(ROOT / 'labs')!r}))")


def test_the_environment_tells_nothing(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "do-not-tell")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    said = _says(
        launch,
        "import os; print(sorted(os.environ))\nprint(open('/proc/1/cmdline').read())\n"
        "try: print(open('/proc/1/environ').read())\nexcept OSError: pass",
    )
    assert "SECRET" not in said
    assert "PYTHON" not in said
    assert str(Path.home()) not in said


def test_no_process_of_the_machine_is_visible(launch: Launch) -> None:
    said = _says(launch, "import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))")
    assert said.strip() == "[1, 2]"


def test_killing_everything_reaches_nobody_else(launch: Launch) -> None:
    program = launch(
        "import os, signal\nfor pid in range(1, 20000):\n    if pid != os.getpid():\n        try: os.kill(pid, 9)\n"
        "        except OSError: pass\nprint('survived', flush=True)\nos.kill(-1, 9)\nprint('alone')"
    )
    seen = program.finish(program.pump())
    assert seen.stdout.startswith(b"survived\n")


def test_the_machines_loopback_is_another(launch: Launch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    said = _says(
        launch,
        f"import socket\ntry: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2); print('reached')\n"
        "except OSError as e: print(type(e).__name__)",
    )
    server.close()
    assert said == "ConnectionRefusedError\n"


def test_its_own_loopback_works(launch: Launch) -> None:
    said = _says(
        launch,
        "import socket\ns = socket.create_server(('127.0.0.1', 5000)); c = socket.create_connection(('localhost', 5000))\n"
        "c.sendall(b'uno'); print(s.accept()[0].recv(3))",
    )
    assert said == "b'uno'\n"


def test_the_system_is_read_only_and_no_rights_remain(launch: Launch) -> None:
    said = _says(
        launch,
        "import os\nfor path in ('/usr/x', '/etc/x', '/x', '/dev/x', '/usr/bin/x'):\n    try: open(path, 'w'); print('wrote', path)\n"
        "    except OSError: pass\n"
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapBnd', 'NoNewPrivs'))])",
    )
    assert said.strip() == "['0000000000000000', '0000000000000000', '1']"


@pytest.mark.skipif(os.geteuid() != 0, reason="only a root grader gives away user ids")
def test_a_root_grader_gives_the_program_another_user(launch: Launch) -> None:
    assert int(_says(launch, "import os; print(os.getuid())")) >= 60000


def test_parallel_sandboxes_never_meet(launch: Launch) -> None:
    source = (
        "import ctypes, socket, sys\ns = socket.create_server(('127.0.0.1', 5000))\n"
        "q = ctypes.CDLL(None).msgget(1234, 0o1600 | 0o2000)\nopen('/tmp/x', 'x')\nprint('ready', q >= 0, flush=True)\ninput()"
    )
    programs = [launch(source, stdin=None) for _ in range(4)]
    assert {program.line()[1] for program in programs} == {b"ready True\n"}


def test_a_fork_bomb_stays_small(launch: Launch) -> None:
    program = launch(
        "import os\nn = 0\ntry:\n    while True:\n        if os.fork() == 0: os.read(0, 1); os._exit(0)\n        n += 1\n"
        "except OSError as e: print(n, e.strerror, flush=True)",
        limits=Limits(processes=20),
        stdin=None,
    )
    _, line = program.line()
    assert int(line.split()[0]) <= 20


def test_memory_files_and_disk_are_limited(launch: Launch) -> None:
    limits = Limits(memory_mib=200, file_mib=2)
    assert "MemoryError" in _says(launch, "x = bytearray(400 * 2**20)", limits=limits)
    for path in ("/tmp/x", "/dev/shm/x", "x"):
        said = _says(
            launch,
            f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nopen({path!r}, 'wb').write(b'x' * 4 * 2**20)",
            limits=limits,
        )
        assert "File too large" in said or "No space left" in said
    said = _says(launch, "for n in range(9): open(f'x{n}', 'wb').write(b'x' * 2**20)", limits=limits)
    assert "No space left" in said


def test_daemons_end_with_the_sandbox(launch: Launch) -> None:
    program = launch(
        "import os, signal, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n        print('daemon', flush=True)\n"
        "        time.sleep(1000)\n    os._exit(0)\nos.wait()"
    )
    seen = program.finish(program.pump())
    assert seen.ending is Ending.EXITED
    assert [left.kind for left in seen.leftovers] == ["process"]
    # the autouse fixture holds the rest: strace and bwrap are gone, and with them the namespace


def test_ipc_objects_are_seen_and_go_with_the_sandbox(launch: Launch) -> None:
    before = Path("/proc/sysvipc/msg").read_text()
    program = launch(
        "import ctypes\nc = ctypes.CDLL(None)\nc.msgget(0x1234, 0o1600); c.semget(0x77, 2, 0o1600); c.shmget(0x99, 64, 0o1600)\n"
        "open('/dev/shm/leftover', 'w')\nctypes.CDLL('librt.so.1').mq_open(b'/jobs', 0o102, 0o600, None)"
    )
    seen = program.finish(program.pump())
    assert {(left.kind, left.name.split(", ")[-1]) for left in seen.leftovers} == {
        ("message queue", "key 0x1234"),
        ("semaphore set", "key 0x77"),
        ("shared memory segment", "key 0x99"),
        ("shared memory object", "/leftover"),
        ("POSIX message queue", "/jobs"),
    }
    assert Path("/proc/sysvipc/msg").read_text() == before
    assert not Path("/dev/shm/leftover").exists()


def test_everything_ends_when_the_grader_is_killed(tmp_path: Path) -> None:
    """SIGKILL at the grading process: no exit handler runs, and still nothing survives."""
    import subprocess
    import sys

    code = (
        "import sys, os\nfrom grader.running.process import Program\nfrom grader.running.sandbox import Recipe\n"
        "p = Program(Recipe(()), [sys.executable, '-c', 'print(1, flush=True); import time; time.sleep(1000)'])\n"
        "p.line()\nprint(p._sandbox.program, p._sandbox.outer.pid, flush=True)\nsys.stdin.read()"
    )
    grader = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert grader.stdout is not None
    assert grader.stdin is not None
    pids = [int(word) for word in grader.stdout.readline().split()]
    fds = [os.pidfd_open(pid) for pid in pids]
    grader.kill()
    grader.wait()
    grader.stdout.close()
    grader.stdin.close()
    import select

    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    ended = set()
    while len(ended) < len(fds):
        events = poll.poll(20000)
        assert events, f"still running: {set(fds) - ended}"
        for fd, _ in events:
            ended.add(fd)
            poll.unregister(fd)
    for fd in fds:
        os.close(fd)


def test_signals_that_the_grader_ignores_are_at_their_default(launch: Launch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        said = _says(
            launch, "print([line for line in open('/proc/self/status') if line.startswith('SigIgn')])"
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert int(said.split("\\t")[1].split("\\n")[0], 16) & 1 << signal.SIGINT - 1 == 0


def test_works_from_a_thread(launch: Launch) -> None:
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(_says(launch, "print('uno')")))
    thread.start()
    thread.join()
    assert said == ["uno\n"]
