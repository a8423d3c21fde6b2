"""Python processes under every order of steps: each planted fault is found, no right program is accused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import races
from races import DEEP, PROCESSES, Fault, arguments, judge, python_program, ready, setups

from grader.exploring.remote import Remote
from grader.exploring.schedules import Budget, Came, Found, Nothing, Op, search
from grader.model import Language
from grader.running.preparation import with_driver

RIGHT = ["semaphores.py", "monitor.py", "counter.py", "spinning.py"]


@pytest.mark.parametrize("fault", races.faults(PROCESSES), ids=lambda fault: fault.name)
def test_finds_every_planted_fault(fault: Fault) -> None:
    runner = python_program(fault.source)
    try:
        budget = Budget(sampled=80, delayed=0, shortest=40 if DEEP else 5)
        found = search(setups(runner), judge(fault.program == "counter.py"), budget)
        assert isinstance(found, Found)
        assert found.tried <= 85, "sampling found it, within its budget"
    finally:
        runner.close()


@pytest.mark.parametrize("program", RIGHT)
def test_accuses_no_right_program(program: str) -> None:
    runner = python_program(PROCESSES / program)
    try:
        budget = Budget(sampled=500 if DEEP else 25, delayed=200 if DEEP else 10)
        found = search(setups(runner), judge(program == "counter.py"), budget)
        assert isinstance(found, Nothing), found
    finally:
        runner.close()


@pytest.fixture(scope="module")
def features() -> Iterator[Remote]:
    runner = python_program(PROCESSES / "features.py")
    runner.run(("private",), "d")  # its sandbox stands before the first test, and is not that test's own
    yield runner
    runner.close()


MODES = [
    "locks", "conditions", "events", "barriers", "memory", "private", "zombies", "last-release", "ends", "pipes",
    "signals", "time", "closes-everything", "fails",
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_models_what_programs_use(features: Remote, mode: str) -> None:
    count = 50 if DEEP else 2
    for name in ["d", *(f"{kind}{number}" for kind in "sd" for number in range(count))]:
        trace = features.run((mode,), name)
        seen = trace.came, trace.status, trace.out, trace.left
        assert seen == (Came.ENDED, 0, b"ok\n", ()), (name, trace)


def test_names_tasks_and_things_as_the_program_does(features: Remote) -> None:
    trace = features.run(("zombies",), "d")
    assert trace.tasks == ("main", "worker-0", "worker-1", "worker-2", "child 4")
    trace = features.run(("memory",), "d", story=True)
    touched = {step.thing for step in trace.steps if step.op is Op.WRITE}
    assert touched >= {"view[0]", "mapping[0]", "array[0]", "raw[]", "shareable[0]", "count"}


def test_says_what_each_task_does_to_what() -> None:
    runner = python_program(PROCESSES / "monitor.py")
    try:
        trace = runner.run(arguments((1, 1, 1, 1)), "d", story=True)
        child = [(step.op, step.thing) for step in trace.steps if step.task == 1]
        assert child == [
            (Op.ACQUIRE, "lock lock"), (Op.READ, "count"), (Op.READ, "first"), (Op.READ, "count"),
            (Op.WRITE, "slots[]"), (Op.READ, "count"), (Op.WRITE, "count"), (Op.NOTIFY, "condition not_empty"),
            (Op.RELEASE, "lock lock"), (Op.END, ""),
        ]  # fmt: skip
        assert {step.place.file for step in trace.steps if step.place} == {"victim.py"}
    finally:
        runner.close()


def test_an_access_takes_the_lock_of_its_own_variable() -> None:
    runner = python_program("""
import os
from multiprocessing import Value
count = Value("i", 0)
if os.fork() == 0:
    with count.get_lock():
        count.value += 1
        count.value += 1
    os._exit(0)
assert count.value in (0, 2), count.value
os.wait()
""")
    try:
        traces = [runner.run((), f"d{moment}" if moment else "d") for moment in range(12)]
        assert {(trace.came, trace.status) for trace in traces} == {(Came.ENDED, 0)}, traces
    finally:
        runner.close()


def test_a_driver_imports_the_students_module() -> None:
    student = (
        "from multiprocessing import RawValue\ntotal = RawValue('i', 0)\ndef count():\n    total.value += 1\n"
    )
    driver = b"""
import sys
from multiprocessing import Process
import victim
each = [Process(target=victim.count) for _ in range(2)]
for process in each: process.start()
for process in each: process.join()
print(victim.total.value, sys.argv[1:])
"""
    prepared = with_driver(ready(Language.PYTHON, student), {Language.PYTHON: driver})
    assert prepared is not None
    runner = Remote(prepared)
    try:
        assert runner.run(("x",), "d").out == b"2 ['x']\n"
        story = runner.run(("x",), "d", story=True).steps
        assert {step.place.file for step in story if step.place} == {"victim.py", "driver.py"}
        assert b"1 ['x']\n" in {runner.run(("x",), f"d{moment}").out for moment in range(12)}
    finally:
        runner.close()


def test_leaves_the_meaning_of_the_program_alone() -> None:
    runner = python_program("""
import os, sys
from dataclasses import dataclass
from enum import Enum

class Color(Enum):
    RED = 1

@dataclass
class Cell:
    value: "list[int]"
    names: dict[str, int]

    def __getitem__(self, key): return self.value[key]
    def __setitem__(self, key, value): self.value[key] = value

def order(name, result):
    print(name, end=" ")
    return result

cell = Cell([1, 2, 3], {})
cell[order("key", 0)] = order("value", 5)
cell[order("k", 1)] += order("v", 10)
cell.value[1:] = [7, 8]
matrix = {(1, 2): "x"}
assert matrix[1, 2] == "x" and cell[0:2] == [5, 7]
first, *cell.value = [9, 8, 7]
for cell[0] in range(3):
    pass
del cell.value[0]
match Color.RED:
    case Color.RED:
        print("red", cell, f"{cell.value[0]!r:>3}", [x[0] for x in ["ab"]], Color.RED.value)
print(__name__, "PYTHONPATH" in os.environ, "PYTHONHASHSEED" in os.environ, sys.argv)
try:
    cell[99]
except IndexError as error:
    print(error)
sys.exit("bye")
""")
    try:
        trace = runner.run(("x",), "d")
        assert (trace.status, trace.err) == (1, b"bye\n")
        assert trace.out.decode().splitlines() == [
            "value key k v red Cell(value=[7], names={})   7 ['a'] 1",
            "__main__ False False ['victim.py', 'x']",
            "list index out of range",
        ]
    finally:
        runner.close()


def test_a_traceback_shows_the_program_only() -> None:
    runner = python_program("""
from multiprocessing import Process, RawArray
cells = RawArray("i", 2)
def take(): return cells[7]
child = Process(target=take)
child.start()
child.join()
cells[8] = 1
""")
    try:
        trace = runner.run((), "d")
        assert (trace.came, trace.status) == (Came.ENDED, 1)
        text = trace.err.decode()
        assert "processes.py" not in text
        assert text.count("IndexError: invalid index") == 2
        assert text.count('File "/lab/victim.py", line ') == 2
    finally:
        runner.close()
