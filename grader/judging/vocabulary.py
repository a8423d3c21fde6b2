"""The words of a check file: what a check is worth, what it needs, and the name of a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from grader.model import Place

Check = TypeVar("Check", bound=Callable[..., object])


@dataclass(frozen=True)
class Named:
    """What a check said of the fault that it found."""

    slug: str
    fact: str = ""
    place: Place | None = None
    evidence: tuple[str, ...] = ()


named: ContextVar[Named | None] = ContextVar("named", default=None)
"""The diagnosis of the running check, set by `diagnose`."""


def points(number: float) -> Callable[[Check], Check]:
    """Say what a check is worth; `grader.content.checks` reads the number from the source."""
    del number
    return lambda check: check


def needs(*capabilities: str) -> Callable[[Check], Check]:
    """Skip a check, with the reason, where the machine lacks something.

    :param capabilities: ``namespaces`` (level 1), ``trace`` (history), ``proc`` (observation)
    """

    def mark(check: Check) -> Check:
        check.needs = frozenset(capabilities)  # type: ignore[attr-defined]
        return check

    return mark


def diagnose(slug: str, fact: str = "") -> str:
    """Name the fault as an assert's message: ``assert answer == "uno", diagnose("output-held-back")``.

    The message is only built when the assert fails, which is how the slug comes to be recorded.

    :param fact: what was seen, if the check knows better than the assert's own words
    """
    named.set(Named(slug, fact))
    return fact or slug
