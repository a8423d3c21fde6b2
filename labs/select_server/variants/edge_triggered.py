"""Unusual: epoll, edge-triggered, and every socket is registered for reading and writing once and for all.

Still right: an edge is told once, so each read, write and accept goes on until the kernel says EAGAIN. A client that
has more to say than one helping is put at the end of a queue of its own, so that the others get their turn.
"""

import collections
import contextlib
import os
import select
import signal
import socket
import stat
import sys

EDGE = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
HELPING = 8192


class Peer:
    def __init__(self, sock):
        self.sock, self.name, self.text, self.out, self.done = sock, None, bytearray(), collections.deque(), False
        self.size, self.dead = 0, False


def usage():
    sys.stderr.write("usage: select_server --port P --unix PATH [--fifo PATH]\n")
    raise SystemExit(2)


def arguments(words):
    found = {"--fifo": None}
    for key, value in zip(words[::2], [*words[1::2], None][: (len(words) + 1) // 2], strict=True):
        if key not in ("--port", "--unix", "--fifo") or value is None:
            usage()
        found[key] = value
    try:
        port, unix = int(found["--port"]), found["--unix"]
    except (KeyError, ValueError):
        usage()
    if not 0 <= port < 65536:
        usage()
    return port, unix, found["--fifo"]


class Hub:
    def __init__(self):
        self.epoll, self.peers, self.made, self.hungry = select.epoll(), {}, [], collections.deque()
        self.steps, self.starving, self.open = {}, False, True
        self.buffers = {"console": b"", "fifo": b""}

    def add(self, fd, events, step):
        self.steps[fd] = step
        self.epoll.register(fd, events)

    def start(self, port, unix, fifo):
        read, write = socket.socketpair()
        read.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno())
        self.keep = read, write
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self.add(read.fileno(), select.EPOLLIN, self.end)
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", port))
        self.unix = socket.socket(socket.AF_UNIX)
        if os.path.lexists(unix) and stat.S_ISSOCK(os.lstat(unix).st_mode):
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError):
                probe.connect(unix)
                raise OSError(f"{unix}: in use")
            os.unlink(unix)
        self.unix.bind(unix)
        self.made.append(unix)
        for listener in (self.tcp, self.unix):
            listener.listen(4096)
            listener.setblocking(False)
            self.add(listener.fileno(), select.EPOLLIN | select.EPOLLET, self.accept)
        print(f"ready 127.0.0.1:{self.tcp.getsockname()[1]}\nready {unix}", flush=True)
        if fifo is not None:
            try:
                os.mkfifo(fifo, 0o600)
                self.made.append(fifo)
            except FileExistsError:
                pass
            self.fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            self.add(self.fifo, select.EPOLLIN, self.hear_fifo)
            print(f"ready {fifo}", flush=True)
        self.add(0, select.EPOLLIN, self.hear_console)

    def end(self):
        self.open = False

    def loop(self):
        while self.open:
            for fd, events in self.epoll.poll(0 if self.hungry else -1):
                peer = self.peers.get(fd)
                if peer is None:
                    step = self.steps.get(fd)
                    if step is not None:
                        step()
                    continue
                if events & select.EPOLLOUT:
                    self.drain(peer)
                if events & ~select.EPOLLOUT and peer not in self.hungry:
                    self.hungry.append(peer)
            for peer in [self.hungry.popleft() for _ in range(len(self.hungry))]:
                if not peer.dead and self.feed(peer):
                    self.hungry.append(peer)

    def accept(self):
        for listener in (self.tcp, self.unix):
            while True:
                try:
                    sock, _ = listener.accept()
                except BlockingIOError:
                    break
                except ConnectionError:
                    continue
                except OSError:
                    self.starving = True
                    return
                sock.setblocking(False)
                self.peers[sock.fileno()] = Peer(sock)
                self.epoll.register(sock.fileno(), EDGE)

    def kill(self, peer):
        if peer.dead:
            return
        peer.dead = True
        del self.peers[peer.sock.fileno()]
        peer.sock.close()
        if self.starving:
            self.starving = False
            self.accept()

    def drain(self, peer):
        try:
            while peer.out:
                sent = peer.sock.send(peer.out[0])
                peer.size -= sent
                if sent == len(peer.out[0]):
                    peer.out.popleft()
                else:
                    peer.out[0] = peer.out[0][sent:]
        except BlockingIOError:
            return
        except OSError:
            self.kill(peer)
            return
        if peer.done:
            self.kill(peer)

    def put(self, peer, line):
        if peer.dead:
            return
        peer.out.append(memoryview(line.encode("utf-8", "surrogateescape") + b"\n"))
        peer.size += len(peer.out[-1])
        if len(peer.out) == 1:
            self.drain(peer)
        if peer.size > 1 << 20:
            self.kill(peer)

    def shout(self, who, text, sender=None):
        for peer in [*self.peers.values()]:
            if peer is not sender:
                self.put(peer, f"{who}: {text}")

    def feed(self, peer):
        """One helping; whether there may be more."""
        try:
            data = peer.sock.recv(HELPING)
        except BlockingIOError:
            return False
        except OSError:
            self.kill(peer)
            return False
        if not data or peer.done:
            peer.done = True
            self.drain(peer)
            return bool(data)
        peer.text += data
        while not peer.done and not peer.dead and b"\n" in peer.text[:4096]:
            line, _, rest = peer.text.partition(b"\n")
            peer.text = rest
            self.obey(peer, bytes(line).decode("utf-8", "surrogateescape"))
        if not peer.done and len(peer.text) >= 4096 and b"\n" not in peer.text[:4096]:
            peer.done = True
            self.put(peer, "error line too long")
            self.drain(peer)
        return True

    def obey(self, peer, line):
        match line.split(" ", 1):
            case ["name", name] if len(name.split()) == 1 and all(
                p.name != name for p in self.peers.values() if p is not peer
            ):
                peer.name = name
                self.put(peer, "ok")
            case ["say", text] if peer.name and text:
                self.shout(peer.name, text, peer)
            case ["sum", numbers] if numbers.split():
                try:
                    values = [int(word) for word in numbers.split()]
                    for value in [*values, sum(values)]:
                        value.to_bytes(8, "big", signed=True)
                except (ValueError, OverflowError):
                    self.put(peer, "error integers of 64 bits, please")
                else:
                    self.put(peer, f"= {sum(values)}")
            case ["who"]:
                self.put(peer, " ".join(sorted(p.name for p in self.peers.values() if p.name)))
            case ["quit"]:
                peer.done = True
                self.put(peer, "bye")
                self.drain(peer)
            case _:
                self.put(peer, "error I do not understand")

    def cut(self, which, data):
        *lines, self.buffers[which] = (self.buffers[which] + data).split(b"\n")
        return [line.decode("utf-8", "surrogateescape") for line in lines]

    def hear_fifo(self):
        for line in self.cut("fifo", os.read(self.fifo, 65536)):
            self.shout("fifo", line)

    def hear_console(self):
        data = os.read(0, 65536)
        if not data:
            self.epoll.unregister(0)
        for line in self.cut("console", data):
            if line == "clients":
                os.write(1, b"there are %d\n" % len(self.peers))
            elif line[:4] == "say " and line[4:]:
                self.shout("server", line[4:])
            elif line == "shutdown":
                self.end()


hub = Hub()
try:
    hub.start(*arguments(sys.argv[1:]))
    hub.loop()
except OSError as error:
    sys.exit(f"select_server: {error}")
finally:
    for path in hub.made:
        os.unlink(path)
