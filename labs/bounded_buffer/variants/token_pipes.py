"""Unusual: no lock, no semaphore, no condition: tokens in pipes. One pipe holds a byte for each free slot, one a byte for
each item, and a third the single byte that lets its owner touch the indices.

Still right: a byte that is read is gone for everybody else, and who finds none is blocked until one is written: a pipe of
bytes is a semaphore, between threads and between processes alike. close writes one byte more to each of the two pipes;
who reads it, finds the buffer closed (or empty) and writes it back for the next one. SIGTERM closes the buffer.
"""

import argparse
import mmap
import os
import signal
import sys
import threading

IN, OUT, HELD, CLOSED, FIELDS = range(5)


class Closed(Exception):
    pass


class Tokens:
    def __init__(self, count):
        self.source, self.sink = os.pipe()
        while count > 0:
            count -= os.write(self.sink, b"." * min(count, 4096))

    def take(self):
        os.read(self.source, 1)

    def give(self):
        os.write(self.sink, b".")


class BoundedBuffer:
    def __init__(self, capacity):
        self.capacity = capacity
        cells = memoryview(mmap.mmap(-1, 8 * (FIELDS + capacity))).cast("q")
        self.field, self.slots = cells[:FIELDS], cells[FIELDS:]
        self.free, self.full, self.turn = Tokens(capacity), Tokens(0), Tokens(1)

    def put(self, item):
        self.free.take()
        self.turn.take()
        if self.field[CLOSED]:
            self.turn.give()
            self.free.give()
            raise Closed
        self.slots[self.field[IN]] = item
        self.field[IN] = (self.field[IN] + 1) % self.capacity
        self.field[HELD] += 1
        self.turn.give()
        self.full.give()

    def get(self):
        self.full.take()
        self.turn.take()
        if self.field[HELD] == 0:
            self.turn.give()
            self.full.give()
            raise Closed
        item = self.slots[self.field[OUT]]
        self.field[OUT] = (self.field[OUT] + 1) % self.capacity
        self.field[HELD] -= 1
        self.turn.give()
        self.free.give()
        return item

    def close(self):
        self.turn.take()
        before, self.field[CLOSED] = self.field[CLOSED], 1
        self.turn.give()
        if not before:
            self.free.give()
            self.full.give()


def producer(buffer, me, items):
    try:
        for number in range(items):
            buffer.put(me * 2**31 + number)
    except Closed:
        pass


def consumer(buffer, me):
    try:
        while True:
            os.write(1, "consumer-{} producer-{} {}\n".format(me, *divmod(buffer.get(), 2**31)).encode())
    except Closed:
        pass


class Process:
    """A child that runs a function, with the two methods of a thread that are needed here."""

    def __init__(self, target, args):
        self.target, self.args = target, args

    def start(self):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.target(*self.args)
            except BaseException:
                os._exit(1)
            os._exit(0)

    def join(self):
        os.waitpid(self.pid, 0)


def main(arguments):
    def least(limit):
        def check(text):
            if int(text) < limit:
                raise ValueError
            return int(text)

        return check

    parser = argparse.ArgumentParser(prog="bounded_buffer")
    parser.add_argument("--capacity", required=True, type=least(1))
    parser.add_argument("--producers", required=True, type=least(1))
    parser.add_argument("--consumers", required=True, type=least(1))
    parser.add_argument("--items", required=True, type=least(0))
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--threads", dest="kind", action="store_const", const=threading.Thread, default=threading.Thread)
    way.add_argument("--processes", dest="kind", action="store_const", const=Process)
    given = parser.parse_args(arguments)

    buffer = BoundedBuffer(given.capacity)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    makers = [given.kind(target=producer, args=(buffer, n, given.items)) for n in range(given.producers)]
    takers = [given.kind(target=consumer, args=(buffer, n)) for n in range(given.consumers)]
    for each in (*makers, *takers):
        each.start()
    signal.signal(signal.SIGTERM, lambda *_: (signal.signal(signal.SIGTERM, signal.SIG_IGN), buffer.close()))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    for each in makers:
        each.join()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    buffer.close()
    for each in takers:
        each.join()


if __name__ == "__main__":
    main(sys.argv[1:])
