"""The drawing of processes and pipes: what is in it, where, and that any moment can be drawn."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import msgspec
from hypothesis import HealthCheck, given, settings
from observations import DIAGNOSES, OBSERVATIONS
from reports import hung, leftovers

from grader.model import Descriptor, Diagnosis, Edge, Ending, Observation, Process, State, Wait
from grader.reporting import drawing
from grader.reporting.drawing import Picture, plan, svg
from grader.reporting.escape import visible

NAMESPACE = ""


def moment() -> tuple[Observation, Diagnosis]:
    check = hung()
    assert check.observation is not None
    assert check.diagnosis is not None
    return check.observation, check.diagnosis


def chain(count: int) -> Observation:
    """A parent, and stages which read from the one before; the parent kept every write end."""
    parent = Process(
        pid=2, parent=1, name="pipeline.py", role="the parent", state=State.BLOCKED, stuck=True,
        wait=Wait(call="wait4", text="stage 1 to end", target="child:3"),
        descriptors=tuple(_end(4 + k, "write", k) for k in range(count)),
    )  # fmt: skip
    stages = [
        Process(
            pid=3 + k, parent=2, name="cat", role=f"stage {k + 1}", state=State.BLOCKED, stuck=True,
            wait=Wait(call="read", text=f"data or end-of-file on the pipe from stage {k} to stage {k + 1}",
                      descriptor=0, target=f"pipe:[{100 + k}]"),
            descriptors=(_end(0, "read", k), _end(1, "write", k + 1)),
        )
        for k in range(count)
    ]  # fmt: skip
    edges = [Edge(waiter=2, holder=3, target="child:3", text="stage 1 to end")]
    edges += [
        Edge(waiter=3 + k, holder=2, target=f"pipe:[{100 + k}]", descriptor=4 + k, text="")
        for k in range(count)
    ]
    edges += [
        Edge(waiter=3 + k, holder=2 + k, target=f"pipe:[{100 + k}]", descriptor=1, text="")
        for k in range(1, count)
    ]
    return Observation(
        argv=(), command="", ending=Ending.HUNG, processes=(parent, *stages), edges=tuple(edges)
    )


def _end(number: int, end: str, pipe: int) -> Descriptor:
    return Descriptor(number=number, kind="pipe", target=f"pipe:[{100 + pipe}]", end=end)


def ports(picture: Picture, pid: int) -> list[str]:
    box = next(box for box in picture.boxes if box.pid == pid)
    return [f"{port.words} {picture.lanes[port.lane].letter}" for port in box.ports]


LEFT_OPEN = Diagnosis(slug="write-end-left-open", title="", fact="")

# ---------------------------------------------------------------- what is drawn


def test_draws_the_guilty_end_in_words_and_as_a_class() -> None:
    seen, found = moment()
    picture = plan(seen, found)
    assert ports(picture, 2) == ["4: write end, left open A"]
    assert ports(picture, 4) == ["0: read end, waits here (read) A"]
    assert picture.guilty == {(2, 4)}
    assert picture.lanes[0].name == "the pipe from stage 1 to stage 2 (pipe:[17])"
    drawn = svg(seen, found)
    assert drawn.count('class="pl-d-guilty-row"') == 1
    assert "4: write end, left open" in drawn


def test_blames_nobody_without_that_diagnosis() -> None:
    seen, found = moment()
    for slug in ("waits-forever", "read-end-left-open"):
        other = msgspec.structs.replace(found, slug=slug)
        assert plan(seen, other).guilty == frozenset()
        assert "left open" not in svg(seen, other)
    assert plan(seen, None).guilty == frozenset()


def test_blames_no_end_that_is_in_its_place() -> None:
    """Stage 1 writes to what stage 2 reads: only the parent's copy is too many."""
    picture = plan(chain(3), LEFT_OPEN)
    assert picture.guilty == {(2, 4), (2, 5), (2, 6)}
    assert ports(picture, 3) == ["0: read end, waits here (read) A", "1: write end B"]


def test_a_reader_that_holds_its_own_write_end_is_marked() -> None:
    seen = chain(1)
    own = msgspec.structs.replace(seen.processes[1], descriptors=(_end(0, "read", 0), _end(4, "write", 0)))
    edge = Edge(waiter=3, holder=3, target="pipe:[100]", descriptor=4, text="")
    seen = msgspec.structs.replace(seen, processes=(own,), edges=(edge,))
    picture = plan(seen, LEFT_OPEN)
    assert picture.guilty == {(3, 4)}
    assert ports(picture, 3) == ["0: read end, waits here (read) A", "4: write end, left open A"]


def test_a_blocked_writer_blames_who_keeps_the_read_end() -> None:
    wait = Wait(call="write", text="space in the pipe from stage 1 to stage 2, which is full", descriptor=1,
                target="pipe:[100]")  # fmt: skip
    writer = Process(pid=3, parent=2, name="yes", role="stage 1", state=State.BLOCKED, stuck=True, wait=wait,
                     descriptors=(_end(1, "write", 0),))  # fmt: skip
    parent = msgspec.structs.replace(chain(1).processes[0], descriptors=(_end(3, "read", 0),))
    edge = Edge(waiter=3, holder=2, target="pipe:[100]", descriptor=3, text="")
    seen = Observation(argv=(), command="", ending=Ending.HUNG, processes=(parent, writer), edges=(edge,))
    picture = plan(seen, Diagnosis(slug="read-end-left-open", title="", fact=""))
    assert picture.guilty == {(2, 3)}
    assert picture.boxes[1].lines[-1] == "waits for space in pipe A, which is full"


def test_the_end_of_a_child_is_waited_for_on_the_left() -> None:
    seen, found = moment()
    picture = plan(seen, found)
    assert [box.label for box in picture.boxes] == [
        "the parent (pipeline.py)",
        "stage 1 (cat)",
        "stage 2 (wc)",
    ]
    assert picture.trunks == ((0, (2,)),)
    assert "waits for stage 2 to end (wait4)" in picture.boxes[0].lines


def test_the_grader_is_a_box_where_somebody_waits_for_it() -> None:
    seen = chain(1)
    edge = Edge(waiter=3, holder=0, target="pipe:[100]", text="")
    picture = plan(msgspec.structs.replace(seen, edges=(edge,)))
    assert picture.boxes[-1].label == "the grader"
    assert ports(picture, 0) == ["write end A"]
    assert "the grader" not in [box.label for box in plan(seen).boxes]


def test_standard_streams_that_lead_to_the_grader_are_left_out() -> None:
    seen, found = moment()
    assert [lane.target for lane in plan(seen, found).lanes] == ["pipe:[17]"]
    check = leftovers()
    assert check.observation is not None
    assert plan(check.observation).lanes == ()


def test_what_is_waited_for_has_its_name() -> None:
    wait = Wait(call="read", text="data or end-of-file on standard input", descriptor=0, target="pipe:[9]")
    process = Process(pid=2, parent=1, name="cat", state=State.BLOCKED, wait=wait)
    picture = plan(Observation(argv=(), command="", ending=Ending.STOPPED, processes=(process,)))
    assert picture.lanes[0].name == "standard input (pipe:[9])"
    assert " ".join(picture.boxes[0].lines).endswith(
        "waits for data or end-of-file on standard input (pipe A)"
    )


def test_descriptors_that_are_alike_share_a_row() -> None:
    many = tuple(_end(number, "write", 0) for number in range(3, 12))
    reader = chain(1).processes[1]
    writer = Process(pid=2, parent=1, name="x", state=State.RUNNING, descriptors=many)
    picture = plan(Observation(argv=(), command="", ending=Ending.TIMED_OUT, processes=(writer, reader)))
    assert ports(picture, 2) == ["3, 4, 5, 6 and 5 more: write end A"]


def test_there_is_room_for_what_somebody_waits_for() -> None:
    idle = tuple(_end(number + 10, "write", number) for number in range(40))
    parent = msgspec.structs.replace(chain(1).processes[0], descriptors=idle)
    reader = msgspec.structs.replace(
        chain(1).processes[1],
        wait=Wait(call="read", text="data", descriptor=0, target="pipe:[139]"),
        descriptors=(_end(0, "read", 39),),
    )
    seen = Observation(argv=(), command="", ending=Ending.HUNG, processes=(parent, reader))
    picture = plan(seen)
    assert "pipe:[139]" in [lane.target for lane in picture.lanes]
    assert picture.left_out == 40 - len(picture.lanes) > 0
    assert f"and {picture.left_out} more that are not drawn" in svg(seen)


# ---------------------------------------------------------------- where


def shapes(drawn: str) -> tuple[ElementTree.Element, list[tuple[float, float, float, float]]]:
    root = ElementTree.fromstring(drawn)
    boxes = [
        (float(e.get("x", 0)), float(e.get("y", 0)), float(e.get("width", 0)), float(e.get("height", 0)))
        for e in root.iter("rect")
        if "pl-d-box" in (e.get("class") or "")
    ]
    return root, boxes


def test_nothing_overlaps_with_two_or_with_twenty() -> None:
    for count in (1, 2, 11, 20):
        seen = chain(count)
        root, boxes = shapes(svg(seen, LEFT_OPEN))
        assert len(boxes) == count + 1
        for (_, y, _, height), (_, below, _, _) in itertools.pairwise(boxes):
            assert y + height < below
        _, _, width, total = map(float, (root.get("viewBox") or "").split())
        right = max(x + w for x, _, w, _ in boxes)
        for text in root.iter("text"):
            assert 0 <= float(text.get("y", -1)) <= total
        for circle in root.iter("circle"):
            assert right < float(circle.get("cx", 0)) + 4 < width + 4
        assert boxes[-1][1] + boxes[-1][3] < total


def test_every_row_lies_within_its_box_and_no_two_on_each_other() -> None:
    for box in plan(chain(12), LEFT_OPEN).boxes:
        ys = [box.port_y(index) for index in range(len(box.ports))]
        assert ys == sorted(set(ys))
        assert all(box.y < y < box.y + box.height for y in ys)


def test_can_be_seen_without_seeing() -> None:
    seen, found = moment()
    root = ElementTree.fromstring(svg(seen, found))
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    told = root[1].text or ""
    assert "stage 2 (wc) waits for the parent (pipeline.py), which holds descriptor 4" in told
    assert "the parent (pipeline.py) holds descriptor 4, which was left open" in told


def test_is_small_enough_for_a_telephone_where_two_processes_wait() -> None:
    root, _ = shapes(svg(*moment()))
    assert root.get("class") == "pl-drawing"
    assert float(root.get("width", 999)) <= 360


def test_has_no_identifiers_that_could_meet_on_one_page() -> None:
    drawn = svg(chain(3), LEFT_OPEN)
    assert " id=" not in drawn
    assert "url(" not in drawn
    assert " style=" not in drawn


def test_draws_nothing_where_there_are_no_processes() -> None:
    assert svg(Observation(argv=(), command="", ending=Ending.EXITED)) == ""


@given(OBSERVATIONS, DIAGNOSES)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_draws_any_moment(seen: Observation, found: Diagnosis) -> None:
    drawn = svg(seen, found)
    assert drawn == svg(seen, found)
    if not seen.processes:
        return
    root = ElementTree.fromstring(drawn)
    titles = [element.text or "" for element in root.iter("title")]
    for process in seen.processes:
        assert visible(process.label) in titles
    assert len(plan(seen, found).lanes) <= drawing._LANES
