"""Unusual: the parent learns of each end from a pidfd, through poll(2), and reaps in the order of ending.

Still right: a pidfd becomes readable when its process ends, and waitid(P_PIDFD) then reaps exactly that one.
The pipe ends are moved above 9 at once, so that none of them can be 0, 1 or 2.
"""

import fcntl
import os
import select
import signal
import sys


def high_pipe():
    low = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low]
    for end in low:
        os.close(end)
    return high


def exec_or_exit(argv):
    try:
        os.execvp(argv[0], argv)
    except (OSError, ValueError) as error:
        missing = isinstance(error, (FileNotFoundError, ValueError))
        reason = "command not found" if missing else os.strerror(error.errno)
        os.write(2, f"pipeline: {argv[0]}: {reason}\n".encode(errors="surrogateescape"))
        os._exit(127 if missing else 126)


def main(words):
    stages = []
    for word in ["|", *words]:
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    if not all(stages):
        print("usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...", file=sys.stderr)
        return 2

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGQUIT])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    poller, watched, before = select.poll(), {}, []
    for number, argv in enumerate(stages, 1):
        after = high_pipe() if number < len(stages) else []
        pid = os.fork()
        if pid == 0:
            try:
                if before:
                    os.dup2(before[0], 0)
                if after:
                    os.dup2(after[1], 1)
                for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
                    signal.signal(name, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, [])
                exec_or_exit(argv)
            finally:
                os._exit(1)
        pidfd = os.pidfd_open(pid)
        poller.register(pidfd, select.POLLIN)
        watched[pidfd] = number
        if before:
            os.close(before[0])
        if after:
            os.close(after[1])
        before = after

    status = None
    while watched:
        for pidfd, _ in poller.poll():
            result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
            if watched.pop(pidfd) == len(stages):
                status = result.si_status + (128 if result.si_code != os.CLD_EXITED else 0)
            poller.unregister(pidfd)
            os.close(pidfd)
    return status


sys.exit(main(sys.argv[1:]))
