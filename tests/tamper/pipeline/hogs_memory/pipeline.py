# Tries: to use up the machine's memory, in several processes.
import os

for _ in range(16):
    try:
        if os.fork() == 0:
            break
    except OSError:
        break
hoard = []
while True:
    try:
        hoard.append(b"\1" * (8 << 20))
    except MemoryError:
        pass  # stay, holding all that there was
