"""Right: two semaphores and a lock."""

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
        self.free.acquire()
        with self.mutex:
            self.slots[self.tail] = item
            self.tail = (self.tail + 1) % len(self.slots)
        self.filled.release()

    def get(self):
        self.filled.acquire()
        with self.mutex:
            item = self.slots[self.head]
            self.head = (self.head + 1) % len(self.slots)
        self.free.release()
        return item


drive.main(Buffer)
