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
    # YOUR CODE HERE
    raise NotImplementedError("select_server.py: YOUR CODE HERE")


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
    # YOUR CODE HERE
    raise NotImplementedError("select_server.py: YOUR CODE HERE")


def open_unix(path):
    """A Unix-domain socket that listens at a path. A stale one that lies there is replaced, nothing else is."""
    # YOUR CODE HERE
    raise NotImplementedError("select_server.py: YOUR CODE HERE")


def is_stale(path):
    """Whether a socket lies at a path that no server listens at any more."""
    # YOUR CODE HERE
    raise NotImplementedError("select_server.py: YOUR CODE HERE")


def open_fifo(path):
    """Open a FIFO for reading, and make it if it is not there: (read end, write end, whether it was made).

    The write end is never used. While the server holds it, the FIFO has a writer, and so no end-of-file.
    """
    # YOUR CODE HERE
    raise NotImplementedError("select_server.py: YOUR CODE HERE")


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
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")
        for address in addresses:
            tell(f"ready {address}")

    def watch(self, descriptor, step):
        """From now on call `step` whenever something can be read from a descriptor."""
        self.selector.register(descriptor, READ, step)

    def run(self):
        """Wait for all descriptors together; take one step for each that is ready; and again.

        The selector gives back what a descriptor was registered with: a step to call with it, or a session.
        """
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def close(self):
        """Remove what the server made; the descriptors go with the process."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    # ------------------------------------------------------------ one step for each kind of descriptor

    def stop(self, descriptor):
        """SIGTERM or SIGINT has come: this round is the last."""
        os.read(descriptor, PIECE)
        self.running = False

    def accept(self, listener):
        """A client has connected: give it a session."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def serve(self, session, events):
        """A client can be read from or written to, or has gone."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def receive(self, session):
        """Read what there is, and obey the lines that are complete by now."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def refuse(self, session):
        """End the session of a client whose line is too long."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def send(self, session, line):
        """Write a line to a client, as far as it goes; the rest waits until the client has read."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def flush(self, session):
        """Write what the kernel takes of what waits for a client, and wait for room exactly while some is left."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

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
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def drop(self, session):
        """Close a client's session at once, and forget everything about it."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def read_console(self, descriptor):
        """Obey the console: clients, say TEXT, shutdown."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def read_fifo(self, descriptor):
        """Say each line that came through the FIFO to everybody."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    # ------------------------------------------------------------ what clients can say

    def obey(self, session, line):
        """Do what a client's line asks for, and answer it."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def rename(self, session, name):
        """Give a session its name, and say how that went."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")

    def broadcast(self, name, text, sender=None):
        """Say something to everybody but the one who says it."""
        # YOUR CODE HERE
        raise NotImplementedError("select_server.py: YOUR CODE HERE")


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
