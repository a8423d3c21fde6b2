"""The history: strace's text becomes calls, processes and words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import Launch

from grader.running import trace
from grader.running.trace import History

LOG = """\
100  10.000100 execve("/usr/bin/bwrap", ["bwrap"], 0x7ffc /* 3 vars */) = 0
101  10.000200 clone(child_stack=NULL, flags=SIGCHLD) = 2
102  10.000300 execve("/usr/bin/prlimit", ["prlimit", "x"], 0x7ffc /* 3 vars */) = 0
102  10.000400 execve("/usr/bin/python3", ["python3", "a\\"b.py", "|"], 0x7ffc /* 3 vars */) = 0
102  10.000500 pipe2([3<pipe:[17]>, 4<pipe:[17]>], O_CLOEXEC) = 0
102  10.000600 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x1) = 3
102  10.000700 wait4(-1,  <unfinished ...>
103  10.000800 dup2(4<pipe:[17]>, 1) = 1<pipe:[17]>
103  10.000900 execve("/usr/local/bin/cat", ["cat"], 0x7ffc /* 3 vars */) = -1 ENOENT (No such file or directory)
103  10.001000 execve("/usr/bin/cat", ["cat"], 0x7ffc /* 3 vars */) = 0
103  10.001100 +++ exited with 0 +++
102  10.001200 <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 3
102  10.001300 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=3, si_uid=60001, si_status=0} ---
102  10.001400 +++ killed by SIGTERM +++
"""


@pytest.fixture
def history() -> History:
    return trace.read(LOG, outside={100, 101}, root=2, wrapper_execs=1)


def test_speaks_of_processes_by_their_own_ids(history: History) -> None:
    assert {call.pid for call in history.calls} == {2, 3}
    assert history.parents == {3: 2}


def test_knows_what_was_run(history: History) -> None:
    assert [(e.pid, e.argv) for e in history.execs] == [(2, ("python3", 'a"b.py', "|")), (3, ("cat",))]
    assert history.tried == {3: ("cat",)}


def test_knows_who_was_reaped_and_how_each_ended(history: History) -> None:
    assert history.waited == {(2, 3)}
    assert history.unreaped() == ()
    assert history.endings == {3: (0, ""), 2: (None, "SIGTERM")}


def test_tells_the_history_in_words(history: History) -> None:
    words = [event.text for event in history.events({}, 99)]
    assert "pipe(): read end 3, write end 4 of pipe:[17]" in words
    assert "fork(): child 3" in words
    assert "dup2(4, 1): 1 is now pipe:[17]" in words
    assert "wait4(): child 3 reaped: status 0" in words


def test_a_thread_is_no_process() -> None:
    clone = "clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD|CLONE_SETTID, tls=0x7f) = 3\n"
    history = trace.read(
        '102  10.0 execve("/lab/a", ["a"], 0x7f) = 0\n102  10.1 ' + clone,
        outside={100},
        root=2,
        wrapper_execs=0,
    )
    assert history.forks == []
    assert history.parents == {}
    assert history.events({}, 99)[-1].text == "starts thread 3"


def test_ids_that_wrapped_round_are_the_late_ones() -> None:
    history = trace.read(LOG.replace("103 ", "7   "), outside={100, 101}, root=2, wrapper_execs=1)
    assert history.endings[3] == (0, "")


def test_a_cut_line_is_no_trouble() -> None:
    for length in range(len(LOG)):
        trace.read(LOG[:length], outside={100, 101}, root=2, wrapper_execs=1)


@settings(database=None, deadline=None)
@given(st.text(st.characters(codec="utf-8")))
def test_strings_survive_quoting(text: str) -> None:
    quoted = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in text.encode())
    assert trace.strings(f'["{quoted}"]') == [text]


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import os\nif os.fork() == 0: os._exit(0)\nos.wait()", "clone"),
        ("import subprocess; subprocess.run(['true'])", "vfork"),
        ("import os; os.waitpid(os.posix_spawnp('true', ['true'], {}), 0)", "clone3"),
    ],
)
def test_tells_how_a_process_was_made(launch: Launch, source: str, kind: str) -> None:
    program = launch(source)
    program.finish(program.pump())
    assert program.history is not None
    assert [call.name for call in program.history.forks] == [kind]


@pytest.mark.usefixtures("full")
def test_a_child_that_was_never_waited_for(launch: Launch) -> None:
    program = launch("import os\nfor _ in range(2):\n    if os.fork() == 0: os._exit(0)\nos.wait()")
    seen = program.finish(program.pump())
    assert len(seen.unreaped) == 1


@pytest.mark.usefixtures("full")
def test_children_reaped_by_the_kernel_count_as_reaped(launch: Launch) -> None:
    program = launch(
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nif os.fork() == 0: os._exit(0)\n"
        "try: os.wait()\nexcept ChildProcessError: pass"
    )
    assert program.finish(program.pump()).unreaped == ()
