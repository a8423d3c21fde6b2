"""Right: each signal leaves a byte in a pipe, and main waits for that with select."""

import os
import select
import signal

read_end, write_end = os.pipe()
os.set_blocking(write_end, False)
signal.signal(signal.SIGUSR1, lambda *_: os.write(write_end, b"x"))
print("ready", flush=True)
while not select.select([read_end], [], [])[0]:
    pass
print("seen", flush=True)
