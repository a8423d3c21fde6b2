"""pipeline, by Margaret."""

import os
import signal
import sys

USAGE = "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]..."


def parse(argv):
    stages = [[]]
    for arg in argv:
        if arg == "|":
            stages.append([])
        else:
            stages[-1].append(arg)
    return stages


def start(stage, stdin, stdout, other_end):
    pid = os.fork()
    if pid:
        return pid
    code = 126
    try:
        if other_end is not None:
            os.close(other_end)
        if w is not None:
            os.close(w)
        stdin = r

    for pid in pids:
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


main()
