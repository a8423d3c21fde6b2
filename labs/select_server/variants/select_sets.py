"""Unusual: select(2) with sets that are built anew each round; a full server shows new clients the door.

Still right: select(2) knows descriptors below 1024 only, so a client whose descriptor would be 1024 or more is
closed at once; where no descriptor is left at all, one that was kept in reserve is used to accept and close it.
SIGTERM and SIGINT become an exception, which the `finally` at the end turns into a tidy end.
"""

import argparse
import os
import select
import signal
import socket
import stat
import sys

FD_SETSIZE = 1024
LIMIT = 4096


class Client:
    def __init__(self, sock):
        self.sock, self.name, self.head, self.tail, self.ending = sock, b"", b"", bytearray(), False

    def fileno(self):
        return self.sock.fileno()


def leave(*_):
    raise SystemExit(0)


def die(reason):
    print(f"select_server: {reason}", file=sys.stderr)
    raise SystemExit(1)


class Chat:
    def __init__(self, port, unix, fifo):
        self.clients, self.made, self.reserve = {}, [], os.open(os.devnull, os.O_RDONLY)
        self.tcp = socket.create_server(("127.0.0.1", port), backlog=512)  # sets SO_REUSEADDR itself
        self.unix = self.claim(unix)
        self.made.append(unix)
        self.unix.listen(512)
        for listener in (self.tcp, self.unix):
            listener.setblocking(False)
        self.fifo, self.fifo_head = None, b""
        if fifo:
            if not os.path.exists(fifo):
                os.mkfifo(fifo, 0o600)
                self.made.append(fifo)
            self.fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # both ends at once: Linux allows that
        self.console, self.console_head = 0, b""
        for address in (f"127.0.0.1:{self.tcp.getsockname()[1]}", unix, *([fifo] if fifo else [])):
            print("ready", address, flush=True)

    def claim(self, path):
        sock = socket.socket(socket.AF_UNIX)
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                die(f"{path} is not a socket")
            try:
                socket.socket(socket.AF_UNIX).connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            else:
                die(f"{path}: a server is running there")
        sock.bind(path)
        return sock

    def loop(self):
        while True:
            sources = [self.tcp, self.unix, *(c for c in self.clients.values() if not c.ending)]
            sources += [number for number in (self.console, self.fifo) if number is not None]
            readable, writable, _ = select.select(sources, [c for c in self.clients.values() if c.tail], [])
            for client in writable:
                self.push(client)
            for source in readable:
                if source is self.tcp or source is self.unix:
                    self.admit(source)
                elif source == self.console:
                    self.hear_console()
                elif source == self.fifo:
                    *lines, self.fifo_head = (self.fifo_head + os.read(self.fifo, LIMIT)).split(b"\n")
                    for line in lines:
                        self.everybody(b"fifo: " + line)
                elif source in self.clients.values():
                    self.hear(source)

    def admit(self, listener):
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:
            os.close(self.reserve)
            try:
                listener.accept()[0].close()
            except OSError:
                pass
            self.reserve = os.open(os.devnull, os.O_RDONLY)
            return
        if sock.fileno() >= FD_SETSIZE:
            sock.close()
            return
        sock.setblocking(False)
        self.clients[sock.fileno()] = Client(sock)

    def forget(self, client):
        if self.clients.get(client.fileno()) is client:
            del self.clients[client.fileno()]
        client.sock.close()

    def push(self, client):
        if client.fileno() < 0:
            return
        try:
            del client.tail[: client.sock.send(client.tail)]
        except BlockingIOError:
            pass
        except OSError:
            self.forget(client)
            return
        if client.ending and not client.tail:
            self.forget(client)

    def answer(self, client, line):
        client.tail += line + b"\n"
        if len(client.tail) > 2**20:
            self.push(client)
            if len(client.tail) > 2**20:
                self.forget(client)

    def everybody(self, line, sender=None):
        for client in tuple(self.clients.values()):
            if client is not sender:
                self.answer(client, line)

    def hear(self, client):
        try:
            data = client.sock.recv(LIMIT)
        except BlockingIOError:
            return
        except OSError:
            self.forget(client)
            return
        *lines, client.head = (client.head + data).split(b"\n")
        for line in lines:
            if client.ending or client.fileno() < 0:
                return
            if len(line) < LIMIT:
                self.obey(client, line)
            else:
                self.answer(client, b"error line too long")
                client.ending = True
        if len(client.head) >= LIMIT and not client.ending:
            self.answer(client, b"error line too long")
            client.ending = True
        if not data:
            client.ending = True
            self.push(client)

    def obey(self, client, line):
        command, _, rest = line.partition(b" ")
        others = [c.name for c in self.clients.values() if c is not client]
        if command == b"name" and len(rest.split()) == 1 and rest.strip() not in others:
            client.name = rest.strip()
            self.answer(client, b"ok")
        elif command == b"say" and client.name and rest:
            self.everybody(client.name + b": " + rest, client)
        elif command == b"sum" and rest:
            try:
                numbers = [int(word) for word in rest.split()]
            except ValueError:
                numbers = [2**64]
            fits = all(abs(2 * number + 1) < 2**64 for number in (*numbers, sum(numbers)))
            self.answer(client, b"= %d" % sum(numbers) if fits else b"error no number")
        elif line == b"who":
            self.answer(client, b" ".join(sorted(c.name for c in self.clients.values() if c.name)))
        elif line == b"quit":
            self.answer(client, b"bye")
            client.ending = True
        else:
            self.answer(client, b"error what?")

    def hear_console(self):
        data = os.read(0, LIMIT)
        if not data:
            self.console = None
        *lines, self.console_head = (self.console_head + data).split(b"\n")
        for line in lines:
            if line == b"clients":
                print(len(self.clients), flush=True)
            elif line.startswith(b"say "):
                self.everybody(b"server: " + line[4:])
            elif line == b"shutdown":
                leave()


def main():
    parser = argparse.ArgumentParser("select_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--unix", required=True)
    parser.add_argument("--fifo")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    chat = Chat.__new__(Chat)
    chat.made = []
    try:
        chat.__init__(wanted.port, wanted.unix, wanted.fifo)
        chat.loop()
    except OSError as error:
        die(error)
    finally:
        for path in chat.made:
            os.unlink(path)


main()
