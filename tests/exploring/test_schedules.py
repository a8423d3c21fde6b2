"""The search: what is tried in which order, when a failure counts, and when nothing is decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from grader.exploring.schedules import (
    REPLAYS,
    Budget,
    Came,
    Found,
    Job,
    NotDecided,
    Nothing,
    Op,
    Setup,
    Step,
    Trace,
    search,
)
from grader.exploring.strategy import Delays, Fair, Pending, Sampling, named

Answer = Callable[[tuple[str, ...], str, int], Trace]


class Runner:
    """Answers as a test says; the third argument is how often the same was asked before."""

    def __init__(self, answer: Answer, budget: Budget | None = None):
        self.answer, self.budget = answer, budget or Budget()
        self.asked: list[Job] = []
        self.stories = 0

    def run(self, arguments: Sequence[str], strategy: str, *, story: bool = False) -> Trace:
        job = (tuple(arguments), strategy)
        self.asked.append(job)
        self.stories += story
        return self.answer(*job, self.asked.count(job) - 1)

    def runs(self, jobs: Iterable[Job]) -> Iterator[Trace]:
        return (self.run(*job) for job in jobs)

    def close(self) -> None:
        """Nothing to end."""


def wrong(index: int, trace: Trace) -> str:
    return "" if trace.out == b"right" else trace.out.decode()


def traced(right: bool, moments: int = 4, steps: Sequence[str] = ()) -> Trace:
    return Trace(
        Came.ENDED, 0, out=b"right" if right else b"item-lost", moments=moments,
        steps=tuple(Step(0, Op.READ, thing) for thing in steps),
    )  # fmt: skip


def found_by(runner: Runner, *setups: str, budget: Budget | None = None) -> Found | Nothing:
    return search([Setup(runner, tuple(each.split())) for each in setups], wrong, budget)


def test_tries_plain_runs_then_seeds_then_delays_and_says_what_was_tried() -> None:
    runner = Runner(lambda arguments, name, _: traced(True), Budget(sampled=6, delayed=100))
    nothing = found_by(runner, "1", "2", "3")
    names = [name for _, name in runner.asked]
    assert names[:9] == ["d", "d", "d", "s0", "s1", "s2", "s3", "s4", "s5"]
    assert [arguments for arguments, _ in runner.asked[3:9]] == [("1",), ("2",), ("3",)] * 2
    assert names[9:] == ["d0", "d1", "d2", "d3"] * 3
    assert isinstance(nothing, Nothing)
    assert (nothing.tried, nothing.setups, nothing.delayed) == (21, 3, 3)
    assert "21 schedules of 3 small set-ups" in str(nothing)
    assert "not proof" in str(nothing)


def test_spreads_delays_over_a_large_set_up_and_tries_all_of_a_small_one() -> None:
    def answer(arguments: tuple[str, ...], name: str, _: int) -> Trace:
        return traced(True, moments=4 if arguments == ("small",) else 1000)

    runner = Runner(answer, Budget(sampled=0, delayed=14))
    nothing = found_by(runner, "large", "small")
    assert isinstance(nothing, Nothing)
    assert nothing.delayed == 1
    large = [int(name[1:]) for arguments, name in runner.asked if arguments == ("large",) and name != "d"]
    assert len(large) == 10
    assert large == sorted(set(large))
    assert large[-1] >= 900
    assert sum(arguments == ("small",) for arguments, _ in runner.asked) == 1 + 4


def test_a_plain_failure_is_told_as_it_is_and_repeated_three_times() -> None:
    runner = Runner(lambda arguments, name, _: traced(arguments != ("2",), steps=["a"]))
    found = found_by(runner, "1", "2", "3")
    assert isinstance(found, Found)
    assert (found.setup, found.strategy, found.slug, found.tried) == (1, "d", "item-lost", 2)
    assert found.trace.steps
    assert runner.stories == REPLAYS
    assert ("3",) not in {arguments for arguments, _ in runner.asked}


def test_a_sampled_failure_is_told_with_one_delay_if_that_shows_the_same() -> None:
    runner = Runner(lambda _, name, __: traced(name not in ("s3", "d2")))
    found = found_by(runner, "1")
    assert isinstance(found, Found)
    assert (found.strategy, found.tried) == ("d2", 5)
    names = [name for _, name in runner.asked]
    assert "s4" not in names
    assert "d3" not in names


def test_prefers_a_delay_that_shows_the_same_fault_to_one_that_shows_another() -> None:
    def answer(_: tuple[str, ...], name: str, __: int) -> Trace:
        said = {"s1": b"item-lost", "d0": b"another", "d2": b"item-lost"}.get(name, b"right")
        return Trace(Came.ENDED, 0, out=said, moments=4)

    found = found_by(Runner(answer), "1")
    assert isinstance(found, Found)
    assert (found.strategy, found.slug) == ("d2", "item-lost")


def test_a_failure_that_needs_more_switches_keeps_its_seed() -> None:
    found = found_by(Runner(lambda _, name, __: traced(name != "s3")), "1")
    assert isinstance(found, Found)
    assert found.strategy == "s3"


def test_a_failure_that_does_not_come_again_is_not_decided() -> None:
    def once(_: tuple[str, ...], name: str, before: int) -> Trace:
        return traced(name != "s3" or before > 1)

    with pytest.raises(NotDecided, match="does not come to the same"):
        found_by(Runner(once), "1")


def test_the_same_failure_by_other_steps_is_not_decided() -> None:
    def varies(_: tuple[str, ...], name: str, before: int) -> Trace:
        return traced(name != "d", steps=["a", "b" if before == 2 else "c"])

    with pytest.raises(NotDecided, match="does not come to the same"):
        found_by(Runner(varies), "1")


@pytest.mark.parametrize("came", [Came.STALLED, Came.BROKEN, Came.FORKS])
def test_what_cannot_be_steered_is_never_a_failure(came: Came) -> None:
    def answer(_: tuple[str, ...], name: str, __: int) -> Trace:
        return Trace(came, out=b"item-lost") if name == "s2" else traced(True)

    with pytest.raises(NotDecided, match="not decided for the set-up '1 x'"):
        found_by(Runner(answer), "1 x")


def test_a_stall_on_the_way_to_a_shorter_story_does_not_lose_the_failure() -> None:
    def answer(_: tuple[str, ...], name: str, __: int) -> Trace:
        return Trace(Came.STALLED) if name == "d1" else traced(name != "s2")

    found = found_by(Runner(answer), "1")
    assert isinstance(found, Found)
    assert found.strategy == "s2"


def test_few_schedules_are_tried_for_the_story_of_a_run_that_never_ends() -> None:
    def answer(_: tuple[str, ...], name: str, __: int) -> Trace:
        came = Came.LIVELOCK if name == "s0" else Came.ENDED
        return Trace(came, out=b"spins" if name == "s0" else b"right", moments=5000)

    runner = Runner(answer)
    found = found_by(runner, "1")
    assert isinstance(found, Found)
    assert len(runner.asked) < 50


def test_the_slowest_runner_sets_the_budget() -> None:
    fast = Runner(lambda *_: traced(True), Budget(sampled=150))
    slow = Runner(lambda *_: traced(True), Budget(sampled=8, delayed=0))
    nothing = search([Setup(fast, ("1",)), Setup(slow, ("2",))], wrong)
    assert isinstance(nothing, Nothing)
    assert nothing.tried == 10
    assert (len(fast.asked), len(slow.asked)) == (5, 5)


# ---------------------------------------------------------------- strategies


def test_names_stand_for_strategies() -> None:
    for name in ("d", "d0", "d17", "d4.9", "s0", "s31"):
        assert named(name).name == name
    for name in ("", "x1", "d-", "sx", "17"):
        with pytest.raises(ValueError, match=r".*"):
            named(name)


def test_a_delay_makes_whose_turn_it_is_stand_back_once() -> None:
    ready = [Pending(0), Pending(1), Pending(2)]
    plain, delayed = Delays(), Delays([1])
    assert [plain.choose(ready) for _ in range(3)] == [0, 0, 0]
    assert [delayed.choose(ready) for _ in range(3)] == [0, 1, 1]
    assert delayed.stood_back == [0]
    assert delayed.moments == 3


def test_a_choice_of_one_is_no_moment() -> None:
    delays = Delays([0])
    assert delays.choose([Pending(3)]) == 3
    assert (delays.moments, delays.stood_back) == (0, [])


def test_sampling_is_the_same_for_the_same_seed_and_differs_between_seeds() -> None:
    ready = [Pending(task, "count", task == 1) for task in range(4)]
    chosen = {seed: [Sampling(seed).choose(ready)] for seed in range(40)}
    assert chosen == {seed: [Sampling(seed).choose(ready)] for seed in range(40)}
    assert {each[0] for each in chosen.values()} == {0, 1, 2, 3}


def test_a_fair_choice_lets_everybody_go_on_in_the_end() -> None:
    fair = Fair(Delays(), 5)
    ready = [Pending(0), Pending(1)]
    assert [fair.choose(ready) for _ in range(5)] == [0] * 5
    assert fair.fair
    assert {fair.choose(ready) for _ in range(30)} == {0, 1}
