"""Unusual: one generator for each session, which yields where it wants to read; `selectors` picks epoll, level-triggered.

Still right: a generator is no thread. It runs only when the loop resumes it, and each yield goes back to the one wait.
Sockets stay blocking; MSG_DONTWAIT makes each single call non-blocking instead.
"""

import argparse
import os
import selectors
import signal
import socket
import stat
import sys

NOW = socket.MSG_DONTWAIT


class Gone(Exception):
    pass


class Member:
    def __init__(self, room, sock):
        self.room, self.sock, self.name, self.backlog, self.eof = room, sock, None, bytearray(), False
        self.life = self.talk()
        next(self.life)

    def lines(self):
        """Yield to the loop until a line is complete; return None at the end."""
        buffer = b""
        while True:
            head, newline, tail = buffer.partition(b"\n")
            if newline and len(head) < 4096:
                buffer = tail
                yield head
            elif len(buffer) >= 4096:
                self.write("error line too long")
                return
            else:
                yield None
                data = self.sock.recv(2048, NOW)
                if not data:
                    return
                buffer += data

    def talk(self):
        for line in self.lines():
            if line is None:
                yield
            elif self.do(line.decode(errors="surrogateescape")):
                break
        self.eof = True

    def do(self, line):
        word, _, rest = line.partition(" ")
        if word == "quit":
            self.write("bye")
            return True
        self.write(*self.room.reply(self, word, rest))
        return False

    def write(self, *lines):
        for line in lines:
            self.backlog += line.encode(errors="surrogateescape") + b"\n"
        self.push()
        if len(self.backlog) > 1048576:
            raise Gone

    def push(self):
        while self.backlog:
            try:
                del self.backlog[: self.sock.send(self.backlog, NOW)]
            except BlockingIOError:
                break


class Room:
    def __init__(self, wanted):
        self.poll, self.members, self.own, self.sleeping = selectors.DefaultSelector(), [], [], []
        self.bytes = {}
        self.wanted = wanted

    def open(self):
        wake, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        signal.set_wakeup_fd(self.waker)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        self.poll.register(wake, 1, self.leave)
        tcp, unix = socket.socket(), socket.socket(socket.AF_UNIX)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        tcp.bind(("127.0.0.1", self.wanted.port))
        try:
            unix.bind(self.wanted.unix)
        except OSError:
            if not stat.S_ISSOCK(os.lstat(self.wanted.unix).st_mode):
                raise
            try:
                socket.socket(socket.AF_UNIX).connect(self.wanted.unix)
            except ConnectionRefusedError:
                os.remove(self.wanted.unix)
                unix.bind(self.wanted.unix)
            else:
                raise
        self.own.append(self.wanted.unix)
        self.doors = tcp, unix
        for door in self.doors:
            door.listen(300)
            door.setblocking(False)
            self.poll.register(door, 1, self.enter)
        print(f"ready 127.0.0.1:{tcp.getsockname()[1]}\nready {self.wanted.unix}")
        if self.wanted.fifo:
            if not os.path.exists(self.wanted.fifo):
                os.mkfifo(self.wanted.fifo, 0o600)
                self.own.append(self.wanted.fifo)
            self.poll.register(os.open(self.wanted.fifo, os.O_RDWR), 1, self.mail)
            print("ready", self.wanted.fifo)
        sys.stdout.flush()
        self.poll.register(0, 1, self.console)

    def run(self):
        while True:
            for key, events in self.poll.select():
                if isinstance(key.data, Member):
                    self.visit(key.data, events)
                elif key.fd in self.poll.get_map():
                    key.data(key.fileobj)

    def visit(self, member, events):
        if member not in self.members:
            return
        try:
            if events & 2:
                member.push()
            if events & 1 and not member.eof:
                next(member.life, None)
        except BlockingIOError:
            pass
        except (OSError, Gone):
            member.backlog, member.eof = bytearray(), True
        self.settle(member)

    def settle(self, member):
        wanted = (0 if member.eof else 1) | (2 if member.backlog else 0)
        if wanted:
            self.poll.modify(member.sock, wanted, member)
            return
        self.poll.unregister(member.sock)
        self.members.remove(member)
        member.sock.close()
        for door in self.sleeping:
            self.poll.register(door, 1, self.enter)
        self.sleeping = []

    def enter(self, door):
        try:
            sock, _ = door.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            self.sleeping = [each for each in self.doors if each in self.poll.get_map()]
            for each in self.sleeping:
                self.poll.unregister(each)
            return
        member = Member(self, sock)
        self.members.append(member)
        self.poll.register(sock, 1, member)

    def say(self, line, sender=None):
        for member in self.members[:]:
            if member is sender:
                continue
            try:
                member.write(line)
            except (OSError, Gone):
                member.backlog, member.eof = bytearray(), True
            self.settle(member)

    def reply(self, member, word, rest):
        if word == "name" and len(rest.split()) == 1:
            if any(other.name == rest for other in self.members if other is not member):
                return ["error taken"]
            member.name = rest
            return ["ok"]
        if word == "say" and rest and member.name:
            self.say(f"{member.name}: {rest}", member)
            return []
        if word == "sum" and rest.strip():
            try:
                numbers = list(map(int, rest.split()))
            except ValueError:
                return ["error not a number"]
            small = all(-(1 << 63) <= n < 1 << 63 for n in (*numbers, sum(numbers)))
            return [f"= {sum(numbers)}" if small else "error too large"]
        if word == "who":
            return [" ".join(sorted(other.name for other in self.members if other.name))]
        return ["error ?"]

    def cut(self, descriptor):
        data = os.read(descriptor, 8192)
        *lines, self.bytes[descriptor] = (self.bytes.get(descriptor, b"") + data).split(b"\n")
        return data, [line.decode(errors="surrogateescape") for line in lines]

    def mail(self, descriptor):
        for line in self.cut(descriptor)[1]:
            self.say(f"fifo: {line}")

    def console(self, descriptor):
        data, lines = self.cut(descriptor)
        if not data:
            self.poll.unregister(descriptor)
        for line in lines:
            if line == "clients":
                print(f"clients: {len(self.members)}", flush=True)
            elif line.startswith("say "):
                self.say("server: " + line.removeprefix("say "))
            elif line == "shutdown":
                self.leave()
            else:
                print("what?", file=sys.stderr)

    def leave(self, *_):
        for path in self.own:
            os.remove(path)
        sys.exit(0)


def main():
    options = argparse.ArgumentParser(prog="select_server")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--unix", required=True)
    options.add_argument("--fifo")
    room = Room(options.parse_args())
    try:
        room.open()
    except OSError as error:
        print("select_server:", error, file=sys.stderr)
        sys.exit(1)
    room.run()


main()
