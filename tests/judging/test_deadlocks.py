"""From who holds what and waits for what to the name of a deadlock."""

from __future__ import annotations

from grader.exploring.schedules import Came, Op, Step, Trace, Waiting
from grader.judging.deadlocks import deadlock
from grader.model import Place


def at(line: int) -> Place:
    return Place(file="b.py", line=line)


def stuck(
    *waiting: Waiting, steps: tuple[Step, ...] = (), tasks: tuple[str, ...] = ("main", "ann", "bob", "cid")
) -> Trace:
    return Trace(Came.DEADLOCK, tasks=tasks, waiting=waiting, steps=steps)


MAIN = Waiting(0, Op.JOIN, other=1)


def test_a_lock_that_its_holder_waits_for() -> None:
    slug, fact, _, place = deadlock(
        stuck(MAIN, Waiting(1, Op.ACQUIRE, "lock mutex", at(7), holder=1, holds=("lock mutex",)))
    )
    assert slug == "lock-taken-twice"
    assert fact == "Ann waits (line 7) for mutex, which it holds itself."
    assert place == at(7)


def test_locks_in_a_circle_of_three() -> None:
    slug, fact, *_ = deadlock(stuck(
        MAIN,
        Waiting(1, Op.ACQUIRE, "lock b", at(1), holder=2, holds=("lock a",)),
        Waiting(2, Op.ACQUIRE, "lock c", at(2), holder=3, holds=("lock x", "lock b")),
        Waiting(3, Op.ACQUIRE, "lock a", at(3), holder=1, holds=("lock c",)),
    ))  # fmt: skip
    assert slug == "lock-order"
    assert fact == (
        "Ann holds a and waits (line 1) for b; bob holds b and waits (line 2) for c; "
        "cid holds c and waits (line 3) for a."
    )


def test_somebody_who_waits_for_a_circle_is_not_in_it() -> None:
    slug, fact, *_ = deadlock(stuck(
        Waiting(3, Op.ACQUIRE, "lock a", at(3), holder=1),
        Waiting(1, Op.ACQUIRE, "lock b", at(1), holder=2, holds=("lock a",)),
        Waiting(2, Op.ACQUIRE, "lock a", at(2), holder=1, holds=("lock b",)),
    ))  # fmt: skip
    assert slug == "lock-order"
    assert "cid" not in fact


def test_a_lock_whose_holder_has_ended() -> None:
    taken = Step(2, Op.ACQUIRE, "lock a", at(5))
    slug, fact, _, place = deadlock(
        stuck(MAIN, Waiting(1, Op.ACQUIRE, "lock a", at(9), holder=2), steps=(taken,))
    )
    assert slug == "lock-never-released"
    assert (
        fact == "Bob took a (line 5) and came to its end without giving it back; ann waits for it (line 9)."
    )
    assert place == at(5)


def test_a_lock_that_is_held_while_waiting_for_a_semaphore() -> None:
    slug, fact, *_ = deadlock(stuck(
        MAIN,
        Waiting(1, Op.ACQUIRE, "semaphore filled", at(3), holds=("lock mutex",)),
        Waiting(2, Op.ACQUIRE, "lock mutex", at(8), holder=1),
    ))  # fmt: skip
    assert slug == "lock-held-while-waiting"
    assert fact == (
        "Ann waits for filled, which is at 0 (line 3) and holds mutex meanwhile; bob cannot go on without mutex (line 8)."
    )


def test_a_lock_that_nobody_wants_is_no_cause() -> None:
    slug, *_ = deadlock(stuck(MAIN, Waiting(1, Op.ACQUIRE, "semaphore filled", at(3), holds=("lock mutex",))))
    assert slug == "waits-forever"


SLEEPS = Waiting(1, Op.WAKE, "condition c", at(30))


def test_a_notification_between_test_and_wait() -> None:
    steps = (
        Step(1, Op.READ, "count", at(28)),
        Step(2, Op.NOTIFY, "condition c", at(22), woke=0),
        Step(1, Op.WAIT, "condition c", at(30)),
    )
    slug, fact, _, place = deadlock(stuck(MAIN, SLEEPS, steps=steps))
    assert slug == "lost-wake-up"
    assert fact == (
        "Ann looked at count (line 28) and then waited on c (line 30). In between bob notified c (line 22), "
        "when ann did not wait yet: for it that is lost, and it waits for ever."
    )
    assert place == at(28)


def test_a_notification_of_all_is_lost_to_who_does_not_wait_yet() -> None:
    for woke, other, slug in ((2, None, "lost-wake-up"), (1, None, "lost-wake-up"), (1, 3, "never-notified")):
        steps = (
            Step(1, Op.READ, "count", at(28)),
            Step(2, Op.NOTIFY, "condition c", at(22), woke=woke, other=other),
            Step(1, Op.WAIT, "condition c", at(30)),
        )
        assert deadlock(stuck(MAIN, SLEEPS, steps=steps))[0] == slug


def test_a_notification_before_the_test_is_none_of_the_lost_ones() -> None:
    steps = (
        Step(2, Op.NOTIFY, "condition c", at(22), woke=0),
        Step(1, Op.READ, "count", at(28)),
        Step(1, Op.WAIT, "condition c", at(30)),
    )
    slug, fact, *_ = deadlock(stuck(MAIN, SLEEPS, steps=steps))
    assert slug == "never-notified"
    assert (
        fact == "Ann waits on c (line 30), and nobody notifies it any more; bob did so before that (line 22)."
    )


def test_a_notification_that_woke_somebody_was_not_lost() -> None:
    steps = (
        Step(1, Op.READ, "count", at(28)),
        Step(2, Op.NOTIFY, "condition c", at(22), woke=1, other=3),
        Step(1, Op.WAIT, "condition c", at(30)),
    )
    assert deadlock(stuck(MAIN, SLEEPS, steps=steps))[0] == "never-notified"


def test_a_notification_that_the_wrong_one_used_up() -> None:
    steps = (
        Step(1, Op.WAIT, "condition c", at(30)),
        Step(2, Op.NOTIFY, "condition c", at(22), woke=1, other=3),
        Step(3, Op.WAKE, "condition c", at(10)),
        Step(3, Op.READ, "count", at(9)),
        Step(3, Op.WAIT, "condition c", at(10)),
    )
    slug, fact, *_ = deadlock(stuck(MAIN, SLEEPS, steps=steps))
    assert slug == "wrong-waiter-woken"
    assert fact == (
        "Bob notified one waiter of c (line 22). That was cid, which had no use for it and waited again (line 10); "
        "ann sleeps on (line 30)."
    )


def test_a_notification_that_was_of_use_is_none_of_those() -> None:
    steps = (
        Step(1, Op.WAIT, "condition c", at(30)),
        Step(2, Op.NOTIFY, "condition c", at(22), woke=1, other=3),
        Step(3, Op.WAKE, "condition c", at(10)),
        Step(3, Op.WRITE, "count", at(11)),
        Step(3, Op.WAIT, "condition c", at(10)),
    )
    slug, fact, *_ = deadlock(stuck(MAIN, SLEEPS, steps=steps))
    assert slug == "waits-forever"
    assert fact == (
        "Ann waits on c; nobody is left who could end that. "
        "The last notification (line 22) was for one waiter, and that was cid."
    )


def test_whatever_else_is_told_by_who_waits_for_what() -> None:
    slug, fact, *_ = deadlock(stuck(MAIN, Waiting(1, Op.RECEIVE, "pipe 1", at(4))))
    assert slug == "waits-forever"
    assert fact == "Ann waits for something to read from pipe 1; nobody is left who could end that."
