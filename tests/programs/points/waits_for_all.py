"""Right: waits for all that have ended, whenever a SIGCHLD comes."""

import os
import signal


def reap(number, frame):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


signal.signal(signal.SIGCHLD, reap)
for _ in range(3):
    if os.fork() == 0:
        signal.pause()
        os._exit(0)
print("ready", flush=True)
while True:
    signal.pause()
