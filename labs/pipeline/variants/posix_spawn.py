"""Unusual: no fork in sight. os.posix_spawnp starts each stage, and file actions connect it.

Still right: posix_spawn(3) promises what fork, dup2, sigaction, sigprocmask and execvp do one by one, in one call.
A command that cannot be started raises here, in the parent, so the parent speaks for it and goes on with the others.
dup2 as a file action clears close-on-exec even where both numbers are equal.
"""

import os
import signal
import sys

USAGE = "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]..."


def spawn(argv, source, sink):
    """Pid of the stage, or the status of one that could not be started."""
    actions = []
    if source is not None:
        actions.append((os.POSIX_SPAWN_DUP2, source, 0))
    if sink is not None:
        actions.append((os.POSIX_SPAWN_DUP2, sink, 1))
    try:
        if not argv[0]:
            raise FileNotFoundError(2, "No such file or directory")
        return os.posix_spawnp(
            argv[0],
            argv,
            os.environ,
            file_actions=actions,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT),
        ), None
    except OSError as error:
        os.write(2, f"pipeline: {argv[0]}: {error.strerror}\n".encode(errors="surrogateescape"))
        return None, 127 if isinstance(error, FileNotFoundError) else 126


def main(arguments):
    stages = [[]]
    for argument in arguments:
        stages.append([]) if argument == "|" else stages[-1].append(argument)
    if not all(stages):
        sys.stderr.write(USAGE + "\n")
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    children, status, source = [], 0, None
    for argv in stages[:-1]:
        read_end, write_end = os.pipe()
        children.append(spawn(argv, source, write_end))
        os.close(write_end)
        if source is not None:
            os.close(source)
        source = read_end
    children.append(spawn(stages[-1], source, None))
    if source is not None:
        os.close(source)
    for pid, status in children:
        if pid is not None:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else 128 - status


sys.exit(main(sys.argv[1:]))
