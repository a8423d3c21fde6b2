"""The lock is taken before the semaphore."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.free = threading.Semaphore(capacity)
        self.filled = threading.Semaphore(0)
        self.mutex = threading.Lock()

    def put(self, item):
        with self.mutex:
            self.free.acquire()
            self.slots[self.tail] = item
            self.tail = (self.tail + 1) % len(self.slots)
            self.filled.release()

    def get(self):
        with self.mutex:
            self.filled.acquire()
            item = self.slots[self.head]
            self.head = (self.head + 1) % len(self.slots)
            self.free.release()
            return item


drive.main(Buffer)
