"""From an interleaving to words."""

from __future__ import annotations

from grader.exploring import story
from grader.exploring.schedules import Came, Op, Step, Trace, Waiting
from grader.model import Place

SOURCE = {"b.py": "\n".join(f"line{number}()" for number in range(1, 60))}
TASKS = ("main", "ann", "bob")


def at(line: int) -> Place:
    return Place(file="b.py", line=line)


def told(trace: Trace, lines: int | None = None, **more: bool) -> list[str]:
    return [
        f"{line.task} {line.place.line if line.place else ''} {line.text}".strip()
        for line in story.tell(trace, SOURCE, lines=lines, **more)
    ]


def test_steps_at_one_line_are_one_line() -> None:
    steps = (
        Step(1, Op.ACQUIRE, "lock mutex", at(1)),
        Step(1, Op.READ, "count", at(2)),
        Step(1, Op.WRITE, "count", at(2)),
        Step(1, Op.READ, "head", at(3)),
        Step(1, Op.READ, "slots[]", at(3)),
        Step(1, Op.END),
    )
    assert told(Trace(Came.ENDED, 0, tasks=TASKS, steps=steps)) == [
        "ann 1 acquires mutex", "ann 2 reads and writes count", "ann 3 reads head and slots[], ends",
    ]  # fmt: skip


def test_a_line_brings_its_source_and_survives_one_that_is_not_there() -> None:
    steps = (
        Step(1, Op.READ, "count", at(2)),
        Step(1, Op.READ, "count", at(999)),
        Step(1, Op.READ, "x", Place(file="no", line=1)),
    )
    lines = story.tell(Trace(Came.ENDED, 0, tasks=TASKS, steps=steps), SOURCE)
    assert [line.source for line in lines] == ["line2()", "", ""]


def test_says_who_waits_for_whom_and_what_a_notification_did() -> None:
    steps = (
        Step(0, Op.START, other=1, place=at(1)),
        Step(0, Op.START, other=2, place=at(1)),
        Step(1, Op.ACQUIRE, "lock lock", at(3)),
        Step(2, Op.ACQUIRE, "lock lock", at(4), blocks=True),
        Step(1, Op.NOTIFY, "condition c", at(5), woke=0),
        Step(1, Op.NOTIFY, "condition c", at(6), woke=1, other=2),
        Step(1, Op.SET, "event e", at(7), woke=3),
        Step(1, Op.WAIT, "condition c", at(8)),
        Step(1, Op.WAKE, "condition c", at(8), blocks=True),
    )
    waits = (Waiting(0, Op.JOIN, other=1, place=at(9)), Waiting(1, Op.WAKE, "condition c", at(8)),
             Waiting(2, Op.ACQUIRE, "lock lock", at(4), holder=1, holds=("lock x",)))  # fmt: skip
    trace = Trace(Came.DEADLOCK, tasks=TASKS, steps=steps, waiting=waits)
    assert told(trace) == [
        "main 1 starts ann and bob",
        "ann 3 acquires the lock",
        "bob 4 waits for the lock, which ann holds",
        "ann 5 notifies c: nobody waits there",
        "ann 6 notifies c: wakes bob",
        "ann 7 sets e: wakes 3",
        "ann 8 waits on c, for ever",
        "bob 4 waits for the lock, which ann holds, for ever",
        "main 9 waits for the end of ann, for ever",
    ]
    assert story.waits(trace)[2] == "bob waits for the lock, which ann holds (b.py, line 4) and holds x"


def test_a_call_is_not_told_beside_what_it_does() -> None:
    steps = (Step(1, Op.CALL, "came.clear()", at(3)), Step(1, Op.CLEAR, "event came", at(3)))
    assert told(Trace(Came.ENDED, 0, tasks=TASKS, steps=steps)) == ["ann 3 clears came"]


def test_marks_a_forced_delay_where_it_was() -> None:
    steps = (
        Step(1, Op.READ, "count", at(2)),
        Step(2, Op.READ, "count", at(2)),
        Step(2, Op.WRITE, "count", at(2)),
        Step(1, Op.WRITE, "count", at(2)),
        Step(1, Op.READ, "count", at(5)),
    )
    trace = Trace(Came.ENDED, 0, tasks=TASKS, steps=steps, delays=((1, 1),))
    assert told(trace)[1] == "---- ann is interrupted here, before it writes count"
    trace = Trace(Came.ENDED, 0, tasks=TASKS, steps=steps, delays=((4, 1),))
    assert told(trace)[-2] == "---- ann is interrupted here, before line 5"
    trace = Trace(Came.ENDED, 0, tasks=TASKS, steps=steps, delays=((1, 2),))
    assert told(trace)[1] == "---- bob does not begin yet"


def test_guesses_the_switches_of_a_sampled_run_but_not_after_a_wait() -> None:
    steps = (
        Step(1, Op.READ, "count", at(2)),
        Step(2, Op.WAIT, "condition c", at(4)),
        Step(1, Op.WRITE, "count", at(3)),
        Step(2, Op.WAKE, "condition c", at(4)),
        Step(1, Op.READ, "count", at(7)),
    )
    marks = [
        line for line in told(Trace(Came.ENDED, 0, tasks=TASKS, steps=steps), sampled=True) if "----" in line
    ]
    assert marks == [
        "---- ann is interrupted here, before line 3",
        "---- ann is interrupted here, before line 7",
    ]


def test_a_long_story_is_folded_and_keeps_what_matters() -> None:
    steps = [Step(1, Op.READ, f"x{number}", at(number % 50 + 1)) for number in range(40)]
    steps += [Step(2, Op.WAIT, "condition c", at(51))]
    steps += [Step(1, Op.READ, f"y{number}", at(number % 50 + 1)) for number in range(40)]
    steps += [Step(1, Op.WRITE, "count", at(52)), Step(0, Op.READ, "count", at(53))]
    steps += [Step(1, Op.READ, f"z{number}", at(number % 50 + 1)) for number in range(40)]
    waits = (Waiting(2, Op.WAKE, "condition c", at(51)),)
    lines = told(Trace(Came.DEADLOCK, tasks=TASKS, steps=tuple(steps), waiting=waits, delays=((82, 1),)), 25)
    assert len(lines) <= 25 + 1
    assert "bob 51 waits on c" in lines
    assert any(line.startswith("---- ann is interrupted here") for line in lines)
    assert lines[-1] == "bob 51 waits on c, for ever"
    folds = [line for line in lines if line.startswith("… ")]
    assert folds
    shown = sum(line.count("reads") + line.count("writes") + ("waits on c" in line) for line in lines[:-1])
    assert sum(int(fold.split()[1]) for fold in folds) + shown == len(steps)


def test_a_run_of_ten_thousand_steps_is_told_in_a_moment() -> None:
    steps = tuple(Step(number % 3, Op.WRITE, "count", at(number % 50 + 1)) for number in range(10_000))
    lines = told(Trace(Came.LIVELOCK, tasks=TASKS, steps=steps), 25, sampled=True)
    assert len(lines) <= 26


def test_names_of_things_in_sentences() -> None:
    names = {
        "lock lock": "the lock", "lock mutex": "mutex", "lock 2": "lock 2", "lock lock 2": "lock 2", "lock": "lock",
        "lock of not_empty": "the lock of not_empty", "count": "count", "semaphore free": "free", "pipe 1": "pipe 1",
        "standard output": "standard output",
    }  # fmt: skip
    assert {thing: story.name(thing) for thing in names} == names
