"""Right: queue.SimpleQueue, which has no bound."""

import queue

import drive


class Buffer:
    def __init__(self, capacity):
        self.queue = queue.SimpleQueue()
        self.put, self.get = self.queue.put, self.queue.get


drive.main(Buffer)
