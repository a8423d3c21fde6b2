"""Counts SIGUSR1, and throws away what comes between reading the counter and putting it back to 0."""

import os
import select
import signal

pending = total = 0
read_end, write_end = os.pipe()
os.set_blocking(write_end, False)


def note(number, frame):
    global pending
    pending += 1
    os.write(write_end, b"x")


signal.signal(signal.SIGUSR1, note)
print("ready", flush=True)
going = True
while going:
    ready, _, _ = select.select([read_end, 0], [], [])
    if read_end in ready:
        os.read(read_end, 4096)
    n = pending
    total += n
    pending = 0
    if 0 in ready:
        going = bool(os.read(0, 4096))
print("total", total, flush=True)
