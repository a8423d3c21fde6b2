"""bounded_buffer, by Ada. Conditions for threads, the same ones of multiprocessing for processes."""

import argparse
import mmap
import multiprocessing as mp
import os
import signal
import threading


class Closed(Exception):
    pass


class BoundedBuffer:
    def __init__(self, capacity, how=threading, memory=None):
        self.memory = memory if memory is not None else [0] * (capacity + 3)
        self.capacity = capacity
        self.lock = how.Lock()
        self.notfull = how.Condition(self.lock)
        self.notempty = how.Condition(self.lock)

    # memory[0]: where to take, memory[1]: how many, memory[2]: closed, then the slots

    def put(self, item):
        with self.lock:
            while self.memory[1] == self.capacity and not self.memory[2]:
                self.notfull.wait()
            if self.memory[2]:
                raise Closed()
            self.memory[3 + (self.memory[0] + self.memory[1]) % self.capacity] = item
            self.memory[1] += 1
            self.notempty.notify()

    def get(self):
        with self.lock:
            while self.memory[1] == 0 and not self.memory[2]:
                self.notempty.wait()
            if self.memory[1] == 0:
                raise Closed()
            item = self.memory[3 + self.memory[0]]
            self.memory[0] = (self.memory[0] + 1) % self.capacity
            self.memory[1] -= 1
            self.notfull.notify()
            return item

    def close(self):
        with self.lock:
            self.memory[2] = 1
            self.notfull.notify_all()
            self.notempty.notify_all()


def producer(buffer, n, items):
    try:
        for i in range(items):
            buffer.put(n * 1000000 + i)
    except Closed:
        pass


def consumer(buffer, n):
    try:
        while True:
            item = buffer.get()
            os.write(1, f"consumer-{n} producer-{item // 1000000} {item % 1000000}\n".encode())
    except Closed:
        pass


def main():
    parser = argparse.ArgumentParser("bounded_buffer")
    for name in ("--capacity", "--producers", "--consumers", "--items"):
        parser.add_argument(name, type=int, required=True)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--threads", action="store_true")
    group.add_argument("--processes", action="store_true")
    a = parser.parse_args()
    if a.capacity < 1 or a.producers < 1 or a.consumers < 1 or a.items < 0:
        parser.error("numbers must be positive")
    if a.processes:
        memory = memoryview(mmap.mmap(-1, 8 * (a.capacity + 3))).cast("q")
        buffer = BoundedBuffer(a.capacity, mp.get_context("fork"), memory)
        Worker = mp.get_context("fork").Process
    else:
        buffer = BoundedBuffer(a.capacity)
        Worker = threading.Thread
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    producers = [Worker(target=producer, args=(buffer, n, a.items)) for n in range(a.producers)]
    consumers = [Worker(target=consumer, args=(buffer, n)) for n in range(a.consumers)]
    for w in producers + consumers:
        w.start()
    signal.signal(signal.SIGTERM, lambda *_: buffer.close())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    for w in producers:
        w.join()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    buffer.close()
    for w in consumers:
        w.join()


if __name__ == "__main__":
    main()
