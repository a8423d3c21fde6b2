# Tries: to outlive its check as a daemon: forked twice, in a session of its own, deaf to signals, streams closed.
import os
import signal

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
        os.chdir("/")
        os.closerange(0, 256)
        while True:
            signal.pause()
    os._exit(0)
os.wait()
