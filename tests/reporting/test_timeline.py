"""The history of a run as a list with lines of life."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
from hypothesis import given
from observations import OBSERVATIONS
from reports import hung

from grader.model import Ending, Event, Observation
from grader.reporting.timeline import listed, rows


def history() -> Observation:
    check = hung()
    assert check.observation is not None
    return check.observation


def test_a_line_lives_from_fork_to_exit() -> None:
    found = rows(history())
    assert [(row.event.call, row.line, row.other, row.alive, row.born) for row in found] == [
        ("execve", 0, None, (0,), (0,)),
        ("pipe2", 0, None, (0,), ()),
        ("fork", 0, 1, (0, 1), (1,)),
        ("dup2", 1, None, (0, 1), ()),
        ("fork", 0, 2, (0, 1, 2), (2,)),
        ("exit", 1, None, (0, 1, 2), ()),
    ]
    assert found[-1].ended


def test_a_reaping_leads_to_a_line_that_has_ended() -> None:
    reaped = Event(at_s=0.04, pid=2, call="wait4", text="wait4(): child 3 reaped: status 0")
    seen = history()
    last = rows(msgspec.structs.replace(seen, events=(*seen.events, reaped)))[-1]
    assert (last.line, last.other, last.alive) == (0, 1, (0, 2))


def test_says_in_words_who_did_what_when_and_where() -> None:
    root = ElementTree.fromstring(listed(history()))
    items = ["".join(item.itertext()) for item in root]
    assert items[1] == (
        "0.021 sthe parent (pipeline.py) pipe(): read end 3, write end 4 of pipe:[17] pipeline.py:31"
    )
    hidden = [e for e in root.iter("span") if e.get("class") == "pl-lives"]
    assert {e.get("aria-hidden") for e in hidden} == {"true"}


def test_has_a_line_for_a_child_that_never_did_anything() -> None:
    root = ElementTree.fromstring(listed(history()))
    cells = [e.get("class") for e in root[4].iter("i")]
    assert cells == [
        "pl-life pl-on pl-actor pl-from",
        "pl-life pl-on pl-through",
        "pl-life pl-born pl-other pl-to",
    ]


def test_leaves_out_the_middle_of_a_long_history() -> None:
    event = Event(at_s=0.0, pid=2, call="dup2", text="dup2(4, 1)")
    seen = Observation(argv=(), command="", ending=Ending.EXITED, events=(event,) * 200)
    root = ElementTree.fromstring(listed(seen))
    assert len(root) == 101
    assert "… 100 more" in ["".join(item.itertext()) for item in root]


def test_has_no_lines_for_more_processes_than_there_is_room() -> None:
    events = tuple(Event(at_s=0.0, pid=pid, call="exit", text="exits") for pid in range(30))
    assert "pl-lives" not in listed(Observation(argv=(), command="", ending=Ending.EXITED, events=events))


@given(OBSERVATIONS)
def test_lists_any_history(seen: Observation) -> None:
    made = listed(seen)
    if seen.events:
        assert len(ElementTree.fromstring(made)) == len(seen.events)
    else:
        assert made == ""
