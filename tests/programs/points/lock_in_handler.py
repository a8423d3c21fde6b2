"""Takes a lock in a handler: a signal that comes while main has it waits for ever, and main with it."""

import signal
import sys
import threading

lock = threading.Lock()
words = []


def note(number, frame):
    with lock:
        words.append("signal")


signal.signal(signal.SIGUSR1, note)
print("ready", flush=True)
for line in sys.stdin:
    with lock:
        words.append(line.strip())
        words.sort()
print(len(words), flush=True)
