"""Processes, a lock and two conditions; once all is made the consumers are told."""

import argparse
import os
from multiprocessing import Condition, Lock, Process, RawArray, RawValue


class Buffer:
    def __init__(self, capacity):
        self.capacity = capacity
        self.slots = RawArray("q", capacity)
        self.first = RawValue("i", 0)
        self.count = RawValue("i", 0)
        self.done = RawValue("i", 0)
        self.lock = Lock()
        self.not_full = Condition(self.lock)
        self.not_empty = Condition(self.lock)

    def put(self, item):
        with self.lock:
            while self.count.value == self.capacity:
                self.not_full.wait()
            self.slots[(self.first.value + self.count.value) % self.capacity] = item
            self.count.value += 1
            self.not_empty.notify()

    def get(self):
        with self.lock:
            while self.count.value == 0 and not self.done.value:
                self.not_empty.wait()
            if self.count.value == 0:
                return None
            item = self.slots[self.first.value]
            self.first.value = (self.first.value + 1) % self.capacity
            self.count.value -= 1
            self.not_full.notify()
            return item

    def finish(self):
        with self.lock:
            self.done.value = 1
            self.not_empty.notify_all()


def produce(buffer, number, items):
    for i in range(items):
        buffer.put(number * 1000 + i)


def consume(buffer, number):
    while (item := buffer.get()) is not None:
        os.write(1, f"consumer-{number} producer-{item // 1000} {item % 1000}\n".encode())


def main():
    parser = argparse.ArgumentParser()
    for name in ("capacity", "producers", "consumers", "items"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    buffer = Buffer(given.capacity)
    producers = [Process(target=produce, args=(buffer, i, given.items)) for i in range(given.producers)]
    consumers = [Process(target=consume, args=(buffer, i)) for i in range(given.consumers)]
    for process in producers + consumers:
        process.start()
    for process in producers:
        process.join()
    buffer.finish()
    for process in consumers:
        process.join()


if __name__ == "__main__":
    main()
