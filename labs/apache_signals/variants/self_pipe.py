"""Unusual: the classic self-pipe. Every handler notes its signal and writes a byte into a pipe, which the main loop
watches with select; a child has a pipe of its own and watches the socket too.

Still right: the byte stays in the pipe however early it was written, so nothing falls between test and wait. The
pipe never blocks the handler; where it is full it will wake anyway, and which signals came stands in a set. Signals are
blocked over fork until the child has handlers of its own, or it would write into its parent's pipe.
"""

import os
import select
import signal
import socket
import sys
import time

KEYS = {"port": 0, "workers": 0, "pidfile": "", "logfile": "", "message": ""}
CARE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)


def load(path):
    settings = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                key, value = line.strip().split(None, 1)
                try:
                    settings[key] = type(KEYS[key])(value)
                except ValueError:
                    raise ValueError(f"{key}: {value}") from None
    for key in KEYS:
        settings[key]  # KeyError names it
    if not 0 < settings["workers"] < 51 or not 0 <= settings["port"] < 65536:
        raise ValueError(f"workers or port: {settings}")
    return settings


class SelfPipe:
    def __init__(self):
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self.write_end, False)
        self.came = set()

    def handler(self, number, frame):
        self.came.add(number)
        try:
            os.write(self.write_end, b"!")
        except BlockingIOError:
            pass

    def drain(self):
        """Empty the pipe first, look second: what comes in between is seen, and wakes once more for nothing."""
        try:
            while os.read(self.read_end, 512):
                pass
        except BlockingIOError:
            pass
        taken = set(self.came)
        self.came -= taken
        return taken


def child(listener, generation, message):
    pipe = SelfPipe()
    signal.signal(signal.SIGUSR1, pipe.handler)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    while True:
        ready, _, _ = select.select([listener, pipe.read_end], [], [])
        if pipe.read_end in ready:
            os._exit(0)
        try:
            client = listener.accept()[0]
        except OSError:
            continue
        try:
            talk(client, generation, message)
        except OSError:
            pass
        client.close()


def talk(client, generation, message):
    until = time.monotonic() + 5
    data = b""
    while b"\n" not in data[:4096]:
        if len(data) >= 4096:
            client.sendall(b"error line too long\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
            return
        client.settimeout(max(0.001, until - time.monotonic()))
        piece = client.recv(4096 - len(data))
        if not piece:
            return
        data += piece
    client.settimeout(5)
    words = data.split(b"\n")[0].decode(errors="replace").split()
    if len(words) == 2 and words[0] == "slow":
        try:
            time.sleep(float(words[1]))
        except ValueError:
            pass
    client.sendall(f"{os.getpid()} {generation} {message}\n".encode())


def main():
    pipe = SelfPipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, CARE)
    for number in CARE:
        signal.signal(number, pipe.handler)
    if len(sys.argv) != 3 or sys.argv[1] != "--config":
        sys.stderr.write("usage: apache_signals --config FILE\n")
        return 2
    try:
        settings = load(sys.argv[2])
        log = open(settings["logfile"], "a", buffering=1, encoding="utf-8")
        listener = socket.create_server(("127.0.0.1", settings["port"]), backlog=200)
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"apache_signals: {error!r}\n")
        return 1
    listener.setblocking(False)
    children = {}  # pid: [generation, birth]
    generation = 1
    early, not_before = 0, 0.0
    announced = stopping = False
    status = 0
    while not stopping:
        # as many as are missing; those whose predecessors died young one a second
        patience = None
        while len(children) < settings["workers"]:
            missing = settings["workers"] - len(children)
            early = min(early, missing)
            if early == missing:
                patience = not_before - time.monotonic()
                if patience > 0:
                    break
                patience = None
                early -= 1
                not_before = time.monotonic() + 1
            signal.pthread_sigmask(signal.SIG_BLOCK, CARE)
            pid = os.fork()
            if pid == 0:
                try:
                    child(listener, generation, settings["message"])
                finally:
                    os._exit(1)
            children[pid] = [generation, time.monotonic()]
            signal.pthread_sigmask(signal.SIG_UNBLOCK, CARE)
        if not announced:
            log.write("generation 1\n")
            print("ready 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
            announced = True
            try:
                with open(settings["pidfile"], "w") as file:
                    print(os.getpid(), file=file)
            except OSError as error:
                sys.stderr.write(f"apache_signals: {error}\n")
                status = 1
                break
        select.select([pipe.read_end], [], [], patience)
        came = pipe.drain()
        if signal.SIGTERM in came or signal.SIGINT in came:
            stopping = True
        elif signal.SIGHUP in came or signal.SIGUSR1 in came:
            try:
                before, log = log, open(settings["logfile"], "a", buffering=1, encoding="utf-8")
                before.close()
                new = load(sys.argv[2])
                if new["logfile"] != settings["logfile"]:
                    other = open(new["logfile"], "a", buffering=1, encoding="utf-8")
                    log.close()
                    log = other
            except (OSError, ValueError, KeyError) as error:
                log.write(f"the configuration is broken and not used: {error!r}\n")
            else:
                for key in ("port", "pidfile"):
                    if new[key] != settings[key]:
                        log.write(f"the new {key} has to wait for a new start\n")
                        new[key] = settings[key]
                settings = new
                generation += 1
                log.write(f"generation {generation}\n")
                how = signal.SIGTERM if signal.SIGHUP in came else signal.SIGUSR1
                for pid in children:
                    os.kill(pid, how)
                if how == signal.SIGTERM:
                    for pid in children:
                        os.waitpid(pid, 0)
                    children.clear()
                    early = 0
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            born = children.pop(pid)
            if born[0] == generation and time.monotonic() - born[1] < 1 and status != 0:
                early += 1
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in children:
        os.waitpid(pid, 0)
    if status == 0:
        os.remove(settings["pidfile"])
    return status


sys.exit(main())
