"""Semaphores count slots and items, but nothing keeps two producers from the same slot."""

import threading

import drive


class Buffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = self.count = 0
        self.free = threading.Semaphore(capacity)
        self.filled = threading.Semaphore(0)

    def put(self, item):
        self.free.acquire()
        self.slots[self.tail] = item
        self.tail = (self.tail + 1) % len(self.slots)
        self.filled.release()

    def get(self):
        self.filled.acquire()
        item = self.slots[self.head]
        self.head = (self.head + 1) % len(self.slots)
        self.free.release()
        return item


drive.main(Buffer)
