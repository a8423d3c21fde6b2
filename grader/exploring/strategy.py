"""Who goes on next: strategies that choose a schedule, each of them the same every time.

A *schedule* is the order in which the tasks (threads or processes) of a program take their steps. A
step goes from one point to the next; points are accesses to memory that others may share, and calls that
synchronise. At each point the scheduler asks a strategy which of the tasks that can go on does so.

This file is also copied into sandboxes, beside the shim for threads, so it knows only the standard library.

Sources: delay bounding, Emmi, Qadeer and Rakamaric (POPL 2011); partial order sampling, Yuan, Yang and Gu
(CAV 2018).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Pending:
    """The step that a task takes if it is let."""

    task: int
    """Tasks by the order in which they were made; 0 is the main one"""
    thing: str = ""
    """What the step touches: ``count``, ``lock 2``; empty for nothing that is shared"""
    writes: bool = True
    """Whether the step may change it"""

    def races(self, other: Pending) -> bool:
        """Whether the order of two steps matters."""
        return bool(self.thing) and self.thing == other.thing and (self.writes or other.writes)


class Strategy(Protocol):
    """A way to choose. One object serves one run."""

    name: str
    """What replays the same choices (`named`): ``d17``, ``s3``"""

    def choose(self, ready: Sequence[Pending]) -> int:
        """The task that goes on, among those that can: in the order of their ids, never empty."""


class Delays:
    """As few switches as possible, but for a delay at chosen moments.

    The running task goes on until it cannot; then the next one in turn does. A *moment* is a choice among
    two tasks or more; at each moment of `at` the task whose turn it is must stand back once.
    """

    def __init__(self, at: Sequence[int] = ()):
        self.name = "d" + ".".join(str(moment) for moment in at)
        self.moments = 0
        """Choices among two or more so far: after a run without delays, where the next delay can be"""
        self.stood_back: list[int] = []
        """The task that had to stand back, at each delay so far"""
        self._at = frozenset(at)
        self._current = 0

    def choose(self, ready: Sequence[Pending]) -> int:
        """The current task, or the next in turn."""
        tasks = [step.task for step in ready]
        turn = next((task for task in tasks if task >= self._current), tasks[0])
        if len(tasks) > 1:
            if self.moments in self._at:
                self.stood_back.append(turn)
                turn = next((task for task in tasks if task > turn), tasks[0])
            self.moments += 1
        self._current = turn
        return turn


class Sampling:
    """Partial order sampling: every step gets a random priority, and a new one when it raced with the last."""

    def __init__(self, seed: int):
        self.name = f"s{seed}"
        self._random = random.Random(seed)  # noqa: S311 (the same choices each time, not secrets)
        self._priorities: dict[int, tuple[Pending, float]] = {}

    def choose(self, ready: Sequence[Pending]) -> int:
        """The task whose step has the highest priority."""
        for step in ready:
            known = self._priorities.get(step.task)
            if known is None or (known[0] is not step and known[0] != step):
                self._priorities[step.task] = (step, self._random.random())
        chosen = max(ready, key=lambda step: self._priorities[step.task][1])
        del self._priorities[chosen.task]
        for step in ready:
            if step.task != chosen.task and step.races(chosen):
                self._priorities[step.task] = (step, self._random.random())
        return chosen.task


class Fair:
    """A strategy that after so many choices lets every task go on at random.

    A program that waits in a loop gets on only if the one it waits for does; only when it gets nowhere under
    a fair choice either is it a livelock.
    """

    def __init__(self, strategy: Strategy, after: int):
        self.name = strategy.name
        self.inner = strategy
        self._left = after
        self._random = random.Random(after)  # noqa: S311

    @property
    def fair(self) -> bool:
        """Whether the choices are random by now."""
        return self._left <= 0

    def choose(self, ready: Sequence[Pending]) -> int:
        """As the strategy does, at first."""
        if self.fair:
            return self._random.choice(ready).task
        self._left -= 1
        return self.inner.choose(ready)


def named(name: str) -> Strategy:
    """The strategy that a name stands for.

    :raises ValueError: for a name that none has
    """
    if name[:1] == "d":
        return Delays([int(moment) for moment in name[1:].split(".") if moment])
    if name[:1] == "s":
        return Sampling(int(name[1:]))
    raise ValueError(f"no schedule is called {name!r}: d and moments (d17, d4.9), or s and a seed (s3)")


def one_delay(moments: int) -> Iterator[Delays]:
    """Every schedule with exactly one delay of a program whose run without any had so many moments."""
    return (Delays([moment]) for moment in range(moments))
