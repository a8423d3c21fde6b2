"""Two locks, taken in the order of whoever takes them."""

import sys
import threading


class Account:
    def __init__(self, balance):
        self.balance = balance
        self.lock = threading.Lock()


def move(source, target, times):
    for _ in range(times):
        with source.lock:
            with target.lock:
                source.balance -= 1
                target.balance += 1


workers, _, times, _ = map(int, sys.argv[1:])
first, second = Account(10), Account(10)
pairs = [(first, second) if worker % 2 == 0 else (second, first) for worker in range(workers)]
threads = [threading.Thread(target=move, args=(*pair, times)) for pair in pairs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("total", first.balance + second.balance, "of", 20)
