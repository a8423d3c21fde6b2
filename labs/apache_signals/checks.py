"""What `apache_signals` promises, as far as students may see and run it."""

import contextlib
import re
import signal
from collections import namedtuple

from grader import diagnose, needs, points

HUP, INT, TERM, USR1 = signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT

Answer = namedtuple("Answer", "pid generation message")


def configuration(**changed):
    """A configuration file; a setting of None is left out."""
    settings = {"port": 0, "workers": 3, "pidfile": "server.pid", "logfile": "server.log", "message": "hello"}
    return "".join(f"{key} {value}\n" for key, value in (settings | changed).items() if value is not None)


def serving(start, **settings):
    """A server that is ready and waits."""
    server = start("apache_signals", "--config", "a.conf", files={"a.conf": configuration(**settings)})
    server.ready()
    server.settle()
    return server


def of(processes, server):
    """The children of the parent that live."""
    return {each.pid for each in processes if each.parent == server.pid and each.state != "zombie"}


def children(server):
    """The parent's children now."""
    return of(server.processes(), server)


def ask(server, line="hi"):
    """Send a request, and read the answer until the server closes the connection."""
    client = server.connect()
    client.send(f"{line}\n")
    return answer(client)


def answer(client):
    """What a client was answered."""
    text = client.rest_of()
    found = re.fullmatch(r"(\d+) (\d+) ([^\n]*)\n", text)
    assert found, diagnose("wrong-answer", f"{client.name} got {text!r}, and not 'PID GENERATION MESSAGE'.")
    return Answer(int(found[1]), int(found[2]), found[3])


def busy(server, seconds=60):
    """A client whose request is being served, and takes a little longer."""
    while True:
        client = server.connect()
        client.send(f"slow {seconds}\n")
        server.settle()
        if not client.unread:
            return client
        seconds *= 2  # the machine is so loaded that it is over already


def finished(client, cause, slug="request-cut"):
    """The answer to a request that was being served when something happened which must not cut it."""
    client.gone()
    assert client.unread, diagnose(
        slug, f"The request of {client.name} was in progress, and {cause} cut it: there was no answer."
    )
    return answer(client)


def lives(server, cause, slug="parent-ended-by-restart"):
    """The parent has not ended."""
    if server.program.alive:
        return
    ran = server.ended(status=None, allow={"killed-by-signal", "memory-limit-reached", "process-left-behind"})
    how = f"was ended by {ran.seen.signal}" if ran.seen.signal else f"ended with status {ran.status}"
    last = ran.err.strip().rpartition("\n")[2]
    said = f" The last line of standard error: {last}" if last else ""
    raise AssertionError(diagnose(slug, f"After {cause} the parent {how}.{said}"))


def renewed(server, old, number, count=None, within=3.0, log="server.log"):
    """Wait until all children of before have gone, and new ones are there: so many, or any number. The new ones."""
    now = set()

    def as_promised(processes):
        now.clear()
        now.update(of(processes, server))
        return not now & old and (len(now) == count if count else bool(now))

    reached = server.until(as_promised, within=within)
    if reached and count:
        server.program.settle()  # it may only have passed that number
        reached = as_promised(server.processes())
    if not reached:
        lives(server, number.name)
        if now >= old:
            doing = not_stuck(server, number)
            served, begun = ask(server).generation, newest(server.read(log))
            assert begun > served, diagnose(
                "signal-lost",
                f"{number.name} was sent, and all children are still those of before: {doing}.",
            )
        assert not now & old, diagnose(
            "old-children-serve-on",
            f"After {number.name} the server still has {listed(now & old)} of before.",
        )
        promised = f"; the configuration says {count}" if count else ""
        raise AssertionError(
            diagnose(
                "wrong-number-of-children", f"After {number.name} there are {len(now)} children{promised}."
            )
        )
    return now


def newest(log):
    """The newest generation that a log tells of."""
    return max((int(number) for number in re.findall(r"generation (\d+)", log)), default=0)


def parent(server):
    """What the parent is doing, in words."""
    for each in server.processes():
        if each.pid == server.pid and each.wait is not None:
            return f"the parent waits for {each.wait.text} ({each.wait.call})"
    return "the parent is busy"


def not_stuck(server, number):
    """What the parent is doing, which must not be to wait for a child that does not end."""
    doing = parent(server)
    assert "(wait" not in doing, diagnose(
        "waits-forever", f"{number.name} was sent, and {doing}, which it does not."
    )
    return doing


def to_child(server, number, child):
    """Send a signal to a child, if it has not ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        server.signal(number, child)


def listed(pids):
    """Children as a message names them."""
    if not pids:
        return ""
    return ("child " if len(pids) == 1 else "children ") + ", ".join(str(pid) for pid in sorted(pids))


# ---------------------------------------------------------------- serving


@points(2)
@needs("proc")
def test_answers_each_request(start):
    """Each client is answered with the id of a child, the generation and the message, and the connection is closed."""
    server = serving(start, message="good morning, all")
    mine = children(server)
    for line in ("hi", "", "slow", "slow 0", "slow 0.01"):
        got = ask(server, line)
        assert got.message == "good morning, all", diagnose(
            "wrong-answer", f"The message was {got.message!r}."
        )
        assert got.generation == 1, diagnose(
            "wrong-generation", f"The first generation called itself {got.generation}."
        )
        assert got.pid != server.pid, diagnose("parent-serves", f"{got.pid} answered, which is the parent.")
        assert got.pid in mine, diagnose(
            "not-pre-forked",
            f"Process {got.pid} answered; before the client came the parent had {listed(mine) or 'no children'}.",
        )


@points(2)
@needs("proc")
def test_makes_its_children_once(start):
    """As many children as the configuration says are there before the first client, and stay."""
    server = serving(start, workers=4)
    before = children(server)
    assert before, diagnose("not-pre-forked", "The server is ready, and has no children.")
    assert len(before) == 4, diagnose(
        "wrong-number-of-children", f"There are {len(before)} children; the configuration says 4."
    )
    served = {ask(server).pid for _ in range(12)}
    server.settle()
    assert served <= before, diagnose(
        "not-pre-forked", f"{listed(served - before)} came to be only with the clients."
    )
    assert children(server) == before, diagnose(
        "not-pre-forked", "After twelve clients the children are others."
    )


@points(2)
def test_serves_clients_at_the_same_time(start):
    """While two children of three are busy, the third one serves."""
    server = serving(start)
    for _ in range(2):
        busy(server)
    client = server.connect()
    client.send("hi\n")
    assert server.until(lambda _: bool(client.unread), within=2), diagnose(
        "served-in-turn",
        f"Two requests take a minute each; the third one, of {client.name}, is not answered meanwhile.",
    )
    got = answer(client)
    assert got.pid != server.pid, diagnose("parent-serves", "The parent has answered itself.")


@points(1)
def test_writes_its_pid_file(start):
    """The parent writes its process id into the pid file, and removes the file when it ends."""
    server = serving(start)
    assert server.until_file("server.pid", lambda text: text.split() == [str(server.pid)], within=2), (
        diagnose(
            "pid-file-wrong", f"The pid file holds {server.read('server.pid')!r}; the parent is {server.pid}."
        )
    )
    stopped(server)


# ---------------------------------------------------------------- TERM, HUP, USR1


def stopped(server, *numbers, by=TERM):
    """Send signals, one of which ends the server, and see to it that it has ended well."""
    for number in numbers or (by,):
        server.signal(number)
    server.until(lambda _: False, within=2)
    assert not server.program.alive, diagnose(
        "stop-not-obeyed", f"{by.name} was sent, and the server goes on: {parent(server)}."
    )
    return end(server, by)


def end(server, number):
    """The end of a server that was stopped by a signal: status 0, no child, no pid file."""
    ran = server.ended(allow={"process-left-behind"})
    left = [each.label for each in ran.seen.processes]
    assert not left, diagnose(
        "child-outlives-parent", f"{number.name} has ended the parent, and not {' and '.join(left)}."
    )
    ran.reaped_all()
    assert not server.exists("server.pid"), diagnose(
        "pid-file-left", f"{number.name} has ended the server, and server.pid is still there."
    )
    return ran


@points(3)
def test_stops_now(start):
    """SIGTERM and SIGINT end the server at once, with status 0: requests are cut, no child and no pid file stays."""
    for number in (TERM, INT):
        server = serving(start)
        client = busy(server)
        stopped(server, by=number)
        assert not client.unread, diagnose(
            "wrong-answer", f"A request of a minute was answered: {client.unread!r}."
        )
        assert server.exists("server.log"), diagnose("not-logged", "The log has gone with the server.")


@points(3)
@needs("proc")
def test_restarts_now(start):
    """At SIGHUP all children end at once, in the middle of a request too; the parent stays and makes new ones."""
    server = serving(start)
    for generation in (2, 3):
        old = children(server)
        client = busy(server)
        server.signal(HUP)
        renewed(server, old, HUP, 3)
        client.gone()
        got = ask(server)
        assert got.generation == generation, diagnose(
            "wrong-generation", f"After SIGHUP number {generation - 1} the generation is {got.generation}."
        )


@points(3)
@needs("proc")
def test_restarts_gracefully(start):
    """At SIGUSR1 a child that serves ends after its request, the others at once; each is replaced."""
    server = serving(start)
    for generation in (2, 3):
        old = children(server)
        client = busy(server, 0.15)
        server.signal(USR1)
        got = finished(client, "SIGUSR1")
        assert got.generation == generation - 1, diagnose(
            "wrong-generation",
            f"A request that had begun before SIGUSR1 was answered by generation {got.generation}.",
        )
        renewed(server, old, USR1, 3)
        got = ask(server)
        assert got.generation == generation, diagnose(
            "wrong-generation", f"After SIGUSR1 number {generation - 1} the generation is {got.generation}."
        )


@points(2)
@needs("proc")
def test_reads_its_configuration_again(start):
    """SIGHUP and SIGUSR1 take the configuration as it is then: another message, more children or fewer."""
    server = serving(start, message="one")
    for number, message, workers in (
        (HUP, "two", 5),
        (USR1, "three", 2),
        (USR1, "four", 3),
        (HUP, "five", 1),
    ):
        old = children(server)
        server.write("a.conf", configuration(message=message, workers=workers))
        server.signal(number)
        renewed(server, old, number)
        got = ask(server)
        assert got.message == message, diagnose(
            "configuration-not-reread",
            f"{number.name} came after the message became {message!r}; it is still {got.message!r}.",
        )
        renewed(server, old, number, workers)


@points(2)
def test_opens_its_log_again(start):
    """At SIGHUP and SIGUSR1 a log that was renamed is let go; what is logged from then on is in a new file."""
    server = serving(start)
    for number, generation in ((HUP, 2), (USR1, 3)):
        assert server.until_file(
            "server.log", lambda text, n=generation - 1: f"generation {n}" in text, within=2
        ), diagnose("not-logged", f"The log has no line with 'generation {generation - 1}'.")
        old = children(server)
        server.rename("server.log", f"log.{generation}")
        server.signal(number)
        line = f"generation {generation}"
        if not server.until_file("server.log", lambda text, line=line: line in text, within=2):
            lives(server, number.name)
            assert line not in server.read(f"log.{generation}"), diagnose(
                "log-on-old-inode",
                f"The log was renamed to log.{generation} before {number.name}; {line!r} went into that file.",
            )
            doing = not_stuck(server, number)
            assert children(server) != old, diagnose(
                "signal-lost", f"{number.name} was sent, and nothing has happened: {doing}."
            )
            assert server.exists("server.log"), diagnose(
                "log-on-old-inode",
                f"The log was renamed before {number.name}, and there is no new server.log.",
            )
            raise AssertionError(
                diagnose("not-logged", f"After {number.name} the new log has no line with {line!r}.")
            )


@points(3)
@needs("proc")
def test_survives_a_broken_configuration(start):
    """A broken configuration is logged and changes nothing else: the children, and their requests, go on."""
    server = serving(start)
    old, client = children(server), busy(server, 0.2)
    for number, changed, key in (
        (HUP, {"colour": "blue"}, "colour"), (USR1, {"workers": None}, "workers"), (HUP, {"workers": 0}, "workers"),
        (USR1, {"port": "many"}, "port"), (HUP, {"message": None}, "message"),
    ):  # fmt: skip
        before = len(server.read("server.log"))
        server.write("a.conf", configuration(**changed))
        server.signal(number)
        if not server.until_file(
            "server.log", lambda text, key=key, before=before: key in text[before:], within=2
        ):
            lives(server, f"{number.name} with a broken configuration", "broken-configuration-hurts")
            assert children(server) == old, diagnose(
                "broken-configuration-taken",
                f"{number.name} came with {key!r} wrong, and there are new children.",
            )
            raise AssertionError(
                diagnose(
                    "not-logged",
                    f"{number.name} came with {key!r} wrong, and no new line of the log names it.",
                )
            )
        server.program.settle()
        lives(server, f"{number.name} with a broken configuration", "broken-configuration-hurts")
        assert children(server) == old, diagnose(
            "broken-configuration-hurts",
            f"{number.name} came with {key!r} wrong, and the children are not those of before.",
        )
    first = finished(client, "a broken configuration", "broken-configuration-hurts")
    for got in (first, ask(server)):
        assert got.generation == 1, diagnose(
            "wrong-generation", f"Nothing was restarted, and the generation is {got.generation}."
        )
    server.write("a.conf", configuration())
    server.signal(HUP)
    renewed(server, old, HUP, 3)
    got = ask(server)
    assert got.generation == 2, diagnose(
        "wrong-generation",
        f"After several broken configurations and the first restart the generation is {got.generation}.",
    )


# ---------------------------------------------------------------- children


@points(2)
@needs("proc")
def test_replaces_a_child_that_died(start):
    """A child that dies is replaced; the others are not touched."""
    server = serving(start)
    old = children(server)
    assert len(old) == 3, diagnose(
        "wrong-number-of-children", f"There are {len(old)} children; the configuration says 3."
    )
    victim = min(old)
    to_child(server, KILL, victim)
    now = set()

    def whole_again(processes):
        now.clear()
        now.update(of(processes, server))
        return len(now) == 3 and victim not in now

    if not server.until(whole_again, within=2.5):
        lives(server, "the end of a child", "parent-ended-by-children")
        assert len(now) <= 3, diagnose(
            "wrong-number-of-children", f"There are {len(now)} children; the configuration says 3."
        )
        raise AssertionError(
            diagnose(
                "dead-child-not-replaced", f"Child {victim} has died, and there are only {len(now)} left."
            )
        )
    assert now > old - {victim}, diagnose(
        "wrong-number-of-children",
        f"Child {victim} has died, and {listed(old - {victim} - now)} had to go as well.",
    )
    assert ask(server).generation == 1, diagnose("wrong-generation", "The replacement is no restart.")


@points(2)
@needs("proc")
def test_reaps_children_that_end_together(start):
    """Eight children that end at the same moment are all reaped, though there is one SIGCHLD for all of them."""
    server = serving(start, workers=8)
    old = children(server)
    server.signal(STOP)
    assert server.until(
        lambda processes: any(p.pid == server.pid and p.state == "stopped" for p in processes)
    )
    for child in old:
        to_child(server, KILL, child)
    assert server.until(lambda processes: not of(processes, server)), "the children do not die"
    server.signal(CONT)
    left = set()

    def reaped(processes):
        left.clear()
        left.update(each.pid for each in processes if each.parent == server.pid and each.state == "zombie")
        return not left and any(each.pid == server.pid for each in processes)

    done = server.until(reaped, within=2)
    lives(server, "the end of its children", "parent-ended-by-children")
    if not done:
        assert not left, diagnose(
            "zombie-left",
            f"Of {len(old)} children that ended together {len(left)} are still zombies: {listed(left)}.",
        )


# ---------------------------------------------------------------- command line


@points(1)
def test_refuses_what_it_does_not_understand(run):
    """Anything but --config FILE is a usage error: status 2, and the usage on standard error."""
    for arguments in ((), ("--config",), ("a.conf",), ("--config", "a.conf", "b.conf"), ("--colour", "blue")):
        run("apache_signals", *arguments, status=2, files={"a.conf": configuration()}).says("(?i)usage")


@points(1)
def test_does_not_start_with_a_broken_configuration(start):
    """A server whose configuration is broken does not start: status 1, and one line on standard error says why."""
    for changed, key in (
        ({"colour": "blue"}, "colour"), ({"workers": "0"}, "workers"),
        ({"port": "65536"}, "port"), ({"pidfile": None}, "pidfile"),
    ):  # fmt: skip
        server = start("apache_signals", "--config", "a.conf", files={"a.conf": configuration(**changed)})
        server.until(lambda _, server=server: "ready" in server.out)
        assert "ready" not in server.out, diagnose(
            "broken-configuration-taken", f"The server is ready, although {key!r} is not as it ought to be."
        )
        ran = server.ended(status=1).says(f"^apache_signals: .*{key}")
        assert ran.err.count("\n") == 1, diagnose("no-message", "Standard error has more than the one line.")
