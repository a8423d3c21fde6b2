# Tries: to keep the grader waiting: the program ends, but a child of it keeps standard output open.
import os
import signal

if os.fork() == 0:
    os.setsid()
    while True:
        signal.pause()
