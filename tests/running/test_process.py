"""One program from start to end: what comes out, how it ended, and whether it hung or was only slow."""

from __future__ import annotations

import signal
import sys

import pytest
from victims import LEVELS, Launch

from grader.model import Ending, Level, Limits
from grader.running.process import Outcome

pytestmark = pytest.mark.usefixtures("full")


@pytest.mark.parametrize("level", LEVELS)
def test_gives_output_and_status(launch: Launch, level: Level) -> None:
    program = launch("import sys; print('uno'); print('dos', file=sys.stderr); sys.exit(3)", level=level)
    seen = program.finish(program.pump())
    assert (seen.ending, seen.status, seen.stdout, seen.stderr) == (Ending.EXITED, 3, b"uno\n", b"dos\n")


@pytest.mark.parametrize("level", LEVELS)
def test_tells_a_signal_from_a_status(launch: Launch, level: Level) -> None:
    killed = launch("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", level=level)
    exited = launch("raise SystemExit(128 + 15)", level=level)
    assert killed.finish(killed.pump()).signal == "SIGTERM"
    assert exited.finish(exited.pump()).status == 143


@pytest.mark.parametrize("level", LEVELS)
def test_feeds_more_than_a_pipe_holds(launch: Launch, level: Level) -> None:
    data = bytes(range(256)) * 4096
    program = launch(
        "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])", stdin=data, level=level
    )
    assert program.finish(program.pump()).stdout == data[::-1]


def test_goes_on_when_the_program_does_not_read(launch: Launch) -> None:
    program = launch("print('done')", stdin=b"x" * 2**20)
    seen = program.finish(program.pump())
    assert (seen.status, seen.stdout) == (0, b"done\n")


def test_talks_line_by_line(launch: Launch) -> None:
    program = launch("for line in iter(input, 'end'): print(line.upper(), flush=True)", stdin=None)
    for word in (b"uno\n", b"dos\n"):
        program.send(word)
        assert program.line() == (Outcome.REACHED, word.upper())
    program.send(b"end\n")
    seen = program.finish(program.pump())
    assert [turn.speaker for turn in seen.turns] == ["grader", "program", "grader", "program", "grader"]


def test_knows_at_once_that_no_answer_will_come(launch: Launch) -> None:
    program = launch("import sys\nfor line in sys.stdin: print(line.upper())", stdin=None, within=60)
    program.send(b"uno\n")
    outcome, line = program.line()
    assert (outcome, line) == (Outcome.HUNG, b"")
    seen = program.finish(outcome)
    assert seen.wall_s < 30, "the time limit, not the proof, ended it"


@pytest.mark.parametrize("level", LEVELS)
def test_a_slow_program_is_not_hung(launch: Launch, level: Level) -> None:
    program = launch("import time; time.sleep(0.4); print('late')", level=level)
    assert program.finish(program.pump()).stdout == b"late\n"


@pytest.mark.parametrize(
    "waiting",
    [
        "signal.signal(signal.SIGALRM, lambda *_: None); signal.alarm(1); signal.pause()",
        "signal.setitimer(signal.ITIMER_REAL, 0.3); signal.sigwait({signal.SIGALRM})",
        "select.select([], [], [], 0.3)",
        "select.poll().poll(300)",
        "threading.Event().wait(0.3)",
        "subprocess.run(['sleep', '0.3'])",
        "socket.socketpair()[0].settimeout(0.3)",
    ],
)
def test_whoever_will_wake_by_itself_is_not_hung(launch: Launch, waiting: str) -> None:
    program = launch(
        "import select, signal, socket, subprocess, threading\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]) if 'sigwait' in {waiting!r} else None\n"
        f"{waiting}\nprint('awake')"
    )
    assert program.finish(program.pump()).stdout == b"awake\n"


def test_out_of_time(launch: Launch) -> None:
    program = launch("import time; time.sleep(60)", within=0.3)
    seen = program.finish(program.pump())
    assert seen.ending is Ending.TIMED_OUT
    assert [process.state.value for process in seen.processes] == ["sleeping"]


def test_a_spin_is_seen_as_running(launch: Launch) -> None:
    program = launch("while True: pass", within=0.3)
    seen = program.finish(program.pump())
    assert seen.ending is Ending.TIMED_OUT
    assert [process.state.value for process in seen.processes] == ["running"]


def test_endless_output_is_ended(launch: Launch) -> None:
    program = launch("while True: print('spam')", limits=Limits(output_mib=1))
    seen = program.finish(program.pump())
    assert seen.ending is Ending.FLOODED
    assert len(seen.stdout) < 4 * 2**20


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1)])
def test_starts_without_standard_descriptors(launch: Launch, closed: tuple[int, ...]) -> None:
    program = launch("import os; os.write(2, str(sorted(os.pipe())).encode())", closed=closed)
    seen = program.finish(program.pump())
    assert seen.stderr.decode().startswith(f"[{closed[0]}, ")


def test_streams_can_be_opened_again_by_name(launch: Launch) -> None:
    program = launch("open('/dev/stdout', 'w').write(open('/dev/stdin').read())", stdin=b"uno\n")
    assert program.finish(program.pump()).stdout == b"uno\n"


def test_sends_signals(launch: Launch) -> None:
    program = launch("import signal; print('ready', flush=True); signal.pause()", stdin=None)
    program.line()
    program.signal(signal.SIGUSR1)
    assert program.finish(program.pump()).signal == "SIGUSR1"


def test_sees_processes_at_rest(launch: Launch) -> None:
    program = launch(
        "import os\nfor _ in range(2): os.fork() or os.execvp('cat', ['cat'])\nos.wait()", stdin=None
    )
    outcome, found = program.rest()
    assert outcome is Outcome.REACHED
    assert sorted(process.name for process in found) == ["cat", "cat", "victim.py"]
    program.close_input()
    assert program.finish(program.pump()).ending is Ending.EXITED


def test_names_what_outlived_the_program(launch: Launch) -> None:
    program = launch("import os\nif os.fork() == 0: os.execvp('sleep', ['sleep', '100'])")
    seen = program.finish(program.pump())
    assert [left.kind for left in seen.leftovers] == ["process"]
    assert seen.processes[0].name == "sleep"
    assert len(seen.unreaped) == 1


def test_a_child_that_is_just_ending_is_not_left_behind(launch: Launch) -> None:
    program = launch("import os\nif os.fork() == 0:\n    for _ in range(10**6): pass\n    os._exit(0)")
    seen = program.finish(program.pump())
    assert not seen.leftovers
    assert len(seen.unreaped) == 1


def test_finish_says_the_same_twice(launch: Launch) -> None:
    program = launch("print('uno')")
    assert program.finish(program.pump()) is program.finish()


def test_the_program_finds_only_its_three_descriptors(launch: Launch) -> None:
    program = launch("import os; print(sorted(os.listdir('/proc/self/fd')))")
    assert program.finish(program.pump()).stdout == b"['0', '1', '2', '3']\n"  # 3 is the listing's own


def test_no_descriptor_of_ours_is_lost(launch: Launch) -> None:
    import os

    launch("pass").close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        program = launch("pass")
        program.finish(program.pump())
        program.close()  # until then a check may look into its folder
    assert len(os.listdir("/proc/self/fd")) == before


def test_uses_this_interpreter(launch: Launch) -> None:
    program = launch("import sys; print(sys.version_info[:3])")
    assert program.finish(program.pump()).stdout.decode().strip() == str(tuple(sys.version_info[:3]))
