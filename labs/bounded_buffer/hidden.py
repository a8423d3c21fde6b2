"""What only the grader has: more workers, other numbers, and the nasty cases."""

from signal import SIGSTOP

from checks import WAYS, command, reaped_all, taken, waits_quietly

from grader import needs, points


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
        taken(run(*command(2, 2, 2, 1, way)), 2, 2, 1)
        taken(run(*command(2, 2, 3, 0, way)), 2, 3, 0)


@points(1)
@needs("proc")
def test_processes_wait_without_using_the_processor(start):
    """A process that has to wait for another one sleeps until it is woken."""
    for stopped in (0, 1):
        program = start(*command(2, 1, 1, 100_000, "--processes"))
        program.line()
        workers = [process.pid for process in program.processes() if process.parent == program.pid]
        program.signal(SIGSTOP, workers[stopped % len(workers)])
        waits_quietly(program, "one of its processes was stopped and the others had to wait for it")
