"""From an interleaving to words: what each thread did, in turn, and where one was interrupted.

Pure functions of a `Trace` and the program's source. A trace comes out of a sandbox, so a line that does not
exist has no text, and that is all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.exploring.schedules import Came, Op, Step, Trace, Waiting
from grader.model import Place
from grader.model import Step as Line

LINES = 25
"""How long a story may be before what matters least is folded"""


def name(thing: str) -> str:
    """What a thing is called in a sentence: ``mutex`` for ``lock mutex``, ``lock 2``, ``the lock``."""
    kind, _, own = thing.partition(" ")
    if not own:
        return thing
    if kind == "lock" and own.startswith("of "):
        return f"the lock {own}"
    if own == kind:
        return f"the {kind}"
    if own.startswith(f"{kind} "):
        return own
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
            return f"waits on {thing}"
        case Op.WAKE:
            return "gets a signal" if step.thing == "signal" else f"is awake again (on {thing})"
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
        return "nobody waits there"
    if other:
        return f"wakes {other}"
    return "wakes the one that waits" if step.woke == 1 else f"wakes {step.woke}"


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
    steps: int = 1
    op: Op = Op.OTHER
    """Of its last step"""
    thing: str = ""
    mark: str = ""
    """What stands between the lines after this one"""


def tell(
    trace: Trace, sources: Mapping[str, str], *, lines: int | None = LINES, sampled: bool = False
) -> tuple[Line, ...]:
    """The story of a trace, at most so many lines of it; none for all.

    :param sources: the text of the program's files by path
    :param sampled: the switches were chosen by chance: mark those that can be seen
    """
    drafts = _drafts(trace)
    if sampled:
        _guess(drafts, trace)
    told: list[Line] = []
    hidden: list[_Draft] = []
    kept = _kept(drafts, trace, lines)
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
    endings = _endings(trace, sources)
    last = told[-1] if told else None
    for ending in endings:
        if last is not None and last.task == ending.task and ending.text == f"{last.text}, for ever":
            told.pop()  # it has just begun to wait
            endings.sort(key=lambda each: each is not ending)
            break
    return (*told, *endings)


def _endings(trace: Trace, sources: Mapping[str, str]) -> list[Line]:
    """Who cannot go on any more; those who only wait for another's end come last."""
    order = sorted(trace.waiting, key=lambda each: each.op is Op.JOIN)
    return [
        Line(task=trace.tasks[each.task], place=each.place, source=_source(sources, each.place),
             text=f"{waiting(each, trace)}, for ever")
        for each in order
        if trace.came is Came.DEADLOCK
    ]  # fmt: skip


def _source(sources: Mapping[str, str], place: Place | None) -> str:
    lines = sources.get(place.file, "").splitlines() if place is not None else []
    return lines[place.line - 1].strip() if place is not None and 0 < place.line <= len(lines) else ""


def _drafts(trace: Trace) -> list[_Draft]:
    """Steps of one task at one line are one line of the story, with marks where a task lost its turn."""
    drafts: list[_Draft] = []
    holders: dict[str, int] = {}
    latest: dict[int, _Draft] = {}
    delays = dict(trace.delays)
    for index, step in enumerate(trace.steps):
        delayed = delays.get(index)
        if delayed is not None:
            _interrupt(drafts, latest.get(delayed), delayed, trace, index)
        words = did(step, trace, holders)
        if step.op is Op.ACQUIRE and not step.blocks and step.thing.startswith("lock"):
            holders[step.thing] = step.task
        elif step.op in (Op.RELEASE, Op.WAIT):
            holders.pop(step.thing, None)
        last = drafts[-1] if drafts and not drafts[-1].mark else None
        mine = last is not None and last.task == step.task
        if (step.blocks and step.op is Op.WAKE and mine) or _says_the_same(trace.steps, index):
            continue  # it has just said that it waits; it is about to say what it calls
        if mine and last is not None and (step.place in (last.place, None)):
            last.words.append(words)
            last.steps += 1
        else:
            drafts.append(_Draft(step.task, step.place, [words]))
        latest[step.task] = drafts[-1]
        drafts[-1].op, drafts[-1].thing = step.op, step.thing
    return drafts


def _says_the_same(steps: Sequence[Step], index: int) -> bool:
    """Whether a call is told again by the next step, as what it does: ``event.clear()``."""
    step = steps[index]
    after = steps[index + 1] if index + 1 < len(steps) else None
    return (
        step.op in (Op.CALL, Op.READ)
        and step.thing.endswith(")")
        and after is not None
        and after.task == step.task
        and after.place == step.place
        and after.op not in (Op.CALL, Op.READ, Op.WRITE)
    )


def _interrupt(drafts: list[_Draft], own: _Draft | None, task: int, trace: Trace, index: int) -> None:
    """Mark a forced delay: behind the last line, whose task it mostly is."""
    if not drafts:
        return
    following = next((each for each in trace.steps[index:] if each.task == task), None)
    if following is None:
        before = ""
    elif own is drafts[-1] and following.place == own.place:
        before = f", before it {did(following, trace, {})}"
    else:
        before = f", before line {following.place.line}" if following.place is not None else ""
    happens = f"is interrupted here{before}" if own is not None else "does not begin yet"
    drafts[-1].mark = f"---- {trace.tasks[task]} {happens}"


def _guess(drafts: list[_Draft], trace: Trace) -> None:
    """Mark where a task lost its turn although it could have gone on, as far as that can be seen."""
    later: dict[int, _Draft] = {}
    for index in range(len(drafts) - 1, -1, -1):
        draft = drafts[index]
        following = later.get(draft.task)
        later[draft.task] = draft
        last = draft.words[-1]
        if index + 1 == len(drafts) or drafts[index + 1].task == draft.task or following is None:
            continue
        if last.startswith(("waits", "goes round", "ends", "sleeps")) or following.words[0] == "has slept":
            continue
        before = f", before line {following.place.line}" if following.place else ""
        if following.place and following.place == draft.place:
            before = f", before it {following.words[0]}"
        draft.mark = f"---- {trace.tasks[draft.task]} is interrupted here{before}"


def _kept(drafts: list[_Draft], trace: Trace, lines: int | None) -> set[int]:
    """The lines that are told: round the interruptions, where each began its last wait, and the end."""
    count = len(drafts)
    if lines is None or _length(drafts, set(range(count))) <= lines:
        return set(range(count))
    kept: set[int] = set()
    for index in _order(drafts, trace):
        if index not in kept and 0 <= index < count:
            if _length(drafts, kept | {index}) > lines:
                break
            kept.add(index)
    return kept


def _order(drafts: list[_Draft], trace: Trace) -> Iterator[int]:
    """All lines, what matters most first."""
    marks = [index for index, draft in enumerate(drafts) if draft.mark][-3:]
    for near in (0, 1, 2):
        for index in marks:
            yield index + near
            yield index - near
    stuck = {each.task: each.thing for each in trace.waiting if each.op is not Op.JOIN}
    told: set[int] = set()
    for index in range(len(drafts) - 1, -1, -1):
        draft = drafts[index]
        if draft.task in stuck and draft.task not in told:
            told.add(draft.task)
            yield index
            yield index - 1
        if draft.op in (Op.NOTIFY, Op.SET) and draft.thing in stuck.values():
            yield index
    yield from range(len(drafts) - 1, -1, -1)


def _length(drafts: list[_Draft], kept: set[int]) -> int:
    """How many lines it takes to tell these, with marks and with one line for each gap."""
    gaps, before = 0, -1
    for index in sorted(kept):
        gaps += index != before + 1
        before = index
    gaps += before != len(drafts) - 1
    return len(kept) + gaps + sum(bool(drafts[index].mark) for index in kept)


def _fold(hidden: list[_Draft], trace: Trace) -> Line:
    """One line for several that do not matter."""
    names = list(dict.fromkeys(trace.tasks[draft.task] for draft in hidden))
    total = sum(draft.steps for draft in hidden)
    whose = _listed(names) if len(names) <= 4 else f"{len(names)} threads"
    return Line(task="", text=f"… {total} step{'s' if total > 1 else ''} of {whose}")


_VERBS = (
    "reads and writes",
    "reads",
    "writes",
    "calls",
    "acquires",
    "releases",
    "starts",
    "has seen the end of",
)


def _joined(words: Sequence[str]) -> str:
    """``reads count, writes count`` is ``reads and writes count``; a verb that comes again is said once."""
    once = list(dict.fromkeys(words))
    told: list[tuple[str, list[str]]] = []
    while once:
        word = once.pop(0)
        if word.startswith("reads ") and f"writes {word[6:]}" in once:
            once.remove(f"writes {word[6:]}")
            word = f"reads and writes {word[6:]}"
        verb = next((each for each in _VERBS if word.startswith(f"{each} ")), "")
        thing = word[len(verb) :].lstrip()
        if verb and told and told[-1][0] == verb:
            told[-1][1].append(thing)
        else:
            told.append((verb, [thing]))
    return ", ".join(f"{verb} {_listed(things)}".strip() for verb, things in told)
