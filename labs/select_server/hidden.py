"""What only the grader has: more clients, more data, and the nasty cases."""

import re
from signal import SIGCONT, SIGKILL, SIGSTOP

from grader import diagnose, needs, points

UNIX = "chat.sock"
MULTIPLEXED = ("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2")
READS = ("read", "readv", "recvfrom", "recvmsg", "accept", "accept4", "openat")
WRITES = ("write", "writev", "sendto", "sendmsg")
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


def heard(server, ann, *hearers):
    """What ann says is heard by others, and not by itself: before much of it is said."""
    ann.send("say hello\n")
    for hearer in hearers:
        said = line(server, hearer, "not-said-to-all")
        assert said == "ann: hello", diagnose(
            "wrong-answer", f"ann said 'hello'; {hearer.name} got {said!r}."
        )
    ask(server, ann, "sum 1 1", "= 2")


def rests(server, slug, fact):
    """The server comes to rest."""
    rests_or_ends(server, slug, fact)
    server.settle()  # if it has ended, this tells how


def rests_or_ends(server, slug, fact):
    """The server does not spin."""
    rested = server.program.settle(within=1).name == "REACHED"
    assert rested or not server.program.alive, diagnose(slug, fact)


# ---------------------------------------------------------------- requests


@points(2)
def test_finds_characters_in_the_stream(start):
    """A character that is cut in two by the stream is put together again, also on the Unix-domain socket."""
    server = serve(start)
    for _ in range(2):
        client = server.connect(UNIX)
        for request, answer in (("name ann", "ok"), ("who", "ann"), ("quit", "bye")):
            ask(server, client, request, answer)
    client = server.connect(UNIX)
    client.send("name ann\nsum 1 2\n")
    for answer in ("ok", "= 3"):
        said = line(server, client, "one-read-is-not-one-message")
        assert said == answer, diagnose(
            "one-read-is-not-one-message",
            f"'name ann' and 'sum 1 2' came in one piece; the answers are 'ok' and '= 3', and one is {said!r}.",
        )
    client.close()
    rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")
    server.split(
        "name žöfie\nwho\nquit\n", gives="ok\nžöfie\nbye\n", slug="character-cut-in-two", address=UNIX
    )


@points(1)
def test_survives_what_is_not_utf_8(start):
    """Bytes that are no UTF-8 harm nobody, whatever they are answered."""
    server = serve(start)
    ann, bob = named(server, "ann"), named(server, "bob", UNIX)
    for request, most in ((b"\xff\xfe\xfd", 1), (b"say \xc3", 1), (b"name \xf0\x9f", 1), (b"\x80 \x80", 1)):
        ann.send(request + b"\n")
        server.settle()
        ann.send("sum 1 2\n")
        said = [line(server, ann)]
        while said[-1] != "= 3" and len(said) <= most:
            said.append(line(server, ann))
        assert said[-1] == "= 3", diagnose(
            "wrong-answer", f"{ann.name} sent {request!r} and then 'sum 1 2', and got {said}."
        )
    bob.send("sum 2 2\n")
    said = [line(server, bob)]
    while said[-1] != "= 4" and len(said) < 3:
        said.append(line(server, bob))
    assert said[-1] == "= 4", diagnose("wrong-answer", f"{bob.name} asked for 2 + 2 and got {said}.")


@points(1)
def test_survives_requests_without_arguments(start):
    """A command without its argument is an error for whoever sent it, on the console too, and nothing else."""
    server = serve(start)
    client, other = named(server, "ann"), server.connect(UNIX)
    for request in ("name", "name ", "say", "say ", "sum", "sum ", " "):
        ask_in_vain(server, client, request)
    server.send("say\n\ndance\n")
    server.settle()
    ask(server, other, "sum 1 2", "= 3")
    ask(server, client, "who", "ann")


@points(1)
def test_adds_integers_of_64_bits(start):
    """'sum' takes 64-bit integers, as many as there are, and refuses what is none."""
    server = serve(start)
    client = server.connect()
    most, least = 2**63 - 1, -(2**63)
    for numbers, total in (
        ([most], most),
        ([least], least),
        ([most, least], -1),
        ([most, -1, 1], most),
        ([3000000000, 3000000000], 6000000000),
        ([*range(300)], 44850),
    ):
        ask(server, client, f"sum {' '.join(map(str, numbers))}", f"= {total}")
    for word in (most + 1, least - 1, 10**30, "1.5", "1x", "x1", "--1"):
        ask_in_vain(server, client, f"sum 1 {word}")
    ask_in_vain(server, client, f"sum {most} 1")


@points(1)
def test_serves_endless_lines(start):
    """A client that sends and sends, and never a newline, is refused once, and delays nobody."""
    server = serve(start)
    other = server.connect()
    for where in ("", UNIX):
        client = server.connect(where)
        client.send("say " + "y" * 300_000)
        said = line(server, client, "line-without-limit")
        assert said == "error line too long", diagnose(
            "line-without-limit", f"A line of 300,000 bytes was answered {short(said)}."
        )
        client.gone()
        ask(server, other, "sum 1 2", "= 3")


# ---------------------------------------------------------------- many clients, much data


@points(2)
def test_serves_200_clients_at_once(start):
    """200 clients are served at once, and what one says reaches all others."""
    server = serve(start)
    clients = []
    for number in range(200):
        clients.append(server.connect(UNIX if number % 2 else ""))
        clients[-1].send(f"name c{number:03}\n")
        server.settle()
    for each in clients:
        said = line(server, each)
        assert said == "ok", diagnose("wrong-answer", f"{each.name} of 200 said its name and got {said!r}.")
    ask(server, clients[7], "who", " ".join(f"c{number:03}" for number in range(200)))
    clients[100].send("say all?\n")
    for each in clients:
        if each is not clients[100]:
            said = line(server, each, "not-said-to-all")
            assert said == "c100: all?", diagnose(
                "wrong-answer", f"c100 said 'all?', and {each.name} got {said!r}."
            )


@points(2)
def test_drops_a_client_that_never_reads(start):
    """A client for which more than 1 MiB waits is dropped; all others get every line."""
    server = serve(start)
    ann, bob, carl = named(server, "ann", UNIX), named(server, "bob", UNIX), joined(server)
    heard(server, ann, bob, carl)
    carl.close()
    rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")
    eve, fay = joined(server, UNIX, reading=False), joined(server, reading=False)
    eve.send("name eve\n")
    fay.send("name fay\n")
    for number in range(1600):
        ann.send(f"say {number:04} {LONG}\n")
        if number % 40 == 39:
            server.settle()
            slug = "output-lost" if bob.unread.count("\n") == 40 else blame(server, bob) or "output-lost"
            for _ in range(40):
                bob.line(slug=slug)
    ask(server, ann, "sum 1 2", "= 3")
    ann.send("who\n")
    said = line(server, ann)
    if said != "ann bob":  # what has become of all that?
        eve.read()
        server.settle()
        got = eve.unread.count("ann: ")
        slug = "stale-session" if eve.ended else "queue-without-limit" if got == 1600 else "output-lost"
        fact = f"6.4 MB were said to two clients that do not read, and 'who' is still answered {said!r}. "
        fact += f"When {eve.name} began to read, it got {got} of 1600 messages, and "
        fact += f"then {eve.ended}." if eve.ended else "is still connected."
        raise AssertionError(diagnose(slug, fact))


@points(2)
def test_passes_nobody_over_when_others_are_dropped(start):
    """When a message makes the server drop some clients, all others still get it."""
    server = serve(start)
    ann, clients = named(server, "ann", UNIX), []
    heard(server, ann, joined(server, UNIX))
    for number in range(6):
        reads = number % 2
        clients.append(named(server, f"c{number}", UNIX) if reads else joined(server, UNIX, reading=False))
    readers = clients[1::2]
    for number in range(400):
        ann.send(f"say {number:04} {LONG}\n")
    ask(server, ann, "sum 1 2", "= 3")
    server.settle()
    for reader in readers:
        numbers = [int(said[5:9]) for said in reader.unread.splitlines() if said.startswith("ann: ")]
        absent = sorted(set(range(400)) - set(numbers))
        assert not absent, diagnose(
            "changed-while-walking",
            f"While three clients that do not read were dropped, {reader.name} missed "
            f"{len(absent)} of 400 messages, the first of them number {absent[0] if absent else 0}.",
        )


@points(2)
def test_keeps_what_a_slow_client_is_to_get(start):
    """What waits for a slow client arrives whole and in order, on both kinds of socket."""
    server = serve(start)
    for where in (UNIX, ""):
        ann, slow = named(server, "ann", where), joined(server, where, reading=False)
        heard(server, ann, joined(server, where))
        for number in range(230):
            ann.send(f"say {number:03} {LONG}\n")
        ask(server, ann, "sum 1 2", "= 3")
        slow.read()
        slow.line(slug="output-lost")  # hello
        for number in range(230):
            said = slow.line(slug="output-lost")
            assert said == f"ann: {number:03} {LONG}", diagnose(
                "output-lost",
                f"{slow.name} read late. Line {number} of 230 is not as it was said: it has {len(said)} bytes "
                f"and begins with {said[:10]!r}; it has {len(LONG) + 9}.",
            )
        for client in (slow, ann):
            client.close()
            rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")


@points(2)
@needs("proc")
def test_serves_more_clients_than_it_has_descriptors(start):
    """More clients than descriptors hinder nobody who is being served, nor those who come when some have gone."""
    server = serve(start)
    ann, clients = named(server, "ann"), []
    server.connect().close()
    rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")
    for number in range(1150):
        clients.append(server.connect())
        if number % 50 == 0 and number < 1000:
            ask(server, clients[-1], "sum 1 2", "= 3")
        if number > 1000:
            rests_or_ends(
                server,
                "spins-without-descriptors",
                f"{number + 1} clients came, and the server does not rest.",
            )
            assert server.program.alive, diagnose(
                "too-many-for-select", f"{number + 1} clients came, and the server has ended."
            )
    ask(server, ann, "sum 1 2", "= 3")
    for each in clients:
        each.close()
    rests(server, "spins-without-descriptors", "1150 clients came and went, and the server does not rest.")
    late = server.connect()
    late.send("sum 1 2\n")
    said = late.line(slug="descriptor-leaked")
    assert said == "= 3", diagnose("wrong-answer", f"{late.name} sent 'sum 1 2' and got {short(said)}.")


# ---------------------------------------------------------------- clients that go


@points(2)
def test_survives_clients_that_go_unseen(start):
    """A client that has closed its connection, and is written to before the server has seen that, harms nobody."""
    server = serve(start)
    first, ann, last, bob = (joined(server, UNIX) for _ in range(4))
    ask(server, ann, "name ann", "ok")
    server.signal(SIGSTOP)
    server.until(lambda found: all(process.state == "stopped" for process in found))
    first.close()
    ann.send("say one\n")
    server.until(lambda _: not ann.unsent)
    last.close()
    server.signal(SIGCONT)
    server.until(lambda found: all(process.state != "stopped" for process in found))
    said = line(server, bob, "changed-while-walking")
    assert said == "ann: one", diagnose(
        "wrong-answer", f"While two clients had gone ann said 'one'; {bob.name} got {said!r}."
    )
    ask(server, ann, "who", "ann")


@points(2)
def test_begins_each_session_anew(start):
    """A new client finds nothing of one that has gone, whose descriptor it has: no name, no half line, no output."""
    server = serve(start)
    for where in ("", UNIX):
        old = named(server, "old", where)
        old.send("sum 1 ")
        server.settle()
        old.close()
        rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")
        new = server.connect(where)
        new.send("who\n")
        said = line(server, new)
        assert said == "", diagnose(
            "stale-session",
            f"A client had left half a line. The next one sent 'who' and got {said!r}, not ''.",
        )
        new.send("say hello\n")
        said = line(server, new)
        assert said.startswith("error"), diagnose(
            "stale-session",
            f"A new client said something without a name, and got {said!r} instead of an error.",
        )
        new.close()
    ann, full = named(server, "ann"), joined(server, UNIX, reading=False)
    for number in range(100):
        ann.send(f"say {number:03} {LONG}\n")
    server.settle()
    full.close()
    rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")
    new = server.connect(UNIX)
    assert new.silent(), diagnose(
        "stale-session", f"A new client got {new.unread[:60]!r}, which was for another."
    )


@points(1)
@needs("proc")
def test_closes_every_descriptor(start):
    """After clients have gone, in whatever way, the server has no more descriptors open than before."""
    server = serve(start)
    ask(server, client := server.connect(), "sum 1 2", "= 3")
    client.close()
    rests(server, "spins-at-end-of-file", "A client has gone, and the server does not rest since.")
    before = {(d.number, d.target) for d in server.processes()[0].descriptors}
    for turn in range(5):
        for how in ("close", "reset", "quit", "shutdown", "too long"):
            ask(server, client := server.connect("" if turn % 2 else UNIX), "sum 1 2", "= 3")
            if how in ("quit", "too long"):
                client.send("quit\n" if how == "quit" else "y" * 5000)
                server.settle()
                client.close()
            else:
                getattr(client, how)()
            server.settle()
    after = [d for d in server.processes()[0].descriptors if (d.number, d.target) not in before]
    assert not after, diagnose(
        "descriptor-leaked",
        f"25 clients have come and gone. The server still has {len(after)} descriptors that it did not have before: "
        f"{', '.join(str(d.number) for d in after)}.",
    )


# ---------------------------------------------------------------- names in the file system


@points(2)
def test_refuses_a_living_server_s_socket(start):
    """A second server does not take the socket of a living one, and removes nothing that it did not make."""
    first = serve(start)
    ask(first, first.connect(UNIX), "sum 1 2", "= 3")
    second = start("select_server", "--port", "0", "--unix", UNIX, within=3, beside=first)
    second.program.line()
    assert not second.out, diagnose(
        "live-socket-taken-over",
        f"A server listens at {UNIX}. A second one, for the same path, wrote {second.out!r}.",
    )
    second.ended(status=1).says("^select_server")
    rests(
        first,
        "spins-at-end-of-file",
        "Somebody has looked whether the server lives, and it does not rest since.",
    )
    assert first.exists(UNIX), diagnose(
        "foreign-file-removed", f"A second server was refused, and the first one's {UNIX} is gone."
    )
    ask(first, first.connect(UNIX), "sum 1 2", "= 3")
    first.write("notes", "keep\n")
    third = start("select_server", "--port", "0", "--unix", "notes", within=3, beside=first)
    third.program.line()
    assert first.read("notes") == "keep\n", diagnose(
        "foreign-file-removed", "The path was that of an ordinary file, and the file is gone."
    )
    third.ended(status=1).says("^select_server")


@points(1)
def test_uses_a_fifo_that_is_there(start):
    """A FIFO that was there before is used, and is still there at the end."""
    first = serve(start, "--fifo", "chat.fifo", shared=True)
    first.stop(SIGKILL, status=None, allow={"killed-by-signal"})
    second = start(
        "select_server", "--port", "0", "--unix", "next.sock", "--fifo", "chat.fifo", within=3, beside=first
    )
    for _ in range(3):
        second.ready()
    client = joined(second)
    with second.writer("chat.fifo") as writer:
        writer.send("hello\n")
    said = line(second, client)
    assert said == "fifo: hello", diagnose(
        "wrong-answer", f"'hello' came through the FIFO; a client got {said!r}."
    )
    rests(
        second, "spins-at-end-of-file", "The FIFO's writer has closed it, and the server does not rest since."
    )
    second.stop()
    assert first.exists("chat.fifo"), diagnose(
        "foreign-file-removed", "The FIFO was there before the server, and is gone after it."
    )
