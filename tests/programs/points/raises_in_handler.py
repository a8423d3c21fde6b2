"""The handler raises, also in the middle of a transfer, which then is half done."""

import signal
import sys


class Interrupted(Exception):
    pass


def interrupt(number, frame):
    raise Interrupted


balance = {"ann": 100, "bob": 0}
signal.signal(signal.SIGUSR1, interrupt)
print("ready", flush=True)
while True:
    try:
        for line in iter(sys.stdin.readline, ""):
            amount = int(line)
            balance["ann"] -= amount
            balance["bob"] += amount
        break
    except Interrupted:
        pass
print(sum(balance.values()), flush=True)
