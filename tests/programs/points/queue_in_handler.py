"""The handler adds to a queue while main may be just adding: both take the same slot."""

import signal
import sys

slots = {}
tail = 0


def add(word):
    global tail
    place = tail
    slots[place] = word
    tail = place + 1


signal.signal(signal.SIGUSR1, lambda *_: add("signal"))
print("ready", flush=True)
for line in sys.stdin:
    add(line.strip())
print(len(slots), flush=True)
