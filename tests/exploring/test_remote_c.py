"""C threads and processes under every order of steps: each planted fault is found, no right program is accused."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import races
from races import DEEP, C, Fault, arguments, c_program, judge, ready, setups

from grader.exploring import remote
from grader.exploring.remote import Remote
from grader.exploring.schedules import Budget, Came, Found, Nothing, Op, search
from grader.model import Language, Place, SourceFile
from grader.running.preparation import DRIVER, with_driver

COUNTS = {"counter.c", "two_locks.c", "process_counter.c"}
RIGHT = [
    "monitor.c", "semaphores.c", "broadcast.c", "spinning.c", "timed.c", "counter.c", "two_locks.c", "processes.c",
    "process_counter.c",
]  # fmt: skip


@pytest.mark.parametrize("fault", races.faults(C), ids=lambda fault: fault.name)
def test_finds_every_planted_fault(fault: Fault) -> None:
    runner = c_program(fault.source)
    try:
        found = search(setups(runner), judge(fault.program in COUNTS))
        assert isinstance(found, Found)
        assert found.tried <= 155, "sampling found it, within its budget"
    finally:
        runner.close()


@pytest.mark.parametrize("program", RIGHT)
def test_accuses_no_right_program(program: str) -> None:
    runner = c_program(C / program)
    try:
        slow = 1 if program != "spinning.c" else 3
        budget = Budget(sampled=(1500 if DEEP else 75) // slow, delayed=(1000 if DEEP else 40) // slow)
        found = search(setups(runner), judge(program in COUNTS), budget)
        assert isinstance(found, Nothing), found
    finally:
        runner.close()


@pytest.fixture(scope="module")
def features() -> Iterator[Remote]:
    runner = c_program(C / "features.c")
    runner.run(("",), "d")  # its sandbox stands before the first test, and is not that test's own
    yield runner
    runner.close()


MODES = [
    "locks", "barriers", "c11", "cancel", "time", "zombies", "post-and-exit", "pipes", "named", "system-v",
    "own-memory", "signals", "file-locks", "closes-everything", "memory", "main-leaves-first",
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_models_what_programs_use(features: Remote, mode: str) -> None:
    count = 100 if DEEP else 5
    for name in ["d", *(f"{kind}{number}" for kind in "sd" for number in range(count))]:
        trace = features.run((mode,), name)
        seen = trace.came, trace.status, trace.out, trace.left
        assert seen == (Came.ENDED, 0, b"ok\n", ()), (name, trace)


# ---------------------------------------------------------------- what is told


def test_says_what_each_task_does_to_what() -> None:
    runner = c_program(C / "monitor.c")
    try:
        trace = runner.run(arguments((1, 1, 1, 1)), "d", story=True)
    finally:
        runner.close()
    assert trace.tasks == ("main", "thread 1", "thread 2")
    said = [
        (trace.tasks[step.task], step.op, step.thing, step.place.line if step.place else 0)
        for step in trace.steps
    ]
    source = (C / "monitor.c").read_text().splitlines()

    def line(text: str) -> int:
        return next(number for number, each in enumerate(source, 1) if text in each)

    put = said[said.index(("thread 1", Op.ACQUIRE, "lock lock", line("pthread_mutex_lock"))) :]
    assert put[:9] == [
        ("thread 1", Op.ACQUIRE, "lock lock", line("pthread_mutex_lock")),
        ("thread 1", Op.READ, "count", line("while (b->count == capacity)")),
        ("thread 1", Op.READ, "in", line("slots[b->in] = item")),
        ("thread 1", Op.WRITE, "slots[]", line("slots[b->in] = item")),
        ("thread 1", Op.READ, "in", line("b->in = (b->in + 1)")),
        ("thread 1", Op.WRITE, "in", line("b->in = (b->in + 1)")),
        ("thread 1", Op.READ, "count", line("b->count++")),
        ("thread 1", Op.WRITE, "count", line("b->count++")),
        ("thread 1", Op.NOTIFY, "condition not_empty", line("pthread_cond_signal(&b->not_empty)")),
    ]
    assert "capacity" not in {thing for _, _, thing, _ in said}, (
        "nobody writes it, so it is no part of the story"
    )
    last = trace.steps[-1]
    assert (last.task, last.op) == (0, Op.END)


def test_says_who_waits_for_what_and_who_has_it() -> None:
    [fault] = [each for each in races.faults(C) if each.name == "abba"]
    runner = c_program(fault.source)
    try:
        found = search(setups(runner), judge(counts=True))
        assert isinstance(found, Found)
        waiting = {found.trace.tasks[each.task]: each for each in found.trace.waiting}
        one, other = waiting["thread 1"], waiting["thread 2"]
        assert (one.op, one.thing, one.holder, one.holds) == (Op.ACQUIRE, "lock right", 2, ("lock left",))
        assert (other.op, other.thing, other.holder, other.holds) == (
            Op.ACQUIRE,
            "lock left",
            1,
            ("lock right",),
        )
        assert waiting["main"].op is Op.JOIN
        assert waiting["main"].other == 1
    finally:
        runner.close()


def test_a_helper_is_told_by_its_caller() -> None:
    runner = c_program("""
        #include <pthread.h>
        #include <semaphore.h>
        struct both { sem_t free, taken; } both;
        static void down(sem_t *s) { sem_wait(s); }
        static void *work(void *unused) { down(&both.free); return unused; }
        int main(void) {
            pthread_t thread;
            sem_init(&both.free, 0, 0);
            pthread_create(&thread, NULL, work, NULL);
            down(&both.taken);
        }""")
    try:
        trace = runner.run((), "d")
        assert trace.came is Came.DEADLOCK
        assert [(each.thing, each.place) for each in trace.waiting] == [
            ("semaphore taken", Place(file="victim.c", line=11)), ("semaphore free", Place(file="victim.c", line=6)),
        ]  # fmt: skip
    finally:
        runner.close()


def test_a_driver_calls_the_students_functions() -> None:
    student = """
        #include <pthread.h>
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        int total;
        void count(void) { pthread_mutex_lock(&lock); total++; pthread_mutex_unlock(&lock); }
        int main(void) { return 9; }"""
    driver = b"""
        #include <pthread.h>
        #include <stdio.h>
        extern int total;
        void count(void);
        static void *work(void *unused) { count(); return unused; }
        int main(int argc, char **argv) {
            pthread_t one, other;
            pthread_create(&one, NULL, work, NULL);
            pthread_create(&other, NULL, work, NULL);
            pthread_join(one, NULL);
            pthread_join(other, NULL);
            printf("%d %s\\n", total, argv[argc - 1]);
        }"""
    prepared = with_driver(ready(Language.C, student), {Language.C: driver})
    assert prepared is not None
    runner = Remote(prepared)
    try:
        trace = runner.run(("x",), "s1", story=True)
        assert (trace.status, trace.out) == (0, b"2 x\n")
        assert {step.place.file for step in trace.steps if step.place} == {"victim.c", f"{DRIVER}.c"}
    finally:
        runner.close()


# ---------------------------------------------------------------- what the shim must not do


def test_the_shim_calls_nothing_that_the_linker_redirects(tmp_path: Path) -> None:
    ready(Language.C, "int main(void) { return 0; }")
    source = Path(remote.__file__).parent / "shims" / "hooks.c"
    target = tmp_path / "hooks.o"
    subprocess.run(
        ["gcc", "-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-c", "-o", target, source], check=True
    )
    names = subprocess.run(["nm", "-u", target], check=True, capture_output=True, text=True).stdout
    called = set(re.findall(r"\bU (\w+)", names))
    redirected = set(re.findall(r"\bWRAP\([^,]+, (\w+), ", source.read_text()))
    assert len(redirected) > 100
    assert not called & redirected, "it would ask the grader about itself"


def test_a_program_that_does_not_compile_with_hooks_is_not_decided() -> None:
    files = (SourceFile(path="victim.c", data=b"int main(void) { return 0; }"),)
    prepared = ready(Language.C, files[0].data)
    clash = b"void *__wrap_malloc(unsigned long n) { return (void *) n; } int main(void) { return 0; }"
    prepared = prepared.__class__(
        **{**prepared.__dict__, "recipe": prepared.recipe.__class__(
            **{**prepared.recipe.__dict__, "files": (SourceFile(path="victim.c", data=clash),)})}
    )  # fmt: skip
    runner = Remote(prepared)
    try:
        trace = runner.run((), "d")
        assert trace.came is Came.BROKEN
        assert "cannot be built" in trace.detail
    finally:
        runner.close()
