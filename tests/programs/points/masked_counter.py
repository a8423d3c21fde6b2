"""Right: SIGUSR1 is blocked while main takes the counter and puts it back to 0."""

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
    if 0 in ready:
        going = bool(os.read(0, 4096))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    n = pending
    total += n
    pending = 0
    if going:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
while signal.SIGUSR1 in signal.sigpending():
    signal.sigwait({signal.SIGUSR1})
    total += 1
print("total", total, flush=True)
