"""What only the grader has: load, bursts, signals at every moment, and the nasty cases."""

import contextlib
import time
from itertools import pairwise

from checks import (
    CONT,
    HUP,
    KILL,
    STOP,
    TERM,
    USR1,
    answer,
    ask,
    busy,
    children,
    configuration,
    end,
    finished,
    listed,
    lives,
    newest,
    not_stuck,
    of,
    parent,
    renewed,
    serving,
    stopped,
    to_child,
)

from grader import diagnose, needs, points


def more(server, requests, count, number):
    """So many more answers of a steady stream; if they do not come, the end of the parent goes first."""
    try:
        requests.reach(count)
    finally:
        lives(server, number.name)


def nothing_lost(requests, cause):
    """No request of a steady stream was refused or cut."""
    for loss in requests.lost:
        slug = "request-refused-during-restart" if "refused" in loss else "request-cut"
        raise AssertionError(diagnose(slug, f"Under a steady stream of requests, {cause}: {loss}."))


# ---------------------------------------------------------------- restarts


@points(3)
def test_loses_no_request_in_graceful_restarts(start):
    """Under a steady stream of requests twenty graceful restarts refuse no connection and cut no request."""
    server = serving(start, workers=4)
    for generation in range(2, 22):
        new = f" {generation} "
        with server.steady("hi\n", 8) as requests:
            requests.reach(10)
            server.signal(USR1)
            requests.until(lambda answers, new=new: new in "".join(answers[-8:]) or len(answers) > 400)
            more(server, requests, generation, USR1)
        nothing_lost(requests, f"{len(requests.answers)} of which were answered")
        if not any(
            new in each for each in requests.answers
        ):  # so many in so short a time, or no restart at all
            begun = server.until_file("server.log", lambda text, n=generation: newest(text) >= n, within=2)
            server.program.settle()
            lives(server, "SIGUSR1")
            answered = ask(server).generation
            assert answered == generation, diagnose(
                "old-children-serve-on" if begun else "signal-lost",
                f"Under a steady stream SIGUSR1 was sent {generation - 1} times; generation {answered} answers.",
            )


@points(2)
@needs("trace")
def test_refuses_no_connection_in_restarts(start):
    """The listening socket stays open: not even SIGHUP, which cuts requests, refuses a connection."""
    server = serving(start, workers=4)
    with server.steady("hi\n", 4) as requests:
        requests.reach(10)
        for _ in range(5):
            server.signal(HUP)
            more(server, requests, 10, HUP)
        refused = [loss for loss in requests.lost if "refused" in loss]
        assert not refused, diagnose(
            "request-refused-during-restart", f"While SIGHUP was obeyed, {''.join(refused[:1])}."
        )
    server.program.finish()
    calls = server.program.history.calls
    bound = [call for call in calls if call.name == "bind" and "AF_INET" in call.arguments and not call.error]
    assert len(bound) == 1, diagnose(
        "request-refused-during-restart",
        f"In five restarts the port was bound {len(bound)} times: each time there was no listening socket before.",
    )


@points(2)
@needs("proc")
def test_replaces_each_child_as_it_ends(start):
    """A graceful restart replaces the idle children at once and the busy one when it ends: never are there too many."""
    server = serving(start, workers=3)
    old, client = children(server), busy(server)
    for generation in (2, 3):
        now = set()

        def but_one(processes, now=now, old=old):
            now.clear()
            now.update(of(processes, server))
            return len(now) == 3 and len(now & old) == 1

        server.signal(USR1)
        server.until(but_one, within=2)
        server.program.settle()  # it may only have passed that number
        if not but_one(server.processes()):
            lives(server, "SIGUSR1")
            assert now & old, diagnose("request-cut", "The child that serves a long request has gone.")
            assert len(now & old) == 1, diagnose(
                "old-children-serve-on", f"{listed(now & old)} of before are there; only one of them is busy."
            )
            raise AssertionError(
                diagnose(
                    "wrong-number-of-children",
                    f"With one child still busy there are {len(now)} children; the configuration says 3.",
                )
            )
        got = ask(server)
        assert got.generation == generation, diagnose(
            "wrong-generation",
            f"While a child of before is busy, generation {got.generation} answers and not {generation}.",
        )
        old = now
    server.signal(HUP)
    renewed(server, old, HUP, 3)
    client.gone()
    assert not client.unread, diagnose(
        "wrong-answer", f"A request of a minute was answered: {client.unread!r}."
    )


@points(1)
@needs("proc")
def test_serves_who_is_connected_already(start):
    """A client that a child has accepted, and that has not sent its line yet, is still served after SIGUSR1."""
    server = serving(start)
    client = server.connect()
    server.settle()
    server.signal(USR1)
    server.settle()
    client.send("hi\n")
    finished(client, "SIGUSR1")


@points(2)
@needs("proc")
def test_holds_no_child_back_in_a_restart(start):
    """Children that a restart ends are replaced at once, however short their lives."""
    for number in (USR1, HUP):
        server = serving(start, workers=4)
        old = children(server)
        server.signal(number)
        renewed(server, old, number, 4, within=1.5)


# ---------------------------------------------------------------- signals at any moment


def halt(server):
    """Stop the parent, so that what is sent to it becomes pending."""
    server.signal(STOP)
    assert server.until(
        lambda processes: any(p.pid == server.pid and p.state == "stopped" for p in processes)
    )


@points(3)
@needs("proc")
def test_obeys_the_last_of_many_signals(start):
    """After a burst of SIGHUP and SIGUSR1 a restart follows, with the configuration as it is then."""
    for pause in (False, True):
        server = serving(start)
        old = children(server)
        if pause:
            halt(server)
        for number in range(8):
            server.write("a.conf", configuration(message=f"message {number}"))
            server.signal((HUP, USR1, USR1, HUP)[number % 4])
        if pause:
            server.signal(CONT)
        renewed(server, old, HUP, 3)
        server.settle()
        for _ in range(3):
            got = ask(server)
            assert got.message == "message 7", diagnose(
                "signal-lost",
                f"The message was 'message 7' when the last signal of a burst came; it is {got.message!r}.",
            )
            assert 2 <= got.generation <= 9, diagnose(
                "wrong-generation", f"After a burst of eight signals the generation is {got.generation}."
            )


@points(2)
def test_term_always_wins(start):
    """SIGTERM ends the server whatever comes with it, before and after."""
    for numbers in ((HUP, TERM), (USR1, HUP, USR1, TERM), (TERM, HUP), (TERM, TERM, USR1)):
        server = serving(start)
        stopped(server, *numbers)
    server = serving(start)
    halt(server)
    stopped(server, HUP, USR1, TERM, HUP, CONT)


@points(2)
@needs("proc")
def test_child_leaves_sighup_to_the_parent(start):
    """SIGHUP that reaches the children as well, as with pkill, changes nothing in them."""
    server = serving(start)
    old, client = children(server), busy(server, 0.15)
    for child in old:
        to_child(server, HUP, child)
    server.settle()
    everybody = server.processes()
    grandchildren = {each.pid for each in everybody if each.parent in old}
    assert not grandchildren, diagnose(
        "child-inherits-handlers",
        f"A child that got SIGHUP has made children of its own: {listed(grandchildren)}.",
    )
    assert of(everybody, server) == old, diagnose(
        "child-obeys-hup",
        f"SIGHUP has ended {listed(old - of(everybody, server))}; it was not for the parent to restart.",
    )
    finished(client, "a SIGHUP to the child", "child-obeys-hup")
    server.write("a.conf", configuration(workers="few"))
    client, before = busy(server, 0.15), len(server.read("server.log"))
    for each in (*old, server.pid):
        to_child(server, HUP, each)
    logged = server.until_file("server.log", lambda text: "workers" in text[before:], within=2)
    server.program.settle()
    lives(server, "SIGHUP")
    assert logged, diagnose(
        "not-logged", "SIGHUP came with 'workers' wrong, and no new line of the log names it."
    )
    finished(client, "a SIGHUP to all processes", "child-obeys-hup")
    assert children(server) == old, diagnose(
        "child-obeys-hup", "The configuration is broken, and the children are others."
    )


@points(2)
@needs("proc")
def test_child_obeys_sigterm_alone(start):
    """A child that gets SIGTERM ends and is replaced; it does nothing that is for the parent to do."""
    server = serving(start)
    old = children(server)
    victim = min(old)
    to_child(server, TERM, victim)
    now = set()

    def replaced(processes):
        now.clear()
        now.update(of(processes, server))
        return victim not in now and len(now) == 3

    if not server.until(replaced, within=2.5):
        lives(server, "the end of a child", "parent-ended-by-children")
        assert victim not in now, diagnose(
            "child-inherits-handlers", f"Child {victim} got SIGTERM, and goes on."
        )
        raise AssertionError(
            diagnose(
                "dead-child-not-replaced", f"Child {victim} has ended, and there are only {len(now)} left."
            )
        )
    assert now > old - {victim}, diagnose(
        "child-inherits-handlers",
        f"SIGTERM to child {victim} has ended {listed(old - {victim} - now)} as well.",
    )
    assert server.exists("server.pid"), diagnose(
        "child-inherits-handlers", f"Child {victim} has removed the pid file."
    )


@points(1)
def test_waits_without_polling(start):
    """A server that nobody asks anything does not wake up."""
    server = serving(start)
    idle = server.idle(0.4)
    assert idle.wakeups <= 2, diagnose(
        "polls-for-signals",
        f"In 0.4 seconds in which nothing happened its processes woke up {idle.wakeups} times.",
    )


@points(3)
def test_term_ends_it_at_every_moment(signal_points):
    """SIGTERM ends the server wherever it is: at its start, in a restart, while it reaps and replaces a child."""
    for after, most in ((None, 4), (lambda server: server.signal(HUP), 6), (kill_one, 4)):
        signal_points(*COMMAND, signal=TERM, after=after, promise=ends, files=TWO, points=most)


def kill_one(server):
    """The end of a child, unless the signal was faster."""
    with contextlib.suppress(ValueError, ProcessLookupError):
        server.signal(KILL, min(children(server)))


COMMAND = ("apache_signals", "--config", "a.conf")
TWO = {"a.conf": configuration(workers=2)}


def ends(server):
    """It has ended, and well."""
    server.until(lambda _: False, within=1)
    assert not server.program.alive, diagnose(
        "stop-not-obeyed", f"SIGTERM came, and the server goes on: {parent(server)}."
    )
    end(server, TERM)


@points(3)
@needs("trace")
def test_restarts_at_every_moment(signal_points):
    """SIGHUP and SIGUSR1 are obeyed wherever the server is: at its start, in a restart, while it replaces a child."""
    for number, after, last, most in (
        (HUP, None, 2, 4),
        (USR1, lambda server: server.signal(HUP), 3, 6),
        (USR1, kill_one, 2, 20),
    ):
        signal_points(
            *COMMAND, signal=number, after=after, files=TWO, points=most,
            promise=lambda server, number=number, last=last: restarts(server, number, last),
        )  # fmt: skip


def restarts(server, number, last):
    """A whole restart has followed the signal: all children were made after it had come."""
    server.ready()
    lives(server, number.name)
    now = set()

    def two(processes):
        now.clear()
        now.update(of(processes, server))
        return len(now) == 2

    assert server.until(two, within=2.5), diagnose(
        "wrong-number-of-children",
        f"After {number.name} there are {len(now)} children; the configuration says 2.",
    )
    served, begun = ask(server).generation, newest(server.read("server.log"))
    slug = "signal-lost" if begun < last else "old-children-serve-on"
    assert served > 1, diagnose(
        slug, f"{number.name} came, and the first generation still serves: {not_stuck(server, number)}."
    )
    server.program.finish()
    history = server.program.history
    itself = f"{server.pid}, {number.name}"
    came = [call.at_s for call in history.calls if call.name == "kill" and call.arguments == itself]
    made = {call.result: call.at_s for call in history.forks}
    old = {child for child in now if came and made[child] < came[0]}
    assert not old, diagnose(
        slug,
        f"{number.name} came, and after it {listed(old)} of before still served.",
    )


# ---------------------------------------------------------------- children that die


@points(3)
@needs("proc", "trace")
def test_respawns_without_a_storm(start):
    """Children that die at once are replaced one a second at most, all together; one that had lived longer at once."""
    server = serving(start, workers=3)
    old = children(server)
    spared = sorted(old)[1:]
    seen = set()
    begun = time.monotonic()

    def long_enough(processes):
        for child in of(processes, server) - set(spared):
            if child not in seen:
                seen.add(child)
                to_child(server, KILL, child)
        return len(seen) > 1 and time.monotonic() - begun > 0.6

    server.until(long_enough, within=2.5)
    now = set()

    def whole(processes):
        now.clear()
        now.update(of(processes, server) - seen)
        return len(now) == 3

    assert server.until(whole, within=2.5), diagnose(
        "dead-child-not-replaced",
        f"A child died at once, again and again; now there are {len(now)} left, and nobody follows.",
    )
    mortal = seen | now - old
    for child in spared:
        to_child(server, KILL, child)
    at_once = server.until(lambda processes: len(of(processes, server) - seen - old) == 3, within=0.8)
    server.program.finish()
    made = [call for call in server.program.history.forks if call.pid == server.pid]
    forks = [call.at_s for call in made if call.result in mortal][1:]
    gaps = [later - sooner for sooner, later in pairwise(forks)]
    assert min(gaps, default=1) > 0.5, diagnose(
        "fork-storm",
        f"A child died as soon as it lived; it was replaced {len(forks)} times, twice within {min(gaps):.2f} s.",
    )
    assert at_once, diagnose(
        "dead-child-not-replaced",
        "Two children that had lived for more than a second died, and were not replaced at once.",
    )


@points(2)
@needs("proc")
def test_obeys_while_replacements_wait(start):
    """While children that died at once wait to be replaced, the parent obeys signals as ever."""
    for number in (HUP, TERM):
        server = serving(start, workers=6)
        old = children(server)
        for child in old:
            to_child(server, KILL, child)
        server.settle()
        if number is HUP:
            server.signal(HUP)
            if not server.until_file("server.log", lambda text: "generation 2" in text, within=2):
                lives(server, "SIGHUP")
                doing = not_stuck(server, HUP)
                raise AssertionError(
                    diagnose(
                        "signal-lost", f"SIGHUP came while replacements waited, and was not obeyed: {doing}."
                    )
                )
            server.program.settle()
            lives(server, "SIGHUP")
            got = ask(server)
            assert got.generation == 2, diagnose(
                "old-children-serve-on", f"After SIGHUP generation {got.generation} answers."
            )
        stopped(server)


@points(1)
def test_drops_a_silent_client(start):
    """A client that does not send its line within five seconds is dropped, piecemeal or not; the child serves on."""
    server = serving(start, workers=1)
    begun = sent = time.monotonic()
    silent = server.connect()
    silent.send("s")
    server.settle()
    waiting = server.connect()
    waiting.send("hi\n")

    def free(_):
        nonlocal sent
        if time.monotonic() - sent > 1.2:  # a little more, and never a whole line
            sent = time.monotonic()
            silent.send("l")
        return bool(waiting.unread)

    assert server.until(free, within=6.5), diagnose(
        "silent-client-kept",
        "Over six seconds ago a client connected that has sent no line; the one child still waits.",
    )
    waited = time.monotonic() - begun
    assert waited > 4.5, diagnose(
        "silent-client-kept",
        f"The one child has left its client after {waited:.1f} seconds, and not after five.",
    )
    assert not silent.unread, diagnose(
        "wrong-answer", f"A client that sent no line was answered {silent.unread!r}."
    )
    silent.gone()
    answer(waiting)


# ---------------------------------------------------------------- those who connect


@points(1)
def test_takes_a_line_in_any_pieces(start):
    """A request may come byte by byte; one of 4096 bytes is a line, a longer one is refused."""
    server = serving(start)
    client = server.connect()
    for byte in "slow 0.01\n":
        client.send(byte)
        server.settle()
    answer(client)
    ask(server, "x" * 4095)
    client = server.connect()
    client.send("x" * 4096 + "\n")
    text = client.rest_of()
    assert text == "error line too long\n", diagnose(
        "wrong-answer", f"A line of 4097 bytes was answered {text!r}."
    )


@points(1)
@needs("proc")
def test_survives_clients_that_leave(start):
    """Clients that close or reset their connections, before or after their request, end no child."""
    server = serving(start, workers=2)
    old = children(server)
    for line in ("", "sl", "slow 0.05\n"):
        for way in ("close", "reset", "shutdown"):
            client = server.connect()
            client.send(line)
            server.settle()
            getattr(client, way)()
    for _ in range(4):
        ask(server)
    server.settle()
    assert children(server) == old, diagnose(
        "client-ends-child", "Clients have left; the children are not those of before."
    )


# ---------------------------------------------------------------- what waits for a new start, and what a start finds


@points(2)
def test_keeps_port_and_pid_file(start):
    """A changed port or pid file is logged and waits for a new start; all else of the configuration is taken."""
    server = serving(start)
    for number, changed in ((HUP, {"port": 4711}), (USR1, {"port": 4711, "pidfile": "other.pid"})):
        key, before, old = list(changed)[-1], len(server.read("server.log")), children(server)
        server.write("a.conf", configuration(message=key, **changed))
        server.signal(number)
        renewed(server, old, number, 3)
        got = ask(server)
        assert got.message == key, diagnose(
            "configuration-not-reread", f"{key} was changed, and the message is not taken."
        )
        assert server.until_file(
            "server.log", lambda text, key=key, before=before: key in text[before:], within=2
        ), diagnose(
            "change-not-kept-back",
            f"{key} was changed before {number.name}; no new line of the log names it.",
        )
    assert not server.exists("other.pid"), diagnose(
        "change-not-kept-back", "There is a pid file of the new name."
    )
    assert server.exists("server.pid"), diagnose(
        "change-not-kept-back", "The pid file of the old name has gone."
    )
    stopped(server)


@points(1)
def test_changes_to_another_log(start):
    """A restart with another logfile goes on in that one; one that cannot be opened makes a configuration broken."""
    server = serving(start)
    for number, name, generation in ((HUP, "second.log", 2), (USR1, "third.log", 3)):
        old = children(server)
        server.write("a.conf", configuration(logfile=name))
        server.signal(number)
        renewed(server, old, number, 3, log=name)
        line = f"generation {generation}"
        assert server.until_file(name, lambda text, line=line: line in text, within=2), diagnose(
            "configuration-not-reread", f"The logfile is {name!r} now, and {line!r} is not in it."
        )
    old = children(server)
    server.write("a.conf", configuration(logfile="no-such-folder/log"))
    server.signal(HUP)
    server.settle()
    lives(server, "SIGHUP with a logfile that cannot be opened", "broken-configuration-hurts")
    assert children(server) == old, diagnose(
        "broken-configuration-hurts",
        "The new logfile cannot be opened, and the children are not those of before.",
    )


@points(1)
def test_opens_its_log_before_it_complains(start):
    """The log is opened again although the configuration is broken, and what is wrong stands in the new one."""
    server = serving(start)
    server.settle()
    assert server.exists("server.log"), diagnose("not-logged", "There is no log.")
    server.rename("server.log", "log.1")
    server.write("a.conf", configuration(port="none"))
    server.signal(HUP)
    if not server.until_file("server.log", lambda text: "port" in text, within=2):
        lives(server, "SIGHUP with a broken configuration", "broken-configuration-hurts")
        assert "port" not in server.read("log.1"), diagnose(
            "log-on-old-inode",
            "The log was renamed to log.1 before SIGHUP; that 'port' is wrong stands in that file.",
        )
        raise AssertionError(
            diagnose("not-logged", "SIGHUP came with 'port' wrong, and the new log does not name it.")
        )


@points(2)
def test_starts_beside_what_is_there(start):
    """A pid file of a crashed server is overwritten; a server that finds its port taken fails and touches nothing."""
    stale = {"a.conf": configuration(port=8080), "server.pid": "1\n", "server.log": "of yesterday\n"}
    server = start("apache_signals", "--config", "a.conf", files=stale, shared=True)
    server.ready()
    assert server.until_file("server.pid", lambda text: text.split() == [str(server.pid)], within=2), (
        diagnose(
            "pid-file-wrong",
            f"A server had left a pid file; it holds {server.read('server.pid')!r} now, the parent is {server.pid}.",
        )
    )
    assert server.read("server.log").startswith("of yesterday\n"), diagnose(
        "not-logged", "The log of yesterday has gone."
    )
    server.settle()
    second = start("apache_signals", "--config", "a.conf", beside=server)
    second.ended(status=1).says("^apache_signals: ")
    assert server.read("server.pid").split() == [str(server.pid)], diagnose(
        "pid-file-of-another",
        f"The parent {server.pid} still runs; its pid file holds {server.read('server.pid')!r}.",
    )
    assert ask(server).generation == 1


@points(1)
def test_starts_again_on_the_same_port(start):
    """A server can be started on the port of one that has just ended."""
    first = start(
        "apache_signals", "--config", "a.conf", files={"a.conf": configuration(port=8080)}, shared=True
    )
    first.ready()
    for _ in range(3):
        ask(first)
    busy(first)
    stopped(first)
    second = start("apache_signals", "--config", "a.conf", beside=first)
    ready = second.until(lambda _: "ready" in second.out)
    assert ready, diagnose("port-blocked-after-end", f"The second server said {second.err.strip()!r}.")
    second.ready()
    ask(second)
    stopped(second)


@points(1)
def test_leaves_nothing_when_it_cannot_start(start):
    """A server that cannot write its pid file ends with status 1, and leaves no child behind."""
    server = start(
        "apache_signals", "--config", "a.conf", files={"a.conf": configuration(pidfile="no-such-folder/pid")}
    )
    server.until(lambda _: False, within=2)
    assert not server.program.alive, diagnose(
        "pid-file-wrong", f"The pid file cannot be written, and the server goes on: {parent(server)}."
    )
    ran = server.ended(status=1, allow={"process-left-behind"}).says("^apache_signals: ")
    left = [each.label for each in ran.seen.processes]
    assert not left, diagnose(
        "child-outlives-parent", f"The parent has given up, and not {' and '.join(left)}."
    )
