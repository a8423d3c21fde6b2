"""Signal points: every victim is found, no right program is accused, and the same is tried each time."""

from __future__ import annotations

import itertools
import os
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from victims import PROGRAMS

from grader.content import lab as labs
from grader.exploring import points as signals
from grader.exploring.points import Board, Kind, Point, State
from grader.judging.bench import Bench, CheckFailed, CheckSkipped, Workshop
from grader.judging.explorers import Explored, SignalPoints
from grader.judging.fixtures import Started
from grader.judging.judge import judge
from grader.judging.vocabulary import diagnose, named
from grader.model import CheckResult, Lab, Language, Level, Place, SourceFile, Submission, Verdict
from grader.running.preparation import prepare
from grader.running.sandbox import SandboxError

USR1 = signal.SIGUSR1
LAB = """\
title = "Signals"
[files]
python = "victim.py"
c = "victim.c"

[diagnoses.signal-lost]
title = "A signal is lost."
why = "It came at a moment at which nobody looked."
cure = "Look at every moment."
"""
CHECKS = '''\
import signal

from grader import diagnose, points

USR1 = signal.SIGUSR1


@points(1)
def test_seen(signal_points):
    """A signal is seen whenever it comes."""
    signal_points("victim", signal=USR1, promise=lambda server: server.ended().prints("ready\\nseen\\n"))


@points(1)
def test_counts(signal_points):
    """Each signal is counted."""

    def promise(server):
        total = server.finish().out
        assert total == "ready\\ntotal 2\\n", diagnose("signal-lost", f"It has counted {total!r}.")

    signal_points("victim", signal=USR1, after=lambda server: server.signal(USR1), promise=promise)


@points(1)
def test_both(signal_points):
    """A line and a signal are both kept."""
    signal_points(
        "victim", signal=USR1, after=lambda server: server.send("1\\n"),
        promise=lambda server: server.finish().prints("ready\\n2\\n"),
    )


@points(1)
def test_keeps(signal_points):
    """Letters and a signal are all kept."""
    signal_points(
        "victim", signal=USR1, after=lambda server: server.send("ab"),
        promise=lambda server: server.finish().prints("ready\\n3\\n"),
    )


@points(1)
def test_balance(signal_points):
    """A transfer is done or not done."""
    signal_points(
        "victim", signal=USR1, after=lambda server: server.send("30\\n"),
        promise=lambda server: server.finish().prints("ready\\n100\\n"),
    )


@points(1)
def test_reaps(signal_points):
    """Children that end together are all reaped."""

    def end_all(server):
        children = [each.pid for each in server.processes() if each.pid != server.pid]
        server.signal(signal.SIGSTOP)
        for child in children:
            server.signal(signal.SIGKILL, child)
        server.until(lambda now: all(each.state == "zombie" for each in now if each.pid != server.pid))
        server.signal(signal.SIGCONT)

    def promise(server):
        left = [each for each in server.processes() if each.pid != server.pid]
        assert not left, diagnose("child-not-reaped", f"{len(left)} of them were not waited for.")

    signal_points("victim", signal=signal.SIGCHLD, after=end_all, promise=promise, points=12)


@points(1)
def test_copies(signal_points):
    """All input is read, also what comes after a signal."""

    def promise(server):
        server.send("defg")
        server.finish().prints("ready\\n7\\n")

    signal_points("victim", signal=USR1, after=lambda server: server.send("abc"), promise=promise)
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    root = tmp_path_factory.mktemp("course") / "labs" / "victim"
    root.mkdir(parents=True)
    (root / "lab.toml").write_text(LAB)
    (root / "checks.py").write_text(CHECKS)
    return labs.load(root)


def submission(source: bytes, name: str) -> Submission:
    language = {"py": Language.PYTHON, "c": Language.C}.get(name.rpartition(".")[2], Language.EXECUTABLE)
    return Submission(
        student="eve", origin="test", language=language, entry=name,
        files=(SourceFile(path=name, data=source, executable=language is Language.EXECUTABLE),),
    )  # fmt: skip


def graded(lab: Lab, check: str, victim: str) -> CheckResult:
    source = (PROGRAMS / "points" / victim).read_bytes()
    report = judge(lab, submission(source, f"victim.{victim.rpartition('.')[2]}"), select=check)
    return report.checks[0]


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("check", "victim", "slug", "line"),
    [
        ("test_seen", "flag_then_pause.py", "waits-forever", "signal.pause()"),
        ("test_seen", "flag_then_pause_one_line.py", "waits-forever", "while not seen: signal.pause()"),
        ("test_seen", "flag_then_pause.c", "waits-forever", "pause();"),
        ("test_counts", "resets_counter.py", "signal-lost", "total += n"),
        ("test_both", "lock_in_handler.py", "waits-forever", "words.append(line.strip())"),
        ("test_both", "queue_in_handler.py", "wrong-output", "slots[place] = word"),
        ("test_keeps", "queue_in_handler.c", "wrong-output", "slots[place] = word;"),
        ("test_balance", "raises_in_handler.py", "wrong-output", 'balance["bob"] += amount'),
        ("test_reaps", "one_wait.py", "child-not-reaped", ""),
        ("test_copies", "no_eintr.c", "wrong-output", "while ((n = read(0, data, sizeof data)) > 0)"),
    ],
)
def test_a_fault_that_needs_a_signal_at_one_point_is_found(
    lab: Lab, check: str, victim: str, slug: str, line: str
) -> None:
    result = graded(lab, check, victim)
    assert result.verdict is Verdict.FAILED
    assert result.diagnosis is not None
    assert result.diagnosis.slug == slug
    arrival, *_, repeat = result.diagnosis.evidence
    assert arrival.startswith(("SIGUSR1 arrived ", "SIGCHLD arrived "))
    assert line in arrival
    place = result.diagnosis.place
    assert place is not None
    assert line in (PROGRAMS / "points" / victim).read_text().splitlines()[place.line - 1]
    assert repeat.startswith(f"to repeat it: proclab check victim --replay {check}:1:{place.line}")
    assert result.observation is not None
    assert any(turn.speaker == "event" and str(place) in turn.text for turn in result.observation.turns)
    assert not any("kill(2, SIG" in event.text for event in result.observation.events), "the shim's own call"


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("check", "victim"),
    [
        ("test_seen", "sigwait.py"),
        ("test_seen", "sigwait_in_thread.py"),
        ("test_seen", "self_pipe.py"),
        ("test_seen", "sigsuspend.c"),
        ("test_counts", "masked_counter.py"),
        ("test_both", "list_in_handler.py"),
        ("test_keeps", "masked_queue.c"),
        ("test_balance", "raises_between.py"),
        ("test_reaps", "waits_for_all.py"),
        ("test_copies", "eintr.c"),
    ],
)
def test_a_right_program_is_never_accused(lab: Lab, check: str, victim: str) -> None:
    result = graded(lab, check, victim)
    assert (result.verdict, result.reason) == (Verdict.PASSED, "")


@pytest.mark.usefixtures("full")
def test_what_a_report_says_to_repeat_a_failure_repeats_it(lab: Lab) -> None:
    source = (PROGRAMS / "points" / "no_eintr.c").read_bytes()
    diagnosis = judge(lab, submission(source, "victim.c"), select="test_copies").checks[0].diagnosis
    assert diagnosis is not None
    replay = diagnosis.evidence[-1].split()[-1]
    report = judge(lab, submission(source, "victim.c"), replay=replay)
    assert [(check.name, check.diagnosis) for check in report.checks] == [("test_copies", diagnosis)]


# ---------------------------------------------------------------- one call


Points = Callable[..., SignalPoints]


def arrivals(server: Started) -> list[str]:
    return [turn.text for turn in server.program.turns if turn.speaker == "event" and " arrive" in turn.text]


@pytest.fixture
def signal_points(lab: Lab) -> Iterator[Points]:
    """Makes the word of a check for a program given as source."""
    benches: list[Bench] = []

    def make(
        source: str,
        name: str = "victim.py",
        *,
        level: Level = Level.FULL,
        replay: str = "",
        hidden: bool = False,
        of: Lab = lab,
    ) -> SignalPoints:
        prepared = prepare(submission(textwrap.dedent(source).encode(), name), of.limits, level)
        benches.append(Bench(Workshop(of, prepared)))
        return SignalPoints(benches[-1], msgspec.structs.replace(of.checks[0], hidden=hidden), replay)

    yield make
    for bench in benches:
        bench.close()


WAITS = """\
    import signal, sys
    came = []
    signal.signal(signal.SIGUSR1, lambda *_: came.append("usr1"))
    signal.signal(signal.SIGUSR2, lambda *_: came.append("usr2"))
    signal.signal(signal.SIGTERM, lambda *_: came.append("term"))
    print("ready", flush=True)
    for line in sys.stdin:
        came.append(line.strip())
    print(*came)
"""


@pytest.mark.usefixtures("full")
def test_the_same_points_are_tried_each_time(signal_points: Points) -> None:
    def tried() -> list[str]:
        seen: list[str] = []
        explored = signal_points(WAITS)(
            "victim", signal=USR1, promise=lambda server: seen.extend(arrivals(server)), points=4
        )
        assert explored == Explored(found=5, tried=4, passed_over=0, unsteady=0)
        return seen

    first = tried()
    assert first == tried()
    assert len(set(first)) == 4
    assert first[-1].startswith("SIGUSR1 arrives while the program waited")


@pytest.mark.usefixtures("full")
def test_a_program_owes_nothing_before_it_has_a_handler(signal_points: Points) -> None:
    kinds: list[str] = []

    def promise(server: Started) -> None:
        kinds.extend(arrivals(server))
        server.finish()

    signal_points(WAITS)("victim", signal=signal.SIGTERM, promise=promise)
    assert not any("victim.py:4" in text or "victim.py:5" in text for text in kinds)
    assert any("victim.py:6" in text for text in kinds)


@pytest.mark.usefixtures("full")
def test_mixed_signals_come_at_the_same_moment(signal_points: Points) -> None:
    def promise(server: Started) -> None:
        assert server.finish().out == "ready\nusr1 usr2\n"

    both = (signal.SIGUSR2, signal.SIGUSR1)  # what is pending is delivered by number
    explored = signal_points(WAITS)("victim", signal=both, promise=promise)
    assert explored.tried == explored.found == 4


@pytest.mark.usefixtures("full")
def test_a_doubled_signal_comes_twice(signal_points: Points) -> None:
    def promise(server: Started) -> None:
        assert server.finish().out == "ready\nusr1 usr1\n"

    explored = signal_points(WAITS)("victim", signal=(USR1, USR1), promise=promise)
    assert explored.tried == explored.found == 5


@pytest.mark.usefixtures("full")
def test_one_point_can_be_tried_again_by_its_name(signal_points: Points) -> None:
    source = (PROGRAMS / "points" / "flag_then_pause.py").read_text()
    line = source.splitlines().index("    signal.pause()") + 1

    def promise(server: Started) -> None:
        server.ended()

    for name in (str(line), f"{line}-before-pause"):
        with pytest.raises(CheckFailed):
            signal_points(source, replay=f"1:{name}")("victim", signal=USR1, promise=promise)
    right = signal_points(source, replay=f"1:{line - 1}")
    assert right("victim", signal=USR1, promise=promise).tried == 1
    assert right("victim", signal=USR1, promise=promise) == Explored(
        0, 0, 0, 0
    )  # the second call of the check
    with pytest.raises(CheckSkipped, match="does not come to the point 999"):
        signal_points(source, replay="1:999")("victim", signal=USR1, promise=promise)


@pytest.mark.usefixtures("full")
def test_a_promise_that_is_broken_only_once_is_no_verdict(signal_points: Points) -> None:
    calls: list[int] = []

    def promise(server: Started) -> None:
        calls.append(1)
        assert len(calls) != 2, "a fault of the moment"

    explored = signal_points(WAITS)("victim", signal=USR1, promise=promise, points=4)
    assert (explored.tried, explored.unsteady) == (3, 1)


@pytest.mark.usefixtures("full")
def test_children_have_no_points(signal_points: Points) -> None:
    source = """\
        import os, signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: None)
        print("ready", flush=True)
        sys.stdin.readline()
        child = os.fork()
        if child == 0:
            total = 0
            for number in range(50):
                total += number
            os.execv(sys.executable, [sys.executable, "-c", "import os, sys; print(os.environ.get('PYTHONPATH'), sys.gettrace())"])
        os.waitpid(child, 0)
        sys.stdin.read()
    """
    seen: list[str] = []

    def promise(server: Started) -> None:
        seen.extend(arrivals(server))
        assert server.finish().out == "ready\nNone None\n"

    signal_points(source)("victim", signal=USR1, after=lambda server: server.send("go\n"), promise=promise)
    assert seen
    assert not any(f"victim.py:{line}," in text for text in seen for line in (7, 8, 9, 10))


@pytest.mark.usefixtures("full")
def test_programs_that_run_at_once_do_not_share_their_limit_of_processes(signal_points: Points) -> None:
    source = """\
        import os, signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: None)
        for _ in range(40):
            if os.fork() == 0:
                signal.pause()
        print("ready", flush=True)
        for line in sys.stdin:
            print(line, end="", flush=True)
    """
    explored = signal_points(source)(
        "victim", signal=USR1, after=lambda server: server.send("x\n"), promise=lambda server: server.settle()
    )
    assert explored.tried > 2


@pytest.mark.usefixtures("full")
def test_the_shim_takes_no_descriptor_and_leaves_no_name_behind(signal_points: Points) -> None:
    source = """\
        import os, signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: None)
        print(os.open("/dev/null", os.O_RDONLY), "PYTHONPATH" in os.environ, [p for p in sys.path if "probe" in p])
    """

    def promise(server: Started) -> None:
        server.ended().prints("3 False []\n")

    assert signal_points(source)("victim", signal=USR1, promise=promise).tried


@pytest.mark.usefixtures("full")
def test_an_exception_from_a_handler_shows_where_the_signal_came(signal_points: Points) -> None:
    source = """\
        import signal, sys
        def stop(number, frame):
            raise SystemError("stopped")
        signal.signal(signal.SIGUSR1, stop)
        print("ready", flush=True)
        sys.stdin.read()
    """
    with pytest.raises(CheckFailed) as failure:
        signal_points(source)("victim", signal=USR1, promise=lambda server: server.finish())
    diagnosis = failure.value.diagnosis
    assert diagnosis.slug == "uncaught-exception"
    assert diagnosis.fact == "The program ended by an exception: SystemError: stopped."
    assert diagnosis.place == Place(file="victim.py", line=5)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("source", "slug"),
    [
        ("raise NotImplementedError('YOUR CODE HERE')\n", "not-implemented"),
        ("pass\n", "ended-too-early"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "killed-by-signal"),
        ("import signal\nsignal.pause()\n", "killed-by-signal"),
    ],
)
def test_a_program_that_deals_with_no_signal_earns_nothing(
    signal_points: Points, source: str, slug: str
) -> None:
    for after in (None, lambda server: None):
        with pytest.raises(CheckFailed) as failure:
            signal_points(source)("victim", signal=USR1, after=after, promise=lambda server: server.ended())
        assert failure.value.diagnosis.slug == slug


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    "attack",
    [
        "sys.settrace(None); sys.setprofile(None)",
        "os.unlink('/run/probe/board')",
        "os.truncate('/run/probe/board', 0) if sys.gettrace() is None else None",
        "open('/run/probe/board', 'wb').write(os.urandom(2**20)) if open('/run/probe/plan').read().count('target') else None",
        "os.unlink('/run/probe/board'); os.mkfifo('/run/probe/board')",
        "os.unlink('/run/probe/board'); os.symlink('/etc/passwd', '/run/probe/board')",
    ],
)
def test_a_program_that_tampers_is_still_run_and_asked(signal_points: Points, attack: str) -> None:
    """It ignores the signal that should end it: whatever it does to the shim, one plain run shows that."""
    source = f"""\
        import os, signal, sys
        {attack}
        signal.signal(signal.SIGUSR1, lambda *_: None)
        print("ready", flush=True)
        while True:
            signal.pause()
    """
    with pytest.raises((CheckFailed, SandboxError)):
        signal_points(source)(
            "victim", signal=USR1, after=lambda server: None, promise=lambda server: server.ended()
        )


@pytest.mark.usefixtures("full")
def test_a_hidden_check_says_the_moment_but_not_how_to_repeat_it(signal_points: Points) -> None:
    source = (PROGRAMS / "points" / "flag_then_pause.py").read_text()

    def promise(server: Started) -> None:
        assert not server.program.alive, diagnose("signal-lost")

    explorer = signal_points(source, hidden=True)
    with pytest.raises(AssertionError):
        explorer("victim", signal=USR1, promise=promise)
    said = named.get()
    assert said is not None
    assert said.fact == "SIGUSR1 arrived just before victim.py:16, `signal.pause()`. A signal is lost."
    assert "replay" not in " ".join(said.evidence)


DRIVER = {
    "driver.py": "import victim\nprint('ready', flush=True)\nfor _ in range(9):\n    victim.wait()\n",
    "driver.c": """\
        #include <stdio.h>
        void wait_for_one(void);
        int main(void)
        {
            puts("ready");
            fflush(stdout);
            for (int times = 0; times < 9; times++)
                wait_for_one();
        }
        """,
}
LIBRARY = {
    "victim.py": """\
        import signal
        signal.signal(signal.SIGUSR1, lambda *_: None)
        def wait():
            signal.pause()
        """,
    "victim.c": """\
        #include <signal.h>
        #include <unistd.h>
        static volatile sig_atomic_t count;
        static void note(int number) { (void) number; }
        void wait_for_one(void)
        {
            signal(SIGUSR1, note);
            count++;
            pause();
        }
        int main(void) { return 0; }
        """,
}


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("name", ["victim.py", "victim.c"])
def test_a_driver_has_no_points(signal_points: Points, tmp_path: Path, name: str) -> None:
    root = tmp_path / "labs" / "victim"
    root.mkdir(parents=True)
    for file, text in {"lab.toml": LAB, "checks.py": CHECKS, **DRIVER}.items():
        (root / file).write_text(textwrap.dedent(text))
    seen: list[str] = []

    def promise(server: Started) -> None:
        seen.extend(arrivals(server))

    explorer = signal_points(LIBRARY[name], name, of=labs.load(root))
    explorer("driver", signal=USR1, after=lambda server: server.signal(USR1), promise=promise)
    assert len(seen) > 2
    assert all(name in text for text in seen)


@pytest.mark.usefixtures("full")
def test_what_cannot_be_followed_is_skipped(signal_points: Points) -> None:
    def promise(server: Started) -> None:
        server.ended()

    with pytest.raises(CheckSkipped, match="level 1"):
        signal_points(WAITS, level=Level.PROCESS_GROUP)("victim", signal=USR1, promise=promise)
    with pytest.raises(CheckSkipped, match="executable"):
        signal_points("#!/bin/sh\nread x\n", "victim")("victim", signal=USR1, promise=promise)


# ---------------------------------------------------------------- the pieces


def at(line: int, kind: Kind = Kind.LINE, call: str = "", earlier: int = 0, spot: str = "") -> Point:
    return Point(kind, line, call, earlier, Place(file="a.py", line=line), spot)


def test_a_point_has_a_name_that_a_shell_takes() -> None:
    assert [
        at(57).name,
        at(57, earlier=1).name,
        at(57, Kind.BEFORE, "pause").name,
        at(57, Kind.AFTER, "pause", 2).name,
        at(57, Kind.DURING, "read", spot="b").name,
        Point(Kind.REST).name,
    ] == ["57", "57.2", "57-before-pause", "57.3-after-pause", "57b-in-read", "rest"]


def test_what_is_chosen_begins_with_calls_that_wait_and_covers_all_lines_evenly() -> None:
    points = [*(at(line) for line in range(1, 100)), at(50, Kind.BEFORE, "pause"), at(3, earlier=1)]
    chosen = signals.choose(points, 12)
    assert len(chosen) == 12
    assert at(50, Kind.BEFORE, "pause") in chosen
    lines = [point.place.line for point in chosen if point.place and point.kind is Kind.LINE]
    assert lines == sorted(lines)
    assert lines[-1] == 99
    assert max(b - a for a, b in itertools.pairwise(lines)) <= 10
    assert signals.choose(points, 1000) == tuple(sorted(points, key=points.index))
    assert signals.choose(points, 0) == ()


def test_calls_are_also_interrupted_while_they_wait() -> None:
    chosen = signals.choose(
        [at(1), at(2, Kind.BEFORE, "read"), at(2, Kind.AFTER, "read")], 9, interrupts=True
    )
    assert [point.kind for point in chosen] == [Kind.LINE, Kind.BEFORE, Kind.DURING, Kind.AFTER]


def test_lines_of_addresses_come_from_the_line_table() -> None:
    table = b"""\
victim.c                                       7            0x401000               x
victim.c                                       9            0x401010               x
./victim.c                                     9            0x401018
stdio.h                                       30            0x401020               x
victim.c                                       -            0x401030
"""
    passed = [(0x401011, 0, 0), (0x401010, 0, 0), (0x401019, 0, 0), (0x401021, 0, 0), (0x400000, 0, 0)]
    places = signals.c_places(passed, ["victim.c"], table)
    line = Place(file="victim.c", line=9)
    assert places == {
        0x401010: (Place(file="victim.c", line=7), ""),
        0x401011: (line, ""),
        0x401019: (line, "b"),
    }


def test_the_board_believes_nothing(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        board = Board(folder)
        assert (board.state, board.passed()) == (State.ABSENT, [])
        board.arm()
        (tmp_path / "board").write_bytes(b"\0" * 4 + b"\xff" * 4 + b"\xff" * 4 + b"\0" * 4 + b"\1" * 40)
        board = Board(folder)
        assert board.state is State.ABSENT
        assert len(board.passed()) == 2
        board.arm()
        assert (tmp_path / "board").read_bytes()[0] == 1
        board.close()
        (tmp_path / "board").unlink()
        os.mkfifo(tmp_path / "board")
        board = Board(folder)
        assert (board.state, board.passed()) == (State.ABSENT, [])
        board.close()
    finally:
        os.close(folder)


def test_entries_that_the_shim_never_writes_are_passed_over() -> None:
    places = {1: (Place(file="a.py", line=1), "")}
    assert signals.found([(2, 0, 0), (1, 9, 0), (1, 1, 5), (1, 0, 0), (1, 0, 0)], places, ["pause"]) == (
        Point(Kind.LINE, 1, "", 0, places[1][0]),
        Point(Kind.LINE, 1, "", 1, places[1][0]),
    )
