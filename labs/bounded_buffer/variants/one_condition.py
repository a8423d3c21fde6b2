"""Unusual: one condition for everything and notify_all; no circle at all for threads; children made with os.fork;
and the main thread, or the first process, is consumer 0 itself.

Still right: notify_all wakes everybody, and whoever cannot go on waits again, so it does not matter whom the change was
for. A deque whose length is held under the lock is as good a store as a circle; between processes it is a circle in
memory that is mapped before the forks. The last producer to end closes the buffer. At SIGTERM children are killed and
reaped in the handler, which then leaves; until all are forked, and while they are reaped at the end, it is blocked.
"""

import argparse
import mmap
import multiprocessing
import os
import signal
import struct
import threading
from collections import deque


class Closed(Exception):
    pass


class Deque:
    """The store for threads."""

    def __init__(self, capacity):
        self.items, self.closed, self.running = deque(), False, 0

    def __len__(self):
        return len(self.items)

    def add(self, item):
        self.items.append(item)

    def take(self):
        return self.items.popleft()


class Circle:
    """The same in shared memory: how many went in, how many came out, closed, how many producers are left."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.memory = mmap.mmap(-1, 8 * (4 + capacity))

    def _get(self, index):
        return struct.unpack_from("=q", self.memory, 8 * index)[0]

    def _set(self, index, value):
        struct.pack_into("=q", self.memory, 8 * index, value)

    closed = property(lambda self: self._get(2), lambda self, value: self._set(2, value))
    running = property(lambda self: self._get(3), lambda self, value: self._set(3, value))

    def __len__(self):
        return self._get(0) - self._get(1)

    def add(self, item):
        self._set(4 + self._get(0) % self.capacity, item)
        self._set(0, self._get(0) + 1)

    def take(self):
        item = self._get(4 + self._get(1) % self.capacity)
        self._set(1, self._get(1) + 1)
        return item


class BoundedBuffer:
    def __init__(self, capacity, store=Deque, condition=threading.Condition):
        self.capacity, self.store, self.changed = capacity, store(capacity), condition()

    def put(self, item):
        with self.changed:
            while len(self.store) >= self.capacity and not self.store.closed:
                self.changed.wait()
            if self.store.closed:
                raise Closed("the buffer is closed")
            self.store.add(item)
            self.changed.notify_all()

    def get(self):
        with self.changed:
            while not len(self.store):
                if self.store.closed:
                    raise Closed("the buffer is closed and empty")
                self.changed.wait()
            self.changed.notify_all()
            return self.store.take()

    def close(self):
        with self.changed:
            self.store.closed = True
            self.changed.notify_all()

    def one_producer_less(self):
        with self.changed:
            self.store.running -= 1
            if self.store.running == 0:
                self.store.closed = True
                self.changed.notify_all()


def produce(buffer, me, items):
    for number in range(items):
        buffer.put(me << 40 | number)
    buffer.one_producer_less()


def consume(buffer, me):
    try:
        while True:
            item = buffer.get()
            os.write(1, b"consumer-%d producer-%d %d\n" % (me, item >> 40, item & (1 << 40) - 1))
    except Closed:
        pass


def with_threads(buffer, calls):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threads = [threading.Thread(target=work, args=arguments) for work, *arguments in calls]
    for thread in threads:
        thread.start()
    consume(buffer, 0)
    for thread in threads:
        thread.join()


def with_processes(buffer, calls):
    children = []

    def stop(*_):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        os._exit(0)

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    for work, *arguments in calls:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
                work(*arguments)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    consume(buffer, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    for child in children:
        os.waitpid(child, 0)


def main():
    parser = argparse.ArgumentParser(usage="bounded_buffer --capacity N --producers P --consumers C --items M")
    for name, least in (("capacity", 1), ("producers", 1), ("consumers", 1), ("items", 0)):
        parser.add_argument(f"--{name}", type=int, required=True)
        parser.set_defaults(**{f"least_{name}": least})
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--processes", action="store_true")
    given = parser.parse_args()
    if any(getattr(given, name) < getattr(given, f"least_{name}") for name in ("capacity", "producers", "consumers", "items")):
        parser.error("too small")
    if given.threads and given.processes:
        parser.error("threads or processes?")
    if given.processes:
        buffer = BoundedBuffer(given.capacity, Circle, multiprocessing.Condition)
    else:
        buffer = BoundedBuffer(given.capacity)
    buffer.store.running = given.producers
    calls = [(produce, buffer, number, given.items) for number in range(given.producers)]
    calls += [(consume, buffer, number) for number in range(1, given.consumers)]
    (with_processes if given.processes else with_threads)(buffer, calls)


if __name__ == "__main__":
    main()
