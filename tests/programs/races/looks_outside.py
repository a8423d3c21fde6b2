"""The test is made before the lock is taken."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()
        self.not_full = threading.Condition(self.lock)
        self.not_empty = threading.Condition(self.lock)

    def put(self, item):
        while self.count == len(self.slots):
            with self.lock:
                self.not_full.wait()
        with self.lock:
            self.slots[self.tail] = item
            self.tail = (self.tail + 1) % len(self.slots)
            self.count += 1
            self.not_empty.notify()

    def get(self):
        while self.count == 0:
            with self.lock:
                self.not_empty.wait()
        with self.lock:
            item = self.slots[self.head]
            self.head = (self.head + 1) % len(self.slots)
            self.count -= 1
            self.not_full.notify()
            return item


drive.main(Buffer)
