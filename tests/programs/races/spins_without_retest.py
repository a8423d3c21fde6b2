"""Waits in a loop, and does not test again under the lock."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()

    def put(self, item):
        while self.count == len(self.slots):
            pass
        with self.lock:
            self.slots[self.tail] = item
            self.tail = (self.tail + 1) % len(self.slots)
            self.count += 1

    def get(self):
        while self.count == 0:
            pass
        with self.lock:
            item = self.slots[self.head]
            self.head = (self.head + 1) % len(self.slots)
            self.count -= 1
            return item


drive.main(Buffer)
