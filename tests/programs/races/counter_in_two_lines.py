"""The same, in two lines."""

import sys
import threading

count = 0


def work(times):
    global count
    for _ in range(times):
        now = count
        count = now + 1


workers, _, times, _ = map(int, sys.argv[1:])
threads = [threading.Thread(target=work, args=(times,)) for _ in range(workers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("total", count, "of", workers * times)
