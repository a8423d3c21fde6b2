#!/usr/bin/env python3
"""Serve many clients, a FIFO and the console at once, in one process with one thread.

    usage: select_server --port P --unix PATH [--fifo PATH]

Whatever the server could have to wait for is a descriptor, and one call waits for all of them together:

    clients (TCP) ------+
    clients (Unix) -----+
    new clients (both) -+--> poll(2) --> one step for each descriptor that is ready --> poll(2) --> ...
    console ------------+
    FIFO ---------------+
    signals ------------+

Nowhere else does the server wait. So no step may block: every socket is non-blocking, what a client sends is
kept until a line of it is complete, and what a client does not take is kept until it does.
"""

import argparse
import errno
import os
import re
import selectors
import signal
import socket
import stat
import sys

MOST_LINE = 4096  # bytes, the newline included
MOST_WAITING = 2**20  # bytes that may wait for a client which does not read
PIECE = 4096  # bytes that are read at a time: then it is the next one's turn
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Refused(Exception):
    """The server cannot be started; the message says why."""


class Session:
    """One client: who it is, what it has said of its next line, and what it is still to get."""

    def __init__(self, connection):
        self.connection = connection
        self.name = None
        self.received = bytearray()  # the beginning of a line
        self.waiting = bytearray()  # output that the kernel has not taken yet
        self.leaving = False  # no more is read; it is closed as soon as nothing waits
        self.closed = False


def lines_of(received):
    """Take the complete lines out of a buffer, each without its newline; what is left is half a line."""
    ### BEGIN SOLUTION
    while (end := received.find(b"\n")) >= 0:
        line = bytes(received[:end])
        del received[: end + 1]
        yield line
    ### END SOLUTION


def total(words):
    """The sum of some words, all of them integers of 64 bits as it is one itself; None if that cannot be."""
    if not words or not all(re.fullmatch(r"[+-]?[0-9]+", word) for word in words):
        return None
    numbers = [int(word) for word in words]
    fits = all(-(2**63) <= number < 2**63 for number in [*numbers, sum(numbers)])
    return sum(numbers) if fits else None


# ---------------------------------------------------------------- where clients and writers find the server


def open_port(port):
    """A socket that listens at 127.0.0.1; port 0 stands for any that is free."""
    ### BEGIN SOLUTION
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # The last server's connections may still be in TIME_WAIT. Nobody listens, so the port is ours.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise Refused(f"port {port}: {error.strerror}") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener
    ### END SOLUTION


def open_unix(path):
    """A Unix-domain socket that listens at a path. A stale one that lies there is replaced, nothing else is."""
    ### BEGIN SOLUTION
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not is_stale(path):
                raise
            os.unlink(path)
            listener.bind(path)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener
    ### END SOLUTION


def is_stale(path):
    """Whether a socket lies at a path that no server listens at any more."""
    ### BEGIN SOLUTION
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False  # somebody's file: connect(2) would be refused there as well
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)  # a server with a long queue would make us wait
        return client.connect_ex(path) == errno.ECONNREFUSED
    ### END SOLUTION


def open_fifo(path):
    """Open a FIFO for reading, and make it if it is not there: (read end, write end, whether it was made).

    The write end is never used. While the server holds it, the FIFO has a writer, and so no end-of-file.
    """
    ### BEGIN SOLUTION
    try:
        os.mkfifo(path, 0o600)
        made = True
    except FileExistsError:
        made = False
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            raise Refused(f"{path}: is there, and is no FIFO")
        read_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without the flag: until a writer comes
        write_end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    return read_end, write_end, made
    ### END SOLUTION


def signal_descriptor():
    """A descriptor that has something to read when SIGTERM or SIGINT has come.

    Python writes a byte to it before anything else, so that poll(2) wakes up: a signal like any other input.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return read_end


# ---------------------------------------------------------------- the server


class Server:
    """All sessions, and the set of descriptors that are waited for."""

    def __init__(self):
        # poll(2), not epoll: that refuses a console which is a file or /dev/null.
        self.selector = selectors.PollSelector()
        self.sessions = []
        self.listeners = []
        self.full = False  # no descriptor is left for another client
        self.console = bytearray()
        self.fifo = bytearray()
        self.made = []  # paths to be removed at the end
        self.running = True

    def open(self, port, unix, fifo):
        """Open all that is waited for, and say where the server can be reached. Raises Refused.

        `addresses` are in the order of the brief: 127.0.0.1:PORT, the socket's path, the FIFO's path if there is one.
        """
        self.watch(signal_descriptor(), self.stop)
        ### BEGIN SOLUTION
        addresses = []
        if fifo is not None:
            read_end, _, made = open_fifo(fifo)
            if made:
                self.made.append(fifo)
            self.watch(read_end, self.read_fifo)
        tcp = open_port(port)
        self.listeners = [tcp, open_unix(unix)]
        self.made.append(unix)
        for listener in self.listeners:
            self.watch(listener, self.accept)
        self.watch(0, self.read_console)
        addresses = [f"127.0.0.1:{tcp.getsockname()[1]}", unix, *([fifo] if fifo is not None else [])]
        ### END SOLUTION
        for address in addresses:
            tell(f"ready {address}")

    def watch(self, descriptor, step):
        """From now on call `step` whenever something can be read from a descriptor."""
        self.selector.register(descriptor, READ, step)

    def run(self):
        """Wait for all descriptors together; take one step for each that is ready; and again.

        The selector gives back what a descriptor was registered with: a step to call with it, or a session.
        """
        ### BEGIN SOLUTION
        while self.running:
            for key, events in self.selector.select():
                if isinstance(key.data, Session):
                    self.serve(key.data, events)
                else:
                    key.data(key.fileobj)
        ### END SOLUTION

    def close(self):
        """Remove what the server made; the descriptors go with the process."""
        ### BEGIN SOLUTION
        for path in self.made:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # somebody else has tidied up
        ### END SOLUTION

    # ------------------------------------------------------------ one step for each kind of descriptor

    def stop(self, descriptor):
        """SIGTERM or SIGINT has come: this round is the last."""
        os.read(descriptor, PIECE)
        self.running = False

    def accept(self, listener):
        """A client has connected: give it a session."""
        ### BEGIN SOLUTION
        if self.full:
            return
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # whoever it was has gone again
        except OSError:
            # No descriptor is left for it (EMFILE). It stays in the queue, and the listener ready: not to
            # spin on that, look at the listeners again only when a session has ended.
            self.full = True
            for each in self.listeners:
                self.selector.unregister(each)
            return
        connection.setblocking(False)
        session = Session(connection)
        self.sessions.append(session)
        self.selector.register(connection, READ, session)
        ### END SOLUTION

    def serve(self, session, events):
        """A client can be read from or written to, or has gone."""
        ### BEGIN SOLUTION
        if session.closed:
            return  # by an earlier step of this round; its descriptor may even be a new client's by now
        if events & WRITE:
            self.flush(session)
        if events & READ and not session.leaving:
            self.receive(session)
        ### END SOLUTION

    def receive(self, session):
        """Read what there is, and obey the lines that are complete by now."""
        ### BEGIN SOLUTION
        try:
            data = session.connection.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:  # the connection was reset
            self.drop(session)
            return
        if not data:  # end-of-file: it will say no more, but may still be reading
            self.say_goodbye(session)
            return
        session.received += data
        for line in lines_of(session.received):
            if len(line) >= MOST_LINE:
                self.refuse(session)
            else:
                self.obey(session, line)
            if session.leaving:
                return  # nobody listens to the rest
        if len(session.received) >= MOST_LINE:
            self.refuse(session)
        ### END SOLUTION

    def refuse(self, session):
        """End the session of a client whose line is too long."""
        ### BEGIN SOLUTION
        self.send(session, "error line too long")
        self.say_goodbye(session)
        ### END SOLUTION

    def send(self, session, line):
        """Write a line to a client, as far as it goes; the rest waits until the client has read."""
        ### BEGIN SOLUTION
        if session.closed:
            return
        session.waiting += line.encode(errors="surrogateescape") + b"\n"
        self.flush(session)
        if len(session.waiting) > MOST_WAITING:
            self.drop(session)
        ### END SOLUTION

    def flush(self, session):
        """Write what the kernel takes of what waits for a client, and wait for room exactly while some is left."""
        ### BEGIN SOLUTION
        try:
            while session.waiting:
                written = session.connection.send(session.waiting)
                del session.waiting[:written]
        except BlockingIOError:
            pass
        except OSError:  # the client has gone
            self.drop(session)
            return
        if session.leaving and not session.waiting:
            self.discard(session)
            self.drop(session)
            return
        events = (WRITE if session.waiting else 0) | (0 if session.leaving else READ)
        self.selector.modify(session.connection, events, session)
        ### END SOLUTION

    def discard(self, session):
        """Read what nobody wants: close(2) with something unread would reset the connection.

        A client that is told so may never see the last line that was written to it.
        """
        try:
            session.connection.recv(16 * PIECE, socket.MSG_DONTWAIT)
        except OSError:
            pass  # there is nothing, or nobody

    def say_goodbye(self, session):
        """Close a client's session once it has got all that is still to be written."""
        ### BEGIN SOLUTION
        if not session.closed:
            session.leaving = True
            self.flush(session)
        ### END SOLUTION

    def drop(self, session):
        """Close a client's session at once, and forget everything about it."""
        ### BEGIN SOLUTION
        if session.closed:
            return
        session.closed = session.leaving = True
        self.sessions.remove(session)
        self.selector.unregister(session.connection)
        session.connection.close()
        if self.full:  # there was no descriptor for the next client; now there is
            self.full = False
            for listener in self.listeners:
                self.watch(listener, self.accept)
        ### END SOLUTION

    def read_console(self, descriptor):
        """Obey the console: clients, say TEXT, shutdown."""
        ### BEGIN SOLUTION
        data = os.read(descriptor, PIECE)
        if not data:  # end-of-file stays ready for ever: stop asking for it
            self.selector.unregister(descriptor)
            return
        self.console += data
        for line in lines_of(self.console):
            command, _, text = line.decode(errors="surrogateescape").partition(" ")
            if command == "clients":
                tell(f"{len(self.sessions)} clients")
            elif command == "say" and text:
                self.broadcast("server", text)
            elif command == "shutdown":
                self.running = False
            else:
                complain("the console takes: clients, say TEXT, shutdown")
        if len(self.console) >= MOST_LINE:
            self.console.clear()  # no command is that long
        ### END SOLUTION

    def read_fifo(self, descriptor):
        """Say each line that came through the FIFO to everybody."""
        ### BEGIN SOLUTION
        self.fifo += os.read(descriptor, PIECE)
        for line in lines_of(self.fifo):
            self.broadcast("fifo", line.decode(errors="surrogateescape"))
        if len(self.fifo) >= MOST_LINE:
            self.fifo.clear()  # too long for a line
        ### END SOLUTION

    # ------------------------------------------------------------ what clients can say

    def obey(self, session, line):
        """Do what a client's line asks for, and answer it."""
        ### BEGIN SOLUTION
        try:
            command, _, text = line.decode().partition(" ")
        except UnicodeDecodeError:
            self.send(session, "error not UTF-8")
            return
        if command == "name":
            self.send(session, self.rename(session, text))
        elif command == "say" and session.name is None:
            self.send(session, "error say who you are first: name NAME")
        elif command == "say" and text:
            self.broadcast(session.name, text, session)
        elif command == "sum" and (result := total(text.split())) is not None:
            self.send(session, f"= {result}")
        elif command == "who":
            self.send(session, " ".join(sorted(each.name for each in self.sessions if each.name)))
        elif command == "quit":
            self.send(session, "bye")
            self.say_goodbye(session)
        else:
            self.send(session, "error known are: name NAME, say TEXT, sum N..., who, quit")
        ### END SOLUTION

    def rename(self, session, name):
        """Give a session its name, and say how that went."""
        ### BEGIN SOLUTION
        if len(name.split()) != 1 or name != name.strip():
            return "error a name is one word"
        if any(each.name == name for each in self.sessions if each is not session):
            return "error that name is taken"
        session.name = name
        return "ok"
        ### END SOLUTION

    def broadcast(self, name, text, sender=None):
        """Say something to everybody but the one who says it."""
        ### BEGIN SOLUTION
        for session in list(self.sessions):  # a copy: whoever turns out to have gone is taken out meanwhile
            if session is not sender:
                self.send(session, f"{name}: {text}")
        ### END SOLUTION


def tell(line):
    """Write a line to the console; the next one who looks for it need not wait."""
    try:
        print(line, flush=True)
    except OSError:
        pass  # nobody reads the console any more; the clients are still there


def complain(reason):
    """Write a line to standard error."""
    try:
        print(f"select_server: {reason}", file=sys.stderr, flush=True)
    except OSError:
        pass  # nobody reads it


def port_number(text):
    """A port from the command line. Raises ValueError."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def main():
    """Read the command line, open everything, serve."""
    parser = argparse.ArgumentParser(prog="select_server", allow_abbrev=False)
    parser.add_argument("--port", type=port_number, required=True, metavar="P")
    parser.add_argument("--unix", required=True, metavar="PATH")
    parser.add_argument("--fifo", metavar="PATH")
    wanted = parser.parse_args()  # ends with status 2 and the usage if it makes no sense
    server = Server()
    try:
        server.open(wanted.port, wanted.unix, wanted.fifo)
        server.run()
    except Refused as refused:
        complain(refused)
        return 1
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
