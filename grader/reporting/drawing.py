"""A drawing of the processes of one moment: boxes, and the pipes between them.

Every process is a box with its state and what it waits for; below that a row for each descriptor that matters.
Every pipe, FIFO or shared socket is an upright line on the right with a letter; a row is connected with
it by an arrow in the direction in which bytes flow. A waiting for the end of a child is an arrow on the left.
So nothing overlaps, with two processes or with twenty, and the same moment always gives the same drawing.

`plan` decides what is drawn and where; `svg` writes it down. Colours are classes of ``style.css``; whatever they
say is also said in words.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.cells import cell_len

from grader.model import Descriptor, Diagnosis, Edge, Observation, Process, State
from grader.reporting import processes
from grader.reporting.escape import visible
from grader.reporting.markup import Markup, element
from grader.running.waitgraph import GRADER, rightful

_WRITES = ("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendmmsg")
_BLAMES = {"write-end-left-open": False, "read-end-left-open": True}
"""Diagnoses that name an end which somebody holds without use, and whether the one who waits is a writer"""

_NOUNS = {"pipe": "pipe", "fifo": "FIFO", "socket": "socket", "terminal": "terminal", "queue": "queue"}

_BOX = 278
_GAP = 14
_PAD = 9
_LINE = 17
_ROW = 22
_LANE = 28
_TRUNK = 12
_CHARACTERS = 42
"""Letters that fit into a box, by the width of a wide sans-serif font"""
_LANES = 16
_WIDE, _WIDER = 400, 560
"""Widths from which a drawing is not made as small as a telephone is, but can be moved sideways"""
_MOST_LINES = 4


@dataclass(frozen=True)
class Port:
    """One row of a box: one descriptor, or several alike, and the pipe that they are an end of."""

    words: str
    """``4: write end, left open``"""
    lane: int
    end: str
    """read, write or both"""
    waits: bool = False
    """This is where its process waits"""
    guilty: bool = False
    """The diagnosis names it as the end that should have been closed"""


@dataclass
class Box:
    """One process, or the grader."""

    pid: int
    label: str
    lines: tuple[str, ...]
    """What is written under the label: id, state, what it waits for"""
    state: str
    """stuck, zombie, grader, or empty"""
    ports: tuple[Port, ...]
    waits_line: int = 0
    """Which of the lines says what it waits for: where its arrow begins"""
    y: int = 0

    @property
    def title(self) -> list[str]:
        """The label in lines."""
        return _wrapped(self.label, _CHARACTERS - 4)

    @property
    def height(self) -> int:
        """Height in the drawing's units."""
        return 2 * _PAD + _LINE * (len(self.title) + len(self.lines)) + _ROW * len(self.ports)

    def port_y(self, index: int) -> int:
        """Where the arrow of a row is."""
        return self.y + self.height - _PAD // 2 - _ROW * (len(self.ports) - index) + _ROW // 2


@dataclass(frozen=True)
class Lane:
    """One pipe, FIFO or socket."""

    target: str
    letter: str
    noun: str
    """pipe, FIFO, socket, ..."""
    name: str
    """``the pipe from stage 1 to stage 2 (pipe:[17])``"""


@dataclass(frozen=True)
class Picture:
    """All that is drawn."""

    boxes: tuple[Box, ...]
    lanes: tuple[Lane, ...]
    trunks: tuple[tuple[int, tuple[int, ...]], ...]
    """Index of a box that waits, and of those whose end it waits for"""
    left_out: int = 0
    """Pipes for which there was no room"""
    guilty: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """Process id and descriptor of each end that should have been closed"""


# ---------------------------------------------------------------- what is drawn


def plan(seen: Observation, diagnosis: Diagnosis | None = None) -> Picture:
    """Choose what is drawn, and its order.

    :param diagnosis: what was found: only where that is an end left open is one marked as guilty
    """
    ordered = [process for _, _, process in processes.tree(seen.processes)]
    guilty = _guilty(seen, diagnosis.slug if diagnosis is not None else "")
    ends = {process.pid: _ends(process, seen.edges) for process in ordered}
    asked = {p.wait.target for p in ordered if p.wait is not None} | {edge.target for edge in seen.edges}
    targets = _targets(ordered, ends, asked)
    drawn = _room(targets, asked)
    names = processes.objects(seen)
    nouns = {each.target: _NOUNS.get(each.kind, "") for held in ends.values() for each in held}
    lanes = tuple(
        Lane(target, _letter(index), nouns.get(target) or _noun(target), _name(target, ordered, names))
        for index, target in enumerate(drawn)
    )
    index_of = {lane.target: index for index, lane in enumerate(lanes)}
    boxes = [_box(process, ends[process.pid], lanes, index_of, guilty) for process in ordered]
    grader = _grader(seen, ordered, lanes, index_of)
    if grader is not None:
        boxes.append(grader)
    y = 1
    for box in boxes:
        box.y = y
        y += box.height + _GAP
    trunks = _trunks(seen.edges, boxes, index_of)
    return Picture(tuple(boxes), lanes, trunks, len(targets) - len(drawn), frozenset(guilty))


def _guilty(seen: Observation, slug: str) -> set[tuple[int, int]]:
    """Ends which keep a process waiting for good, and whose holder will never use them."""
    if slug not in _BLAMES:
        return set()
    by_pid = {process.pid: process for process in seen.processes}
    found = set()
    for edge in seen.edges:
        waiter, holder = by_pid.get(edge.waiter), by_pid.get(edge.holder)
        if waiter is None or holder is None or waiter.wait is None or edge.descriptor is None:
            continue
        writes = waiter.wait.call in _WRITES
        if (
            waiter.stuck
            and writes is _BLAMES[slug]
            and edge.target.startswith(("pipe:", "fifo:"))
            and not rightful(holder, edge, 0 if writes else 1)
        ):
            found.add((holder.pid, edge.descriptor))
    return found


def _ends(process: Process, edges: Iterable[Edge]) -> list[Descriptor]:
    """The descriptors of a process, with those that only a wait or an arrow tells of."""
    found = {each.number: each for each in process.descriptors}
    wait = process.wait
    if wait is not None and wait.descriptor is not None and wait.target and wait.descriptor not in found:
        end = "write" if wait.call in _WRITES else "read"
        found[wait.descriptor] = Descriptor(
            number=wait.descriptor, kind=wait.target.partition(":")[0], target=wait.target, end=end
        )
    for edge in edges:
        if edge.holder == process.pid and edge.descriptor is not None and edge.descriptor not in found:
            kind = edge.target.partition(":")[0]
            found[edge.descriptor] = Descriptor(number=edge.descriptor, kind=kind, target=edge.target)
    return [found[number] for number in sorted(found)]


def _targets(ordered: list[Process], ends: dict[int, list[Descriptor]], asked: set[str]) -> list[str]:
    """The objects between processes, in the order in which their holders are drawn.

    :param asked: those that somebody waits for
    """
    held: dict[str, tuple[set[int], set[int]]] = {}
    shared: set[str] = set()
    for process in ordered:
        for each in ends[process.pid]:
            readers, writers = held.setdefault(each.target, (set(), set()))
            if each.end != "write":
                readers.add(process.pid)
            if each.end != "read":
                writers.add(process.pid)
            if each.kind in ("pipe", "fifo"):
                between = each.number > 2 or bool(readers and writers)
            else:
                between = each.kind == "socket" and each.number > 2 and len(readers) > 1
            if between:
                shared.add(each.target)
    chosen = [target for target in held if target in asked or target in shared]
    chosen += sorted(target for target in asked - set(held) if target and not target.startswith("child:"))
    return chosen


def _room(targets: list[str], asked: set[str]) -> list[str]:
    """As many as there is room for: those that somebody waits for before all others."""
    kept = set(sorted(targets, key=lambda target: target not in asked)[:_LANES])
    return [target for target in targets if target in kept]


def _name(target: str, ordered: list[Process], names: dict[str, str]) -> str:
    """What an object is called where somebody waits for it: ``standard input (pipe:[17])``."""
    name = names.get(target, target)
    for process in ordered:
        if name == target and process.wait is not None and process.wait.target == target:
            found = re.match(r"(?:data or end-of-file on|data on|space in) (.+?)(?:, which is full)?$",
                             process.wait.text)  # fmt: skip
            if found and found.group(1) != target:
                return f"{found.group(1)} ({target})"
    return name


def _noun(target: str) -> str:
    return _NOUNS.get(target.partition(":")[0], "object")


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _box(
    process: Process,
    ends: list[Descriptor],
    lanes: tuple[Lane, ...],
    index_of: dict[str, int],
    guilty: set[tuple[int, int]],
) -> Box:
    state = "blocked for good" if process.stuck else process.state.value
    if process.state is State.ZOMBIE:
        state = "zombie: ended, not reaped"
    at = f", at {process.place}" if process.place else ""
    lines = _wrapped(f"pid {process.pid}: {state}{at}", _CHARACTERS)
    waits_line = len(lines)
    if process.wait is not None:
        through = process.wait.target in index_of and process.wait.descriptor is not None
        call = "" if through else f" ({process.wait.call})"  # else it stands in the row of the descriptor
        lines += _wrapped(f"waits for {_short(process, lanes)}{call}", _CHARACTERS)
    shown = "stuck" if process.stuck else "zombie" if process.state is State.ZOMBIE else ""
    ports = tuple(_ports(process, ends, lanes, index_of, guilty))
    return Box(process.pid, process.label, tuple(lines), shown, ports, min(waits_line, len(lines) - 1))


def _short(process: Process, lanes: tuple[Lane, ...]) -> str:
    """What it waits for, with the letter of a pipe in the place of its name."""
    assert process.wait is not None
    text = process.wait.text
    for lane in lanes:
        if lane.target == process.wait.target:
            name, short = lane.name.removesuffix(f" ({lane.target})"), f"{lane.noun} {lane.letter}"
            for whole in (name, f"the {lane.noun}"):
                if whole in text and whole.startswith(
                    ("the pipe", "a pipe", "the FIFO", "the socket", "the terminal")
                ):
                    return text.replace(whole, short)
            return f"{text} ({short})"
    return text


def _ports(
    process: Process,
    ends: list[Descriptor],
    lanes: tuple[Lane, ...],
    index_of: dict[str, int],
    guilty: set[tuple[int, int]],
) -> Iterable[Port]:
    """A row for each descriptor, and one for many that are alike."""
    alike: dict[tuple[int, str, bool, bool], list[int]] = {}
    for each in ends:
        lane = index_of.get(each.target)
        if lane is None:
            continue
        wait = process.wait
        waits = wait is not None and wait.descriptor == each.number and wait.target == each.target
        key = (lane, each.end or "both", waits, (process.pid, each.number) in guilty)
        alike.setdefault(key, []).append(each.number)
    for (lane, end, waits, blamed), numbers in alike.items():
        which = ", ".join(map(str, numbers[:4])) + (f" and {len(numbers) - 4} more" if numbers[4:] else "")
        words = f"{which}: {_end(lanes[lane].noun, end)}"
        words += ", left open" if blamed else ""
        words += f", waits here ({process.wait.call})" if waits and process.wait is not None else ""
        yield Port(words, lane, end, waits, blamed)


def _end(noun: str, end: str) -> str:
    """What a process has of an object."""
    if noun not in ("pipe", "FIFO"):
        return f"the {noun}"
    return "both ends" if end == "both" else f"{end} end"


def _grader(
    seen: Observation, ordered: list[Process], lanes: tuple[Lane, ...], index_of: dict[str, int]
) -> Box | None:
    """The grader, where somebody waits for it."""
    by_pid = {process.pid: process for process in ordered}
    mine = [edge for edge in seen.edges if edge.holder == GRADER and edge.waiter in by_pid]
    if not mine:
        return None
    ports = {}
    for edge in mine:
        wait = by_pid[edge.waiter].wait
        if edge.target in index_of:
            end = "read" if wait is not None and wait.call in _WRITES else "write"
            lane = index_of[edge.target]
            ports[edge.target, end] = Port(_end(lanes[lane].noun, end), lane, end)
    return Box(GRADER, "the grader", ("outside, it acts as the user",), "grader", tuple(ports.values()))


def _trunks(
    edges: tuple[Edge, ...], boxes: list[Box], index_of: dict[str, int]
) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Waits that lead through no pipe: arrows from box to box."""
    place = {box.pid: index for index, box in enumerate(boxes)}
    found: dict[int, dict[int, None]] = {}
    for edge in edges:
        waiter, holder = place.get(edge.waiter), place.get(edge.holder)
        if waiter is not None and holder is not None and waiter != holder and edge.target not in index_of:
            found.setdefault(waiter, {})[holder] = None
    return tuple((waiter, tuple(holders)) for waiter, holders in found.items())


def _wrapped(text: str, width: int) -> list[str]:
    """Lines for a box; wide letters count twice, and what is very long ends in an ellipsis."""
    shown = visible(text)
    room = width if cell_len(shown) == len(shown) else width // 2
    lines = textwrap.wrap(shown, room, break_on_hyphens=False) or [""]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1][: room - 1] + "…"]
    return lines


# ---------------------------------------------------------------- how it is written down


def svg(seen: Observation, diagnosis: Diagnosis | None = None) -> Markup:
    """The drawing of a moment as an element; empty where there are no processes."""
    if not seen.processes:
        return Markup("")
    picture = plan(seen, diagnosis)
    left = 2 + _TRUNK * len(picture.trunks) + (10 if picture.trunks else 0)
    right = left + _BOX
    lanes_end = right + 22 + _LANE * len(picture.lanes)
    width = max(lanes_end, right + 6)
    legend = _legend(picture, (width - left) // 7)
    foot = max((box.y + box.height for box in picture.boxes), default=0) + _GAP
    height = foot + _LINE * len(legend)
    return element(
        "svg",
        element("title", f"Drawing: {processes.MOMENTS[seen.ending]}"),
        element("desc", description(seen, picture)),
        [_tube(picture, index, right) for index in range(len(picture.lanes))],
        [_box_svg(box, left) for box in picture.boxes],
        [_wires(box, right) for box in picture.boxes],
        [_cap(picture, index, right) for index in range(len(picture.lanes))],
        [_trunk(picture, index, left) for index in range(len(picture.trunks))],
        [
            element("text", line, x=left, y=foot + _LINE * (number + 1) - 5, class_="pl-d-legend")
            for number, line in enumerate(legend)
        ],
        class_="pl-drawing" + (" pl-wider" if width > _WIDER else " pl-wide" if width > _WIDE else ""),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
    )


def description(seen: Observation, picture: Picture) -> str:
    """The drawing in sentences, for who does not see it."""
    names = processes.objects(seen)
    sentences = [processes.arrow(edge, seen, names) for edge in seen.edges[: processes.EDGES]]
    sentences += [
        f"{processes.who(pid, seen)} holds descriptor {number}, which was left open"
        for pid, number in sorted(picture.guilty)[: processes.EDGES]
    ]
    sentences += [f"{process.label} is {process.state.value}" for process in seen.processes]
    return ". ".join(sentences) + "."


def _legend(picture: Picture, room: int) -> list[str]:
    lines: list[str] = []
    for lane in picture.lanes:
        wrapped = _wrapped(f"{lane.letter}: {lane.name}", room)
        lines += [wrapped[0], *("    " + line for line in wrapped[1:])]
    if picture.left_out:
        lines.append(f"and {picture.left_out} more that are not drawn")
    return lines


def _lane_x(index: int, right: int) -> int:
    return right + 30 + _LANE * index


def _reach(picture: Picture, lane: int) -> tuple[int, int] | None:
    """From where to where a lane goes."""
    ys = [
        box.port_y(index)
        for box in picture.boxes
        for index, port in enumerate(box.ports)
        if port.lane == lane
    ]
    return (min(ys), max(ys)) if ys else None


def _tube(picture: Picture, lane: int, right: int) -> Markup | None:
    reach = _reach(picture, lane)
    if reach is None:
        return None
    x = _lane_x(lane, right)
    return element("path", d=f"M{x} {reach[0] - 6}V{reach[1] + 6}", class_="pl-d-tube")


def _cap(picture: Picture, lane: int, right: int) -> Markup | None:
    """The letter at the upper end of a lane."""
    reach = _reach(picture, lane)
    if reach is None:
        return None
    x, y = _lane_x(lane, right), reach[0] - 16
    return element(
        "g",
        element("title", f"{picture.lanes[lane].letter}: {picture.lanes[lane].name}"),
        element("circle", cx=x, cy=y, r=10, class_="pl-d-cap"),
        element(
            "text", picture.lanes[lane].letter, x=x, y=y + 4.5, text_anchor="middle", class_="pl-d-letter"
        ),
    )


def _box_svg(box: Box, left: int) -> Markup:
    top = box.y + _PAD + 12
    title = box.title
    texts = [
        element("text", line, x=left + 10, y=top + _LINE * number, class_="pl-d-title")
        for number, line in enumerate(title)
    ]
    texts += [
        element("text", line, x=left + 10, y=top + _LINE * (len(title) + number), class_="pl-d-text")
        for number, line in enumerate(box.lines)
    ]
    for index, port in enumerate(box.ports):
        y = box.port_y(index)
        if port.guilty:
            texts.append(
                element("rect", x=left + 1, y=y - 10, width=_BOX - 2, height=20, class_="pl-d-guilty-row")
            )
        style = "pl-d-port" + (" pl-d-guilty-text" if port.guilty else "")
        texts.append(
            element("text", port.words, x=left + _BOX - 10, y=y + 4.5, text_anchor="end", class_=style)
        )
    return element(
        "g",
        element("title", box.label),
        element(
            "rect", x=left, y=box.y, width=_BOX, height=box.height, rx=6,
            class_=f"pl-d-box pl-d-{box.state}" if box.state else "pl-d-box",
        ),
        texts,
    )  # fmt: skip


def _wires(box: Box, right: int) -> Markup:
    """From the rows of a box to the lanes; the arrow points where the bytes go."""
    drawn = []
    for index, port in enumerate(box.ports):
        x, y = _lane_x(port.lane, right), box.port_y(index)
        style = "pl-d-wire" + (" pl-d-guilty" if port.guilty else "") + (" pl-d-waits" if port.waits else "")
        drawn.append(element("path", d=f"M{right} {y}H{x}", class_="pl-d-halo"))
        drawn.append(element("path", d=f"M{right} {y}H{x}", class_=style))
        if port.end in ("write", "both"):
            drawn.append(_head(x - 4, y, 1, style))
        if port.end in ("read", "both"):
            drawn.append(_head(right, y, -1, style))
            drawn.append(element("circle", cx=x, cy=y, r=3.5, class_=style + " pl-d-dot"))
    return element("g", drawn)


def _head(x: int, y: int, direction: int, style: str) -> Markup:
    back = x - 9 * direction
    if direction < 0:
        x, back = x + 1, x + 10
    return element("path", d=f"M{x} {y}L{back} {y - 5}V{y + 5}Z", class_=f"{style} pl-d-head")


def _trunk(picture: Picture, index: int, left: int) -> Markup:
    """From what a box waits for to those whose end it waits for."""
    waiter, holders = picture.trunks[index]
    start = picture.boxes[waiter]
    y = start.y + _PAD + _LINE * (len(start.title) + start.waits_line) + 7
    x = left - 12 - _TRUNK * index
    drawn = [element("path", d=f"M{left} {y}H{x}", class_="pl-d-wire pl-d-waits")]
    for holder in holders:
        end = picture.boxes[holder]
        to = end.y + _PAD + 8 + 5 * min(index, 3)
        drawn.append(element("path", d=f"M{x} {y}V{to}H{left}", class_="pl-d-wire pl-d-waits"))
        drawn.append(_head(left, to, 1, "pl-d-wire pl-d-waits"))
    return element("g", element("title", f"{start.label} waits"), drawn)
