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
        if stdin is not None:
            os.dup2(stdin, 0)
            os.set_inheritable(0, True)
            if stdin != 0:
                os.close(stdin)
        if stdout is not None:
            os.dup2(stdout, 1)
            os.set_inheritable(1, True)
            if stdout != 1:
                os.close(stdout)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(stage[0], stage)
    except (FileNotFoundError, ValueError):
        code = 127
        os.write(2, os.fsencode(f"pipeline: {stage[0]}: command not found\n"))
    except OSError as e:
        os.write(2, os.fsencode(f"pipeline: {stage[0]}: {e.strerror}\n"))
    finally:
        os._exit(code)


def main():
    stages = parse(sys.argv[1:])
    if [] in stages:
        print(USAGE, file=sys.stderr)
        sys.exit(2)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pids = []
    stdin = None
    for i, stage in enumerate(stages):
        r, w = (None, None) if i == len(stages) - 1 else os.pipe()
        pids.append(start(stage, stdin, w, r))
        # the children read now; we must not keep the write end
        if w is not None:
            os.close(w)
        stdin = r

    for pid in pids:
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


main()
