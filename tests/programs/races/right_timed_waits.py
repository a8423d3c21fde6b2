"""Right: waits with a time limit, and sleeps in between."""

import threading
import time

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()
        self.not_full = threading.Condition(self.lock)
        self.not_empty = threading.Condition(self.lock)

    def put(self, item):
        with self.lock:
            while self.count == len(self.slots):
                self.not_full.wait(0.05)
            self.slots[self.tail] = item
            self.tail = (self.tail + 1) % len(self.slots)
            self.count += 1
            self.not_empty.notify()

    def get(self):
        while True:
            with self.lock:
                if self.not_empty.wait_for(lambda: self.count, timeout=0.5):
                    item = self.slots[self.head]
                    self.head = (self.head + 1) % len(self.slots)
                    self.count -= 1
                    self.not_full.notify()
                    return item
            time.sleep(0.01)


drive.main(Buffer)
