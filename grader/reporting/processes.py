"""The processes of one moment on a page: a tree with what each waits for and what it holds open."""

from __future__ import annotations

from collections.abc import Iterator

from grader.model import Descriptor, Edge, Ending, Observation, Process, State
from grader.reporting.page import Page

_EDGES = 12
_MOMENTS = {
    Ending.HUNG: "processes at the moment when none could go on",
    Ending.TIMED_OUT: "processes when the time was over",
    Ending.FLOODED: "processes when the output was cut off",
    Ending.STOPPED: "processes when the check had seen enough",
    Ending.EXITED: "processes that outlived the program",
    Ending.SIGNALLED: "processes that outlived the program",
}


def draw(page: Page, seen: Observation, indent: int) -> None:
    """The tree, and under it who waits for whom."""
    if not seen.processes:
        return
    page.blank()
    page.line((_MOMENTS[seen.ending], "bold"), indent=indent)
    nodes = list(_tree(seen.processes))
    column = min(max(len(branch) + len(process.label) for branch, _, process in nodes) + 2, 40)
    for branch, below, process in nodes:
        colour = "red" if process.stuck else "yellow" if process.state is State.ZOMBIE else ""
        name = f"{branch}{process.label}"
        page.labelled((name, "bold"), _doing(process), indent=indent + 2, column=column, style=colour)
        for note in _notes(process):
            page.labelled((below, ""), note, indent=indent + 2, column=column, style="dim")
    if seen.edges:
        page.blank()
        page.line(("who waits for whom", "bold"), indent=indent)
        for edge in seen.edges[:_EDGES]:
            page.paragraph(_arrow(edge, seen), indent=indent + 2)
        if len(seen.edges) > _EDGES:
            page.line(f"… {len(seen.edges) - _EDGES} more", indent=indent + 2)


def _tree(processes: tuple[Process, ...]) -> Iterator[tuple[str, str, Process]]:
    """Each process with the branch that leads to it and the one that goes on below it."""
    known = {process.pid for process in processes}
    children: dict[int, list[Process]] = {}
    for process in processes:
        # A process that is its own ancestor exists in damaged files only; it stands at the top.
        parent = process.parent if process.parent in known and process.parent < process.pid else 0
        children.setdefault(parent, []).append(process)

    def walk(parent: int, stem: str) -> Iterator[tuple[str, str, Process]]:
        here = children.pop(parent, [])
        for process in here:
            last = process is here[-1]
            top = parent == 0
            below = stem + ("" if top else "   " if last else "│  ")
            deeper = below + ("│  " if children.get(process.pid) else "")
            yield stem + ("" if top else "└─ " if last else "├─ "), deeper, process
            yield from walk(process.pid, below)

    yield from walk(0, "")


def _doing(process: Process) -> str:
    at = f" at {process.place}" if process.place else ""
    if process.state is State.ZOMBIE:
        return "zombie: has ended and was not reaped"
    if process.wait is not None:
        through = f", descriptor {process.wait.descriptor}" if process.wait.descriptor is not None else ""
        return f"{process.state.value}{at}: waits for {process.wait.text} ({process.wait.call}{through})"
    used = f", {process.cpu_s:.1f} s of processor time" if process.state is State.RUNNING else ""
    return f"{process.state.value}{at}{used}"


def _notes(process: Process) -> Iterator[str]:
    """What it holds (above 2 everything, below only ends that others may wait for), and its signals."""
    held = [_held(each) for each in process.descriptors if each.number > 2 or each.kind in ("pipe", "fifo")]
    if held:
        yield "holds " + "; ".join(held)
    if process.ignored:
        yield "ignores " + ", ".join(process.ignored)
    if process.masked:
        yield "has blocked " + ", ".join(process.masked)


def _held(each: Descriptor) -> str:
    if each.kind in ("pipe", "fifo") and each.end:
        ends = "both ends" if each.end == "both" else f"{each.end} end"
        return f"{each.number}: {ends} of {each.target}"
    return f"{each.number}: {each.target}"


def _arrow(edge: Edge, seen: Observation) -> str:
    waiter, holder = who(edge.waiter, seen), who(edge.holder, seen)
    if edge.target.startswith("child:"):
        return f"{waiter} waits for {holder} to end"
    through = f", which holds descriptor {edge.descriptor}" if edge.descriptor is not None else ""
    whom = "itself" if edge.holder == edge.waiter else holder
    return f"{waiter} waits for {whom}{through}: {edge.text}"


def who(pid: int, seen: Observation) -> str:
    """A process as the rest of the report calls it."""
    if pid == 0:
        return "the grader"
    label = next((process.label for process in seen.processes if process.pid == pid), "")
    return label or seen.names.get(pid) or f"process {pid}"
