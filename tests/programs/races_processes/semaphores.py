"""Processes and semaphores; each consumer is ended by an item of its own."""

import argparse
import os
from multiprocessing import Lock, Process, Semaphore
from multiprocessing.shared_memory import SharedMemory

IN, OUT, FIRST = 0, 1, 2


class Buffer:
    def __init__(self, capacity):
        self.capacity = capacity
        self.memory = SharedMemory(create=True, size=8 * (FIRST + capacity))
        self.cells = self.memory.buf.cast("q")
        self.empty = Semaphore(capacity)
        self.full = Semaphore(0)
        self.mutex = Lock()

    def put(self, item):
        self.empty.acquire()
        with self.mutex:
            self.cells[FIRST + self.cells[IN]] = item
            self.cells[IN] = (self.cells[IN] + 1) % self.capacity
        self.full.release()

    def get(self):
        self.full.acquire()
        with self.mutex:
            item = self.cells[FIRST + self.cells[OUT]]
            self.cells[OUT] = (self.cells[OUT] + 1) % self.capacity
        self.empty.release()
        return item

    def remove(self):
        self.cells.release()
        self.memory.close()
        self.memory.unlink()


def produce(buffer, number, items):
    for i in range(items):
        buffer.put(number * 1000 + i)


def consume(buffer, number):
    while (item := buffer.get()) != -1:
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
    for _ in consumers:
        buffer.put(-1)
    for process in consumers:
        process.join()
    buffer.remove()


if __name__ == "__main__":
    main()
