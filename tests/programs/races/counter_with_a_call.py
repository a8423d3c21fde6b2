"""The same, with a call in between."""

import sys
import threading

count = 0


def more(number):
    return number + 1


def work(times):
    global count
    for _ in range(times):
        count = more(count)


workers, _, times, _ = map(int, sys.argv[1:])
threads = [threading.Thread(target=work, args=(times,)) for _ in range(workers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("total", count, "of", workers * times)
