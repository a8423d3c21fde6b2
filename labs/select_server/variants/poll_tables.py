"""Unusual: select.poll itself, tables by descriptor instead of objects, and output that is only ever written when poll says so.

Still right: entries of a descriptor are taken out of every table when it is closed, and events of a round that are about a
descriptor which was closed in the same round are passed over. A signal handler tidies up
and ends the process at once, without going through the loop.
"""

import collections
import os
import re
import select
import signal
import socket
import stat
import sys

USAGE = "usage: select_server --port P --unix PATH [--fifo PATH]"
poller = select.poll()
action = {}  # descriptor: what to do when it is readable
sockets, names, begun, queues, closing = {}, {}, {}, collections.defaultdict(bytearray), set()
just_closed = set()
to_remove, listeners, resting = [], [], []


def fail(words):
    print(f"select_server: {words}", file=sys.stderr)
    sys.exit(1)


def finish(*_):
    for path in to_remove:
        os.unlink(path)
    os._exit(0)


def watch(fd, do):
    action[fd] = do
    poller.register(fd, select.POLLIN)


def hang_up(fd):
    if fd not in sockets:
        return
    poller.unregister(fd)
    for table in (action, names, begun, queues):
        table.pop(fd, None)
    closing.discard(fd)
    just_closed.add(fd)
    sockets.pop(fd).close()
    while resting:
        listener = resting.pop()
        watch(listener.fileno(), listener_step(listener))


def interest(fd):
    events = 0 if fd in closing else select.POLLIN
    poller.modify(fd, events | (select.POLLOUT if queues[fd] or fd in closing else 0))


def write(fd, line):
    if fd in sockets and fd not in closing:
        queues[fd] += line + b"\n"
        if len(queues[fd]) > 1 << 20:
            flush(fd)
        if fd in sockets and len(queues[fd]) > 1 << 20:
            hang_up(fd)
        elif fd in sockets:
            interest(fd)


def flush(fd):
    try:
        while queues[fd]:
            del queues[fd][: os.write(fd, queues[fd])]
    except BlockingIOError:
        return
    except OSError:
        hang_up(fd)
        return
    if fd in closing:
        hang_up(fd)
    else:
        interest(fd)


def last_words(fd, line=None):
    if line is not None:
        write(fd, line)
    if fd in sockets:
        closing.add(fd)
        interest(fd)


def proclaim(line, but=None):
    for fd in sorted(sockets):
        if fd != but:
            write(fd, line)


def split(fd):
    """Complete lines that have come at a descriptor; None at its end."""
    data = os.read(fd, 4096)
    if not data:
        return None
    pieces = (begun.get(fd, b"") + data).split(b"\n")
    begun[fd] = pieces.pop()
    return pieces


def client_step(fd):
    try:
        lines = split(fd)
    except BlockingIOError:
        return
    except OSError:
        hang_up(fd)
        return
    if lines is None:
        last_words(fd)
        return
    for line in lines:
        if fd in closing or fd not in sockets:
            return
        if len(line) >= 4096:
            last_words(fd, b"error line too long")
        else:
            request(fd, line)
    if fd in sockets and len(begun[fd]) >= 4096:
        last_words(fd, b"error line too long")


def request(fd, line):
    if m := re.fullmatch(rb"name (\S+)", line):
        if m[1] in [name for other, name in names.items() if other != fd]:
            write(fd, b"error somebody has that name")
        else:
            names[fd] = m[1]
            write(fd, b"ok")
    elif (m := re.fullmatch(rb"say (.+)", line, re.DOTALL)) and fd in names:
        proclaim(names[fd] + b": " + m[1], fd)
    elif m := re.fullmatch(rb"sum((?: +[+-]?\d+)+)", line):
        numbers = [int(word) for word in m[1].split()]
        small = all(-(2**63) <= n < 2**63 for n in [*numbers, sum(numbers)])
        write(fd, b"= %d" % sum(numbers) if small else b"error that is too much")
    elif line == b"who":
        write(fd, b" ".join(sorted(names.values())))
    elif line == b"quit":
        last_words(fd, b"bye")
    else:
        write(fd, b"error no such request")


def listener_step(listener):
    def step(_):
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            resting.append(listener)
            poller.unregister(listener)
            return
        connection.setblocking(False)
        sockets[connection.fileno()] = connection
        watch(connection.fileno(), client_step)

    return step


def console_step(fd):
    lines = split(fd)
    if lines is None:
        poller.unregister(fd)
        return
    for line in lines:
        if line == b"clients":
            print(len(sockets), "clients", flush=True)
        elif line == b"shutdown":
            finish()
        elif m := re.fullmatch(rb"say (.+)", line):
            proclaim(b"server: " + m[1])
        elif line:
            print("error no such command", file=sys.stderr)


def fifo_step(fd):
    for line in split(fd) or ():
        proclaim(b"fifo: " + line)


def unix_socket(path):
    listener = socket.socket(socket.AF_UNIX)
    while True:
        try:
            listener.bind(path)
            return listener
        except OSError as error:
            try:
                there = os.lstat(path)
            except OSError:
                fail(f"{path}: {error.strerror}")
        if not stat.S_ISSOCK(there.st_mode):
            fail(f"{path} is there and is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                fail(f"{path}: somebody serves it")
        os.unlink(path)


def main(words):
    options = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or not {"--port", "--unix"} <= options.keys() <= {"--port", "--unix", "--fifo"}:
        sys.exit(print(USAGE, file=sys.stderr) or 2)
    if not re.fullmatch(r"\d{1,5}", options["--port"]) or int(options["--port"]) > 65535:
        sys.exit(print(USAGE, file=sys.stderr) or 2)
    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    tcp = socket.socket()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        tcp.bind(("127.0.0.1", int(options["--port"])))
    except OSError as error:
        fail(error)
    listeners[:] = [tcp, unix_socket(options["--unix"])]
    to_remove.append(options["--unix"])
    for listener in listeners:
        listener.listen(500)
        listener.setblocking(False)
        watch(listener.fileno(), listener_step(listener))
    fifo = options.get("--fifo")
    if fifo:
        if not os.path.exists(fifo):
            os.mkfifo(fifo, 0o600)
            to_remove.append(fifo)
        watch(os.open(fifo, os.O_RDWR), fifo_step)
    watch(0, console_step)
    print(f"ready 127.0.0.1:{tcp.getsockname()[1]}\nready {options['--unix']}", flush=True)
    if fifo:
        print("ready", fifo, flush=True)
    while True:
        just_closed.clear()
        for fd, events in poller.poll():
            if fd in just_closed:
                continue
            if fd in closing or (fd in sockets and queues[fd] and events & ~select.POLLIN):
                flush(fd)
            if fd not in closing and events & ~select.POLLOUT and fd in action:
                action[fd](fd)


main(sys.argv[1:])
