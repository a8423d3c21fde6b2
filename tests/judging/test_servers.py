"""The words of checks for servers, on a small server with one fault at a time."""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.content import lab as labs
from grader.judging.bench import Bench, CheckFailed, CheckSkipped, Workshop
from grader.judging.fixtures import Started, run, start
from grader.model import Language, SourceFile, Submission
from grader.running import machine
from grader.running.preparation import prepare

pytestmark = pytest.mark.usefixtures("full")

LAB = 'title = "A server"\n[files]\npython = "server.py"\nc = "server.c"\n'
CHECK = """\
from grader import points


@points(1)
def test_nothing(run):
    \"\"\"Holds.\"\"\"
"""
SERVER = """\
import os, selectors, signal, socket, sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server(("127.0.0.1", 0))
local = socket.socket(socket.AF_UNIX)
if os.path.exists("s.sock"):
    os.unlink("s.sock")
local.bind("s.sock")
local.listen()
watch = selectors.DefaultSelector()
watch.register(listener, selectors.EVENT_READ)
watch.register(local, selectors.EVENT_READ)
print("ready 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
held = {}
while True:
    for key, _ in watch.select():
        if key.fileobj in (listener, local):
            client, _ = key.fileobj.accept()
            watch.register(client, selectors.EVENT_READ)
            held[client] = b""
            continue
        client = key.fileobj
        data = client.recv(4096)
        held[client] += data
        while b"\\n" in held[client]:
            line, _, held[client] = held[client].partition(b"\\n")
            if line == b"crash":
                os.abort()
            if line != b"quiet":
                client.sendall(line.upper() + b"\\n")
            if line == b"quit":
                data = b""
        if not data:
            watch.unregister(client)
            client.close()
            del held[client]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    folder.mkdir()
    for name, text in {"lab.toml": LAB, "checks.py": CHECK, "brief.md": "# Server\n"}.items():
        (folder / name).write_text(text)
    return folder


Serve = Callable[..., Started]


@pytest.fixture
def bench(lab: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(
        source: str = SERVER, language: Language = Language.PYTHON, drivers: dict[str, str] | None = None
    ) -> Bench:
        for name, text in (drivers or {}).items():
            (lab / name).write_text(textwrap.dedent(text))
        name = "server.py" if language is Language.PYTHON else "server.c"
        if language is Language.EXECUTABLE:
            name = "server"
        submission = Submission(
            student="ana", origin="test", language=language, entry=name,
            files=(SourceFile(path=name, data=textwrap.dedent(source).encode()),),
        )  # fmt: skip
        loaded = labs.load(lab)
        prepared = prepare(submission, loaded.limits, machine.inspect().level)
        assert prepared.build is None, prepared.build
        made.append(Bench(Workshop(loaded, prepared)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def serve(bench: Bench, **options: object) -> Started:
    server = start(bench, "server", **options)  # type: ignore[arg-type]
    server.ready()
    return server


def test_clients_talk_over_both_kinds_of_socket(bench: Callable[..., Bench]) -> None:
    server = serve(bench())
    tcp, local = server.connect(), server.connect("s.sock")
    tcp.send("uno\ndos\n")
    local.send("tres\n")
    assert tcp.lines(2) == ["UNO", "DOS"]
    assert local.line() == "TRES"
    local.send("quit\n")
    assert local.rest_of() == "QUIT\n"
    tcp.close()
    server.settle()
    ran = server.stop()
    speakers = {turn.speaker for turn in ran.seen.turns}
    assert {"client 1", "to client 1", "client 2", "to client 2"} <= speakers


def test_what_the_kernel_holds_back_is_still_to_come(bench: Callable[..., Bench]) -> None:
    """A second small write waits for the acknowledgement of the first, up to 40 ms, while the server rests."""
    server = serve(bench())
    client = server.connect()
    for _ in range(30):
        client.send("uno\ndos\n")
        assert client.lines(2) == ["UNO", "DOS"]


def test_no_answer_is_known_at_once(bench: Callable[..., Bench]) -> None:
    server = serve(bench(), within=60)
    client = server.connect()
    client.send("quiet\n")
    with pytest.raises(CheckFailed) as failure:
        client.line()
    assert failure.value.diagnosis.slug == "no-answer"
    assert any("the connection of client 1" in line for line in failure.value.diagnosis.evidence)


def test_a_closed_connection_is_told_from_a_reset_one(bench: Callable[..., Bench]) -> None:
    server = serve(bench())
    client = server.connect()
    client.send("quit\n")
    assert client.line() == "QUIT"
    with pytest.raises(CheckFailed) as failure:
        client.line()
    assert failure.value.diagnosis.slug == "connection-closed"

    resetting = SERVER.replace("client.close()", "client.shutdown(2), os._exit(0)").replace(
        "data = client.recv(4096)", "os._exit(3)"
    )
    server = serve(bench(resetting))
    client = server.connect()
    client.send("uno\n")
    with pytest.raises(CheckFailed) as failure:
        client.line()
    assert failure.value.diagnosis.slug in ("ended-too-early", "connection-reset")


def test_a_connection_left_open_is_told(bench: Callable[..., Bench]) -> None:
    server = serve(
        bench(SERVER.replace("            client.close()\n", "            open_ = client\n")), within=60
    )
    client = server.connect()
    client.send("quit\n")
    client.line()
    with pytest.raises(CheckFailed) as failure:
        client.closed()
    assert failure.value.diagnosis.slug == "connection-left-open"


def test_a_crash_of_the_server_goes_first(bench: Callable[..., Bench]) -> None:
    server = serve(bench())
    client = server.connect()
    client.send("crash\n")
    with pytest.raises(CheckFailed) as failure:
        client.line()
    assert failure.value.diagnosis.slug == "killed-by-signal"


def test_nobody_listens(bench: Callable[..., Bench]) -> None:
    server = serve(bench(SERVER.replace("flush=True)", "flush=True); listener.close(); signal.pause()")))
    with pytest.raises(CheckFailed) as failure:
        server.connect()
    assert failure.value.diagnosis.slug == "connection-refused"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('while b"\\n" in held[client]:', 'if b"\\n" in held[client]:'),
        ("held[client] += data", "held[client] = data"),
    ],
)
def test_splits_find_who_mistakes_reads_for_messages(bench: Callable[..., Bench], old: str, new: str) -> None:
    text, gives = "uno\ndos\nquit\n", "UNO\nDOS\nQUIT\n"
    serve(bench()).split(text, gives=gives, slug="no-answer")
    assert old in SERVER
    with pytest.raises(CheckFailed) as failure:
        serve(bench(SERVER.replace(old, new))).split(text, gives=gives, slug="no-answer")
    assert "comes" in failure.value.diagnosis.fact


def test_a_split_whose_end_alone_is_missing_is_told_as_that(bench: Callable[..., Bench]) -> None:
    with pytest.raises(CheckFailed) as failure:
        serve(bench(SERVER.replace('data = b""', "pass"))).split("quit\n", gives="QUIT\n", slug="no-answer")
    assert failure.value.diagnosis.slug == "connection-left-open"


def test_two_hundred_clients_at_once(bench: Callable[..., Bench]) -> None:
    server = serve(bench())
    crowd = [server.connect() for _ in range(200)]
    for number, client in enumerate(crowd):
        client.send(f"n{number}\n")
    assert [client.line() for client in crowd] == [f"N{number}" for number in range(200)]


def test_a_client_that_does_not_read_fills_the_way(bench: Callable[..., Bench]) -> None:
    """The server of this test blocks in sendall then: that is seen, by its state."""
    server = serve(bench())
    deaf = server.connect(reading=False)
    deaf.send(b"x" * 1000 + b"\n")
    server.settle()
    for _ in range(40):
        deaf.send((b"y" * 4000 + b"\n") * 100)
    assert server.until(lambda processes: any(p.wait and p.wait.call == "sendto" for p in processes))
    deaf.read()
    assert deaf.line() == "X" * 1000


def test_a_steady_stream_counts_answers_and_losses(bench: Callable[..., Bench]) -> None:
    server = serve(bench())
    with server.steady("quit\n", 4) as requests:
        requests.reach(40)
    assert len(requests.answers) >= 40
    assert set(requests.answers) == {"QUIT\n"}
    assert requests.lost == []

    server = serve(
        bench(SERVER.replace('if line == b"quit":', 'if line == b"quit" and listener.close() is None:'))
    )
    with server.steady("quit\n", 2) as requests:
        requests.until(lambda answers: False)
    assert requests.lost


def test_the_folder_is_reached_from_outside(bench: Callable[..., Bench]) -> None:
    server = serve(bench(), files={"a.conf": "workers 2\n"})
    assert server.read("a.conf") == "workers 2\n"
    server.write("a.conf", "workers 3\n")
    server.rename("a.conf", "b.conf")
    assert (server.exists("a.conf"), server.read("b.conf"), server.read("missing")) == (
        False,
        "workers 3\n",
        "",
    )
    server.remove("b.conf")
    assert not server.exists("b.conf")
    with pytest.raises(ValueError, match="no name"):
        server.read("../etc/passwd")


def test_links_are_not_followed(bench: Callable[..., Bench]) -> None:
    source = SERVER.replace("held = {}", "held = {}; os.symlink('/etc/passwd', 'l'); os.mkfifo('f')")
    server = serve(bench(source))
    server.settle()
    assert (server.read("l"), server.read("f")) == ("", "")


def test_a_second_program_shares_the_sandbox(bench: Callable[..., Bench]) -> None:
    here = bench(
        """
        import os, signal, socket, sys
        if sys.argv[1] == "serve":
            listener = socket.create_server(("127.0.0.1", 0))
            open("port", "w").write(str(listener.getsockname()[1]))
            print("ready 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
            client, _ = listener.accept()
            client.sendall(b"%d\\n" % os.getuid())
            signal.pause()
        else:
            other = socket.create_connection(("127.0.0.1", int(open("port").read())))
            assert int(other.recv(100)) == os.getuid()
            print(os.getppid(), sys.argv[2:], sorted(os.listdir("/proc/self/fd"))[:3])
        """
    )
    server = start(here, "server", "serve", shared=True)
    server.ready()
    ran = run(here, "server", "ask", "x y", beside=server)
    assert ran.out == "0 ['x y'] ['0', '1', '2']\n"
    left = start(here, "server", "serve", beside=server)
    left.ready()
    assert left.pid != server.pid
    with pytest.raises(CheckFailed) as failure:
        left.stop()
    assert failure.value.diagnosis.slug == "killed-by-signal"
    server.signal(signal.SIGKILL)
    assert server.ended(allow={"killed-by-signal"}, status=None).seen.signal == "SIGKILL"
    again = start(here, "server", "serve", beside=server)
    again.ready()


def test_a_second_program_s_end_is_known_however_short_it_is(bench: Callable[..., Bench]) -> None:
    """The tracer of a program beside another one must have its last word."""
    here = bench('#!/bin/sh\n[ "$1" = wait ] && echo ready x && exec cat\nexit 3\n', Language.EXECUTABLE)
    host = start(here, "server", "wait")
    host.ready()
    assert [run(here, "server", beside=host, status=3).status for _ in range(20)] == [3] * 20


def test_idle_time_is_measured(bench: Callable[..., Bench]) -> None:
    quiet = serve(bench()).idle(0.2)
    assert quiet.cpu_s < 0.01
    assert quiet.wakeups <= 2
    polling = serve(bench(SERVER.replace("watch.select()", "watch.select(0.001)"))).idle(0.2)
    assert polling.wakeups > 10


def test_signals_reach_one_process_by_its_own_id(bench: Callable[..., Bench]) -> None:
    source = """
        import os, signal
        child = os.fork()
        if not child:
            signal.pause()
        print("ready", child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    server = start(bench(source), "server")
    child = int(server.ready())
    server.signal(signal.SIGTERM, child)
    assert server.line() == "-15"
    with pytest.raises(ProcessLookupError):
        server.signal(signal.SIGTERM, 4000)


# ---------------------------------------------------------------- drivers

DRIVERS = {
    "driver.py": "import sys, server\nprint(server.double(int(sys.argv[1])))\n",
    "driver.c": """\
        #include <stdio.h>
        #include <stdlib.h>
        int twice(int);
        int main(int argc, char **argv) { printf("%d\\n", twice(atoi(argv[argc - 1]))); return 0; }
        """,
}


def test_a_driver_calls_the_students_functions(bench: Callable[..., Bench]) -> None:
    python = bench("def double(n):\n    return 2 * n\n", drivers=DRIVERS)
    run(python, "driver", "21").prints("42\n")
    compiled = bench(
        "int twice(int n) { return 2 * n; }\nint main(void) { return 3; }\n", Language.C, DRIVERS
    )
    run(compiled, "driver", "21").prints("42\n")
    run(compiled, "server", status=3)


def test_a_driver_that_does_not_fit_is_the_students_fault(bench: Callable[..., Bench]) -> None:
    compiled = bench(
        "int thrice(int n) { return 3 * n; }\nint main(void) { return 3; }\n", Language.C, DRIVERS
    )
    with pytest.raises(CheckFailed) as failure:
        run(compiled, "driver", "21")
    assert failure.value.diagnosis.slug == "interface-differs"
    assert "twice" in failure.value.diagnosis.fact


def test_an_executable_cannot_be_driven(bench: Callable[..., Bench]) -> None:
    with pytest.raises(CheckSkipped):
        run(bench("#!/bin/sh\n", Language.EXECUTABLE, DRIVERS), "driver", "1")


COLLECTOR = """\
import os, select, sys

os.mkfifo("in.fifo", 0o600)
pipe = os.open("in.fifo", os.O_RDWR)
print("ready in.fifo", flush=True)
while True:
    select.select([pipe], [], [])
    os.write(1, os.read(pipe, 4096).upper())
"""


def test_a_fifo_has_writers(bench: Callable[..., Bench]) -> None:
    server = start(bench(COLLECTOR), "server")
    assert server.ready() == "in.fifo"
    for words in ("uno\n", "dos\n"):
        with server.writer("in.fifo") as writer:
            writer.send(words[:1])
            server.settle()
            writer.send(words[1:])
        assert server.line() == words.strip().upper()


def test_a_fifo_that_nobody_reads_is_named(bench: Callable[..., Bench]) -> None:
    server = serve(bench())
    with pytest.raises(CheckFailed) as failure:
        server.writer("in.fifo")
    assert failure.value.diagnosis.slug == "fifo-without-reader"
