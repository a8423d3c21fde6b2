"""What `select_server` promises, as far as students may see and run it."""

import re
import stat
from signal import SIGINT, SIGKILL, SIGTERM

from grader import diagnose, needs, points

UNIX = "chat.sock"
MULTIPLEXED = ("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2")
READS = ("read", "readv", "recvfrom", "recvmsg", "accept", "accept4", "openat")
WRITES = ("write", "writev", "sendto", "sendmsg")
TIME_WAIT = 6
LONG = "x" * 3990


def serve(start, *more, **options):
    """The server, as soon as it has said where it can be reached."""
    server = start("select_server", "--port", "0", "--unix", UNIX, *more, within=3, **options)
    for _ in range(3 if "--fifo" in more else 2):
        server.ready()
    return server


def line(server, client, slug="no-answer"):
    """The client's next line. If none can come any more, what the server does instead names the fault."""
    server.settle()
    if not client.unread:
        slug = blame(server, client) or slug
    return client.line(slug=slug)


def blame(server, client):
    """What is wrong with how the server waits: for one alone, or not for this client. Empty if it is all right."""
    for process in server.processes():
        wait = process.wait
        if wait is None:
            continue
        if wait.call in (*READS, *WRITES):
            return "blocking-read" if wait.call in READS else "blocking-write"
        by_tcp = client.name in server.program.clients.names.values()
        if wait.call in MULTIPLEXED and by_tcp and f"of {client.name} " not in wait.text:
            return "deaf-after-first-client"
    return ""


def ask(server, client, request, answer):
    """One request, and the answer that the protocol has for it."""
    client.send(f"{request}\n")
    said = line(server, client)
    slug = "wrong-recipient" if re.match(r"\w+: ", said) else "wrong-answer"
    assert said == answer, diagnose(
        slug, f"{client.name} sent {short(request)} and got {short(said)}; the answer is {short(answer)}."
    )


def ask_in_vain(server, client, request):
    """One request that is answered by an error."""
    client.send(f"{request}\n")
    said = line(server, client, "wrong-answer")
    assert said.startswith("error"), diagnose(
        "wrong-answer",
        f"{client.name} sent {request!r} and got {said!r}; the answer is a line that begins with 'error'.",
    )


def short(text):
    """A line as a message quotes it."""
    return repr(text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)")


def joined(server, where="", **options):
    """A client that has not said anything yet, but has been accepted: what is said from now on is for it too."""
    client = server.connect(where, **options)
    server.settle()
    return client


def named(server, name, where=""):
    """A client that has said its name."""
    client = server.connect(where)
    ask(server, client, f"name {name}", "ok")
    return client


def count(server):
    """What the console says of the number of clients."""
    server.send("clients\n")
    said = server.line()
    numbers = re.findall(r"\d+", said)
    assert numbers, diagnose("wrong-answer", f"The console's 'clients' printed {said!r}, without a number.")
    return int(numbers[0])


def rests(server, slug, fact):
    """The server comes to rest."""
    rests_or_ends(server, slug, fact)
    server.settle()  # if it has ended, this tells how


def rests_or_ends(server, slug, fact):
    """The server does not spin."""
    rested = server.program.settle(within=1).name == "REACHED"
    assert rested or not server.program.alive, diagnose(slug, fact)


# ---------------------------------------------------------------- the protocol


@points(1)
def test_can_be_reached_in_two_ways(start):
    """The server says where it can be reached, and serves clients at both addresses, TCP and Unix-domain."""
    server = start("select_server", "--port", "0", "--unix", UNIX, within=3)
    addresses = {server.ready(), server.ready()}
    as_promised = re.fullmatch(rf"127\.0\.0\.1:[1-9]\d* {UNIX}", " ".join(sorted(addresses)))
    assert as_promised, diagnose(
        "not-ready", f"The server announced {' and '.join(sorted(addresses))}; not 127.0.0.1:PORT and {UNIX}."
    )
    for where in ("", UNIX):
        ask(server, server.connect(where), "sum 20 22", "= 42")


@points(2)
def test_answers_each_request(start):
    """Each request gets the answer of the protocol, and anything else an error."""
    server = serve(start)
    client = server.connect()
    for request, answer in (
        ("name ann", "ok"),
        ("sum 1 2 3", "= 6"),
        ("sum -5", "= -5"),
        ("who", "ann"),
    ):
        ask(server, client, request, answer)
    for request in ("dance", "", "summer 1 2", "sum one", "name two words"):
        ask_in_vain(server, client, request)
    client.send("quit\n")
    assert client.rest_of() == "bye\n", diagnose(
        "wrong-answer", "'quit' is answered 'bye', and nothing else."
    )


@points(2)
def test_keeps_sessions_apart(start):
    """Each client has a session of its own: its name, its answers."""
    server = serve(start)
    ann, bob = joined(server, UNIX), joined(server, UNIX)
    for client, name, other in ((ann, "zoe", bob), (bob, "bob", ann)):
        client.send(f"name {name}\n")
        server.settle()
        assert not other.unread, diagnose(
            "wrong-recipient", f"{client.name} asked, and {other.name} got {other.unread!r}."
        )
        said = line(server, client)
        assert said == "ok", diagnose("wrong-answer", f"{client.name} sent 'name {name}' and got {said!r}.")
    ask(server, ann, "sum 1 2", "= 3")
    ask(server, bob, "who", "bob zoe")
    eve = server.connect()
    for request in ("name bob", "say it is me"):
        ask_in_vain(server, eve, request)
    ask(server, eve, "name eve", "ok")
    ask(server, ann, "who", "bob eve zoe")


@points(2)
def test_says_to_everybody_else(start):
    """What one client says reaches every other one, by TCP or by the Unix-domain socket, and not itself."""
    server = serve(start)
    ann, bob, eve = named(server, "ann"), named(server, "bob", UNIX), joined(server)
    for speaker, name, hearers in ((ann, "ann", (bob, eve)), (bob, "bob", (ann, eve))):
        speaker.send("say tea  für alle\n")
        for hearer in hearers:
            said = line(server, hearer, "not-said-to-all")
            assert said == f"{name}: tea  für alle", diagnose(
                "wrong-answer", f"{name} said 'tea  für alle', and {hearer.name} got {said!r}."
            )
        speaker.send("sum 1 2\n")
        said = line(server, speaker)
        assert said == "= 3", diagnose(
            "wrong-recipient", f"{name} said something and then sent 'sum 1 2'; what it got next is {said!r}."
        )


@points(3)
def test_finds_lines_in_the_stream(start):
    """A request is a line, in whatever pieces it comes: cut anywhere, byte by byte, several at once."""
    server = serve(start)
    for _ in range(2):
        client = server.connect()
        for request, answer in (("name ann", "ok"), ("sum 1 2", "= 3"), ("quit", "bye")):
            ask(server, client, request, answer)
    server.split("name ann\nsum 1 2\nquit\n", gives="ok\n= 3\nbye\n", slug="one-read-is-not-one-message")


@points(1)
def test_refuses_a_line_that_is_too_long(start):
    """A line of 4096 bytes is served; a longer one is answered 'error line too long', and its connection closed."""
    server = serve(start)
    client, other = server.connect(), server.connect()
    ask(server, client, "sum " + "1 " * 2045 + "1", "= 2046")
    client.send("x" * 5000)
    said = line(server, client, "line-without-limit")
    assert said == "error line too long", diagnose("line-without-limit", f"The answer is {short(said)}.")
    client.gone()
    ask(server, other, "sum 1 2", "= 3")


# ---------------------------------------------------------------- nobody is delayed


@points(2)
def test_nobody_waits_for_half_a_line(start):
    """A client that sends nothing, or half a line, delays nobody."""
    server = serve(start)
    silent, slow = joined(server), joined(server)
    slow.send("sum 20 ")
    for where in ("", UNIX):
        ask(server, server.connect(where), "sum 1 2", "= 3")
    slow.send("22\n")
    assert line(server, slow) == "= 42", diagnose(
        "one-read-is-not-one-message", "'sum 20 ' and '22' with the newline came apart; the answer is '= 42'."
    )
    ask(server, silent, "sum 2 2", "= 4")


@points(3)
def test_nobody_waits_for_a_client_that_does_not_read(start):
    """A client that does not read delays nobody, and gets everything once it reads."""
    server = serve(start)
    ann = named(server, "ann", UNIX)
    ask(server, server.connect(UNIX), "sum 1 1", "= 2")
    late = joined(server, UNIX, reading=False)
    for number in range(100):
        ann.send(f"say {number:03} {LONG}\n")
        server.settle()
    ask(server, ann, "sum 1 2", "= 3")
    late.read()
    for number in range(100):
        said = line(server, late, "output-lost")
        assert said == f"ann: {number:03} {LONG}", diagnose(
            "output-lost",
            f"{late.name} read late. Line {number} of 100 is not as it was said: it has {len(said)} bytes "
            f"and begins with {said[:10]!r}; it has {len(LONG) + 9}.",
        )


@points(1)
def test_costs_nothing_while_idle(start):
    """While nothing happens the server uses no processor time."""
    server = serve(start)
    clients = [named(server, "ann"), named(server, "bob", UNIX)]
    used = server.idle(0.4)
    waited = used.cpu_s < 0.04 and used.wakeups < 20
    assert waited, diagnose(
        "polls-while-idle",
        f"In {used.seconds:g} s without any event the server woke up {used.wakeups} times and used the processor "
        f"for {used.cpu_s * 1000:.0f} ms.",
    )
    ask(server, clients[0], "who", "ann bob")


# ---------------------------------------------------------------- clients that go


@points(2)
def test_forgets_a_client_that_has_gone(start):
    """When a client closes its connection, its session ends: the server rests, and the name is free."""
    server = serve(start)
    ann, bob = named(server, "ann"), named(server, "bob", UNIX)
    ann.close()
    rests(
        server,
        "spins-at-end-of-file",
        "A client has closed its connection, and the server does not rest since.",
    )
    bob.send("who\n")
    said = line(server, bob)
    assert said == "bob", diagnose(
        "stale-session", f"ann has closed its connection, and 'who' is answered {said!r}."
    )
    number = count(server)
    assert number == 1, diagnose("stale-session", f"One client is left; 'clients' counts {number}.")
    named(server, "ann")
    ask(server, bob, "sum 1 1", "= 2")
    bob.send("sum 1 2\n")
    server.settle()
    bob.send("sum 3 4\n")
    bob.shutdown()
    assert bob.rest_of() == "= 3\n= 7\n", diagnose(
        "output-lost", "A client sent two requests and ended its direction; it did not get both answers."
    )
    rests(
        server,
        "spins-at-end-of-file",
        "A client has ended its direction, and the server does not rest since.",
    )


@points(1)
def test_survives_a_reset(start):
    """A connection that is reset ends one session, and nothing else."""
    server = serve(start)
    ann, bob = named(server, "ann"), named(server, "bob")
    ann.send("sum 1 ")
    server.settle()
    ann.reset()
    rests(server, "spins-at-end-of-file", "A connection was reset, and the server does not rest since.")
    ask(server, bob, "sum 1 2", "= 3")


# ---------------------------------------------------------------- console and FIFO


@points(2)
def test_serves_the_console(start):
    """The console takes 'clients', 'say TEXT' and 'shutdown', line by line, while clients are served."""
    server = serve(start)
    ann, bob = named(server, "ann"), named(server, "bob", UNIX)
    number = count(server)
    assert number == 2, diagnose(
        "wrong-answer", f"There are 2 clients; the console's 'clients' says {number}."
    )
    server.send("say one\nsay two\n")
    server.settle()
    if bob.unread.count("\n") == 1:  # the second is lost, or waits where the kernel does not see it
        server.send("say three\n")
        server.settle()
        slug = "line-left-in-buffer" if "server: two" in bob.unread else "one-read-is-not-one-message"
        raise AssertionError(
            diagnose(
                slug,
                "The console sent 'say one' and 'say two' at once, and nothing was heard of the second. "
                f"After 'say three' {bob.name} had got {bob.unread!r}.",
            )
        )
    expected = ["server: one", "server: two"]
    for client in (ann, bob):
        said = [line(server, client), line(server, client)]
        assert said == expected, diagnose("wrong-answer", f"{client.name} got {said}, not {expected}.")
    server.send("say th")
    ask(server, ann, "sum 1 2", "= 3")
    server.send("ree\n")
    said = line(server, bob)
    assert said == "server: three", diagnose(
        "one-read-is-not-one-message",
        f"The console's 'say th' and 'ree' came apart, and belong to one line; {bob.name} got {said!r}.",
    )
    server.send("shutdown\n")
    server.ended()


@points(2)
def test_outlives_the_console(start):
    """The end of the console's input ends neither the server nor its rest."""
    server = serve(start)
    client = server.connect()
    server.close()
    rests_or_ends(
        server, "spins-at-end-of-file", "Standard input has ended, and the server does not rest since."
    )
    assert server.program.alive, diagnose(
        "ends-with-console", "Standard input has ended, and so has the server."
    )
    ask(server, client, "sum 1 2", "= 3")


@points(2)
def test_says_what_comes_through_the_fifo(start):
    """Lines from the FIFO are said to everybody, whoever writes them, and also when the last writer had gone."""
    server = serve(start, "--fifo", "chat.fifo")
    ann, bob = named(server, "ann"), named(server, "bob", UNIX)
    for first, second in (("tea", "is ready"), ("still", "there?")):
        with server.writer("chat.fifo") as writer:
            writer.send(f"{first}\n{second[:4]}")
            server.settle()
            writer.send(f"{second[4:]}\n")
            for client in (ann, bob):
                said = line(server, client)
                assert said == f"fifo: {first}", diagnose(
                    "wrong-answer", f"{first!r} came through the FIFO; {client.name} got {said!r}."
                )
                said = line(server, client)
                assert said == f"fifo: {second}", diagnose(
                    "one-read-is-not-one-message",
                    f"{second!r} came through the FIFO in two pieces; {client.name} got {said!r}.",
                )
        rests(
            server,
            "spins-at-end-of-file",
            "The FIFO's writer has closed it, and the server does not rest since.",
        )
    mode = server.mode("chat.fifo")
    assert stat.S_IMODE(mode) == 0o600, diagnose(
        "fifo-open-to-others", f"The FIFO has mode {stat.S_IMODE(mode):04o}; it is to be 0600."
    )


# ---------------------------------------------------------------- beginning and end


@points(2)
def test_ends_and_tidies_up(start):
    """SIGTERM, SIGINT and the console's 'shutdown' end the server with status 0, and all that it made is gone."""
    for how in (SIGTERM, SIGINT, "shutdown"):
        server = serve(start, "--fifo", "chat.fifo", shared=True)
        ask(server, server.connect(), "sum 1 2", "= 3")
        words = how if how == "shutdown" else how.name
        if how == "shutdown":
            server.send("shutdown\n")
        else:
            server.signal(how)
        goes_on = server.program.settle().name == "REACHED"
        assert not goes_on, diagnose(
            "goes-on-when-told-to-end", f"{words} has come, and the server waits for its clients again."
        )
        server.ended()
        left = [name for name in (UNIX, "chat.fifo") if server.exists(name)]
        assert not left, diagnose("file-left-behind", f"After {words} there is still {' and '.join(left)}.")


@points(2)
def test_replaces_a_stale_socket(start):
    """A Unix-domain socket that a killed server left behind does not hinder the next one."""
    first = serve(start, shared=True)
    ask(first, first.connect(UNIX), "sum 1 2", "= 3")
    first.stop(SIGKILL, status=None, allow={"killed-by-signal"})
    second = start("select_server", "--port", "0", "--unix", UNIX, within=3, beside=first)
    second.program.line()
    second.program.line()
    assert f"ready {UNIX}" in second.out.splitlines(), diagnose(
        "stale-socket-in-the-way",
        f"A server was killed. The next one says: {(second.err or 'nothing').strip()[-300:]}",
    )
    ask(second, second.connect(UNIX), "sum 1 2", "= 3")


@points(2)
def test_can_start_again_at_once(start):
    """A new server can have the port of the last one at once, although connections of it are still in TIME_WAIT."""
    first = serve(start, shared=True)
    address = f"127.0.0.1:{first.out.partition(':')[2].split()[0]}"
    client = first.connect()
    client.send("quit\n")
    assert client.rest_of() == "bye\n", diagnose("wrong-answer", "'quit' is answered 'bye'.")
    client.close()
    first.until(lambda _: any(s.state == TIME_WAIT and s.local == address for s in first.program.sockets()))
    first.stop(SIGKILL, status=None, allow={"killed-by-signal"})
    port = address.partition(":")[2]
    second = start("select_server", "--port", port, "--unix", "next.sock", within=3, beside=first)
    second.program.line()
    assert f"ready {address}" in second.out.splitlines(), diagnose(
        "no-reuse-address",
        f"A server had closed a connection and ended. The next one, at the same port, says: "
        f"{(second.err or 'nothing').strip()[-300:]}",
    )
    ask(second, second.connect(address), "sum 1 2", "= 3")


@points(1)
def test_refuses_wrong_usage(start, run):
    """Arguments that make no sense are a usage error: status 2, and the usage on standard error."""
    ask(server := serve(start), server.connect(), "sum 1 2", "= 3")
    for arguments in (
        [],
        ["--port", "0"],
        ["--unix", UNIX],
        ["--port", "x", "--unix", UNIX],
        ["--port", "0", "--unix", UNIX, "--tea"],
    ):
        ran = run("select_server", *arguments, status=None, allow={"waits-forever"})
        assert ran.status == 2, diagnose(
            "usage-not-refused", f"The arguments {arguments} were taken: the status is {ran.status}, not 2."
        )
        ran.says("(?i)usage")


@points(2)
@needs("trace")
def test_is_one_process_with_one_thread(start, run):
    """One process with one thread serves all clients, and waits by select, poll or epoll itself."""
    server = serve(start)
    for client in [named(server, name, where) for name, where in (("ann", ""), ("bob", UNIX), ("eve", ""))]:
        ask(server, client, "who", "ann bob eve")
        ask(server, client, "sum 1 2", "= 3")
    history = server.stop(SIGKILL, status=None, allow={"killed-by-signal"}).history
    threads = [call for call in history.calls if "CLONE_THREAD" in call.arguments]
    assert not threads, diagnose(
        "thread-per-client", f"The server made {len(threads)} threads to serve 3 clients."
    )
    assert not history.forks, diagnose(
        "process-per-client", f"The server made {len(history.forks)} processes to serve 3 clients."
    )
    ran = run("select_server", "--port", "0", "--unix", UNIX, stdin="shutdown\n", lines=True)
    place = ran.called("run_forever", "serve_forever")
    assert place is None, diagnose(
        "loop-of-a-library", f"{place} hands the work to an event loop of the library."
    )
