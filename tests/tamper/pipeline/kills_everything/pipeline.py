# Tries: to kill whatever it can: everybody at once, its group, its parent, and each process id one by one.
import os
import signal

for number in (signal.SIGTERM, signal.SIGKILL):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for pid in (os.getppid(), 0 if number == signal.SIGTERM else -1, *range(1, 32769)):
        if pid == os.getpid():
            continue
        try:
            os.kill(pid, number)
        except OSError:
            pass
