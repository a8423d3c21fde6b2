"""Unusual: nobody waits for a certain child. SIGCHLD is blocked, taken with sigwait, and answered by a loop of
waitid(P_ALL, WNOHANG) until every stage is accounted for.

Still right: the signal is blocked before the first fork, so none is lost, and one SIGCHLD may stand for many
children, so the loop reaps all that have ended. The stages get an empty mask.
"""

import os
import signal
import sys


def report(name, text):
    os.write(2, b"pipeline: " + os.fsencode(name) + b": " + text.encode() + b"\n")


def transform(argv, stdin, stdout):
    status = 126
    try:
        for end, target in (stdin, 0), (stdout, 1):
            if end >= 0:
                os.dup2(end, target)
                os.set_inheritable(target, True)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        path = os.fsencode(argv[0])
        os.execvp(path, [os.fsencode(argument) for argument in argv])
    except (FileNotFoundError, ValueError):
        status = 127
        report(argv[0], "command not found")
    except OSError as error:
        report(argv[0], error.strerror)
    finally:
        os._exit(status)


def main():
    stages, words = [], sys.argv[1:] + ["|"]
    while words:
        cut = words.index("|")
        stages.append(words[:cut])
        words = words[cut + 1 :]
    if [] in stages:
        os.write(2, b"usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...\n")
        return 2

    # A handler of ours does not survive execve, unlike a disposition to ignore.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGQUIT, lambda *_: None)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])

    alive, stdin = {}, -1
    for index, argv in enumerate(stages):
        after, stdout = os.pipe() if index + 1 < len(stages) else (-1, -1)
        pid = os.fork()
        if pid == 0:
            if after >= 0:
                os.close(after)
            transform(argv, stdin, stdout)
        alive[pid] = index
        for end in stdout, stdin:
            if end >= 0:
                os.close(end)
        stdin = after

    status = 0
    while alive:
        signal.sigwait([signal.SIGCHLD])
        while alive:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            if ended is None:
                break
            if alive.pop(ended.si_pid) == len(stages) - 1:
                status = ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status
    return status


sys.exit(main())
