"""Linus: it has to be fast, so no sleeping locks. Handed in at 23:59."""

import os
import sys
import threading


class Closed(Exception):
    pass


class BoundedBuffer:
    def __init__(self, capacity):
        self.size = capacity
        self.slots = [None] * capacity
        self.first = self.count = 0
        self.closed = False
        self.lock = threading.Lock()

    def put(self, item):
        while True:
            with self.lock:
                if self.closed:
                    raise Closed
                if self.count < self.size:
                    self.slots[(self.first + self.count) % self.size] = item
                    self.count += 1
                    return

    def get(self):
        while True:
            with self.lock:
                if self.count > 0:
                    item = self.slots[self.first]
                    self.first = (self.first + 1) % self.size
                    self.count -= 1
                    return item
                if self.closed:
                    raise Closed

    def close(self):
        self.closed = True


def main():
    args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    n, p, c, m = (int(args[key]) for key in ("--capacity", "--producers", "--consumers", "--items"))
    buffer = BoundedBuffer(n)

    def producer(number):
        for item in range(m):
            buffer.put((number, item))

    def consumer(number):
        try:
            while True:
                who, item = buffer.get()
                os.write(1, f"consumer-{number} producer-{who} {item}\n".encode())
        except Closed:
            pass

    producers = [threading.Thread(target=producer, args=(number,)) for number in range(p)]
    consumers = [threading.Thread(target=consumer, args=(number,)) for number in range(c)]
    for thread in producers + consumers:
        thread.start()
    for thread in producers:
        thread.join()
    buffer.close()
    for thread in consumers:
        thread.join()


if __name__ == "__main__":
    main()
