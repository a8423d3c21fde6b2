"""The controller outside: the same each time, no false accusations, and nothing that a program could gain by lies."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import races
from races import PROCESSES, C, arguments, c_program, python_program, ready

from grader.exploring.controller import HEAD, Over, Run, channel
from grader.exploring.remote import Remote
from grader.exploring.schedules import Came, Trace
from grader.model import Language, Leftover, Level
from grader.running.sandbox import SandboxError

Make = Callable[..., Remote]


@pytest.fixture
def made() -> Iterator[Make]:
    """Make runners that are closed after the test."""
    runners: list[Remote] = []

    def make(source: str, *, python: bool = False, patience_s: float = 8.0) -> Remote:
        runner = (python_program if python else c_program)(source, patience_s=patience_s)
        runners.append(runner)
        return runner

    yield make
    for runner in runners:
        runner.close()


def facts(trace: Trace) -> tuple[object, ...]:
    return (
        trace.came,
        trace.status,
        trace.signal,
        trace.out,
        trace.moments,
        trace.length,
        trace.tasks,
        trace.waiting,
    )


# ---------------------------------------------------------------- the same each time


@pytest.mark.parametrize(
    ("folder", "program"),
    [(C, "monitor.c"), (C, "processes.c"), (C, "spinning.c"), (PROCESSES, "semaphores.py")],
)
def test_the_same_strategy_gives_the_same_trace(folder, program: str, made: Make) -> None:
    python = program.endswith(".py")
    source = (folder / program).read_text()
    one, other = made(source, python=python), made(source, python=python)
    for name in ["d", "d5", "s1", "s2"]:
        setup = arguments((2, 2, 2, 1))
        first = one.run(setup, name)
        told = one.run(setup, name, story=True)
        assert facts(first) == facts(told) == facts(other.run(setup, name)), (
            "another sandbox, with or without a story"
        )
        assert told.steps == other.run(setup, name, story=True).steps


def test_children_forked_in_a_burst_have_their_places(made: Make) -> None:
    runner = made("""
        #include <stdio.h>
        #include <sys/wait.h>
        #include <unistd.h>
        int main(void) {
            for (int i = 0; i < 8; i++)
                if (fork() == 0) { dprintf(1, "%d", i); _exit(0); }
            while (wait(NULL) > 0) ;
        }""")
    for name in ("d", "s3"):
        traces = [runner.run((), name, story=True) for _ in range(8)]
        assert len({(facts(trace), trace.steps) for trace in traces}) == 1
        assert traces[0].tasks == ("main", *(f"child {number}" for number in range(1, 9)))


def test_what_was_given_back_last_is_not_lost(made: Make) -> None:
    """A process that releases and leaves at once wakes who waits, however often it is tried."""
    runner = made(C.joinpath("features.c").read_text())
    for seed in range(20):
        assert runner.run(("post-and-exit",), f"s{seed}").out == b"ok\n"


def test_something_given_back_unseen_is_no_deadlock(made: Make) -> None:
    runner = made("""
        #include <fcntl.h>
        #include <linux/futex.h>
        #include <semaphore.h>
        #include <stdio.h>
        #include <sys/mman.h>
        #include <unistd.h>
        static int (*hidden)(sem_t *);
        #include <dlfcn.h>
        int main(void) {
            hidden = (int (*)(sem_t *)) dlsym(RTLD_DEFAULT, "sem_post");
            sem_t *sem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            sem_init(sem, 1, 0);
            if (fork() == 0) { hidden(sem); _exit(0); }
            sem_wait(sem);
            puts("ok");
        }""")
    assert {runner.run((), f"s{seed}").out for seed in range(4)} == {b"ok\n"}


def test_two_explorations_at_a_time_do_not_meet(made: Make) -> None:
    source = C.joinpath("features.c").read_text()
    one, other = made(source), made(source)
    for seed in range(5):
        assert one.run(("named",), f"s{seed}").out == other.run(("named",), f"s{seed}").out == b"ok\n"


# ---------------------------------------------------------------- how runs end


def test_tells_how_a_program_ends(made: Make) -> None:
    runner = made("""
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        int main(int argc, char **argv) {
            fprintf(stderr, "error\\n");
            printf("unflushed");
            if (!strcmp(argv[1], "crash")) return *(volatile int *) 0;
            if (!strcmp(argv[1], "abort")) abort();
            return argc + 1;
        }""")
    ended = runner.run(("x", "y"), "d")
    assert (ended.came, ended.status, ended.out, ended.err) == (Came.ENDED, 4, b"unflushed", b"error\n")
    crashed = runner.run(("crash",), "d")
    assert (crashed.came, crashed.status, crashed.signal, crashed.out) == (Came.ENDED, None, "SIGSEGV", b"")
    assert runner.run(("abort",), "d").signal == "SIGABRT"


WITH_CHILD = """
    #include <semaphore.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    #include <sys/wait.h>
    #include <unistd.h>
    int main(void) {
        sem_t *sem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        sem_init(sem, 1, 0);
        if (fork() == 0) { %s }
        %s
    }"""


def test_a_child_that_crashes_is_told_beside_the_deadlock(made: Make) -> None:
    trace = made(WITH_CHILD % ("abort();", "sem_wait(sem);")).run((), "d")
    assert (trace.came, trace.detail) == (Came.DEADLOCK, "ended before by a signal: child 1")


def test_the_end_of_a_failed_program_counts_more_than_who_still_waits(made: Make) -> None:
    trace = made(WITH_CHILD % ("sem_wait(sem); _exit(0);", "return 3;")).run((), "d")
    assert (trace.came, trace.status) == (Came.ENDED, 3)


def test_children_that_wait_for_ever_are_a_deadlock(made: Make) -> None:
    trace = made(WITH_CHILD % ("sem_wait(sem); _exit(0);", "return 0;")).run((), "d")
    assert (trace.came, [each.task for each in trace.waiting]) == (Came.DEADLOCK, [1])


def test_a_loop_that_looks_is_a_livelock_only_when_nobody_can_help(made: Make) -> None:
    source = """
        #include <pthread.h>
        #include <stdio.h>
        volatile int go;
        static void *work(void *sets) { if (sets) go = 1; else while (!go) ; return NULL; }
        int main(int argc, char **argv) {
            pthread_t one, other;
            pthread_create(&one, NULL, work, NULL);
            pthread_create(&other, NULL, work, argc > 1 ? argv : NULL);
            pthread_join(one, NULL);
            pthread_join(other, NULL);
        }"""
    runner = made(source)
    assert {runner.run(("sets",), name).came for name in ("d", "d1", "s1", "s2", "s3")} == {Came.ENDED}
    assert runner.run((), "d").came is Came.LIVELOCK


def test_what_goes_round_and_changes_something_is_a_livelock_too(made: Make) -> None:
    runner = made("""
        #include <pthread.h>
        volatile int tries, done;
        static void *work(void *unused) { while (!done) tries++; return unused; }
        int main(void) {
            pthread_t one, other;
            pthread_create(&one, NULL, work, NULL);
            pthread_create(&other, NULL, work, NULL);
            pthread_join(one, NULL);
            pthread_join(other, NULL);
        }""")
    assert runner.run((), "s1").came is Came.LIVELOCK


def test_much_work_is_no_livelock(made: Make) -> None:
    runner = made("""
        #include <pthread.h>
        #include <stdio.h>
        int table[6000];
        long sum;
        static void *work(void *which) {
            if (which) for (int i = 0; i < 6000; i++) table[i] = i;
            for (int i = 0; i < 6000; i++) sum += table[i] >= 0;
            return NULL;
        }
        int main(int argc, char **argv) {
            pthread_t one, other;
            pthread_create(&one, NULL, work, argv);
            pthread_create(&other, NULL, work, NULL);
            pthread_join(one, NULL);
            pthread_join(other, NULL);
            puts("ok");
        }""")
    assert runner.run((), "s1").came in (Came.ENDED, Came.STALLED), "done, or not decided"


def test_a_loop_without_any_point_spins(made: Make) -> None:
    runner = made("int main(void) { for (;;) ; }", patience_s=0.5)
    assert runner.run((), "d").came is Came.SPUN
    assert runner.run((), "d").came is Came.SPUN, "and the next run has a fresh sandbox"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('mkfifo("f", 0600); open("f", O_RDONLY);', "blocked in openat"),
        ('execl("/bin/true", "true", NULL);', "replaces itself"),
        ('fclose(popen("true", "r"));', "starts another program"),
        ("alarm(100); pause();", "waits for an alarm"),
        ("pause();", "waits for a signal"),
    ],
)
def test_what_is_not_modelled_is_not_decided(body: str, words: str, made: Make) -> None:
    source = (
        "#include <fcntl.h>\n#include <stdio.h>\n#include <sys/stat.h>\n#include <unistd.h>\nint main(void) {"
        + body
        + "}"
    )
    trace = made(source, patience_s=0.5).run((), "d")
    assert trace.came is Came.STALLED
    assert words in trace.detail


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import threading\nthreading.Thread(target=os.fork).start()", "makes a thread in a process"),
        ("from multiprocessing import Queue\nQueue().put(1)", "makes a thread in a process"),
        ("import subprocess\nsubprocess.run(['true'])", "starts another program"),
        (
            "from multiprocessing import get_context\nget_context('spawn').Process(target=print).start()",
            "starts another program",
        ),
        ("os.execv('/bin/true', ['true'])", "starts another program"),
        ("import signal\nsignal.alarm(100)\nsignal.pause()", "it waits for an alarm"),
    ],
)
def test_what_is_not_modelled_in_python_is_not_decided(source: str, words: str, made: Make) -> None:
    trace = made(f"import os\n{source}", python=True).run((), "d")
    assert (trace.came, trace.detail) == (Came.STALLED, words)


def test_endless_output_is_cut(made: Make) -> None:
    source = (
        '#include <unistd.h>\nint main(void) { for (;;) if (write(1, "0123456789abcdef", 16) < 0) return 1; }'
    )
    trace = made(source).run((), "d")
    assert trace.came is Came.FLOODED
    assert len(trace.out) < 2**19


# ---------------------------------------------------------------- each run begins afresh


def test_what_a_run_leaves_is_told_and_taken_away(made: Make) -> None:
    runner = made("""
        #include <fcntl.h>
        #include <mqueue.h>
        #include <semaphore.h>
        #include <stdio.h>
        #include <sys/mman.h>
        #include <sys/msg.h>
        #include <sys/stat.h>
        int main(void) {
            int fresh = sem_open("/mine", O_CREAT | O_EXCL, 0600, 1) != SEM_FAILED
                && shm_open("/memory", O_CREAT | O_EXCL | O_RDWR, 0600) != -1
                && mq_open("/queue", O_CREAT | O_EXCL | O_RDWR, 0600, NULL) != -1
                && msgget(77, IPC_CREAT | IPC_EXCL | 0600) != -1
                && mkdir("folder", 0700) == 0 && open("folder/file", O_CREAT | O_EXCL | O_RDWR, 0600) != -1
                && open("/tmp/file", O_CREAT | O_EXCL | O_RDWR, 0600) != -1;
            puts(fresh ? "fresh" : "stale");
        }""")
    for _ in range(3):
        trace = runner.run((), "d")
        assert trace.out == b"fresh\n"
        kinds = {(left.kind, left.name.split(",")[-1].strip()) for left in trace.left}
        assert kinds == {
            ("POSIX semaphore", "/mine"), ("shared memory object", "/memory"), ("POSIX message queue", "/queue"),
            ("message queue", "key 0x4d"),
        }  # fmt: skip
        assert all(isinstance(left, Leftover) for left in trace.left)


@pytest.mark.parametrize("python", [False, True])
def test_a_file_that_a_run_changes_is_whole_again(python: bool, made: Make) -> None:
    c = '#include <stdio.h>\nint main(void) { puts(rename("victim.c", "x") == 0 ? "fresh" : "stale"); }'
    text = "import os\ntry: os.rename('victim.py', 'x'); print('fresh')\nexcept OSError: print('stale')"
    runner = made(text if python else c, python=python)
    assert [runner.run((), "d").out for _ in range(3)] == [b"fresh\n"] * 3


def test_times_and_random_numbers_are_the_same_each_time(made: Make) -> None:
    c = made("""
        #include <stdio.h>
        #include <stdlib.h>
        #include <time.h>
        int main(void) { srand(time(NULL)); printf("%d\\n", rand()); }""")
    python = made("import os, random, time\nprint(random.random(), time.time(), hash('x'))", python=True)
    for runner in (c, python):
        assert len({runner.run((), "d").out for _ in range(3)}) == 1


# ---------------------------------------------------------------- hostile programs


def test_a_program_that_closes_our_socket_is_not_decided(made: Make) -> None:
    runner = made(
        """
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(void) {
            for (int i = 3; i < 1024; i++) syscall(SYS_close, i);
            for (;;) pause();
        }""",
        patience_s=0.5,
    )
    assert runner.run((), "d").came in (Came.BROKEN, Came.STALLED)


def test_a_program_that_ends_behind_our_back_is_not_decided(made: Make) -> None:
    runner = made(
        "#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { syscall(SYS_exit_group, 0); }"
    )
    assert runner.run((), "d").came is Came.BROKEN


def test_a_program_that_speaks_in_our_place_is_not_decided(made: Make) -> None:
    runner = made(
        """
        #include <string.h>
        #include <sys/socket.h>
        int main(int argc, char **argv) {
            char text[4096];
            memset(text, argv[1][0], sizeof text);
            for (int i = 3; i < 1024; i++) send(i, text, 1 + argc * 999, 0);
        }""",
        patience_s=0.5,
    )
    came = {runner.run((word,), "d").came for word in ("x", "r", "s", "d", "\x01")}
    assert came <= {Came.BROKEN, Came.STALLED, Came.ENDED}, "it accuses nobody, and nobody waits for ever"


def test_a_program_that_kills_the_server_costs_one_run(made: Make) -> None:
    for python in (False, True):
        source = (
            "import os\nos.kill(os.getppid(), 9)"
            if python
            else "#include <signal.h>\n#include <unistd.h>\nint main(void) { kill(getppid(), SIGKILL); pause(); }"
        )
        runner = made(source, python=python, patience_s=0.5)
        for _ in range(2):
            assert runner.run((), "d").came in (Came.BROKEN, Came.STALLED)


def test_a_program_that_kills_everybody_is_ended(made: Make) -> None:
    runner = made("#include <signal.h>\n#include <unistd.h>\nint main(void) { kill(-1, SIGKILL); pause(); }")
    assert runner.run((), "d").came in (Came.BROKEN, Came.ENDED)


def test_a_fork_bomb_ends(made: Make) -> None:
    runner = made("#include <unistd.h>\nint main(void) { for (;;) fork(); }")
    assert runner.run((), "s1").came in (Came.BROKEN, Came.LIVELOCK, Came.STALLED)


def test_whatever_a_task_says_a_run_comes_to_an_end() -> None:
    chance = random.Random(7)
    letters = b"rwatbuccCnnBjszkKvVldEFSNhqp!.R"
    came = set()
    for _ in range(150):
        messages = [HEAD.pack(b"h"[0], 4, 0, 0, 0, 0, 0, 2)]
        for _ in range(chance.randrange(12)):
            numbers = [chance.choice((0, 1, 2, 5, 2**63, 2**64 - 1)) for _ in range(3)]
            text = chance.randbytes(chance.randrange(20))
            head = HEAD.pack(
                chance.choice(letters), chance.randrange(32), chance.randrange(16) | len(text) << 8,
                chance.randrange(-2, 2), *numbers, chance.choice((-1, 0, 1, 2**62)),
            )  # fmt: skip
            messages.append((head + text) * chance.randrange(1, 3) if chance.random() < 0.9 else head[:7])
        ours, theirs = channel()
        speaker = os.fork()
        if speaker == 0:
            for message in messages:
                os.write(theirs.fileno(), message)
            os._exit(0)
        theirs.close()
        run = Run(ours, chance.choice(("d", "s1")), place=lambda *raw: raw, watch=_impatient, story=True)
        came.add(run.go()[0])
        run.close()
        ours.close()
        os.waitpid(speaker, 0)
    assert Came.BROKEN in came


def _impatient(dying: bool) -> None:
    raise Over(Came.BROKEN)


def test_only_a_full_sandbox_will_do() -> None:
    prepared = ready(Language.PYTHON, "pass")
    prepared = replace(prepared, recipe=replace(prepared.recipe, level=Level.PROCESS_GROUP))
    with pytest.raises(SandboxError, match="full sandbox"):
        Remote(prepared).run((), "d")


def test_leaves_the_graders_own_process_as_it_was(made: Make) -> None:
    descriptors, affinity = len(os.listdir("/proc/self/fd")), os.sched_getaffinity(0)
    runner = made("int main(void) { return 0; }")
    for _ in range(5):
        runner.run((), "d")
    runner.close()
    assert os.sched_getaffinity(0) == affinity
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert signal.getsignal(signal.SIGPIPE) is not signal.SIG_DFL
    assert races.wrong(Trace(Came.ENDED, status=0, out=b""), (0, 0, 0, 0), counts=False) == ""
