"""The first producer that is ready says that all is done, and the consumers believe it."""

import sys
import threading


class Buffer:
    def __init__(self, capacity):
        self.items = []
        self.capacity = capacity
        self.done = False
        self.changed = threading.Condition()

    def put(self, item):
        with self.changed:
            while len(self.items) == self.capacity and not self.done:
                self.changed.wait()
            self.items.append(item)
            self.changed.notify_all()

    def get(self):
        with self.changed:
            while not self.items and not self.done:
                self.changed.wait()
            if not self.items:
                return None
            item = self.items.pop(0)
            self.changed.notify_all()
            return item

    def close(self):
        with self.changed:
            self.done = True
            self.changed.notify_all()


def produce(buffer, me, items):
    for number in range(items):
        buffer.put((me, number))
    buffer.close()


def consume(buffer, me):
    while (item := buffer.get()) is not None:
        sys.stdout.write("{} {} {}\n".format(me, *item))


producers, consumers, items, capacity = map(int, sys.argv[1:])
buffer = Buffer(capacity)
threads = [threading.Thread(target=produce, args=(buffer, me, items)) for me in range(producers)]
threads += [threading.Thread(target=consume, args=(buffer, me)) for me in range(consumers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
