"""Right, and made of all that a program may use: handlers, daemons, timers, barriers, locals, exits of all kinds."""

import atexit
import logging
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore, Lock, RLock

lock, nested, bounded = Lock(), RLock(), BoundedSemaphore(2)
local = threading.local()
barrier = threading.Barrier(2)
total = 0
stop = threading.Event()


class Worker(threading.Thread):
    def run(self):
        global total
        local.mine = self.name
        barrier.wait()
        with nested, nested, bounded:
            time.sleep(random.random() / 100)
            with lock:
                total += 1
        assert local.mine == self.name
        if self.name == "leaves":
            sys.exit(3)


def watch():
    while not stop.wait(0.5):
        logging.getLogger().debug("tick")


def wait_for_nothing():
    threading.Event().wait()


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threading.Thread(target=watch, daemon=True).start()
threading.Thread(target=wait_for_nothing, daemon=True).start()
timer = threading.Timer(0.2, stop.set)
timer.start()
workers = [Worker(name="stays"), Worker(name="leaves")]
for worker in workers:
    worker.start()
assert not workers[0].daemon
for worker in workers:
    worker.join(timeout=60)
    assert not worker.is_alive()
with ThreadPoolExecutor(2) as pool:
    assert sorted(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
atexit.register(print, "last")
signal.raise_signal(signal.SIGTERM)
assert stop.is_set() and len(threading.enumerate()) >= 2
begun = time.monotonic()
while time.monotonic() < begun + 0.1:
    pass
print("total", total, "of", 2)
