"""Clients of a program: the grader's end of connections into the sandbox's own network.

A socket belongs to the network namespace in which it was made, wherever it is used. So a short-lived
child of the grader joins the sandbox's namespace, makes a stock of sockets there, and hands them back
(setns(2), SCM_RIGHTS in unix(7)). Unix-domain sockets are reached by path, through /proc.

What is in flight on loopback TCP can be seen: bytes that the other side's kernel has not acknowledged,
connections that are being made or ended (/proc/net/tcp, proc(5)). Nothing is in flight if there are none;
only then may a program that waits for a socket be said to wait in vain.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from grader.running.namespaces import NETWORK, join

_STOCK = 64
_CHUNK = 65536
_MOST = 8 * 2**20
"""What one client takes before the grader stops reading: more is told as it is, and not kept"""
_MOVING = {0x02, 0x03, 0x04, 0x09, 0x0B}
"""SYN_SENT, SYN_RECV, FIN_WAIT1, LAST_ACK, CLOSING: the kernel has still to hear from the other side"""
_LISTEN = 0x0A
_TIME_WAIT = 0x06


@dataclass(frozen=True)
class Endpoint:
    """One socket of the sandbox, as the kernel lists it."""

    inode: int
    local: str
    remote: str
    state: int
    """The kernel's number (include/net/tcp_states.h); 0 for a Unix-domain socket"""
    unsent: int = 0
    """Bytes that the other side has not acknowledged"""
    unread: int = 0
    """Bytes that have arrived and were not read; for one that listens, connections that wait"""

    @property
    def listens(self) -> bool:
        """Whether it waits for connections."""
        return self.state == _LISTEN


def _address(text: str) -> str:
    """``0100007F:1F90`` as ``127.0.0.1:8080``; the bytes of each word are in the machine's own order."""
    host, port = text.split(":")
    words = b"".join(struct.pack("=I", int(host[index : index + 8], 16)) for index in range(0, len(host), 8))
    family = socket.AF_INET if len(words) == 4 else socket.AF_INET6
    shown = socket.inet_ntop(family, words)
    return f"{shown}:{int(port, 16)}" if family == socket.AF_INET else f"[{shown}]:{int(port, 16)}"


def endpoints(pid: int) -> tuple[Endpoint, ...]:
    """All sockets of a process's network namespace: TCP and Unix-domain. Empty if they cannot be read.

    A Unix-domain socket that accept(2) made belongs to the network of the client: those of the grader's own
    clients stand in the grader's table.
    """
    found: list[Endpoint] = []
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}", encoding="ascii") as lines:
                rows = lines.readlines()[1:]
        except OSError:
            continue
        for row in rows:
            words = row.split()
            unsent, unread = (int(part, 16) for part in words[4].split(":"))
            found.append(
                Endpoint(
                    int(words[9]), _address(words[1]), _address(words[2]), int(words[3], 16), unsent, unread
                )
            )
    rows = []
    for owner in (pid, "self"):
        try:
            with open(f"/proc/{owner}/net/unix", encoding="utf-8", errors="backslashreplace") as lines:
                rows += lines.readlines()[1:]
        except OSError:
            continue
    for row in rows:
        words = row.split(maxsplit=7)
        listening = int(words[3], 16) & 0x10000  # __SO_ACCEPTCON
        path = words[7].strip() if len(words) > 7 else ""
        found.append(Endpoint(int(words[6]), path, "", _LISTEN if listening else 0))
    return tuple(found)


def in_flight(everything: Sequence[Endpoint]) -> bool:
    """Whether something may still be on its way between two TCP sockets of the namespace.

    The kernel may delay the acknowledgement by 40 ms; until then bytes count as on their way. Those for a
    socket that has unread ones already may have to wait for room: they are not, and nobody is woken by them.
    """
    unread = {(each.local, each.remote) for each in everything if each.unread and not each.listens}
    return any(
        each.state in _MOVING
        or (each.unsent and not each.listens and (each.remote, each.local) not in unread)
        for each in everything
    )


def undelivered() -> bool:
    """Whether packets wait in a processor's queue: column 12 of /proc/net/softnet_stat.

    This is no proof that all has arrived, as `in_flight` is, but a thousand times cheaper and without delay.
    """
    try:
        with open("/proc/net/softnet_stat", encoding="ascii") as lines:
            return any(int(line.split()[11], 16) for line in lines)
    except (OSError, IndexError):
        return False  # not Linux, or one that does not say


def words(everything: Sequence[Endpoint], clients: Mapping[str, str]) -> dict[str, str]:
    """What to call each socket in a message, by its name in /proc: ``socket:[17]``.

    :param clients: the name of each of the grader's clients, by its own address
    """
    found = {}
    for each in everything:
        if not each.local and not each.remote:
            continue
        if each.listens:
            text = f"the listening socket {each.local}"
        elif each.state == 0:
            text = f"a connection to {each.local}"
        elif each.remote in clients:
            text = f"the connection of {clients[each.remote]}"
        else:
            text = f"the connection from {each.remote}"
        found[f"socket:[{each.inode}]"] = text
    return found


class Network:
    """The way into a sandbox's network.

    :param namespace: descriptor of the sandbox's network namespace; none where it has none of its own
    """

    def __init__(self, namespace: int | None):
        self._namespace = namespace
        self._stock: list[socket.socket] = []

    @property
    def own(self) -> bool:
        """Whether the sandbox has a network of its own, so that all that is in it is the program's and ours."""
        return self._namespace is not None

    def tcp(self) -> socket.socket:
        """An unconnected TCP socket in the sandbox's network.

        :raises OSError: if the namespace cannot be joined
        """
        if self._namespace is None:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if not self._stock:
            self._stock = _made_inside(self._namespace, _STOCK)
        return self._stock.pop()

    def close(self) -> None:
        """Give back what was not used."""
        for each in self._stock:
            each.close()
        self._stock.clear()


def _made_inside(namespace: int, count: int) -> list[socket.socket]:
    """Sockets made by a child that has joined the network namespace."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            join(namespace, NETWORK)
            made = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
            socket.send_fds(theirs, [b"ok"], [each.fileno() for each in made])
            os._exit(0)
        except BaseException as error:  # nothing of the child may run on in the parent's place
            theirs.send(str(error).encode()[:4000])
            os._exit(1)
    theirs.close()
    with ours:
        said, descriptors, _, _ = socket.recv_fds(ours, 4096, count)
    os.waitpid(pid, 0)
    if not descriptors:
        raise OSError(f"the sandbox's network cannot be joined: {said.decode(errors='replace')}")
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


class Client:
    """One connection to the program, driven by `Program.pump` like its standard streams.

    :param address: a host and port, or a path that connect(2) takes
    :param say: told what passes, for the transcript: (speaker, bytes)
    :param reading: whether what the program sends is taken from the socket at all
    """

    def __init__(
        self,
        name: str,
        made: socket.socket,
        address: tuple[str, int] | str,
        say: Callable[[str, bytes], None],
        *,
        reading: bool = True,
    ):
        self.name = name
        self.received = bytearray()
        self.ended = ""
        """``end-of-file`` or ``reset`` once the program's side is over; ``closed`` once ours is"""
        self.refused = ""
        """Why there is no connection, in words"""
        self.connected = False
        self._socket = made
        self._say = say
        self._reading = reading
        self._pending = bytearray()
        self._shutting = False
        made.setblocking(False)
        if not reading:  # as little room as there can be, so that the program soon finds it full
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        failure = made.connect_ex(address)
        if failure not in (0, errno.EINPROGRESS, errno.EAGAIN):
            self._refuse(failure)
        elif failure == 0:
            self.connected = True
        elif failure == errno.EAGAIN:  # a Unix-domain socket whose queue of connections is full
            self._refuse(failure)

    def _refuse(self, failure: int) -> None:
        self.refused = os.strerror(failure)
        self._end("closed")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how

    # ------------------------------------------------------------ what the loop asks

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    @property
    def address(self) -> str:
        """Our own address, as the program sees it; empty for a Unix-domain connection."""
        if self._socket.fileno() == -1 or self._socket.family != socket.AF_INET:
            return ""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    @property
    def wants(self) -> int:
        """What to wait for (`selectors` events); 0 for nothing."""
        if self.ended or self.refused:
            return 0
        if not self.connected:
            return selectors.EVENT_WRITE
        events = selectors.EVENT_READ if self._reading and len(self.received) < _MOST else 0
        return events | (selectors.EVENT_WRITE if self._pending or self._shutting else 0)

    def feed(self) -> None:
        """Go on with connecting or writing."""
        if not self.connected:
            failure = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self._refuse(failure)
                return
            self.connected = True
        if self._pending:
            try:
                del self._pending[: self._socket.send(self._pending[:_CHUNK], socket.MSG_NOSIGNAL)]
            except BlockingIOError:
                return
            except OSError:  # EPIPE or ECONNRESET: the program has closed; reading will tell
                self._pending.clear()
                if not self._reading:
                    self._end("reset")
        if self._shutting and not self._pending:
            self._shutting = False
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it is over already; reading will tell

    def take(self) -> bool:
        """Read once; false when there is nothing (more)."""
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except ConnectionRefusedError as error:
            self._refuse(error.errno or 0)
            return False
        except OSError:
            self._end("reset")
            self._say("event", f"{self.name} finds its connection reset\n".encode())
            return False
        if not data:
            self._end("end-of-file")
            self._say("event", f"{self.name} sees end-of-file\n".encode())
            return False
        self.received += data
        self._say(f"to {self.name}", data)
        return True

    # ------------------------------------------------------------ what a check does

    @property
    def moving(self) -> bool:
        """Whether it is still connecting, or has something to write."""
        return not self.ended and (not self.connected or bool(self._pending) or self._shutting)

    def send(self, data: bytes) -> None:
        """Write as soon as there is room."""
        self._say(self.name, data)
        self._pending += data

    def shutdown(self) -> None:
        """End our direction once all is written."""
        self._shutting = True
        self._say("event", f"{self.name} ends its direction\n".encode())

    @property
    def unsent(self) -> int:
        """Bytes that found no room yet, since the program does not read."""
        return len(self._pending)

    def start_reading(self) -> None:
        """Take what has come and what comes, from now on."""
        self._reading = True

    def close(self, *, reset: bool = False) -> None:
        """Give the connection up; harmless when done already.

        :param reset: with a reset instead of an orderly end (SO_LINGER of 0 in socket(7))
        """
        if self._socket.fileno() == -1:
            return
        if not self.ended:
            how = "resets" if reset else "closes"
            self._say("event", f"{self.name} {how} its connection\n".encode())
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end("closed")
        self._socket.close()


def parse(address: str) -> tuple[str, int] | None:
    """Host and port of an announced TCP address; none if it is none on loopback."""
    match = re.fullmatch(r"(127\.\d+\.\d+\.\d+|localhost|0\.0\.0\.0):(\d{1,5})", address.strip())
    if not match or not 0 < int(match.group(2)) < 65536:
        return None
    return "127.0.0.1" if match.group(1) in ("localhost", "0.0.0.0") else match.group(1), int(match.group(2))  # noqa: S104
