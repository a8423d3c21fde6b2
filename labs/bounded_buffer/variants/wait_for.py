"""Unusual: re-entrant locks, wait_for, and waiters that are told apart: each get has a condition of its own in a list.

Still right: put hands its item to the get that has waited longest, and wakes that one alone; only where none waits the
item goes into the circle. A get that finds an item takes it, and lets the oldest waiting put fill the place. So nobody is
woken in vain, and close wakes the waiters one by one. Processes have two plain conditions with wait_for instead, and the
array and the numbers of multiprocessing. With threads SIGTERM is awaited by one of them: with sigwait there is no handler
that could come at a bad moment. With processes a handler closes the buffer; it comes only while producers are joined.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import threading


class Closed(Exception):
    pass


class Waiter:
    """Somebody in a queue of those who wait, with what it brings or gets."""

    def __init__(self, lock, item=None):
        self.item, self.done, self.turn = item, False, threading.Condition(lock)

    def settle(self, done, item=None):
        self.item, self.done = item, done
        self.over = True
        self.turn.notify()

    def wait(self):
        self.over = False
        self.turn.wait_for(lambda: self.over)
        return self.done


class BoundedBuffer:
    def __init__(self, capacity):
        self.lock = threading.RLock()
        self.slots = [None] * capacity
        self.next = self.count = 0
        self.closed = False
        self.putting, self.getting = [], []

    def _store(self, item):
        self.slots[(self.next + self.count) % len(self.slots)] = item
        self.count += 1

    def put(self, item):
        with self.lock:
            if self.closed:
                raise Closed
            if self.getting:
                self.getting.pop(0).settle(True, item)
            elif self.count < len(self.slots):
                self._store(item)
            else:
                me = Waiter(self.lock, item)
                self.putting.append(me)
                if not me.wait():
                    raise Closed

    def get(self):
        with self.lock:
            if self.count == 0:
                if self.closed:
                    raise Closed
                me = Waiter(self.lock)
                self.getting.append(me)
                if not me.wait():
                    raise Closed
                return me.item
            item = self.slots[self.next]
            self.next = (self.next + 1) % len(self.slots)
            self.count -= 1
            if self.putting:
                first = self.putting.pop(0)
                self._store(first.item)
                first.settle(True)
            return item

    def close(self):
        with self.lock:
            self.closed = True
            for waiter in self.putting + self.getting:
                waiter.settle(False)
            self.putting, self.getting = [], []


class SharedBuffer:
    def __init__(self, capacity):
        self.lock = multiprocessing.RLock()
        self.room, self.goods = (multiprocessing.Condition(self.lock) for _ in range(2))
        self.slots = multiprocessing.Array("q", capacity, lock=False)
        self.into, self.out, self.closed = (multiprocessing.Value("L", 0, lock=False) for _ in range(3))

    def put(self, item):
        with self.lock:
            self.room.wait_for(lambda: self.closed.value or self.into.value - self.out.value < len(self.slots))
            if self.closed.value:
                raise Closed
            self.slots[self.into.value % len(self.slots)] = item
            self.into.value += 1
            self.goods.notify()

    def get(self):
        with self.lock:
            self.goods.wait_for(lambda: self.closed.value or self.into.value > self.out.value)
            if self.into.value == self.out.value:
                raise Closed
            item = self.slots[self.out.value % len(self.slots)]
            self.out.value += 1
            self.room.notify()
            return item

    def close(self):
        with self.lock:
            self.closed.value = 1
            self.room.notify_all()
            self.goods.notify_all()


def produce(buffer, me, items):
    for number in range(items):
        try:
            buffer.put((me << 32) + number)
        except Closed:
            return


def consume(buffer, me):
    while True:
        try:
            item = buffer.get()
        except Closed:
            return
        os.write(1, f"consumer-{me} producer-{item >> 32} {item % 2**32}\n".encode())


def close_at_sigterm(buffer):
    signal.sigwait({signal.SIGTERM})
    buffer.close()


def close_once(buffer):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    buffer.close()


def natural(text):
    return int(text) if int(text) >= 0 else int("negative")


def positive(text):
    return natural(text) or int("zero")


def main():
    parser = argparse.ArgumentParser(prog="bounded_buffer")
    for name in ("capacity", "producers", "consumers", "items"):
        parser.add_argument(f"--{name}", required=True, type=natural if name == "items" else positive)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--threads", action="store_true")
    way.add_argument("--processes", action="store_true")
    given = parser.parse_args()

    make, buffer = threading.Thread, BoundedBuffer
    if given.processes:
        multiprocessing.set_start_method("fork")
        make, buffer = multiprocessing.Process, SharedBuffer
    buffer = buffer(given.capacity)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    producers = [make(target=produce, args=(buffer, n, given.items)) for n in range(given.producers)]
    consumers = [make(target=consume, args=(buffer, n)) for n in range(given.consumers)]
    for each in consumers + producers:
        each.start()
    if given.processes:
        signal.signal(signal.SIGTERM, lambda *_: close_once(buffer))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    else:
        threading.Thread(target=close_at_sigterm, args=(buffer,), daemon=True).start()
    for each in producers:
        each.join()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    buffer.close()
    for each in consumers:
        each.join()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
