"""From an interleaving to words: what each thread did, in turn, and where one was interrupted.

Pure functions of a `Trace` and the program's source. A trace comes out of a sandbox, so a line that does not
exist has no text, and that is all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grader.exploring.schedules import Came, Op, Step, Trace, Waiting
from grader.model import Place
from grader.model import Step as Line

LINES = 25
"""How long a story may be before what matters least is folded"""
_NEAR = 3
"""Lines on each side of an interruption that are always told"""
_SHORT = {Op.READ: "reads", Op.WRITE: "writes", Op.CALL: "calls"}


def name(thing: str) -> str:
    """What a thing is called in a sentence: ``mutex`` for ``lock mutex``, ``lock 2``, ``the lock``."""
    kind, _, own = thing.partition(" ")
    if not own:
        return thing
    if kind == "lock" and own.startswith("of "):
        return f"the lock {own}"
    if own == kind:
        return f"the {kind}"
    if own.isdigit() or kind in ("standard", "pipe"):
        return thing
    return own


def waiting(each: Waiting, trace: Trace) -> str:
    """What a task waits for, as a phrase: ``waits for mutex, which producer 1 holds``."""
    who = trace.tasks
    if each.op is Op.JOIN:
        for_whom = f"the end of {who[each.other]}" if each.other is not None else (each.thing or "the others")
        return f"waits for {for_whom}"
    if each.op is Op.SLEEP:
        return "sleeps"
    if each.op is Op.WAKE:
        return f"waits on {name(each.thing)}" if each.thing != "signal" else "waits for a signal"
    if each.op is Op.RECEIVE:
        return f"waits for something to read from {name(each.thing)}"
    if each.op is Op.SEND:
        return f"waits for room in {name(each.thing)}"
    if each.holder is not None:
        whose = "which it holds itself" if each.holder == each.task else f"which {who[each.holder]} holds"
        return f"waits for {name(each.thing)}, {whose}"
    return f"waits for {name(each.thing)}" + (", which is at 0" if each.thing.startswith("semaphore") else "")


def waits(trace: Trace) -> tuple[str, ...]:
    """Who waits for what at the end, a sentence each."""
    return tuple(
        f"{trace.tasks[each.task]} {waiting(each, trace)}"
        + (f" ({_at(each.place)})" if each.place else "")
        + (f" and holds {_listed([name(thing) for thing in each.holds])}" if each.holds else "")
        for each in trace.waiting
    )


def _at(place: Place) -> str:
    return f"{place.file}, line {place.line}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def did(step: Step, trace: Trace, holders: Mapping[str, int]) -> str:
    """What a step does, as a phrase in the third person."""
    who, thing = trace.tasks, name(step.thing)
    other = who[step.other] if step.other is not None else ""
    if step.blocks:
        return _blocks(step, trace, holders)
    match step.op:
        case Op.READ:
            return f"sees whether {thing} is set" if step.thing.startswith("event ") else f"reads {thing}"
        case Op.WRITE:
            return f"writes {thing}"
        case Op.CALL:
            return f"calls {thing}"
        case Op.ACQUIRE:
            return f"acquires {thing}"
        case Op.TRY:
            return f"tries to acquire {thing}, in vain"
        case Op.RELEASE:
            return f"releases {thing}"
        case Op.WAIT:
            gives = " and gives its lock back" if step.thing.startswith("condition") else ""
            return f"waits on {thing}{gives}"
        case Op.WAKE:
            return "gets a signal" if step.thing == "signal" else f"was woken on {thing} and goes on"
        case Op.TIMEOUT:
            return f"stops waiting for {thing or other}: its time is over"
        case Op.NOTIFY | Op.SET:
            return f"{'notifies' if step.op is Op.NOTIFY else 'sets'} {thing}: {_woken(step, other)}"
        case Op.CLEAR:
            return f"clears {thing}"
        case Op.START:
            return f"starts {other}"
        case Op.JOIN:
            return f"has seen the end of {other or 'the others'}"
        case Op.END:
            return "ends"
        case Op.SLEEP:
            return "has slept"
        case Op.SEND:
            return f"writes to {thing}"
        case Op.RECEIVE:
            return f"reads from {thing}"
        case Op.SIGNAL:
            return "sends a signal"
        case Op.OTHER:
            return step.thing


def _woken(step: Step, other: str) -> str:
    if not step.woke:
        return "nobody waits there" + (", the notification is lost" if step.op is Op.NOTIFY else "")
    if other:
        return f"wakes {other}"
    return f"wakes {step.woke}"


def _blocks(step: Step, trace: Trace, holders: Mapping[str, int]) -> str:
    if step.op in (Op.READ, Op.TRY, Op.CALL):
        return f"goes round in a loop and looks at {name(step.thing)} again and again"
    return waiting(
        Waiting(step.task, step.op, step.thing, step.place, step.other, holders.get(step.thing)), trace
    )


# ---------------------------------------------------------------- the lines of a story


@dataclass
class _Draft:
    """A line before it is known whether it is told."""

    task: int
    place: Place | None
    words: list[str]
    things: set[str] = field(default_factory=set)
    steps: int = 1
    weight: int = 0
    mark: str = ""
    """What stands between the lines after this one"""


def tell(trace: Trace, sources: Mapping[str, str], *, lines: int | None = LINES) -> tuple[Line, ...]:
    """The story of a trace, at most so many lines of it; none for all.

    :param sources: the text of the program's files by path
    """
    drafts = _drafts(trace)
    _mark(drafts, trace)
    _weigh(drafts, trace)
    kept = _kept(drafts, lines)
    told: list[Line] = []
    hidden: list[_Draft] = []
    for index, draft in enumerate(drafts):
        if index not in kept:
            hidden.append(draft)
            continue
        if hidden:
            told.append(_fold(hidden, trace))
            hidden = []
        told.append(
            Line(task=trace.tasks[draft.task], place=draft.place, source=_source(sources, draft.place),
                 text=_joined(draft.words))
        )  # fmt: skip
        if draft.mark:
            told.append(Line(task="", text=draft.mark))
    if hidden:
        told.append(_fold(hidden, trace))
    return (*told, *_endings(trace, sources))


def _endings(trace: Trace, sources: Mapping[str, str]) -> list[Line]:
    """Who cannot go on any more."""
    return [
        Line(task=trace.tasks[each.task], place=each.place, source=_source(sources, each.place),
             text=f"{waiting(each, trace)}, for ever")
        for each in trace.waiting
        if trace.came is Came.DEADLOCK
    ]  # fmt: skip


def _source(sources: Mapping[str, str], place: Place | None) -> str:
    lines = sources.get(place.file, "").splitlines() if place is not None else []
    return lines[place.line - 1].strip() if place is not None and 0 < place.line <= len(lines) else ""


def _drafts(trace: Trace) -> list[_Draft]:
    """Steps of one task at one line are one line of the story."""
    drafts: list[_Draft] = []
    holders: dict[str, int] = {}
    for index, step in enumerate(trace.steps):
        words = did(step, trace, holders)
        if step.op is Op.ACQUIRE and not step.blocks and step.thing.startswith("lock"):
            holders[step.thing] = step.task
        elif step.op in (Op.RELEASE, Op.WAIT):
            holders.pop(step.thing, None)
        if step.blocks and step.op is Op.WAKE and drafts and drafts[-1].task == step.task:
            continue  # it has just said that it waits
        last = drafts[-1] if drafts else None
        if last is not None and last.task == step.task and last.place == step.place:
            last.words.append(words)
            last.things.add(step.thing)
            last.steps += 1
        else:
            drafts.append(_Draft(step.task, step.place, [words], {step.thing}))
        del index
    return drafts


def _mark(drafts: list[_Draft], trace: Trace) -> None:
    """Say where a task lost its turn although it could have gone on."""
    for index, draft in enumerate(drafts[:-1]):
        after = drafts[index + 1]
        last = draft.words[-1]
        if after.task == draft.task or last.startswith(("waits", "goes round", "ends", "sleeps")):
            continue
        following = next((each for each in drafts[index + 1 :] if each.task == draft.task), None)
        if following is None or following.words[0] == "has slept":
            continue
        before = f", before line {following.place.line}" if following.place else ""
        if following.place and following.place == draft.place:
            before = f", before it {following.words[0]}"
        draft.mark = f"---- {trace.tasks[draft.task]} is interrupted here{before}"


def _weigh(drafts: list[_Draft], trace: Trace) -> None:
    """What matters: the surroundings of an interruption, the end, and whoever touches what those touch."""
    marked = [index for index, draft in enumerate(drafts) if draft.mark]
    things = {each.thing for each in trace.waiting} | {
        thing for each in trace.waiting for thing in each.holds
    }
    for index in marked:
        after = next((d for d in drafts[index + 1 :] if d.task == drafts[index].task), None)
        things |= drafts[index].things | (after.things if after is not None else set())
    things.discard("")
    for index, draft in enumerate(drafts):
        near = min((abs(index - each) for each in marked), default=len(drafts))
        told = " ".join(draft.words)
        draft.weight = (
            8 * (near <= 1) + 4 * (near <= _NEAR) + 3 * bool(draft.things & things) + 2 * (index >= len(drafts) - 6)
            + 2 * any(word in told for word in ("waits", "notif", "sets", "lost", "woken"))
            - 4 * told.startswith(("starts", "has seen"))
        )  # fmt: skip


def _kept(drafts: list[_Draft], lines: int | None) -> set[int]:
    """The lines that are told: those of the greatest weight, the later first where they weigh the same."""
    every = set(range(len(drafts)))
    if lines is None:
        return every
    kept = every
    order = sorted(every, key=lambda index: (drafts[index].weight, index))
    while order and _length(drafts, kept) > lines:
        kept = kept - {order.pop(0)}
    return kept


def _length(drafts: list[_Draft], kept: set[int]) -> int:
    """How many lines it takes to tell these, with marks and with one line for each gap."""
    gaps = sum(index not in kept and (index - 1 in kept or index == 0) for index in range(len(drafts)))
    return len(kept) + gaps + sum(bool(drafts[index].mark) for index in kept)


def _fold(hidden: list[_Draft], trace: Trace) -> Line:
    """One line for several that do not matter."""
    counts: dict[int, int] = {}
    for draft in hidden:
        counts[draft.task] = counts.get(draft.task, 0) + draft.steps
    words = [f"{trace.tasks[task]} {count}" for task, count in counts.items()]
    total = sum(counts.values())
    return Line(task="", text=f"… {total} step{'s' if total > 1 else ''} ({', '.join(words)})")


def _joined(words: Sequence[str]) -> str:
    """``reads count, writes count`` is ``reads and writes count``; the same twice is said once."""
    once = list(dict.fromkeys(words))
    told: list[str] = []
    while once:
        word = once.pop(0)
        if word.startswith("reads ") and f"writes {word[6:]}" in once:
            once.remove(f"writes {word[6:]}")
            word = f"reads and writes {word[6:]}"
        told.append(word)
    return ", ".join(told)
