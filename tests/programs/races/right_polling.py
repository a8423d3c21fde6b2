"""Right: looks again and again, and sleeps in between."""

import threading
import time

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()

    def put(self, item):
        while True:
            with self.lock:
                if self.count < len(self.slots):
                    self.slots[self.tail] = item
                    self.tail = (self.tail + 1) % len(self.slots)
                    self.count += 1
                    return
            time.sleep(0.001)

    def get(self):
        while True:
            with self.lock:
                if self.count > 0:
                    item = self.slots[self.head]
                    self.head = (self.head + 1) % len(self.slots)
                    self.count -= 1
                    return item
            time.sleep(0.001)


drive.main(Buffer)
