"""Tests its flag and pauses in one line: a signal between the two is lost all the same."""

import signal

seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(True))
print("ready", flush=True)
while not seen: signal.pause()
print("seen", flush=True)
