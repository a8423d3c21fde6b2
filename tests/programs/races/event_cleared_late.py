"""An event is cleared after the test, and with it the news of what came in between."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.lock = threading.Lock()
        self.came = threading.Event()
        self.went = threading.Event()

    def put(self, item):
        while True:
            with self.lock:
                if self.count < len(self.slots):
                    self.slots[self.tail] = item
                    self.tail = (self.tail + 1) % len(self.slots)
                    self.count += 1
                    self.came.set()
                    return
            self.went.clear()
            self.went.wait()

    def get(self):
        while True:
            with self.lock:
                if self.count > 0:
                    item = self.slots[self.head]
                    self.head = (self.head + 1) % len(self.slots)
                    self.count -= 1
                    self.went.set()
                    return item
            self.came.clear()
            self.came.wait()


drive.main(Buffer)
