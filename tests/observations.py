"""Observations of any shape, for properties: also such as no real run gives."""

from __future__ import annotations

from hypothesis import strategies as st

from grader.model import (
    CheckResult,
    Descriptor,
    Diagnosis,
    Edge,
    Ending,
    Event,
    Leftover,
    Level,
    Observation,
    Place,
    Process,
    Report,
    State,
    Turn,
    Verdict,
    Wait,
)

TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "", "<script>alert(1)</script>", "a&b\"c'd", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\ud800", "]]>", "-->",
        "\x00\x07", "x" * 300, "日本" * 40, "a\u0300", "</style></svg></title>", "\ufffe\uffff",
    ]
)  # fmt: skip
PIDS = st.integers(0, 9)
TARGETS = (
    st.sampled_from(["pipe:[1]", "pipe:[2]", "pipe:[3]", "fifo:/tmp/f", "socket:[9]", "child:4", ""]) | TEXTS
)
PLACES = st.none() | st.builds(Place, file=TEXTS, line=st.integers(0, 10**6))
CALLS = st.sampled_from(
    ["read", "write", "wait4", "futex", "poll", "fork", "clone", "exit", "killed", "execve"]
)
NUMBERS = st.integers(0, 300)

WAITS = st.builds(Wait, call=CALLS, text=TEXTS, descriptor=st.none() | NUMBERS, target=TARGETS)
DESCRIPTORS = st.builds(
    Descriptor,
    number=NUMBERS,
    kind=st.sampled_from(["pipe", "fifo", "socket", "file", "terminal", "other"]),
    target=TARGETS,
    end=st.sampled_from(["read", "write", "both", ""]),
)
PROCESSES = st.builds(
    Process,
    pid=PIDS,
    parent=PIDS,
    name=TEXTS,
    role=TEXTS,
    state=st.sampled_from(State),
    wait=st.none() | WAITS,
    stuck=st.booleans(),
    descriptors=st.lists(DESCRIPTORS, max_size=6).map(tuple),
    masked=st.lists(TEXTS, max_size=2).map(tuple),
    place=PLACES,
)
EDGES = st.builds(Edge, waiter=PIDS, holder=PIDS, target=TARGETS, descriptor=st.none() | NUMBERS, text=TEXTS)
EVENTS = st.builds(
    Event,
    at_s=st.floats(0, 100),
    pid=PIDS,
    call=CALLS,
    text=TEXTS | st.sampled_from(["fork(): child 4", "wait4(): child 4 reaped: status 0"]),
    place=PLACES,
)
TURNS = st.builds(
    Turn,
    speaker=st.sampled_from(["grader", "program", "error", "event", "client 1", "to client 1"]),
    text=TEXTS,
)
OBSERVATIONS = st.builds(
    Observation,
    argv=st.just(("x",)),
    command=TEXTS,
    ending=st.sampled_from(Ending),
    stdout=st.binary(max_size=40),
    stderr=st.binary(max_size=40),
    processes=st.lists(PROCESSES, max_size=8).map(tuple),
    edges=st.lists(EDGES, max_size=8).map(tuple),
    leftovers=st.lists(st.builds(Leftover, kind=TEXTS, name=TEXTS), max_size=3).map(tuple),
    unreaped=st.lists(PIDS, max_size=3).map(tuple),
    events=st.lists(EVENTS, max_size=8).map(tuple),
    names=st.dictionaries(PIDS, TEXTS, max_size=3),
    turns=st.lists(TURNS, max_size=4).map(tuple),
)
DIAGNOSES = st.builds(
    Diagnosis,
    slug=st.sampled_from(["write-end-left-open", "read-end-left-open", "waits-forever"]) | TEXTS,
    title=TEXTS,
    fact=TEXTS,
    evidence=st.lists(TEXTS, max_size=2).map(tuple),
    why=TEXTS,
    cure=TEXTS,
    section=TEXTS,
    place=PLACES,
)
RESULTS = st.builds(
    CheckResult,
    name=st.from_regex(r"test_[a-z_]{1,20}", fullmatch=True),
    claim=TEXTS,
    verdict=st.sampled_from(Verdict),
    points=st.floats(0, 2),
    max_points=st.floats(0, 4),
    hidden=st.booleans(),
    reason=TEXTS,
    diagnosis=st.none() | DIAGNOSES,
    expected=TEXTS,
    observed=TEXTS,
    observation=st.none() | OBSERVATIONS,
)
REPORTS = st.builds(
    Report,
    lab=TEXTS,
    lab_title=TEXTS,
    lab_version=TEXTS,
    student=TEXTS,
    origin=TEXTS,
    language=st.sampled_from(["python", "c", ""]),
    submission_version=TEXTS,
    level=st.sampled_from(Level),
    notices=st.lists(TEXTS, max_size=2).map(tuple),
    checks=st.lists(RESULTS, max_size=4, unique_by=lambda check: check.name).map(tuple),
)
