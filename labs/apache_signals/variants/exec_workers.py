"""Unusual: each child executes the program anew, as a worker. Over execve it keeps the listening socket (made
inheritable), its parent, what is ignored, and the signal mask; a handler it could not keep. The parent waits with
sigwait, and uses an alarm as the clock for children that have to wait.

Still right: all signals are blocked from the first line on, in the worker too, since the mask is inherited. The worker
has a handler for SIGUSR1 that raises an exception, and lets the signal through only where it waits for a client.
"""

import os
import select
import signal
import socket
import sys
import time

ALL = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGALRM]
signal.pthread_sigmask(signal.SIG_BLOCK, ALL)


class Enough(Exception):
    """The parent wants this worker to end."""


def enough(number, frame):
    raise Enough


def worker(listener, generation, message):
    signal.signal(signal.SIGUSR1, enough)
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1])
    try:
        while True:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            select.select([listener], [], [])
            signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1])  # raises Enough if it came before this
            try:
                client = listener.accept()[0]
            except OSError:
                continue
            try:
                dialogue(client, f"{os.getpid()} {generation} {message}\n")
            except (OSError, TimeoutError):
                pass
            finally:
                client.close()
    except Enough:
        pass


def dialogue(client, reply):
    end = time.monotonic() + 5
    text = b""
    while True:
        if not select.select([client], [], [], max(0, end - time.monotonic()))[0]:
            return
        piece = client.recv(4096)
        if not piece:
            return
        text += piece
        line, newline, _ = text.partition(b"\n")
        if len(line) > 4095:
            client.send(b"error line too long\n")
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            while client.recv(4096):
                pass
            return
        if newline:
            break
    if line.startswith(b"slow "):
        try:
            time.sleep(max(0.0, float(line[5:])))
        except (ValueError, OverflowError):
            pass
    client.sendall(reply.encode())


def read(path):
    config = {"port": None, "workers": None, "pidfile": None, "logfile": None, "message": None}
    with open(path) as lines:
        for line in lines:
            words = line.rstrip("\n").split(" ", 1)
            if words == [""]:
                continue
            if words[0] not in config:
                raise ValueError(f"{words[0]}: no such key")
            config[words[0]] = words[1].strip() if len(words) > 1 else None
    for key, value in config.items():
        if not value:
            raise ValueError(f"{key}: missing")
    for key, low, high in ("port", 0, 65535), ("workers", 1, 50):
        if not config[key].isdecimal() or not low <= int(config[key]) <= high:
            raise ValueError(f"{key}: {config[key]} is no good")
        config[key] = int(config[key])
    return config


class Log:
    def __init__(self, path):
        self.file = open(path, "a")

    def change(self, path):
        old, self.file = self.file, open(path, "a")
        old.close()

    def __call__(self, text):
        self.file.write(f"[{os.getpid()}] {text}\n")
        self.file.flush()


def launch(listener, generation, message):
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        command = [sys.executable, os.path.abspath(__file__), "--worker", str(listener.fileno()), str(generation)]
        os.execv(command[0], [*command, message])
    finally:
        os._exit(127)


def master(path):
    try:
        config = read(path)
        log = Log(config["logfile"])
        listener = socket.create_server(("127.0.0.1", config["port"]), backlog=300)
    except (OSError, ValueError) as error:
        print("apache_signals:", error, file=sys.stderr)
        return 1
    listener.setblocking(False)
    listener.set_inheritable(True)
    generation, born, told, debts, earliest = 1, {}, set(), 0, 0.0
    ready = False
    while True:
        while len(born) < config["workers"]:
            if len(born) + debts >= config["workers"]:
                if time.monotonic() < earliest:
                    signal.setitimer(signal.ITIMER_REAL, max(0.001, earliest - time.monotonic()))
                    break
                debts = config["workers"] - len(born) - 1
                earliest = time.monotonic() + 1.01
            born[launch(listener, generation, config["message"])] = time.monotonic()
        if not ready:
            ready = True
            log("generation 1")
            sys.stdout.write(f"ready 127.0.0.1:{listener.getsockname()[1]}\n")
            sys.stdout.flush()
            try:
                with open(config["pidfile"], "w") as file:
                    file.write(f"{os.getpid()}\n")
            except OSError as error:
                print("apache_signals:", error, file=sys.stderr)
                end(born)
                return 1
        number = signal.sigwait(ALL)
        if {number, *signal.sigpending()} & {signal.SIGTERM, signal.SIGINT}:
            break
        if number in (signal.SIGHUP, signal.SIGUSR1):
            try:
                log.change(config["logfile"])
                new = read(path)
                if new["logfile"] != config["logfile"]:
                    log.change(new["logfile"])
            except (OSError, ValueError) as error:
                log(f"broken configuration: {error}")
                continue
            for key in ("port", "pidfile"):
                if new[key] != config[key]:
                    log(f"{key} is not changed while the server runs")
                    new[key] = config[key]
            config, generation = new, generation + 1
            log(f"generation {generation}")
            for pid in born:
                os.kill(pid, signal.SIGKILL if number == signal.SIGHUP else signal.SIGUSR1)
            if number == signal.SIGHUP:
                for pid in born:
                    os.waitpid(pid, 0)
                born, told, debts = {}, set(), 0
            else:
                told |= set(born)
        while born and (pid := os.waitpid(-1, os.WNOHANG)[0]):
            if time.monotonic() - born.pop(pid) < 1 and pid not in told:
                debts += 1
            told.discard(pid)
    end(born)
    os.unlink(config["pidfile"])
    return 0


def end(born):
    for pid in born:
        os.kill(pid, signal.SIGKILL)
    while born:
        born.pop(os.wait()[0], None)


match sys.argv[1:]:
    case ["--worker", descriptor, generation, message]:
        worker(socket.socket(fileno=int(descriptor)), generation, message)
    case ["--config", path]:
        sys.exit(master(path))
    case _:
        print("usage: apache_signals --config FILE", file=sys.stderr)
        sys.exit(2)
