"""Unusual: all pipes are made before the first fork, inheritable, and every process closes all of them.

Still right: each child moves its two ends into place and then closes both ends of every pipe, and so does the parent
after the last fork. Until then the early stages simply run; an end-of-file waits for the parent's last close.
Descriptors 0 and 1 that are closed at the start are plugged first, so that no end of a pipe lands there.
"""

import os
import signal
import sys

arguments = sys.argv[1:]
stages = []
while True:
    bar = arguments.index("|") if "|" in arguments else len(arguments)
    stages.append(arguments[:bar])
    if bar == len(arguments):
        break
    arguments = arguments[bar + 1 :]
if [] in stages:
    os.write(2, b"usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n")
    sys.exit(2)

plugs = []
while True:
    plug = os.open(os.devnull, os.O_RDWR)
    if plug > 2:
        os.close(plug)
        break
    plugs.append(plug)  # close-on-exec: the stages find these closed, as we did

pipes = [os.pipe2(0) for _ in stages[1:]]
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)


def close_all():
    for read_end, write_end in pipes:
        os.close(write_end)
        os.close(read_end)


def child(position):
    code = 126
    name = stages[position][0]
    try:
        if position > 0:
            os.dup2(pipes[position - 1][0], 0)
        if position < len(pipes):
            os.dup2(pipes[position][1], 1)
        close_all()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        if not name:
            raise FileNotFoundError
        os.execvp(name, stages[position])
    except FileNotFoundError:
        code = 127
        os.write(2, os.fsencode(f"pipeline: {name}: command not found\n"))
    except Exception as error:
        os.write(2, os.fsencode(f"pipeline: {name}: {error}\n"))
    finally:
        os._exit(code)


children = []
for position in range(len(stages)):
    pid = os.fork()
    if not pid:
        child(position)
    children.append(pid)
close_all()

status = 0
for _ in children:
    pid, raw = os.wait()
    if pid == children[-1]:
        status = 128 + os.WTERMSIG(raw) if os.WIFSIGNALED(raw) else os.WEXITSTATUS(raw)
os._exit(status)
