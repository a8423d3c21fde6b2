"""Right: one condition, and all are woken."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)

    def put(self, item):
        with self.lock:
            while self.count == len(self.slots):
                self.changed.wait()
            self.slots[self.tail] = item
            self.tail = (self.tail + 1) % len(self.slots)
            self.count += 1
            self.changed.notify_all()

    def get(self):
        with self.lock:
            while self.count == 0:
                self.changed.wait()
            item = self.slots[self.head]
            self.head = (self.head + 1) % len(self.slots)
            self.count -= 1
            self.changed.notify_all()
            return item


drive.main(Buffer)
