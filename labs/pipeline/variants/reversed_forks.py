"""Unusual: the stages are started from the last to the first.

Still right: a pipe does not care which of its users comes first. A writer that starts before its reader would fill
the pipe and block; a reader that starts before its writer blocks at once, as long as somebody still holds the write
end. Here that is the parent, which keeps the write end of the pipe before the newest stage until the stage that
writes to it was forked.
"""

import os
import signal
import sys


def fail(name, error):
    os.write(2, f"pipeline: {name}: {error.strerror}\n".encode("utf-8", "surrogateescape"))


def stage(argv, stdin, stdout):
    try:
        if stdin is not None:
            os.dup2(stdin, 0) if stdin != 0 else os.set_inheritable(0, True)
        if stdout is not None:
            os.dup2(stdout, 1) if stdout != 1 else os.set_inheritable(1, True)
        # The originals are close-on-exec (PEP 446): execve closes them.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if not argv[0]:
            raise FileNotFoundError(2, "No such file or directory")
        os.execvp(argv[0], argv)
    except FileNotFoundError as error:
        fail(argv[0], error)
        os._exit(127)
    except OSError as error:
        fail(argv[0], error)
        os._exit(126)
    finally:
        os._exit(1)


def main():
    stages = [[]]
    for word in sys.argv[1:]:
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    if not all(stages):
        print("usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...", file=sys.stderr)
        return 2

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pids = []
    stdout = None  # write end that the stage in hand uses
    for index in range(len(stages) - 1, -1, -1):
        stdin = before = None
        if index:
            stdin, before = os.pipe()
        pid = os.fork()
        if pid == 0:
            if before is not None:
                os.close(before)  # ours to give to the stage before; a reader must not hold its own write end
            stage(stages[index], stdin, stdout)
        pids.append(pid)
        if stdin is not None:
            os.close(stdin)
        if stdout is not None:
            os.close(stdout)
        stdout = before
    ends = {}
    for pid in pids:
        ends[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = ends[pids[0]]  # the first that was started is the last of the line
    return code if code >= 0 else 128 - code


sys.exit(main())
