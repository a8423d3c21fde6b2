"""The processes of one moment on a page: a tree with what each waits for and what it holds open."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grader.model import Edge, Ending, Observation, Process, State
from grader.reporting.page import Page

EDGES = 12
"""Sentences about who waits for whom, before the rest is told by its number"""
MOMENTS = {
    Ending.HUNG: "processes at the moment when none could go on",
    Ending.TIMED_OUT: "processes when the time was over",
    Ending.FLOODED: "processes when the output was cut off",
    Ending.SPUN: "processes when it had gone round in circles for long enough",
    Ending.STOPPED: "processes when the check had seen enough",
    Ending.EXITED: "processes that outlived the program",
    Ending.SIGNALLED: "processes that outlived the program",
}


def draw(page: Page, seen: Observation, indent: int) -> None:
    """The tree, and under it who waits for whom."""
    if not seen.processes:
        return
    page.blank()
    page.line((MOMENTS[seen.ending], "bold"), indent=indent)
    nodes = list(tree(seen.processes))
    names = objects(seen)
    column = min(max(len(branch) + len(process.label) for branch, _, process in nodes) + 2, 40)
    for branch, below, process in nodes:
        colour = "red" if process.stuck else "yellow" if process.state is State.ZOMBIE else ""
        page.labelled(
            f"{branch}{process.label}", doing(process),
            indent=indent + 2, column=column, style=colour, below=below,
        )  # fmt: skip
        for note in notes(process, names):
            page.labelled((below, ""), note, indent=indent + 2, column=column, style="dim", below=below)
    if seen.edges:
        page.blank()
        page.line(("who waits for whom", "bold"), indent=indent)
        for edge in seen.edges[:EDGES]:
            page.paragraph(arrow(edge, seen, names), indent=indent + 2)
        if len(seen.edges) > EDGES:
            page.line(f"… {len(seen.edges) - EDGES} more", indent=indent + 2)


def objects(seen: Observation) -> dict[str, str]:
    """What each object that matters is called: those that somebody waits for or holds above 2.

    What leads to the grader itself (the program's own standard streams) is left out.
    """
    names = {
        each.target: each.target
        for process in seen.processes
        for each in process.descriptors
        if each.number > 2 and each.kind in ("pipe", "fifo")
    }
    for process in seen.processes:
        wait = process.wait
        if wait is not None and wait.descriptor is not None:
            found = re.search(r"the pipe (?:from|that) .+?(?=, which is full|$)", wait.text)
            names[wait.target] = f"{found.group()} ({wait.target})" if found else wait.target
    return names


def tree(processes: tuple[Process, ...]) -> Iterator[tuple[str, str, Process]]:
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


def doing(process: Process) -> str:
    """What it does at this moment, with the call and the line."""
    at = f" at {process.place}" if process.place else ""
    if process.state is State.ZOMBIE:
        return "zombie: has ended and was not reaped"
    if process.wait is not None:
        through = f", descriptor {process.wait.descriptor}" if process.wait.descriptor is not None else ""
        return f"{process.state.value}{at}: waits for {process.wait.text} ({process.wait.call}{through})"
    used = f", {process.cpu_s:.1f} s of processor time" if process.state is State.RUNNING else ""
    return f"{process.state.value}{at}{used}"


def notes(process: Process, names: dict[str, str]) -> Iterator[str]:
    """What it holds besides what it waits for, and its signals."""
    waits_on = process.wait.descriptor if process.wait is not None else None
    for each in process.descriptors:
        if each.number != waits_on and (each.number > 2 or each.target in names):
            what = names.get(each.target, each.target)
            end = {"": "", "both": "both ends of "}.get(each.end, f"{each.end} end of ")
            yield f"holds {each.number}: {end if each.kind in ('pipe', 'fifo') else ''}{what}"
    # CPython itself ignores these two in every program.
    own = ("SIGPIPE", "SIGXFSZ") if process.name.endswith(".py") else ()
    ignored = [name for name in process.ignored if name not in own]
    if ignored:
        yield "ignores " + ", ".join(ignored)
    if process.masked:
        yield "has blocked " + ", ".join(process.masked)


def arrow(edge: Edge, seen: Observation, names: dict[str, str]) -> str:
    """One waiting as a sentence: who, for whom, and which descriptor is between them."""
    waiter, holder = who(edge.waiter, seen), who(edge.holder, seen)
    if edge.target.startswith("child:"):
        return f"{waiter} waits for {holder} to end"
    if edge.descriptor is None:
        return f"{waiter} waits for {holder}: {edge.text}"
    what = names.get(edge.target, edge.target)
    if edge.holder == edge.waiter:
        return f"{waiter} waits for itself, since it holds descriptor {edge.descriptor} of {what}"
    return f"{waiter} waits for {holder}, which holds descriptor {edge.descriptor} of {what}"


def who(pid: int, seen: Observation) -> str:
    """A process as the rest of the report calls it."""
    if pid == 0:
        return "the grader"
    label = next((process.label for process in seen.processes if process.pid == pid), "")
    return label or seen.names.get(pid) or f"process {pid}"
