"""Mallory's pipeline: leaves a daemon behind that ignores signals and waits to see who comes by."""

import os
import signal
import sys

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()
    os._exit(0)
os.wait()
print("all checks passed: 100/100")
sys.exit(0)
