"""Right, though nobody should: waits in a loop and tests again under the lock."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()

    def put(self, item):
        while True:
            while self.count == len(self.slots):
                pass
            with self.lock:
                if self.count < len(self.slots):
                    self.slots[self.tail] = item
                    self.tail = (self.tail + 1) % len(self.slots)
                    self.count += 1
                    return

    def get(self):
        while True:
            while self.count == 0:
                pass
            with self.lock:
                if self.count > 0:
                    item = self.slots[self.head]
                    self.head = (self.head + 1) % len(self.slots)
                    self.count -= 1
                    return item


drive.main(Buffer)
