"""Consumers stop when all has been made and nothing is left, but what one has seen another may take."""

import sys
import threading


class Buffer:
    def __init__(self, capacity):
        self.items = []
        self.capacity = capacity
        self.done = False
        self.lock = threading.Lock()
        self.not_full = threading.Condition(self.lock)
        self.not_empty = threading.Condition(self.lock)

    def put(self, item):
        with self.lock:
            while len(self.items) == self.capacity:
                self.not_full.wait()
            self.items.append(item)
            self.not_empty.notify()

    def get(self):
        with self.lock:
            while len(self.items) == 0:
                self.not_empty.wait()
            item = self.items.pop(0)
            self.not_full.notify()
            return item


def produce(buffer, me, items):
    for number in range(items):
        buffer.put((me, number))


def consume(buffer, me):
    while not (buffer.done and len(buffer.items) == 0):
        sys.stdout.write("{} {} {}\n".format(me, *buffer.get()))


producers, consumers, items, capacity = map(int, sys.argv[1:])
buffer = Buffer(capacity)
makers = [threading.Thread(target=produce, args=(buffer, me, items)) for me in range(producers)]
takers = [threading.Thread(target=consume, args=(buffer, me)) for me in range(consumers)]
for thread in makers + takers:
    thread.start()
for thread in makers:
    thread.join()
buffer.done = True
for thread in takers:
    thread.join()
