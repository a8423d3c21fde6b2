"""Right, but it spins: os.fork, an anonymous mapping, and a lock that is tried again and again."""

import argparse
import mmap
import os
from multiprocessing import Lock

IN, OUT, COUNT, LEFT, FIRST = range(5)


def put(cells, lock, capacity, item):
    while True:
        if lock.acquire(block=False):
            if cells[COUNT] < capacity:
                break
            lock.release()
    cells[FIRST + cells[IN]] = item
    cells[IN] = (cells[IN] + 1) % capacity
    cells[COUNT] += 1
    lock.release()


def consume(cells, lock, capacity, number):
    while cells[LEFT] > 0:
        item = None
        with lock:
            if cells[COUNT] > 0:
                item = cells[FIRST + cells[OUT]]
                cells[OUT] = (cells[OUT] + 1) % capacity
                cells[COUNT] -= 1
                cells[LEFT] -= 1
        if item is not None:
            os.write(1, f"consumer-{number} producer-{item // 1000} {item % 1000}\n".encode())


def main():
    parser = argparse.ArgumentParser()
    for name in ("capacity", "producers", "consumers", "items"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    cells = memoryview(mmap.mmap(-1, 8 * (FIRST + given.capacity))).cast("q")
    lock = Lock()
    cells[LEFT] = given.producers * given.items
    for i in range(given.producers + given.consumers):
        if os.fork() == 0:
            if i < given.producers:
                for number in range(given.items):
                    put(cells, lock, given.capacity, i * 1000 + number)
            else:
                consume(cells, lock, given.capacity, i - given.producers)
            os._exit(0)
    for _ in range(given.producers + given.consumers):
        os.wait()


if __name__ == "__main__":
    main()
