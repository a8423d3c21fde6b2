"""Waits for one SIGUSR1, and tests its flag before it pauses: a signal between the two is lost."""

import signal

seen = False


def note(number, frame):
    global seen
    seen = True


signal.signal(signal.SIGUSR1, note)
print("ready", flush=True)
while not seen:
    signal.pause()
print("seen", flush=True)
