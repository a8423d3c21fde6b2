"""Python threads under control: every victim is found, no right program is accused, the same each time."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from victims import PROGRAMS

from grader.content import lab as labs
from grader.exploring.schedules import Came, Op, Trace
from grader.exploring.threads import OUTPUT, Threads
from grader.judging.judge import judge
from grader.model import CheckResult, Lab, Language, Level, Limits, SourceFile, Submission, Verdict
from grader.running import machine
from grader.running.preparation import prepare

RACES = PROGRAMS / "races"
SETUPS = ("1 1 2 1", "2 1 2 1", "1 2 2 1", "2 2 2 1", "2 2 2 2")
LAB = """\
title = "Races"
[files]
python = "victim.py"
c = "victim.c"
"""
CHECKS = '''\
from grader import diagnose, points

SETUPS = [("victim", *numbers.split()) for numbers in ("1 1 2 1", "2 1 2 1", "1 2 2 1", "2 2 2 1", "2 2 2 2")]


def once(ran):
    """Every item comes out once, or the total is right."""
    if "total" in ran.out:
        words = ran.out.split()
        assert words[1] == words[3], diagnose("wrong-output", f"The total is {words[1]}, not {words[3]}.")
        return
    producers, consumers, items, capacity = map(int, ran.seen.argv[1:])
    made = sorted((str(producer), str(number)) for producer in range(producers) for number in range(items))
    taken = sorted(tuple(line.split()[1:]) for line in ran.out.splitlines())
    assert taken == made, diagnose("wrong-output", f"Made were {made}, and taken were {taken}.")


@points(1)
def test_items(schedules):
    """Every item is taken once, in whatever order the threads go on."""
    schedules(*SETUPS, promise=once)


@points(1)
def test_two_calls(schedules):
    """Set-ups are numbered over all calls of a check."""
    schedules(SETUPS[0], promise=once, sampled=3, delayed=0)
    schedules(SETUPS[1], promise=once)
'''


def submission(source: bytes | str, name: str = "victim.py") -> Submission:
    data = source.encode() if isinstance(source, str) else source
    drive = SourceFile(path="drive.py", data=(RACES / "drive.py").read_bytes())
    language = {"py": Language.PYTHON, "c": Language.C}.get(name.rpartition(".")[2], Language.EXECUTABLE)
    file = SourceFile(path=name, data=data, executable=language is Language.EXECUTABLE)
    return Submission(student="eve", origin="test", language=language, entry=name, files=(file, drive))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, full: None) -> Lab:
    root = tmp_path_factory.mktemp("course") / "labs" / "victim"
    root.mkdir(parents=True)
    (root / "lab.toml").write_text(LAB)
    (root / "checks.py").write_text(CHECKS)
    return labs.load(root)


def graded(lab: Lab, source: bytes | str, check: str = "test_items", **options: str) -> CheckResult:
    return judge(lab, submission(source), select=check, **options).checks[0]  # type: ignore[arg-type]


Explore = Callable[..., Threads]


@pytest.fixture
def explore(full: None) -> Iterator[Explore]:
    made: list[Threads] = []

    def start(source: bytes | str, level: Level = Level.FULL, servers: int = 1) -> Threads:
        if isinstance(source, str):
            source = textwrap.dedent(source)
        made.append(Threads(prepare(submission(source), Limits(), level, history=False), servers=servers))
        return made[-1]

    yield start
    for each in made:
        each.close()


def ran(trace: Trace) -> tuple[Came, int | None, str]:
    return trace.came, trace.status, trace.out.decode()


# ---------------------------------------------------------------- what is found

FAULTS = {
    "no_mutex": "wrong-output",
    "if_for_while": "wrong-output",
    "wrong_condition": "never-notified",
    "one_condition": "wrong-waiter-woken",
    "looks_outside": "lost-wake-up",
    "event_cleared_late": "lost-wake-up",
    "mutex_first": "lock-held-while-waiting",
    "index_outside": "wrong-output",
    "one_permit_too_many": "wrong-output",
    "one_slot_unused": "never-notified",
    "no_test_for_full": "wrong-output",
    "spins_without_retest": "wrong-output",
    "leaves_at_the_end": "never-notified",
    "first_sets_done": "wrong-output",
    "counter_in_one_line": "wrong-output",
    "counter_in_two_lines": "wrong-output",
    "counter_with_a_call": "wrong-output",
    "locks_crosswise": "lock-order",
    "never_unlocked": "lock-never-released",
    "taken_twice": "lock-taken-twice",
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_and_needs_one_switch_at_most(lab: Lab, name: str) -> None:
    result = graded(lab, (RACES / f"{name}.py").read_bytes())
    assert result.verdict is Verdict.FAILED, result.reason
    assert result.diagnosis is not None
    assert result.diagnosis.slug == FAULTS[name]
    assert result.observation is not None
    schedule = result.observation.schedule
    assert schedule is not None
    assert schedule.switches in (0, 1)
    assert schedule.tried <= 60
    assert 4 <= len(schedule.steps) <= 32
    assert result.observation.command.startswith("python3 victim.py ")
    again = graded(lab, (RACES / f"{name}.py").read_bytes(), replay=schedule.replay)
    assert again.verdict is Verdict.FAILED
    assert again.diagnosis is not None
    assert again.diagnosis.fact == result.diagnosis.fact
    assert again.observation is not None
    assert again.observation.schedule is not None
    assert not any(step.text.startswith("…") for step in again.observation.schedule.steps)


def test_every_victim_is_declared() -> None:
    names = {path.stem for path in RACES.glob("*.py")}
    assert {name for name in names if not name.startswith("right_")} == {*FAULTS, "drive"}


@pytest.mark.parametrize("name", sorted(path.stem for path in RACES.glob("right_*.py")))
def test_no_right_program_is_accused(explore: Explore, name: str) -> None:
    """300 schedules; and the budget of a check is kept in mind: a spinner must not eat it up."""
    threads = explore((RACES / f"{name}.py").read_bytes(), servers=2)
    jobs = [(tuple(SETUPS[seed % 5].split()), f"s{seed}") for seed in range(150)]
    jobs += [(tuple(SETUPS[moment % 5].split()), f"d{moment // 5}") for moment in range(150)]
    for job, trace in zip(jobs, threads.runs(jobs), strict=True):
        assert (trace.came, trace.status, trace.err) == (Came.ENDED, 0, b""), job
        assert trace.length < 3000, job
        if "total" not in trace.out.decode():
            assert len(set(trace.out.splitlines())) == len(trace.out.splitlines()) == int(job[0][0]) * 2


@pytest.mark.parametrize("name", ["no_mutex", "right_conditions", "right_in_every_way", "right_spinning"])
def test_the_same_name_gives_the_same_steps(explore: Explore, name: str) -> None:
    source = (RACES / f"{name}.py").read_bytes()
    traces: dict[str, set[tuple[object, ...]]] = {}
    for _ in range(2):
        threads = explore(source)
        for _ in range(3):
            for strategy in ("d", "d3", "d11", "s0", "s1", "s2"):
                trace = threads.run(("2", "2", "2", "1"), strategy, story=True)
                traces.setdefault(strategy, set()).add((trace.came, trace.steps, trace.moments, trace.out))
    assert {strategy: len(found) for strategy, found in traces.items()} == dict.fromkeys(traces, 1)
    assert len({next(iter(found))[1] for found in traces.values()}) == len(traces)


def test_several_servers_answer_as_one_does(explore: Explore) -> None:
    source = (RACES / "looks_outside.py").read_bytes()
    jobs = [(("2", "1", "2", "1"), f"s{seed}") for seed in range(40)]
    one, two = ([(t.came, t.moments, t.out) for t in explore(source, servers=n).runs(jobs)] for n in (1, 2))
    assert one == two


def test_the_order_of_answers_survives_the_death_of_a_server(explore: Explore) -> None:
    threads = explore(
        "import os, sys\nos.kill(os.getppid(), 9) if sys.argv[1] == 'kill' else print(sys.argv[1])", servers=2
    )
    wanted = [str(number) if number % 7 != 3 else "kill" for number in range(24)]
    traces = list(threads.runs([((word,), "d") for word in wanted]))
    assert [t.signal or t.out.decode().strip() for t in traces] == [
        w if w != "kill" else "SIGKILL" for w in wanted
    ]


def test_a_search_can_be_left_and_taken_up(explore: Explore) -> None:
    threads = explore((RACES / "right_conditions.py").read_bytes(), servers=2)
    jobs = [(("1", "1", "2", "1"), f"s{seed}") for seed in range(60)]
    stream = threads.runs(jobs)
    first = [next(stream) for _ in range(3)]
    again = threads.run(*jobs[0])
    assert (again.came, again.out, again.moments) == (first[0].came, first[0].out, first[0].moments)
    assert [t.moments for t, _ in zip(threads.runs(jobs), range(3), strict=False)] == [
        t.moments for t in first
    ]


def test_what_is_tried_is_said_of_a_pass(lab: Lab) -> None:
    result = graded(lab, (RACES / "right_semaphores.py").read_bytes())
    assert result.verdict is Verdict.PASSED, (result.reason, result.diagnosis)
    assert "schedules of 5 small set-ups" in result.basis
    assert "not proof" in result.basis
    assert result.observation is None


def test_the_story_of_a_race_in_one_line(lab: Lab) -> None:
    result = graded(lab, (RACES / "counter_in_one_line.py").read_bytes())
    assert result.observation is not None
    assert result.observation.schedule is not None
    story = [
        (step.task, step.place.line if step.place else 0, step.text)
        for step in result.observation.schedule.steps
    ]
    assert story == [
        ("main", 18, "starts work 1 and work 2"),
        ("main", 20, "waits for the end of work 1"),
        ("work 1", 12, "reads count"),
        ("", 0, "---- work 1 is interrupted here, before it writes count"),
        ("work 2", 12, "reads and writes count, ends"),
        ("work 1", 12, "writes count, reads count, ends"),
        ("main", 20, "has seen the end of work 1 and work 2"),
        ("main", 21, "reads count, calls print(), ends"),
    ]


def test_set_ups_are_numbered_over_all_calls(lab: Lab) -> None:
    source = (RACES / "one_condition.py").read_bytes()
    result = graded(lab, source, "test_two_calls")
    assert result.observation is not None
    assert result.observation.schedule is not None
    assert result.observation.schedule.replay == "test_two_calls:1:d"
    assert graded(lab, source, replay="test_two_calls:1:d").verdict is Verdict.FAILED
    assert graded(lab, source, replay="test_two_calls:0:d").verdict is Verdict.PASSED


def test_an_executable_is_not_checked(lab: Lab) -> None:
    result = judge(lab, submission("#!/bin/sh\necho\n", "victim"), select="test_items").checks[0]
    assert result.verdict is Verdict.SKIPPED
    assert "executable" in result.reason


# ---------------------------------------------------------------- what the model of threading does


def test_a_program_ends_as_it_would_without_us(explore: Explore) -> None:
    ends = {
        "pass": (0, ""),
        "import sys; sys.exit(3)": (3, ""),
        "import sys; sys.exit('sorry')": (1, "sorry\n"),
        "import os; os._exit(4)": (4, ""),
        "import threading, os\nt = threading.Thread(target=lambda: os._exit(5)); t.start(); t.join()": (
            5,
            "",
        ),
        "import threading, sys\nt = threading.Thread(target=lambda: sys.exit(6)); t.start(); t.join()": (
            0,
            "",
        ),
        "import atexit, sys\natexit.register(print, 'bye', file=sys.stderr); sys.exit(7)": (7, "bye\n"),
    }
    for source, (status, err) in ends.items():
        trace = explore(source).run((), "d")
        assert (trace.came, trace.status, trace.err.decode()) == (Came.ENDED, status, err), source


def test_exceptions_are_told_as_python_tells_them_without_our_frames(explore: Explore) -> None:
    trace = explore("""
        import threading
        def work(lock):
            with lock:
                raise ValueError("no")
        thread = threading.Thread(target=work, args=(threading.Lock(),), name="ann")
        thread.start()
        thread.join()
        threading.Lock().release()
    """).run((), "d")
    err = trace.err.decode()
    assert (trace.came, trace.status) == (Came.ENDED, 1)
    assert "Exception in thread ann:\nTraceback (most recent call last):" in err
    assert "ValueError: no" in err
    assert err.endswith("RuntimeError: release unlocked lock\n")
    assert 'File "/lab/victim.py", line 9, in <module>' in err
    assert "explorer" not in err
    assert "grader" not in err


def test_errors_of_use_are_those_of_threading(explore: Explore) -> None:
    trace = explore("""
        import threading
        from threading import Condition, Lock, RLock, Semaphore, BoundedSemaphore, Thread
        def told(call):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        lock = Lock()
        told(lock.release)
        told(RLock().release)
        told(Condition().wait)
        told(Condition().notify)
        told(BoundedSemaphore(1).release)
        told(lambda: Semaphore(-1))
        told(lambda: lock.acquire(False, 1))
        thread = Thread(target=int)
        told(thread.join)
        thread.start()
        told(thread.start)
        told(threading.current_thread().join)
        print(lock.acquire(False), lock.acquire(False), lock.acquire(timeout=3), lock.locked())
    """).run((), "d")
    assert trace.err == b""
    assert trace.out.decode().splitlines() == [
        "RuntimeError release unlocked lock",
        "RuntimeError cannot release un-acquired lock",
        "RuntimeError cannot wait on un-acquired lock",
        "RuntimeError cannot notify on un-acquired lock",
        "ValueError Semaphore released too many times",
        "ValueError semaphore initial value must be >= 0",
        "ValueError can't specify a timeout for a non-blocking call",
        "RuntimeError cannot join thread before it is started",
        "RuntimeError threads can only be started once",
        "RuntimeError cannot join current thread",
        "True False False True",
    ]


def test_time_is_virtual_and_passes_only_when_nobody_can_go_on(explore: Explore) -> None:
    trace = explore("""
        import threading, time
        begun = time.monotonic()
        event = threading.Event()
        def work():
            time.sleep(1000)
            event.set()
        threading.Thread(target=work).start()
        print(event.wait(10), event.wait(5000), 1000 <= time.monotonic() - begun < 1001)
    """).run((), "d")
    assert ran(trace) == (Came.ENDED, 0, "False True True\n")


def test_a_sleep_is_no_promise_of_order(explore: Explore) -> None:
    threads = explore("""
        import threading, time
        ready = False
        def work():
            global ready
            ready = True
        threading.Thread(target=work).start()
        time.sleep(5)
        print(ready)
    """)
    assert ran(threads.run((), "d")) == (Came.ENDED, 0, "True\n")
    outs = {trace.out for trace in threads.runs([((), f"s{seed}") for seed in range(30)])}
    assert outs == {b"True\n", b"False\n"}


def test_a_time_limit_runs_out_only_when_nobody_can_go_on(explore: Explore) -> None:
    threads = explore("""
        import threading
        lock = threading.Condition()
        ready = False
        def work():
            global ready
            for _ in range(10):
                with lock:
                    ready = True
                    lock.notify()
        threading.Thread(target=work).start()
        with lock:
            assert lock.wait_for(lambda: ready, timeout=0.001)
    """)
    assert {t.status for t in threads.runs([((), f"s{seed}") for seed in range(40)])} == {0}


def test_what_is_printed_stays_in_the_order_of_the_steps(explore: Explore) -> None:
    trace = explore("""
        import os, sys, threading
        def work(name):
            for _ in range(3):
                os.write(1, name.encode())
                print(name, file=sys.stderr)
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """).run((), "s5", story=True)
    sent = [trace.tasks[step.task][-1] for step in trace.steps if step.op is Op.SEND]
    assert trace.out.decode() == "".join({"1": "a", "2": "b"}[number] for number in sent)
    assert sorted(trace.out.decode()) == list("aaabbb")


def test_a_run_finds_nothing_of_the_one_before(explore: Explore) -> None:
    threads = explore("""
        import os, random, secrets
        print(os.path.exists("mark"), os.path.exists("/dev/shm/mark"), random.random(), secrets.token_hex(4))
        open("mark", "w").close()
        open("/dev/shm/mark", "w").close()
    """)
    outs = {threads.run((), "d").out for _ in range(3)}
    assert len(outs) == 1
    assert next(iter(outs)).startswith(b"False False ")


def test_locks_of_multiprocessing_work_between_threads(explore: Explore) -> None:
    trace = explore("""
        import multiprocessing, threading
        lock, free = multiprocessing.Lock(), multiprocessing.Semaphore(0)
        changed = multiprocessing.Condition(lock)
        value = multiprocessing.Value("i", 0)
        def work():
            free.acquire()
            with changed:
                value.value = 7
                changed.notify()
        threading.Thread(target=work).start()
        with changed:
            free.release()
            while value.value != 7:
                changed.wait()
        print(value.value)
    """).run((), "d")
    assert ran(trace) == (Came.ENDED, 0, "7\n")


def test_a_signal_to_itself_is_handled_and_ends_a_pause(explore: Explore) -> None:
    trace = explore("""
        import os, signal, threading
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append("handled"))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        thread = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGUSR1))
        thread.start()
        while not seen:
            signal.pause()
        thread.join()
        os.kill(os.getpid(), signal.SIGUSR2)
        print(seen, signal.sigwait([signal.SIGUSR2]).name)
    """).run((), "d")
    assert ran(trace) == (Came.ENDED, 0, "['handled'] SIGUSR2\n")


def test_a_program_that_makes_processes_is_for_another_runner(explore: Explore) -> None:
    for source in (
        "import os\nos.fork()",
        "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        "import os, threading\nthreading.Thread(target=os.fork).start()",
    ):
        assert explore(source).run((), "d").came is Came.FORKS, source


def test_a_deadlock_is_known_from_who_waits_for_whom(explore: Explore) -> None:
    trace = explore("""
        import threading
        lock = threading.Lock()
        taken, empty = threading.Event(), threading.Semaphore(0)
        def work():
            with lock:
                taken.set()
                empty.acquire()
        worker = threading.Thread(target=work, name="ann")
        worker.start()
        taken.wait()
        lock.acquire()
    """).run((), "d")
    assert trace.came is Came.DEADLOCK
    told = {trace.tasks[each.task]: (each.op, each.thing, each.holds) for each in trace.waiting}
    assert told["ann"] == (Op.ACQUIRE, "semaphore empty", ("lock lock",))
    assert told["main"] == (Op.ACQUIRE, "lock lock", ())
    holder = next(each.holder for each in trace.waiting if each.task == 0)
    assert holder is not None
    assert trace.tasks[holder] == "ann"


def test_loops_that_lead_nowhere(explore: Explore) -> None:
    looks = """
        import threading
        class Box: ready = False
        def work():
            while not Box.ready: pass
            Box.ready = False
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """
    assert explore(looks).run((), "s1").came is Came.LIVELOCK
    polls = "import time\nwhile True: time.sleep(1)"
    assert explore(polls).run((), "d").came is Came.LIVELOCK
    spun = explore(
        "import threading\ndef work():\n    while True: pass\nthreading.Thread(target=work).start()"
    ).run((), "d")
    assert spun.came is Came.SPUN
    assert str(spun.place) == "victim.py:3"


def test_names_are_those_of_the_program(explore: Explore) -> None:
    trace = explore("""
        import queue, threading
        class Consumer(threading.Thread):
            def run(self): jobs.get()
        def produce(): jobs.put(1)
        jobs = queue.Queue(1)
        forks = [threading.Lock() for _ in range(2)]
        for fork in forks: fork.acquire()
        threads = [threading.Thread(target=produce), Consumer(), threading.Thread(target=print, name="ann")]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """).run((), "d", story=True)
    assert trace.tasks == ("main", "produce", "Consumer", "ann")
    things = {step.thing for step in trace.steps}
    assert {"lock forks 1", "lock forks 2", "lock jobs.mutex", "condition jobs.not_empty"} <= things


def test_works_without_namespaces(explore: Explore) -> None:
    trace = explore((RACES / "right_conditions.py").read_bytes(), Level.PROCESS_GROUP).run(
        ("1", "1", "2", "1"), "s3"
    )
    assert (trace.came, trace.status) == (Came.ENDED, 0)


# ---------------------------------------------------------------- what the hostile do

HOSTILE = {
    "leaves by os._exit in a thread": ("""
        import os, threading
        thread = threading.Thread(target=os._exit, args=(0,))
        thread.start(); thread.join()
    """, "wrong-output"),
    "leaves by a call of C": ("""
        import ctypes, os, sys
        a, _, n, _ = map(int, sys.argv[1:])
        os.write(1, f"total {a * n} of {a * n}\\n".encode())
        ctypes.CDLL(None)._exit(0)
    """, "escapes-the-check"),
    "asks Python to take the tracing off": ("""
        import sys, threading
        sys.settrace(None); sys.setprofile(None); threading.settrace(None)
        count = 0
        def work(times):
            global count
            sys.settrace(None)
            for _ in range(times): count += 1
        a, _, n, _ = map(int, sys.argv[1:])
        threads = [threading.Thread(target=work, args=(n,)) for _ in range(a)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print("total", count, "of", a * n)
    """, "wrong-output"),
    "closes every descriptor": ("""
        import os, sys
        os.closerange(0, 256)
        a, _, n, _ = map(int, sys.argv[1:])
        print("total", a * n, "of", a * n)
    """, "nonzero-exit"),
    "floods": ("while True: print('x' * 4000)", "too-much-output"),
    "forges answers on every descriptor": ("""
        import json, os, struct
        said = dict(came="ended", detail="", moments=0, length=0, tasks=["main"], waiting=[], steps=[], delays=[])
        said = json.dumps(said).encode()
        for number in range(64):
            for descriptor in range(64):
                try: os.write(descriptor, struct.pack("<IiqIII", number, 0, 0, len(said), 0, 0) + said)
                except OSError: pass
    """, "wrong-output"),
    "kills its parent": ("import os; os.kill(os.getppid(), 9)", "killed-by-signal"),
    "signals everybody": ("""
        import os, signal
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT): os.kill(-1, number)
        os.kill(-1, 9)
    """, "killed-by-signal"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "killed-by-signal"),
    "takes all memory": ("x = bytearray(2**31)", "memory-limit-reached"),
    "is no program": ("def (", "nonzero-exit"),
    "is not written": ("""
        import threading
        def put(): raise NotImplementedError("put: YOUR CODE HERE")
        thread = threading.Thread(target=put)
        thread.start(); thread.join()
    """, "not-implemented"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_gains_nothing(lab: Lab, name: str) -> None:
    source, slug = HOSTILE[name]
    result = graded(lab, textwrap.dedent(source))
    assert result.verdict is Verdict.FAILED, result.reason
    assert result.diagnosis is not None
    assert result.diagnosis.slug == slug


def test_the_tracing_taken_off_by_c_is_noticed(lab: Lab) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("from 3.12 on points come from sys.monitoring")
    source = HOSTILE["asks Python to take the tracing off"][0].replace(
        "sys.settrace(None)\n", "t(None, None)\n"
    )
    result = graded(lab, "import ctypes\nt = ctypes.pythonapi.PyEval_SetTrace\n" + textwrap.dedent(source))
    assert result.diagnosis is not None
    assert result.diagnosis.slug == "escapes-the-check"


def test_what_blocks_in_something_else_is_not_decided(
    explore: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grader.exploring.threads._PATIENCE_S", 0.5)
    threads = explore("""
        import os, select, threading
        read, write = os.pipe()
        def work():
            poll = select.poll(); poll.register(read); poll.poll()
        thread = threading.Thread(target=work)
        thread.start(); thread.join()
    """)
    trace = threads.run((), "d")
    assert trace.came is Came.STALLED
    assert str(trace.place) == "victim.py:5"
    assert explore("print(1)").run((), "d").came is Came.ENDED


def test_a_program_that_is_blocked_and_will_not_say_where_is_not_decided_either(
    explore: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grader.exploring.threads._PATIENCE_S", 0.5)
    threads = explore("""
        import select, signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        select.poll().poll()
    """)
    assert threads.run((), "d").came is Came.STALLED
    assert threads.run((), "d").came is Came.STALLED


def test_a_shim_that_speaks_nonsense_is_our_fault_and_the_next_run_is_none_the_worse(
    explore: Explore,
) -> None:
    threads = explore("""
        import sys
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()):
                shared = getattr(value, "_shared", None)
                if shared is not None and len(sys.argv) > 1:
                    value._say = lambda *_, s=shared: s.__setitem__(slice(0, 64), bytes([1] * 8) + b"x" * 56)
            frame = frame.f_back
    """)
    assert threads.run(("bad",), "d").came is Came.BROKEN
    assert threads.run((), "d").came is Came.ENDED


def test_output_is_bounded(explore: Explore) -> None:
    trace = explore("import os\nos.write(1, b'x' * 2**20)\nos.write(2, b'y' * 2**20)").run((), "d")
    assert trace.came is Came.FLOODED
    assert len(trace.out) <= OUTPUT + 1
    assert len(trace.err) <= OUTPUT + 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_student_code_cannot_reach_the_descriptors_of_the_server(explore: Explore) -> None:
    if machine.inspect().level is not Level.FULL:
        pytest.skip("needs namespaces")
    trace = explore("""
        import os
        try:
            print(os.listdir(f"/proc/{os.getppid()}/fd"))
        except OSError as error:
            print(type(error).__name__)
        print(sorted(map(int, os.listdir("/proc/self/fd")))[:3], len(os.listdir("/proc/self/fd")) <= 4)
    """).run((), "d")
    assert ran(trace) == (Came.ENDED, 0, "PermissionError\n[0, 1, 2] True\n")
