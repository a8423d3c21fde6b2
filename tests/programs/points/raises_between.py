"""Right: the signal is let in only where nothing is half done."""

import signal
import sys


class Interrupted(Exception):
    pass


def interrupt(number, frame):
    raise Interrupted


balance = {"ann": 100, "bob": 0}
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGUSR1, interrupt)
print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    amount = int(line)
    balance["ann"] -= amount
    balance["bob"] += amount
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    except Interrupted:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print(sum(balance.values()), flush=True)
