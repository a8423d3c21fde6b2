"""What a student calls the things that steps touch, found from addresses and the lines that use them."""

from __future__ import annotations

import pytest

from grader.exploring.controller import Kind
from grader.exploring.naming import Catalogue, Source, Told
from grader.model import Place

TEXT = b"""\
struct buffer { int count, in; long slots[4]; pthread_mutex_t lock; pthread_cond_t full; };
static int total; static pthread_mutex_t forks[2];
static void put(struct buffer *b, long item) {
    while (b->count == 4) pthread_cond_wait(&b->full, &b->lock);
    b->slots[b->in] = item;
    b->in = (b->in + 1) % 4;
    ++b->count; // b->in
    total += "b->count"[0];
    down(&b->lock);
    pthread_mutex_lock(ready ? &b->lock : other);
    *item = total;
}
static void down(pthread_mutex_t *m) {
    pthread_mutex_lock(m);
}
"""
ROWS = b"victim.c:\nFile name   Line number    Starting address    View    Stmt\n" + b"".join(
    b"victim.c    %d    0x%x    x\n" % (line, 0x1000 + 16 * line) for line in range(1, 16)
)
SYMBOLS = b"""\
0000000000005000 0000000000000004 b total
0000000000006000 0000000000000050 b forks
0000000000001000 0000000000000020 t put
nonsense
"""


@pytest.fixture
def source() -> Source:
    return Source(ROWS, SYMBOLS, {"victim.c": TEXT})


def at(line: int, caller: int = 0) -> tuple[int, int]:
    """The return addresses of a call on a line."""
    return 0x1000 + 16 * line + 5, 0x1000 + 16 * caller + 5 if caller else 0


def memory(address: int) -> tuple[int, int, int]:
    return Kind.MEMORY, 0, address


def test_a_place_is_the_line_of_the_call(source: Source) -> None:
    assert source.place(at(5)) == Place(file="victim.c", line=5)
    assert source.place((0x20, 0)) is None
    assert source.place((0x900000, 0)) is None
    assert source.place("nonsense") is None


def test_a_helper_with_a_parameter_is_told_by_its_caller(source: Source) -> None:
    assert source.place(at(14, caller=9)) == Place(file="victim.c", line=9)
    assert source.place(at(10, caller=9)) == Place(file="victim.c", line=10)


@pytest.mark.parametrize(
    ("uses", "name"),
    [
        ([(at(4), False), (at(7), True)], "count"),
        ([(at(5), False), (at(6), True)], "in"),
        ([(at(5), True)], "slots[]"),
        ([(at(5), False)], "in"),
        ([(at(7), True)], "count"),
        ([(at(11), True)], "*item"),
        ([(at(6), False), (at(7), True)], ""),
        ([(at(9), False)], "lock"),
        ([], ""),
    ],
)
def test_memory_has_the_name_that_all_lines_agree_on(source: Source, uses: list, name: str) -> None:
    assert source.thing(memory(0x777000), uses) == name


def test_a_global_variable_has_its_own_name(source: Source) -> None:
    assert source.thing(memory(0x5000), [(at(5), True)]) == "total"


def test_locks_and_conditions_are_named_by_their_calls(source: Source) -> None:
    assert source.thing((Kind.CONDITION, 0, 0x8000), [(at(4), True)]) == "full"
    assert source.thing((Kind.LOCK, 0, 0x8100), [(at(4), True)]) == "lock"
    assert source.thing((Kind.LOCK, 0, 0x8100), [(at(14, caller=9), True), (at(4), True)]) == "lock"


def test_no_two_things_share_a_name(source: Source) -> None:
    first, second, third = (Kind.LOCK, 0, 0x6000), (Kind.LOCK, 0, 0x6028), (Kind.LOCK, 0, 0x9000)
    names = Catalogue(source, {}, {})
    assert [names[key] for key in (first, second, third, first)] == [
        "lock forks",
        "lock forks 2",
        "lock 1",
        "lock forks",
    ]
    assert names[Kind.NONE, 0, 0] == ""


def test_a_thing_that_tells_its_name_has_that() -> None:
    key = (Kind.SEMAPHORE, -1, 7)
    assert Catalogue(Told(), {}, {key: "/full"})[key] == "semaphore /full"


def test_what_python_tells_is_taken_and_bounded() -> None:
    told = Told()
    raw = told.raw(12, 0, b"buffer.py\tcount")
    assert told.place(raw) == Place(file="buffer.py", line=12)
    assert told.place(told.raw(0, 0, b"")) is None
    other = told.raw(2**63, 0, b"\xff" * 255)
    assert told.place(other) is not None
    assert (
        told.thing(memory(1), [(raw, True), (told.raw(13, 0, b"buffer.py\tcount"), False), (other, False)])
        == "count"
    )


def test_a_hostile_table_gives_no_names() -> None:
    garbage = bytes(range(256)) * 50
    source = Source(
        garbage + b"\nx 99999999999999 0x10\n", garbage + b"\nffffffffffffffffffff 0 b x\n", {"v.c": garbage}
    )
    assert source.place((0x15, 0)) is None
    assert source.thing(memory(5), [((0x15, 0), True)]) == ""
