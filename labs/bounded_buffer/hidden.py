"""What only the grader has: more workers, other numbers, and the nasty cases."""

from signal import SIGSTOP

from checks import WAYS, built_by_hand, command, each_item_once, reaped_all, taken, waits_quietly

from grader import diagnose, needs, points
from grader.exploring.schedules import NotDecided


@points(2)
def test_works_with_any_numbers(run):
    """Each item is taken once and in order, whatever the numbers of slots, producers, consumers and items."""
    for capacity, producers, consumers, items in ((1, 6, 7, 12), (3, 1, 8, 30), (100, 7, 1, 9)):
        taken(run(*command(capacity, producers, consumers, items)), producers, consumers, items)


@points(2)
def test_works_with_many_processes(run):
    """The same between processes."""
    for capacity, producers, consumers, items in ((1, 4, 5, 6), (50, 1, 3, 40)):
        ran = run(*command(capacity, producers, consumers, items, "--processes"))
        taken(ran, producers, consumers, items)
        reaped_all(ran)


@points(1)
def test_ends_when_there_is_nothing_to_do(run):
    """With no items at all, every consumer learns of the end, and the program ends."""
    for way in WAYS:
        taken(run(*command(2, 2, 3, 0, way)), 2, 3, 0)


@points(1)
@needs("proc")
def test_processes_wait_without_using_the_processor(start):
    """A process that has to wait for another one sleeps until it is woken."""
    for stopped in (0, -1):
        program = start(*command(2, 1, 1, 100_000, "--processes"))
        program.line()
        seen = program.processes()
        parents = {process.parent for process in seen} | {program.pid}
        workers = [  # a library may have made helpers of its own
            each.pid
            for each in seen
            if each.pid not in parents and "resource_tracker" not in " ".join(each.command)
        ]
        assert workers, diagnose("workers-differ", "With --processes, the program has no child.")
        program.signal(SIGSTOP, workers[stopped])
        waits_quietly(program, "one of its processes was stopped and the others had to wait for it")


@points(3)
def test_keeps_every_item_in_any_schedule_of_processes(run, schedules):
    """In whatever order the processes get their turns, each item is taken exactly once and the program ends."""
    small = ((1, 2, 1, 2), (1, 1, 2, 2))
    try:
        schedules(*(command(*numbers, "--processes") for numbers in small), promise=each_item_once)
    except NotDecided:
        built_by_hand(
            run, "--processes"
        )  # a ready-made queue has threads of its own, whose turns cannot be chosen
        raise


@points(3)
def test_closes_well_in_any_schedule(schedules):
    """Whenever close comes among puts and gets, everybody comes to an end and what was accepted comes out once."""
    three = (("put 1, put 2", "get", "close"), ("get", "get", "close"), ("put 1, put 2", "put 3", "close"))
    schedules(
        *(("driver", "1", *scripts, "--", "put 9, drain") for scripts in three),
        promise=nothing_lost_at_the_end,
    )


def nothing_lost_at_the_end(ran):
    """What was accepted came out once, in order; a put that came after the end was refused."""
    calls = [line.split() for line in ran.out.splitlines()]
    accepted = [words[2] for words in calls if words[1] == "put" and len(words) == 3]
    out = [words[2] for words in calls if words[1] == "get" and words[2] != "closed"]
    told = f"The calls told: {'; '.join(' '.join(words) for words in calls)}."
    assert "9" not in accepted, diagnose("put-after-close", told)
    twice = {item for item in out if out.count(item) > 1}
    assert not twice, diagnose("item-doubled", told)
    assert not set(out) - set(accepted), diagnose("item-invented", told)
    assert not set(accepted) - set(out), diagnose("close-loses-items", told)
