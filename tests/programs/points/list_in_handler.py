"""Right: the handler only notes; the one list operation cannot be interrupted."""

import signal
import sys

words = []
signal.signal(signal.SIGUSR1, lambda *_: words.append("signal"))
print("ready", flush=True)
for line in sys.stdin:
    words.append(line.strip())
print(len(words), flush=True)
