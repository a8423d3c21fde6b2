"""What a deadlock of threads or processes is called, from who holds what, who waits for what, and what was done.

Pure functions of a trace. The order of the rules is the order of what is certain: a circle of locks needs nothing
but the state at the end; a lost notification is read from the steps before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from grader.exploring import story
from grader.exploring.schedules import Op, Trace, Waiting
from grader.model import Place

_Finding = tuple[str, str, tuple[str, ...], Place | None]


def deadlock(trace: Trace) -> _Finding:
    """Slug, fact, evidence and place of a deadlock, from who holds what, who waits for what, and what was done."""
    rules = (
        _taken_twice,
        _lock_order,
        _never_released,
        _held_while_waiting,
        _lost,
        _wrong_waiter,
        _never_notified,
    )
    for rule in rules:
        for finding in rule(trace):
            return finding
    waiting = _first(trace)
    fact = f"{_cap(trace.tasks[waiting.task])} {story.waiting(waiting, trace)}; nobody is left who could end that."
    return "waits-forever", fact + _passed_by(trace, waiting), (), waiting.place


def _passed_by(trace: Trace, waiting: Waiting) -> str:
    """The last notification since it began to wait, which was for another."""
    for each, began in _sleepers(trace):
        for step in reversed(trace.steps[began:] if each is waiting else ()):
            if step.op is Op.NOTIFY and step.thing == each.thing and step.other not in (None, each.task):
                assert step.other is not None
                woken = trace.tasks[step.other]
                return f" The last notification{_line(step.place)} was for one waiter, and that was {woken}."
    return ""


def _first(trace: Trace) -> Waiting:
    """The one to tell of: who waits for more than another's end."""
    return next((each for each in trace.waiting if each.op is not Op.JOIN), trace.waiting[0])


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line(place: Place | None) -> str:
    return f" (line {place.line})" if place is not None else ""


def _locked_out(trace: Trace) -> dict[int, Waiting]:
    """Who waits for a lock that somebody holds, by task."""
    return {each.task: each for each in trace.waiting if each.op is Op.ACQUIRE and each.holder is not None}


def _taken_twice(trace: Trace) -> Iterator[_Finding]:
    for task, each in _locked_out(trace).items():
        if each.holder == task:
            lock = story.name(each.thing)
            fact = f"{_cap(trace.tasks[task])} waits{_line(each.place)} for {lock}, which it holds itself."
            yield "lock-taken-twice", fact, (), each.place


def _lock_order(trace: Trace) -> Iterator[_Finding]:
    waits = _locked_out(trace)
    for start in waits:
        circle = [start]
        while (holder := waits[circle[-1]].holder) in waits and holder not in circle:
            assert holder is not None
            circle.append(holder)
        if waits[circle[-1]].holder != start or len(circle) < 2:
            continue
        sentences = []
        for task in circle:
            each = waits[task]
            wanted = {waits[other].thing for other in circle}
            held = [story.name(thing) for thing in each.holds if thing in wanted] or ["a lock"]
            sentences.append(
                f"{trace.tasks[task]} holds {held[0]} and waits{_line(each.place)} for {story.name(each.thing)}"
            )
        yield "lock-order", _cap("; ".join(sentences)) + ".", (), waits[start].place


def _never_released(trace: Trace) -> Iterator[_Finding]:
    living = {each.task for each in trace.waiting}
    for each in _locked_out(trace).values():
        if each.holder not in living and each.holder is not None:
            lock, holder = story.name(each.thing), trace.tasks[each.holder]
            taken = next(
                (s.place for s in reversed(trace.steps) if s.op is Op.ACQUIRE and s.thing == each.thing), None
            )
            fact = (
                f"{_cap(holder)} took {lock}{_line(taken)} and came to its end without giving it back; "
                f"{trace.tasks[each.task]} waits for it{_line(each.place)}."
            )
            yield "lock-never-released", fact, (), taken or each.place


def _held_while_waiting(trace: Trace) -> Iterator[_Finding]:
    out = _locked_out(trace)
    for each in trace.waiting:
        if each.task in out or not each.holds:
            continue
        others = [other for other in out.values() if other.holder == each.task]
        if others:
            lock = story.name(others[0].thing)
            who = " and ".join(trace.tasks[other.task] for other in others[:3])
            fact = (
                f"{_cap(trace.tasks[each.task])} {story.waiting(each, trace)}{_line(each.place)} and holds {lock} "
                f"meanwhile; {who} cannot go on without {lock}{_line(others[0].place)}."
            )
            yield "lock-held-while-waiting", fact, (), each.place


def _sleepers(trace: Trace) -> Iterator[tuple[Waiting, int]]:
    """Who waits on a condition or an event, with the index of the step that began it."""
    for each in trace.waiting:
        if each.op is not Op.WAKE or each.thing == "signal":
            continue
        began = [
            index
            for index, step in enumerate(trace.steps)
            if step.task == each.task and step.op is Op.WAIT and step.thing == each.thing
        ]
        if began:
            yield each, began[-1]


def _lost(trace: Trace) -> Iterator[_Finding]:
    """A notification between somebody's test and its wait."""
    for each, began in _sleepers(trace):
        tests = [i for i in range(began) if trace.steps[i].task == each.task and trace.steps[i].op is Op.READ]
        if not tests:
            continue
        test = tests[-1]
        for index in range(test, began):
            step = trace.steps[index]
            if (
                step.op in (Op.NOTIFY, Op.SET)
                and step.thing == each.thing
                and step.task != each.task
                and (not step.woke or step.other is None)  # one that was for another is not lost
            ):
                who, thing = trace.tasks[each.task], story.name(each.thing)
                verb = "notified" if step.op is Op.NOTIFY else "set"
                fact = (
                    f"{_cap(who)} looked at {story.name(trace.steps[test].thing)}{_line(trace.steps[test].place)} and "
                    f"then waited on {thing}{_line(each.place)}. In between {trace.tasks[step.task]} {verb} "
                    f"{thing}{_line(step.place)}, when {who} did not wait yet: for it that is lost, and it waits for "
                    "ever."
                )
                yield "lost-wake-up", fact, (), trace.steps[test].place


def _wrong_waiter(trace: Trace) -> Iterator[_Finding]:
    """One notification, and it woke somebody who only waited again."""
    for each, began in _sleepers(trace):
        for index in range(began + 1, len(trace.steps)):
            step = trace.steps[index]
            if (
                step.op is not Op.NOTIFY
                or step.thing != each.thing
                or step.woke != 1
                or step.other in (None, each.task)
            ):
                continue
            assert step.other is not None
            then = [s for s in trace.steps[index + 1 :] if s.task == step.other and not s.blocks]
            for later in then:
                if later.op is Op.WAIT and later.thing == each.thing:
                    who, thing = trace.tasks[each.task], story.name(each.thing)
                    woken = trace.tasks[step.other]
                    fact = (
                        f"{_cap(trace.tasks[step.task])} notified one waiter of {thing}{_line(step.place)}. That was "
                        f"{woken}, which had no use for it and waited again{_line(later.place)}; {who} sleeps "
                        f"on{_line(each.place)}."
                    )
                    yield "wrong-waiter-woken", fact, (), step.place
                    break
                if later.op not in (Op.READ, Op.WAKE, Op.ACQUIRE, Op.RELEASE):
                    break


def _never_notified(trace: Trace) -> Iterator[_Finding]:
    for each, began in _sleepers(trace):
        if any(s.op in (Op.NOTIFY, Op.SET) and s.thing == each.thing for s in trace.steps[began:]):
            continue
        who, thing = trace.tasks[each.task], story.name(each.thing)
        earlier = next(
            (s for s in reversed(trace.steps[:began]) if s.op is Op.NOTIFY and s.thing == each.thing), None
        )
        last = (
            f"; {trace.tasks[earlier.task]} did so before that{_line(earlier.place)}"
            if earlier is not None
            else ""
        )
        fact = f"{_cap(who)} waits on {thing}{_line(each.place)}, and nobody notifies it any more{last}."
        yield "never-notified", fact, (), each.place
