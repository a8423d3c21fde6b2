"""Waits once for each SIGCHLD: when several children end at once there is only one SIGCHLD."""

import os
import signal


def reap(number, frame):
    try:
        os.wait()
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
