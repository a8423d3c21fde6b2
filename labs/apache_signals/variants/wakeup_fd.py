"""Unusual: signal.set_wakeup_fd. The interpreter's own handler writes the signal's number into a socket; the Python
handlers do nothing. Which signals came is read from the socket. A child is told to leave by a message, not by a
signal: each has a socket pair with the parent, and end-of-file there says that it is enough.

Still right: the numbers wait in the socket, in their order, whenever they were written. A child looks at its socket
only where it holds no client. No child holds the parent's side of another's pair: each closes those it inherited.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time

WANTED = {"port", "workers", "pidfile", "logfile", "message"}


class Unusable(Exception):
    pass


def parse(path):
    try:
        with open(path, "rb") as file:
            pairs = [line.split(maxsplit=1) for line in file.read().decode().splitlines() if line.split()]
    except (OSError, ValueError) as error:
        raise Unusable(str(error)) from error
    if any(len(pair) != 2 for pair in pairs):
        raise Unusable("a key without a value")
    found = {key: value.rstrip() for key, value in pairs}
    for key in found.keys() ^ WANTED:
        raise Unusable(f"key {key} is unknown or missing")
    for key, allowed in (("port", range(65536)), ("workers", range(1, 51))):
        try:
            found[key] = int(found[key])
        except ValueError:
            found[key] = -1
        if found[key] not in allowed:
            raise Unusable(f"value of {key}")
    return found


class Child:
    def __init__(self, pid, leash, generation):
        self.pid, self.leash, self.generation, self.born = pid, leash, generation, time.monotonic()

    def release(self):
        if self.leash is not None:
            self.leash.close()
            self.leash = None


class Server:
    def __init__(self, path):
        self.path = path
        self.config = parse(path)
        self.log = None
        self.open_log(self.config["logfile"])
        self.listener = socket.create_server(("127.0.0.1", self.config["port"]), backlog=256)
        self.listener.setblocking(False)
        self.generation = 1
        self.children = []
        self.hold_until = 0.0
        self.punished = 0

    def open_log(self, name):
        log = open(name, "ab", buffering=0)
        if self.log:
            self.log.close()
        self.log = log

    def note(self, *words):
        self.log.write((" ".join(str(word) for word in words) + "\n").encode())

    # ------------------------------------------------------------ children

    def fork(self):
        mine, theirs = socket.socketpair()
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                signal.set_wakeup_fd(-1)
                for number in HANDLED:
                    signal.signal(number, signal.SIG_DFL)
                for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
                    signal.signal(number, signal.SIG_IGN)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
                mine.close()
                for sibling in self.children:
                    sibling.release()
                self.work(theirs)
            os._exit(0)
        theirs.close()
        self.children.append(Child(pid, mine, self.generation))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def work(self, leash):
        watch = selectors.DefaultSelector()
        watch.register(leash, selectors.EVENT_READ, "leash")
        watch.register(self.listener, selectors.EVENT_READ, "client")
        answer = f"{os.getpid()} {self.generation} {self.config['message']}\n".encode()
        while True:
            if any(key.data == "leash" for key, _ in watch.select()):
                return
            try:
                client, _ = self.listener.accept()
            except OSError:
                continue
            with client, contextlib.suppress(OSError):
                converse(client, answer)

    def populate(self):
        """Seconds until somebody else may be made, or None."""
        while len(self.children) < self.config["workers"]:
            if self.punished >= self.config["workers"] - len(self.children):
                wait = self.hold_until - time.monotonic()
                if wait > 0:
                    return wait
                self.hold_until = time.monotonic() + 1.0
                self.punished -= 1
            self.fork()
        self.punished = 0
        return None

    def bury(self):
        for each in list(self.children):
            pid, _ = os.waitpid(each.pid, os.WNOHANG)
            if pid:
                young = each.leash is not None and time.monotonic() - each.born < 1.0
                self.punished += young
                if young:  # the first of them waits as well
                    self.hold_until = max(self.hold_until, each.born + 1.0)
                each.release()
                self.children.remove(each)

    def massacre(self):
        for each in self.children:
            os.kill(each.pid, signal.SIGKILL)
        for each in self.children:
            os.waitpid(each.pid, 0)
            each.release()
        self.children = []
        self.punished = 0

    # ------------------------------------------------------------ restarts

    def restart(self, gently):
        self.open_log(self.config["logfile"])
        try:
            config = parse(self.path)
            if config["logfile"] != self.config["logfile"]:
                self.open_log(config["logfile"])
        except (Unusable, OSError) as error:
            self.note("ignored a broken configuration:", error)
            return
        for key in ("port", "pidfile"):
            if config[key] != self.config[key]:
                self.note(key, "is only read at a start")
                config[key] = self.config[key]
        self.config = config
        self.generation += 1
        if gently:
            for each in self.children:
                each.release()
        else:
            self.massacre()
        self.note("this is generation", self.generation)

    def run(self, numbers):
        wait = self.populate()
        self.note("this is generation 1")
        print(f"ready 127.0.0.1:{self.listener.getsockname()[1]}", flush=True)
        try:
            with open(self.config["pidfile"], "w") as file:
                file.write(str(os.getpid()))
            while True:
                numbers.settimeout(wait)
                try:
                    came = set(numbers.recv(65536))
                except TimeoutError:
                    came = set()
                if came & {signal.SIGTERM, signal.SIGINT}:
                    break
                if signal.SIGHUP in came or signal.SIGUSR1 in came:
                    self.restart(gently=signal.SIGHUP not in came)
                self.bury()
                wait = self.populate()
            os.unlink(self.config["pidfile"])
        finally:
            self.massacre()


def converse(client, answer):
    line = b""
    end = time.monotonic() + 5.0
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            return
        client.settimeout(left)
        byte = client.recv(1)
        if not byte:
            return
        line += byte
        if len(line) == 4096 and byte != b"\n":
            client.sendall(b"error line too long\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
            return
    client.settimeout(5.0)
    if line.startswith(b"slow "):
        with contextlib.suppress(ValueError):
            time.sleep(float(line[5:]))
    client.sendall(answer)


HANDLED = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD]

if __name__ == "__main__":
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    for handled in HANDLED:
        signal.signal(handled, lambda *_: None)
    if sys.argv[1:2] != ["--config"] or len(sys.argv) != 3:
        sys.exit(print("usage: apache_signals --config FILE", file=sys.stderr) or 2)
    try:
        Server(sys.argv[2]).run(reading)
    except (Unusable, OSError) as error:
        sys.exit(f"apache_signals: {error}")
