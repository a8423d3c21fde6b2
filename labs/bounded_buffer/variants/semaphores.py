"""Unusual: two counting semaphores and a lock, an index for each end, and a segment with a name.

Still right: the semaphores say how many slots are free and how many are filled, so that whoever passes one of them finds
a slot; the lock orders those who do. close adds one token to each side; who takes it finds the buffer closed (or empty)
and hands the token on. The segment is unlinked on every way out. At SIGTERM threads go with their process, and processes
are terminated and waited for; the signal is blocked for as long as there is not yet anybody to terminate.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import shared_memory

IN, OUT, CLOSED, FIELDS = range(4)


class Closed(Exception):
    pass


class BoundedBuffer:
    def __init__(self, capacity, memory=None, kind=threading):
        self.capacity = capacity
        self.field = [0] * FIELDS if memory is None else memory[:FIELDS]
        self.slot = [None] * capacity if memory is None else memory[FIELDS : FIELDS + capacity]
        self.free, self.filled, self.lock = kind.Semaphore(capacity), kind.Semaphore(0), kind.Lock()

    def put(self, item):
        self.free.acquire()
        self.lock.acquire()
        if self.field[CLOSED]:
            self.lock.release()
            self.free.release()
            raise Closed
        self.slot[self.field[IN] % self.capacity] = item
        self.field[IN] += 1
        self.lock.release()
        self.filled.release()

    def get(self):
        self.filled.acquire()
        self.lock.acquire()
        if self.field[IN] == self.field[OUT]:
            self.lock.release()
            self.filled.release()
            raise Closed
        item = self.slot[self.field[OUT] % self.capacity]
        self.field[OUT] += 1
        self.lock.release()
        self.free.release()
        return item

    def close(self):
        with self.lock:
            self.field[CLOSED] = 1
        self.free.release()
        self.filled.release()


def produce(buffer, me, items):
    try:
        for number in range(items):
            buffer.put(me * 1_000_000_000 + number)
    except Closed:
        return


def consume(buffer, me):
    while True:
        try:
            item = buffer.get()
        except Closed:
            return
        line = "consumer-%d producer-%d %d\n" % (me, item // 1_000_000_000, item % 1_000_000_000)
        os.write(1, line.encode())


def in_child(work, *arguments):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    work(*arguments)


def work(options, buffer, make, stop):
    makers = [make(produce, buffer, number, options.items) for number in range(options.producers)]
    takers = [make(consume, buffer, number) for number in range(options.consumers)]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.signal(signal.SIGTERM, lambda *_: stop(makers + takers))
    for each in takers + makers:
        each.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    for each in makers:
        each.join()
    buffer.close()
    for each in takers:
        each.join()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def with_threads(options):
    def make(*call):
        return threading.Thread(target=call[0], args=call[1:])

    work(options, BoundedBuffer(options.capacity), make, lambda _: os._exit(0))


def with_processes(options):
    def make(*call):
        return multiprocessing.Process(target=in_child, args=call)

    def stop(workers):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        for each in workers:
            each.terminate()
        for each in workers:
            each.join()
        leave()
        os._exit(0)

    def leave():
        view.release()
        segment.unlink()

    segment = shared_memory.SharedMemory(create=True, size=8 * (FIELDS + options.capacity))
    view = segment.buf.cast("q")
    buffer = BoundedBuffer(options.capacity, view, multiprocessing)
    try:
        work(options, buffer, make, stop)
    finally:
        buffer.field.release()
        buffer.slot.release()
        leave()


def number(text):
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def positive(text):
    value = int(text)
    if value <= 0:
        raise ValueError
    return value


parser = argparse.ArgumentParser("bounded_buffer")
for name in ("capacity", "producers", "consumers"):
    parser.add_argument(f"--{name}", type=positive, required=True)
parser.add_argument("--items", type=number, required=True)
ways = parser.add_mutually_exclusive_group()
ways.add_argument("--threads", action="store_true")
ways.add_argument("--processes", action="store_true")

if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    options = parser.parse_args(sys.argv[1:])
    (with_processes if options.processes else with_threads)(options)
