"""What `bounded_buffer` promises, as far as students may see and run it."""

import re
from collections import Counter
from itertools import pairwise
from signal import SIGTERM

from grader import diagnose, needs, points

SLUG = "bounded_buffer"
WAYS = ("--threads", "--processes")
LINE = re.compile(r"consumer-(\d+) producer-(\d+) (\d+)")


def command(capacity, producers, consumers, items, *way):
    """The program's name and arguments."""
    numbers = {"capacity": capacity, "producers": producers, "consumers": consumers, "items": items}
    return (SLUG, *(word for name, number in numbers.items() for word in (f"--{name}", str(number))), *way)


# ---------------------------------------------------------------- what the program printed


def taken(ran, producers, consumers, items, whole=True):
    """Each item was taken once, and each consumer got each producer's items in order.

    :param whole: all items were to come out, for nobody ended the program before
    """
    crashed = "Traceback (most recent call last)" in ran.err
    assert not crashed, diagnose(
        "worker-crashed", f"A worker was ended by an exception: {_exception(ran.err)}."
    )
    found = []
    for line in ran.out.splitlines(keepends=True):
        match = LINE.fullmatch(line.removesuffix("\n"))
        good = match is not None and line.endswith("\n")
        if good:
            consumer, producer, number = map(int, match.groups())
            good = consumer < consumers and producer < producers
        assert good, diagnose(
            "line-malformed",
            f"The program printed {line!r}; with {producers} producers and {consumers} consumers, "
            "'consumer-0 producer-0 42' is a right line.",
        )
        assert number < items, diagnose(
            "item-invented", f"Item {number} of producer {producer} came out; its items are 0 to {items - 1}."
        )
        found.append((consumer, producer, number))
    times = Counter((producer, number) for _, producer, number in found)
    twice = [item for item, count in times.items() if count > 1]
    assert not twice, diagnose("item-doubled", _which(twice, "came out more than once", producers * items))
    for (consumer, producer), numbers in _by_pair(found).items():
        wrong = [pair for pair in pairwise(numbers) if pair[0] > pair[1]]
        assert not wrong, diagnose(
            "order-broken",
            f"Consumer {consumer} got item {wrong[0][0]} of producer {producer} before its item {wrong[0][1]}.",
        )
    missing = [
        (producer, number)
        for producer in range(producers)
        for number in range(items)
        if (producer, number) not in times
    ]
    assert not whole or not missing, diagnose(
        "item-lost", _which(missing, "never came out", producers * items)
    )
    return found


def _exception(text):
    """The last exception of a traceback, and the last line of the student's own file in it."""
    last = next((line for line in reversed(text.splitlines()) if line and not line.startswith(" ")), "")
    lines = re.findall(rf"{SLUG}\.py\", line (\d+)", text)
    return f"{last} ({SLUG}.py, line {lines[-1]})" if lines else last


def _which(items, what, total):
    producer, number = items[0]
    return f"Item {number} of producer {producer} {what}" + (
        f"; so did {len(items) - 1} more of the {total}."
        if len(items) > 1
        else f", as the only one of {total}."
    )


def _by_pair(found):
    pairs = {}
    for consumer, producer, number in found:
        pairs.setdefault((consumer, producer), []).append(number)
    return pairs


def reaped_all(ran):
    """Every child was waited for; helpers that a library starts as programs of their own do not count."""
    helpers = {entry.pid for entry in ran.history.execs} if ran.history else set()
    left = [pid for pid in ran.seen.unreaped if pid not in helpers]
    assert not left, diagnose(
        "child-not-reaped", f"The program ended without having waited for {len(left)} of its processes."
    )


# ---------------------------------------------------------------- what the driver says


class Threads:
    """A BoundedBuffer and threads that call it: `tell` begins a call and gives all results that come of it."""

    def __init__(self, start, capacity):
        self.driver = start("driver", str(capacity), within=2)
        self._seen = 1
        assert self.driver.line() == "ready"

    def tell(self, *scripts):
        """Begin each script in a thread of its own; the lines that have come when nothing moves any more."""
        for script in scripts:
            self.driver.send(script + "\n")
        if (
            self.driver.program.settle(within=1).name != "TIMED_OUT"
        ):  # a loop that never rests waits in its way
            # Who sleeps for a time may be about to look: only after a while that is taken for its waiting.
            self.driver.until(lambda seen: all(process.state == "blocked" for process in seen), within=0.5)
            self.driver.settle()
        new = self.driver.out.splitlines()[self._seen :]
        self._seen += len(new)
        return new


# ---------------------------------------------------------------- the program


@points(1)
def test_moves_one_item(run):
    """One item goes from one producer through one slot to one consumer, and is printed as promised."""
    ran = run(*command(1, 1, 1, 1))
    taken(ran, 1, 1, 1)


@points(2)
def test_takes_each_item_once(run):
    """With several producers and consumers in threads, each item is taken exactly once."""
    for way in ((), ("--threads",)):
        taken(run(*command(2, 3, 2, 4, *way)), 3, 2, 4)


@points(1)
def test_keeps_each_producers_order(run):
    """A consumer gets the items of a producer in the order in which they were made."""
    taken(run(*command(3, 1, 1, 20)), 1, 1, 20)


@points(2)
def test_moves_items_between_processes(run):
    """With --processes, each item is taken exactly once too, and every process is waited for."""
    ran = run(*command(2, 3, 2, 4, "--processes"))
    taken(ran, 3, 2, 4)
    reaped_all(ran)


@points(2)
@needs("trace")
def test_starts_threads_or_processes_as_told(run):
    """Each producer and each consumer is a thread, or with --processes a process."""
    for way in WAYS:
        ran = run(*command(2, 2, 3, 0, way))
        programs = {entry.pid for entry in ran.history.execs}
        processes = [call for call in ran.history.forks if call.result not in programs]
        threads = [c for c in ran.history.calls if "CLONE_THREAD" in c.arguments and c.result and not c.error]
        wanted, other = (processes, threads) if way == "--processes" else (threads, processes)
        enough = len(wanted) >= 4  # the main one may do a worker's work itself
        right = enough and not (way == "--threads" and other)
        assert right, diagnose(
            "workers-differ",
            f"With {way}, 2 producers and 3 consumers, the program made {len(threads)} threads "
            f"and {len(processes)} processes.",
        )


@points(1)
def test_refuses_wrong_arguments(run):
    """A number that is missing, too small or no number is a usage error: status 2 and the usage."""
    taken(run(*command(2, 1, 1, 3)), 1, 1, 3)
    wrong = [
        (SLUG,), command(0, 1, 1, 1), command(1, 1, 1, -1), command("2x", 1, 1, 1), command(1, 1, 1, 1, *WAYS),
    ]  # fmt: skip
    for arguments in wrong:
        ran = run(*arguments, status=None)
        assert ran.status == 2, diagnose(
            "wrong-argument-accepted", f"'{' '.join(arguments)}' gave status {ran.status} instead of 2."
        )
        ran.says("(?i)usage")


@points(2)
def test_ends_at_sigterm(start):
    """SIGTERM in the middle of the work ends the program with status 0 and leaves nothing behind."""
    for way in WAYS:
        program = start(*command(2, 1, 1, 200_000, way), within=20)
        program.line()
        program.signal(SIGTERM)
        stuck_in_output(program)  # which nobody reads: so it gets no further before it has seen the signal
        ran = program.ended(status=None, allow={"killed-by-signal"})
        assert ran.status == 0, diagnose(
            "sigterm-not-obeyed",
            f"With {way}, SIGTERM ended the program "
            + (f"by {ran.seen.signal}, uncaught" if ran.seen.signal else f"with status {ran.status}")
            + "; it is to end with status 0.",
        )
        reaped_all(ran)
        lines = ran.out.splitlines(keepends=True)
        assert lines[-1].endswith("\n"), diagnose(
            "line-malformed",
            f"With {way}, the last line before the end is {lines[-1]!r}, without its newline.",
        )
        assert len(lines) < 200_000, diagnose(
            "sigterm-not-obeyed",
            f"With {way}, the program went on after SIGTERM until all its work was done.",
        )


def stuck_in_output(program):
    """Wait until everything waits, without reading what the program writes: that soon fills the pipe."""
    quiet = 0
    for _ in range(500):
        quiet = 0 if any(process.state == "running" for process in program.processes()) else quiet + 1
        if quiet == 3:
            break


# ---------------------------------------------------------------- the buffer


@points(2)
def test_holds_exactly_as_many_items_as_slots(start):
    """N puts go into a buffer of N slots at once; the next one waits until something is taken."""
    for capacity in (3, 1):
        threads = Threads(start, capacity)
        items = ", ".join(f"put {number}" for number in range(capacity))
        accepted = threads.tell(f"a {items}")
        assert len(accepted) == capacity, diagnose(
            "one-slot-unused",
            f"A buffer of {capacity} took {len(accepted)} of {capacity} items at once; then put waited.",
        )
        assert not threads.tell("b put 99"), diagnose(
            "overfull-buffer", f"A buffer of {capacity} that held {capacity} items took one more at once."
        )
        after = threads.tell("c get")
        got = next((line for line in after if line.startswith("c get")), None)
        assert got, diagnose(
            "waits-forever",
            "The buffer was full and a put waited for a slot. Then get waits too, and all threads sleep.",
        )
        assert got == "c get 0", diagnose(
            "order-broken",
            f"A buffer of {capacity} was filled, the oldest item was 0; the first get told {got!r}.",
        )
        assert "b put 99" in after, diagnose(
            "waiter-not-woken",
            "A put waited for a free slot. Then a get took an item out, and all threads sleep: the put as well.",
        )


@points(1)
def test_gives_items_in_order(run):
    """What was put in first comes out first, also after the slots have been used many times."""
    for capacity in (1, 3):
        calls = ["put 0", *(call for number in range(1, 12) for call in (f"put {number}", "get")), "get"]
        if capacity == 1:
            calls = [call for number in range(12) for call in (f"put {number}", "get")]
        ran = run("driver", str(capacity), ", ".join(calls))
        out = [int(number) for number in re.findall(r"a get (\d+)", ran.out)]
        in_order = out == list(range(12))
        assert in_order, diagnose(
            "order-broken", f"0 to 11 were put into a buffer of {capacity} in this order. Out came: {out}."
        )


@points(2)
def test_get_waits_for_a_put(start):
    """A get on an empty buffer waits, and one put wakes it and hands it the item."""
    threads = Threads(start, 2)
    early = threads.tell("a get", "b get")
    assert not early, diagnose("item-invented", f"The buffer was empty, and a get did not wait: {early}.")
    for item in (7, 8):
        after = threads.tell(f"c put {item}")
        assert f"c put {item}" in after, diagnose(
            "waiter-not-woken", "The buffer was empty, and a put waits, with two gets that wait for it."
        )
        got = [line for line in after if " get " in line]
        assert got, diagnose(
            "waiter-not-woken",
            f"A get waited for an item. Then {item} was put in, and all threads sleep: the get as well.",
        )
        wrong = len(got) > 1 or not got[0].endswith(f" get {item}")
        assert not wrong, diagnose(
            "item-invented", f"Two gets waited, {item} was put in. What came out: {got}."
        )


@points(2)
def test_close_wakes_everybody_who_waits(start):
    """close wakes every get that waits for an item and every put that waits for a slot, and each says Closed."""
    for fill, call in (("", "get"), ("a put 1", "put 2")):
        threads = Threads(start, 1)
        first = threads.tell(fill) if fill else []
        assert first == ([fill] if fill else []), diagnose("one-slot-unused", "A buffer of 1 took no item.")
        early = threads.tell(*(f"{name} {call}" for name in "bcd"))
        assert not early, diagnose(
            "item-invented" if call == "get" else "overfull-buffer",
            f"The buffer was {'full' if fill else 'empty'}, and a {call.split()[0]} did not wait: {early}.",
        )
        after = threads.tell("e close")
        assert "e close" in after, diagnose(
            "close-wakes-nobody", "close itself does not come back, and all threads sleep."
        )
        closed = [line for line in after if line.endswith(f"{call} closed")]
        others = [line for line in after if line not in closed and line != "e close"]
        assert not others, diagnose(
            "item-invented" if call == "get" else "put-after-close",
            f"Three threads waited in {call.split()[0]} when the buffer was closed. What came of it: {others[0]!r}.",
        )
        assert len(closed) == 3, diagnose(
            "close-wakes-nobody",
            f"Three threads waited in {call.split()[0]} when the buffer was closed; {len(closed)} of them came back, "
            "the others sleep on.",
        )


@points(1)
def test_gives_what_is_left_after_close(run):
    """After close, get still gives what is in the buffer and only then says Closed; put says so at once."""
    ran = run("driver", "3", "put 1, put 2, close, put 3, get, get, get, put 4, get, close")
    lines = [line.split(maxsplit=1)[1] for line in ran.out.splitlines()]
    assert lines[:3] == ["put 1", "put 2", "close"], diagnose(
        "unexpected-behaviour", f"The calls told: {lines}"
    )
    late = [line for line in lines if line.startswith(("put 3", "put 4")) and not line.endswith("closed")]
    assert not late, diagnose("put-after-close", f"After close, a put told: {late}.")
    out = [line.removeprefix("get ") for line in lines if line.startswith("get")]
    drained = out[:2] == ["1", "2"]
    assert drained, diagnose(
        "close-loses-items",
        f"1 and 2 were in the buffer when it was closed; the gets told: {', '.join(out)}.",
    )
    over = out[2:] == ["closed", "closed"]
    assert over, diagnose(
        "item-invented", f"The buffer was closed and empty; the gets told: {', '.join(out[2:])}."
    )


@points(2)
def test_waits_without_using_the_processor(start):
    """A get on an empty buffer and a put on a full one sleep until they are woken."""
    for call, calls in (("get", "a get"), ("put", "a put 1, put 2")):
        driver = start("driver", "1", within=2)
        assert driver.line() == "ready"
        driver.send(calls + "\n")
        waits_quietly(driver, f"a {call} waits")
        if call == "put":
            assert "a put 1\n" in driver.out, diagnose("one-slot-unused", "A buffer of 1 took no item.")


def waits_quietly(program, who):
    """Everybody has to wait; nobody uses the processor meanwhile, or wakes up to look."""
    program.program.settle(within=0.5)  # a loop that waits for nothing never does
    idle = program.program.idle(0.4)
    quiet = idle.cpu_s < 0.02 and idle.wakeups <= 3
    assert quiet, diagnose(
        "busy-waiting",
        f"While {who}, for 0.4 s, the program used the processor for {idle.cpu_s:.2f} s "
        f"and woke up {idle.wakeups} times.",
    )


@points(1)
@needs("trace")
def test_uses_no_ready_made_queue(run):
    """The buffer is built from memory, locks, conditions or semaphores: no queue, pool or manager does it."""
    for way in WAYS:
        ran = built_by_hand(run, way)
        lines = ran.out.splitlines()
        assert sum(bool(LINE.fullmatch(line)) for line in lines) == 6, diagnose(
            "item-lost", f"With {way}, 6 items were made, and {len(lines)} lines were printed."
        )


def built_by_hand(run, way):
    """The program, after a look at what it has loaded of ready-made queues."""
    ran = run("driver", "--program", *command(2, 1, 1, 6, way)[1:])
    loaded = [
        name for line in ran.out.splitlines() if line.startswith("loaded ") for name in line.split()[1:]
    ]
    kernel = (
        [call.name for call in ran.history.calls if call.name in ("msgget", "mq_open")] if ran.history else []
    )
    assert not loaded + kernel, diagnose(
        "uses-ready-made-queue", f"With {way}, the program uses {', '.join(loaded + kernel)}."
    )
    return ran


# ---------------------------------------------------------------- in every schedule


@points(3)
def test_keeps_every_item_in_any_schedule(schedules):
    """In whatever order the threads get their turns, each item is taken exactly once and the program ends."""
    small = ((1, 1, 1, 2), (1, 2, 1, 2), (1, 1, 2, 2), (1, 2, 2, 1))
    schedules(*(command(*numbers, "--threads") for numbers in small), promise=each_item_once)


def each_item_once(ran):
    """Whatever its numbers were, the program kept its promise."""
    given = dict(pairwise(ran.seen.argv))
    taken(ran, *(int(given[f"--{name}"]) for name in ("producers", "consumers", "items")))


@points(2)
def test_lets_one_in_at_a_time(run, schedules):
    """Two threads that put, two that get, and one of each do not disturb each other, with room for all of them."""
    alone = run("driver", "3", "put 1, put 2, close, drain")
    out = re.findall(r"^a get (\d+)$", alone.out, re.MULTILINE)
    both = {"1", "2"} <= set(out)
    assert both, diagnose(
        "item-lost", f"One thread alone put in 1 and 2, closed and drained. What came out: {', '.join(out)}."
    )
    python = alone.seen.argv[-3].endswith(".py")
    slug = "works-only-by-accident" if python else "no-mutual-exclusion"
    two = (("put 1", "put 2"), ("put 1, put 2", "--", "get", "get"), ("put 1", "--", "put 2", "get"))
    schedules(
        *(("driver", "3", *scripts, "--", "close, drain") for scripts in two),
        promise=lambda ran: both_came_out(ran, slug),
    )


def both_came_out(ran, slug):
    """1 and 2 were put in, and came out once each."""
    out = sorted(re.findall(r"^\w get (\d+)$", ran.out, re.MULTILINE))
    once = out == ["1", "2"]
    assert once, diagnose(slug, f"1 and 2 were put into a buffer of 3. What came out: {', '.join(out)}.")
