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
    ### BEGIN SOLUTION
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # meant for the parent, but `pkill -HUP` sends it to all of us
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the same with Ctrl-C: the parent will see to it
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1})
    while True:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        select.select([listener], [], [])  # here, and only here, SIGUSR1 ends us: we have accepted nobody
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            client, _ = listener.accept()
        except OSError:
            continue  # another child was faster, or the client has gone again
        answer(client, generation, message)
    ### END SOLUTION


# ---------------------------------------------------------------- the parent


def prepare_signals():
    """Before anything else: from here on no signal surprises the parent."""
    ### BEGIN SOLUTION
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)  # however we were started: nohup ignores SIGHUP, Python catches SIGINT
    ### END SOLUTION


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
        ### BEGIN SOLUTION
        has_pid_file = False
        try:
            pause = self.fill()
            self.log.write(f"generation {self.generation}: {self.config.workers} children")
            print(f"ready 127.0.0.1:{self.listener.getsockname()[1]}", flush=True)
            with open(self.config.pidfile, "w", encoding="ascii") as file:
                has_pid_file = True
                file.write(f"{os.getpid()}\n")
            while True:
                came = self.signals(pause)
                if came & {signal.SIGTERM, signal.SIGINT}:  # before all others, whatever came with it
                    self.log.write("stopped")
                    return
                if came & {signal.SIGHUP, signal.SIGUSR1}:
                    self.restart(now=signal.SIGHUP in came)  # which does all that SIGUSR1 asks for, and more
                if signal.SIGCHLD in came:
                    self.reap()
                pause = self.fill()
        finally:
            self.kill_children()
            if has_pid_file:
                os.unlink(self.config.pidfile)
        ### END SOLUTION

    def signals(self, pause):
        """Wait for signals, at most for `pause` seconds (None: for ever). Returns the set of all that have come."""
        ### BEGIN SOLUTION
        if pause is None:
            came = {signal.sigwaitinfo(HANDLED).si_signo}
        else:
            taken = signal.sigtimedwait(HANDLED, pause)
            came = {taken.si_signo} if taken else set()
        while taken := signal.sigtimedwait(HANDLED, 0):
            came.add(taken.si_signo)
        return came
        ### END SOLUTION

    def fill(self):
        """Make children until there are as many as there ought to be.

        Returns None, or, where some have to wait since their predecessors ended too early, for how many seconds.
        """
        ### BEGIN SOLUTION
        while (missing := self.config.workers - len(self.children)) > 0:
            self.early = min(self.early, missing)
            now = time.monotonic()
            if self.early == missing:
                if now < self.next_early:
                    return self.next_early - now
                self.early -= 1
                self.next_early = now + EARLY_S
            try:
                self.spawn()
            except OSError as error:  # no more processes: the same as one that ends at once
                self.log.write(f"no child: {error}")
                self.early = missing
                self.next_early = now + EARLY_S
        return None
        ### END SOLUTION

    def spawn(self):
        """Make one child of this generation. Raises OSError."""
        ### BEGIN SOLUTION
        child = os.fork()  # with all signals blocked, so that none reaches the child before it is one
        if child == 0:
            try:
                serve(self.listener, self.generation, self.config.message)
            finally:
                os._exit(1)  # whatever happened: it must not go on as a second parent
        self.children[child] = time.monotonic()
        ### END SOLUTION

    def reap(self):
        """Take leave of every child that has ended: one SIGCHLD may stand for many."""
        ### BEGIN SOLUTION
        while self.children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                break
            made = self.children.pop(child, None)
            told = child in self.leaving or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGUSR1)
            self.leaving.discard(child)
            if not told:
                self.log.write(f"child {child} has ended with wait status {status}")
                if made is not None and time.monotonic() - made < EARLY_S:
                    self.early += 1
        ### END SOLUTION

    def kill_children(self):
        """End all children now, and reap them."""
        ### BEGIN SOLUTION
        for child in self.children:
            os.kill(child, signal.SIGKILL)  # they hold nothing that has to be put in order, and cannot miss this one
        for child in self.children:
            os.waitpid(child, 0)
        self.children.clear()
        self.leaving.clear()
        ### END SOLUTION

    def restart(self, now):
        """Re-open the log, read the configuration again, and change to the next generation of children.

        Where the configuration is broken, nothing changes but the log.
        """
        ### BEGIN SOLUTION
        try:
            self.log.open(self.config.logfile)  # in any case: it may have been renamed
            config = read_config(self.config_path)
            if config.logfile != self.config.logfile:
                self.log.open(config.logfile)
        except (Broken, OSError) as error:
            self.log.write(f"configuration not taken: {error}")
            return
        for key in ("port", "pidfile"):
            if getattr(config, key) != getattr(self.config, key):
                self.log.write(f"{key} changes with a new start only")
        self.config = config._replace(port=self.config.port, pidfile=self.config.pidfile)
        self.generation += 1
        if now:
            self.kill_children()
            self.early = 0
        else:
            for child in self.children:
                os.kill(child, signal.SIGUSR1)
            self.leaving.update(self.children)
        self.log.write(f"generation {self.generation}: {self.config.workers} children")
        ### END SOLUTION


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
