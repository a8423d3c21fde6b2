# Tries: to use up all processors for ever, without a system call.
import os

for _ in range(8):
    try:
        if os.fork() == 0:
            break
    except OSError:
        break
while True:
    pass
