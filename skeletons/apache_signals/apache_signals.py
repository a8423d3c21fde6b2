#!/usr/bin/env python3
"""A pre-forking server that is stopped and restarted by signals, as Apache is.

    usage: apache_signals --config FILE

    SIGTERM, SIGINT   stop now: children are killed, requests are cut, the pid file goes
    SIGHUP            restart now: children are killed, the configuration is read again, new children serve
    SIGUSR1           graceful restart: each child ends after its request and is replaced, nothing is lost

The parent owns everything and serves nobody: the listening socket, the log, the pid file, the children. It
handles no signal in a handler. All of them are blocked from the first line on, and it takes them one after the
other from the kernel with sigtimedwait(2), when it is ready for the next. So no signal finds it in the middle of
something, and none gets lost between two steps: it waits in the kernel, pending.

A child has no handler either. SIGUSR1 has its default effect on it, which is to end it, and is blocked
except while the child waits for a connection: the only moment at which nothing is lost with it.
"""

import collections
import os
import select
import signal
import socket
import sys
import time

USAGE = "usage: apache_signals --config FILE"
HANDLED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD}
REQUEST_S = 5.0  # a client has this long for its request
EARLY_S = 1.0  # a child that ends before this age was no good; at most one of those is replaced in this time
LONGEST_LINE = 4096


# ---------------------------------------------------------------- configuration and log

KEYS = ("port", "workers", "pidfile", "logfile", "message")
Config = collections.namedtuple("Config", KEYS)


class Broken(Exception):
    """What is wrong with a configuration, in words."""


def read_config(path):
    """Read a configuration, one `key value` a line. Raises Broken."""
    found = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f"{path} cannot be read: {error}") from None
    for line in lines:
        key, _, value = line.strip().partition(" ")
        if key and key not in KEYS:
            raise Broken(f"unknown key {key!r}")
        if key:
            found[key] = value.strip()
    for key in KEYS:
        if not found.get(key):
            raise Broken(f"no value for {key!r}")
    for key, least, most in (("port", 0, 65535), ("workers", 1, 50)):
        if not (found[key].isascii() and found[key].isdigit() and least <= int(found[key]) <= most):
            raise Broken(f"bad value for {key!r}: {found[key]}")
        found[key] = int(found[key])
    return Config(**found)


class Log:
    """The log file: one write for each line, always at its end, wherever other writers are."""

    def __init__(self):
        self._descriptor = None

    def open(self, path):
        """Open the file of this name as it is now, and let go of the one that was open before. Raises OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def write(self, text):
        """Add a line."""
        try:
            os.write(self._descriptor, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode())
        except OSError:
            pass  # a full disk is no reason to stop serving


# ---------------------------------------------------------------- clients


def listen(port):
    """The listening socket, which all children will share. It does not block: several wait, and one gets the client."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart has to wait for old connections
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    listener.setblocking(False)
    return listener


def request_line(client):
    """The first line that a client sends; none if it does not come in time, or not at all. Raises OSError."""
    deadline = time.monotonic() + REQUEST_S
    received = b""
    while b"\n" not in received and len(received) < LONGEST_LINE:
        client.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = client.recv(LONGEST_LINE)
        if not piece:
            return None
        received += piece
    client.settimeout(REQUEST_S)
    return received


def answer(client, generation, message):
    """Serve one client to its end. Whatever the client does is no reason for the child to end."""
    try:
        line = request_line(client)
        if line is None:
            return
        end = line.find(b"\n") + 1
        if not 0 < end <= LONGEST_LINE:
            client.sendall(b"error line too long\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):  # closing with unread data would be a reset, which can overtake the answer
                pass
            return
        words = line[:end].split()
        if len(words) == 2 and words[0] == b"slow" and words[1].replace(b".", b"", 1).isdigit():
            time.sleep(float(words[1]))
        client.sendall(f"{os.getpid()} {generation} {message}\n".encode())
    except OSError:
        pass  # it has gone, or was too slow
    finally:
        client.close()


def serve(listener, generation, message):
    """In a child: answer one client after the other until the parent says that it is enough. Never returns."""
    # YOUR CODE HERE
    raise NotImplementedError("apache_signals.py: YOUR CODE HERE")


# ---------------------------------------------------------------- the parent


def prepare_signals():
    """Before anything else: from here on no signal surprises the parent."""
    # YOUR CODE HERE
    raise NotImplementedError("apache_signals.py: YOUR CODE HERE")


class Parent:
    """The process that owns everything and serves nobody."""

    def __init__(self, config_path, config, listener, log):
        self.config_path, self.config, self.listener, self.log = config_path, config, listener, log
        self.generation = 1
        self.children = {}  # pid: when it was made
        self.leaving = set()  # children that were told to end after their request
        self.early = 0  # how many of those that are missing had lived for less than EARLY_S
        self.next_early = 0.0  # when one of those may be replaced

    def run(self):
        """Serve until SIGTERM or SIGINT. The children, and the pid file, end with it."""
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")

    def signals(self, pause):
        """Wait for signals, at most for `pause` seconds (None: for ever). Returns the set of all that have come."""
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")

    def fill(self):
        """Make children until there are as many as there ought to be.

        Returns None, or, where some have to wait since their predecessors ended too early, for how many seconds.
        """
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")

    def spawn(self):
        """Make one child of this generation. Raises OSError."""
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")

    def reap(self):
        """Take leave of every child that has ended: one SIGCHLD may stand for many."""
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")

    def kill_children(self):
        """End all children now, and reap them."""
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")

    def restart(self, now):
        """Re-open the log, read the configuration again, and change to the next generation of children.

        Where the configuration is broken, nothing changes but the log.
        """
        # YOUR CODE HERE
        raise NotImplementedError("apache_signals.py: YOUR CODE HERE")


def main():
    """Read the command line and the configuration; the rest is `Parent.run`."""
    prepare_signals()
    if len(sys.argv) != 3 or sys.argv[1] != "--config":
        print(USAGE, file=sys.stderr)
        return 2
    try:
        config = read_config(sys.argv[2])
        log = Log()
        log.open(config.logfile)
        listener = listen(config.port)
        Parent(sys.argv[2], config, listener, log).run()
    except (Broken, OSError) as error:
        print(f"apache_signals: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
