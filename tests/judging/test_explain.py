"""From facts to a diagnosis: each rule on facts made by hand, and no facts that any rule stumbles over."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from grader.judging import explain
from grader.model import (
    Descriptor,
    DiagnosisKind,
    Edge,
    Ending,
    Event,
    Leftover,
    Observation,
    Process,
    State,
    Wait,
)


class _AnySlug(dict[str, DiagnosisKind]):
    """A table that knows every slug: these tests are about which one is chosen."""

    def __missing__(self, slug: str) -> DiagnosisKind:
        return DiagnosisKind(slug=slug, title=slug, why="", cure="")


KINDS = _AnySlug()
PIPE = "pipe:[7]"


def _process(pid: int, name: str, wait: Wait | None = None, role: str = "", **more: object) -> Process:
    state = State.BLOCKED if wait else State.RUNNING
    return Process(pid=pid, parent=0, name=name, state=state, wait=wait, role=role, stuck=bool(wait), **more)  # type: ignore[arg-type]


def _seen(ending: Ending, **facts: object) -> Observation:
    return Observation(argv=("x",), command="x", ending=ending, **facts)  # type: ignore[arg-type]


def _read(target: str = PIPE) -> Wait:
    return Wait(call="read", text="data or end-of-file on the pipe", descriptor=0, target=target)


def _slug(seen: Observation, **options: object) -> str | None:
    found = explain.fault(seen, KINDS, **options)  # type: ignore[arg-type]
    return found.slug if found else None


def test_a_clean_run_has_no_fault() -> None:
    assert _slug(_seen(Ending.EXITED, status=0)) is None
    assert _slug(_seen(Ending.EXITED, status=3), status=3) is None
    assert _slug(_seen(Ending.EXITED, status=3), status=None) is None
    assert _slug(_seen(Ending.STOPPED)) is None


def test_a_write_end_in_the_parent() -> None:
    seen = _seen(
        Ending.HUNG,
        processes=(
            _process(2, "p.py", Wait(call="wait4", text="stage 2 to end", target="child:4"), "the parent"),
            _process(4, "wc", _read(), "stage 2"),
        ),
        edges=(
            Edge(waiter=2, holder=4, target="child:4", text=""),
            Edge(waiter=4, holder=2, target=PIPE, descriptor=4, text=""),
        ),
        events=(Event(at_s=0, pid=2, call="pipe2", text=f"pipe(): read end 3, write end 4 of {PIPE}"),),
    )
    found = explain.fault(seen, KINDS)
    assert found is not None
    assert found.slug == "write-end-left-open"
    assert found.fact == (
        "Stage 2 (wc) waits for end-of-file on the pipe; its write end is still open in the parent (p.py), descriptor 4."
    )
    assert "the parent (p.py) made this pipe: read end 3, write end 4" in found.evidence


def test_the_proper_writer_is_not_accused() -> None:
    """A writer that has the pipe as its standard output is upstream, not at fault."""
    seen = _seen(
        Ending.HUNG,
        processes=(_process(3, "cat", _read("pipe:[1]")), _process(4, "wc", _read())),
        edges=(
            Edge(waiter=4, holder=3, target=PIPE, descriptor=1, text=""),
            Edge(waiter=3, holder=4, target="pipe:[1]", descriptor=5, text=""),
        ),
    )
    found = explain.fault(seen, KINDS)
    assert found is not None
    assert found.fact.startswith("cat[3] waits")


def test_a_full_pipe_without_a_reader() -> None:
    full = Wait(call="write", text="space in the pipe, which is full", descriptor=1, target=PIPE)
    waiting = Wait(call="wait4", text="stage 1 to end", target="child:3")
    seen = _seen(
        Ending.HUNG,
        processes=(_process(2, "p.py", waiting, "the parent"), _process(3, "yes", full, "stage 1")),
        edges=(Edge(waiter=3, holder=2, target=PIPE, descriptor=3, text=""),),
    )
    assert _slug(seen) == "waits-before-reading"
    had_reader = (Event(at_s=0, pid=4, call="dup2", text=f"dup2(3, 0): 0 is now {PIPE}"),)
    assert (
        _slug(_seen(Ending.HUNG, processes=seen.processes, edges=seen.edges, events=had_reader))
        == "read-end-left-open"
    )


def test_waiting_for_the_grader_is_an_answer_held_back() -> None:
    seen = _seen(
        Ending.HUNG,
        processes=(_process(2, "p.py", _read("pipe:[1]")),),
        edges=(Edge(waiter=2, holder=0, target="pipe:[1]", text=""),),
    )
    assert _slug(seen) == "output-held-back"


def test_anything_else_tells_what_everybody_waits_for() -> None:
    seen = _seen(Ending.HUNG, processes=(_process(2, "p.py", Wait(call="pause", text="a signal")),))
    found = explain.fault(seen, KINDS)
    assert found is not None
    assert found.slug == "waits-forever"
    assert found.evidence == ("p.py[2] waits for a signal (pause)",)


def test_busy_and_slow_are_told_apart() -> None:
    busy = (_process(2, "p.py"),)
    assert _slug(_seen(Ending.TIMED_OUT, within_s=2, cpu_s=1.9, processes=busy)) == "spins"
    assert _slug(_seen(Ending.TIMED_OUT, within_s=2, cpu_s=0.1, processes=busy)) == "too-slow"


def test_the_order_is_time_crash_evidence() -> None:
    left = (Leftover(kind="message queue", name="id 0"),)
    orphan = (_process(5, "sleep"),)
    assert _slug(_seen(Ending.FLOODED, leftovers=left)) == "too-much-output"
    assert _slug(_seen(Ending.SIGNALLED, signal="SIGSEGV", leftovers=left)) == "killed-by-signal"
    assert _slug(_seen(Ending.EXITED, status=1, leftovers=left)) == "nonzero-exit"
    assert _slug(_seen(Ending.EXITED, status=0, leftovers=left, processes=orphan)) == "process-left-behind"
    assert _slug(_seen(Ending.EXITED, status=0, leftovers=left)) == "object-left-behind"
    assert (
        _slug(_seen(Ending.EXITED, status=0, leftovers=left), allow=frozenset({"object-left-behind"})) is None
    )


def test_a_traceback_gives_the_students_own_last_line() -> None:
    text = (
        b'Traceback (most recent call last):\n  File "/lab/pipeline.py", line 31, in <module>\n    main()\n'
        b'  File "/usr/lib/python3.11/os.py", line 9, in x\nOSError: [Errno 9] Bad file descriptor\n'
    )
    found = explain.fault(_seen(Ending.EXITED, status=1, stderr=text), KINDS)
    assert found is not None
    assert (found.slug, str(found.place)) == ("uncaught-exception", "pipeline.py:31")
    assert found.fact.endswith("OSError: [Errno 9] Bad file descriptor.")


def test_the_skeleton_is_told_apart_from_a_crash() -> None:
    python = b'Traceback (most recent call last):\n  File "/lab/p.py", line 3, in f\nNotImplementedError: f\n'
    assert _slug(_seen(Ending.EXITED, status=1, stderr=python)) == "not-implemented"
    assert _slug(_seen(Ending.EXITED, status=70, stderr=b"p.c:9: YOUR CODE HERE\n")) == "not-implemented"


WORDS = st.sampled_from(["data or end-of-file on x", "space in x, which is full", "a signal", ""])
TARGETS = st.sampled_from([PIPE, "pipe:[8]", "socket:[1]", "child:3", ""])
WAITS = st.none() | st.builds(
    Wait, call=st.sampled_from(["read", "write", "wait4", "poll", "futex"]), text=WORDS, target=TARGETS
)
PROCESSES = st.builds(
    Process,
    pid=st.integers(2, 5),
    parent=st.integers(0, 5),
    name=st.text(max_size=3),
    role=st.sampled_from(["", "stage 1"]),
    state=st.sampled_from(State),
    wait=WAITS,
    stuck=st.booleans(),
    descriptors=st.tuples(
        st.builds(Descriptor, number=st.integers(0, 5), kind=st.just("pipe"), target=TARGETS)
    ),
)
EDGES = st.builds(
    Edge,
    waiter=st.integers(0, 6),
    holder=st.integers(0, 6),
    target=TARGETS,
    descriptor=st.none() | st.integers(0, 5),
    text=WORDS,
)
OBSERVATIONS = st.builds(
    Observation,
    argv=st.just(("x",)),
    command=st.just("x"),
    ending=st.sampled_from(Ending),
    status=st.none() | st.integers(0, 255),
    signal=st.just("SIGTERM"),
    stderr=st.binary(max_size=20),
    processes=st.lists(PROCESSES, max_size=4, unique_by=lambda process: process.pid).map(tuple),
    edges=st.lists(EDGES, max_size=5).map(tuple),
)


@settings(derandomize=True, database=None, deadline=None)
@given(OBSERVATIONS)
def test_no_facts_are_too_strange(seen: Observation) -> None:
    found = explain.fault(seen, KINDS)
    assert found is None or found.fact
    assert explain.conversation(seen, KINDS, "a line").slug
