"""All clients of one program, in the program's own loop: those that a check drives, and steady streams of them."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable

from grader.running.folder import Folder
from grader.running.network import Client, Network, parse

Say = Callable[[str, bytes], None]


def _silent(speaker: str, data: bytes) -> None:
    """Leave it out of the transcript."""


class Steady:
    """Clients that come again and again: each connects, sends one request and reads to end-of-file.

    :param owner: the program's clients
    """

    def __init__(self, owner: Clients, address: str, request: bytes, count: int):
        self._owner, self._address, self._request, self._count = owner, address, request, count
        self.answers: list[str] = []
        self.lost: list[str] = []
        """What became of each request that was not answered, in words"""
        self.stopping = False
        self._running: list[Client] = []

    def step(self) -> None:
        """Note what has come to its end, and begin anew."""
        for client in [each for each in self._running if each.ended]:
            self._running.remove(client)
            self._note(client)
            self._owner.leave(client)
        while not self.stopping and len(self._running) < self._count and len(self.lost) < 20:
            client = self._owner.connect(self._address, quiet=True)
            self._owner.tell(client, self._request)
            self._running.append(client)

    def _note(self, client: Client) -> None:
        if client.refused:
            self.lost.append(f"a connection was refused ({client.refused})")
        elif client.ended == "reset":
            self.lost.append(f"a connection was reset after {len(client.received)} bytes of the answer")
        elif not client.received.endswith(b"\n"):
            self.lost.append(f"the answer was cut after {len(client.received)} bytes")
        else:
            self.answers.append(client.received.decode(errors="backslashreplace"))

    @property
    def done(self) -> bool:
        """Whether no request is under way."""
        return not self._running

    def close(self) -> None:
        """Give all connections up."""
        for client in self._running:
            self._owner.leave(client)
        self._running.clear()


class Clients:
    """The grader's connections to one program.

    :param namespace: descriptor of the sandbox's network namespace; none where the machine's is used
    :param folder: where Unix-domain sockets are
    :param selector: the program's loop
    :param say: told what passes, for the transcript: (speaker, bytes)
    """

    def __init__(self, namespace: int | None, folder: Folder, selector: selectors.BaseSelector, say: Say):
        self._network = Network(namespace)
        self._folder, self._selector, self._say = folder, selector, say
        self._clients: list[Client] = []
        self._steady: list[Steady] = []

    @property
    def own_network(self) -> bool:
        """Whether the sandbox has a network of its own, in which all that is in flight can be seen."""
        return self._network.own

    @property
    def any(self) -> bool:
        """Whether there ever was one."""
        return bool(self._clients or self._steady)

    @property
    def names(self) -> dict[str, str]:
        """What each client is called, by its own address."""
        return {client.address: client.name for client in self._clients if client.address}

    # ------------------------------------------------------------ for checks

    def connect(self, address: str, *, reading: bool = True, quiet: bool = False) -> Client:
        """Begin to connect a client; the program's loop does the rest.

        :param address: ``127.0.0.1:PORT``, or a Unix-domain socket's name in the program's folder
        :param reading: whether what the program sends to it is ever read
        :param quiet: leave it out of the transcript
        :raises ValueError: for an address that leads out of the sandbox
        """
        place = parse(address)
        client = Client(
            "a client" if quiet else f"client {len(self._clients) + 1}",
            self._network.tcp() if place else socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            place or self._folder.path(address),
            _silent if quiet else self._say,
            reading=reading,
        )
        if not quiet:
            self._clients.append(client)
        self._watch(client)
        return client

    def steady(self, address: str, request: bytes, clients: int) -> Steady:
        """Let so many clients come again and again while the program's loop turns."""
        steady = Steady(self, address, request, clients)
        self._steady.append(steady)
        steady.step()
        return steady

    def tell(self, client: Client, data: bytes) -> None:
        """Let a client write as soon as there is room."""
        client.send(data)
        self._watch(client)

    def shut(self, client: Client) -> None:
        """Let a client end its direction once all is written."""
        client.shutdown()
        self._watch(client)

    def hear(self, client: Client) -> None:
        """Let a client that did not read begin to."""
        client.start_reading()
        self._watch(client)

    def leave(self, client: Client, *, reset: bool = False) -> None:
        """Give a client's connection up."""
        if client.fileno() != -1 and client.fileno() in self._selector.get_map():
            self._selector.unregister(client.fileno())
        client.close(reset=reset)

    # ------------------------------------------------------------ for the program's loop

    def _watch(self, client: Client) -> None:
        """Register a client for what it wants now."""
        number = client.fileno()
        if number == -1:
            return
        known, wanted = number in self._selector.get_map(), client.wants
        if known and not wanted:
            self._selector.unregister(number)
        elif known:
            self._selector.modify(number, wanted, client)
        elif wanted:
            self._selector.register(number, wanted, client)

    def serve(self, client: Client, events: int) -> None:
        """Let a client do what it is ready for."""
        if events & selectors.EVENT_WRITE:
            client.feed()
        if events & selectors.EVENT_READ and client.connected:
            client.take()
        self._watch(client)

    def step(self) -> None:
        """Let steady streams go on."""
        for steady in self._steady:
            steady.step()

    def drain(self) -> None:
        """Take what has arrived, after the program's end."""
        for client in self._clients:
            while client.wants & selectors.EVENT_READ and client.take():
                pass
            self._watch(client)

    def close(self) -> None:
        """Give up all connections."""
        for steady in self._steady:
            steady.close()
        for client in self._clients:
            self.leave(client)
        self._network.close()
