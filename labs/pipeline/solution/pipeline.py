#!/usr/bin/env python3
"""Run commands side by side, each one's output flowing into the next: a shell's pipeline without the shell.

    usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]...

Every command becomes a child of this process, all of them at the same time:

    our standard input -> stage 1 -> pipe -> stage 2 -> pipe -> ... -> stage N -> our standard output

The parent makes one pipe after the other and never reads or writes any of them. At each moment it holds at
most three ends: the read end that the next stage is going to use, and both ends of the newest pipe. It gives
them away by fork(2) and closes its own copies at once, for an end-of-file comes only when *no* process holds
the write end, and SIGPIPE only when none holds the read end.
"""

import errno
import os
import signal
import sys

USAGE = "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]..."
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what a shell reports


def split_at_bars(arguments):
    """Cut the command line into stages. None where a stage is empty: nothing could run there."""
    stages = [[]]
    for argument in arguments:
        if argument == "|":
            stages.append([])
        else:
            stages[-1].append(argument)
    return stages if all(stages) else None


def complain(subject, reason):
    """Say what went wrong in one write, so that messages of two stages never mix."""
    try:
        os.write(2, f"pipeline: {subject}: {reason}\n".encode(errors="surrogateescape"))
    except OSError:
        pass  # standard error is closed; the exit status still tells


def close_end(end):
    """Close an end of a pipe, where there is one: the first stage has no pipe before it, the last none after."""
    if end is not None:
        os.close(end)


def exit_status(wait_status):
    """Translate what waitpid(2) reports into the status that a shell would give."""
    ### BEGIN SOLUTION
    if os.WIFSIGNALED(wait_status):
        return 128 + os.WTERMSIG(wait_status)
    return os.WEXITSTATUS(wait_status)
    ### END SOLUTION


def become(command, source, sink):
    """In the child: read from `source`, write to `sink`, and turn into `command`. Never returns.

    Where an end is None, the stage keeps the standard input or output that it has.
    """
    ### BEGIN SOLUTION
    status = NOT_EXECUTABLE
    try:
        # Input first: if we were started without descriptor 1, `source` may be 1, and would be overwritten.
        for end, target in ((source, 0), (sink, 1)):
            if end == target:
                os.set_inheritable(end, True)  # dup2(n, n) does nothing: close-on-exec would stay
            elif end is not None:
                os.dup2(end, target)
                os.close(end)  # its copy is what the command uses

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores these two,
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # and what is ignored stays ignored over execve(2)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # the mask is kept over execve(2) too

        os.execvp(command[0], command)
    except OSError as error:
        complain(command[0], error.strerror)
        if error.errno == errno.ENOENT:
            status = NOT_FOUND
    except ValueError:  # Python's own word for an empty name
        complain(command[0], os.strerror(errno.ENOENT))
        status = NOT_FOUND
    finally:
        os._exit(status)  # whatever happened: one that comes back would be a second parent
    ### END SOLUTION


def run(stages):
    """Run all stages at the same time, reap every one of them, and return the status of the last."""
    ### BEGIN SOLUTION
    # The terminal sends Ctrl-C to all of us. What it means is for the stages to say; we stay to reap them.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGQUIT])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it came ignored, nothing would be left to wait for

    children = []
    source = next_source = sink = None
    failure = None
    try:
        for number, command in enumerate(stages, start=1):
            if number < len(stages):
                next_source, sink = os.pipe()
            child = os.fork()
            if child == 0:
                close_end(next_source)  # the next stage reads there; held here, `sink` would never break
                become(command, source, sink)
            children.append(child)
            close_end(source)  # this stage reads it now; held here, the writer would never get SIGPIPE
            close_end(sink)  # this stage writes it now; held here, the next one would never see end-of-file
            source, next_source, sink = next_source, None, None
    except OSError as error:  # no more processes or descriptors
        failure = error
        for end in (source, next_source, sink):
            close_end(end)  # so that the stages which did start come to their end

    statuses = []
    for child in children:
        _, wait_status = os.waitpid(child, 0)
        statuses.append(exit_status(wait_status))
    if failure:
        complain(stages[len(children)][0], failure.strerror)
        return 1
    return statuses[-1]
    ### END SOLUTION


def main():
    """Read the command line; the rest is `run`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in any other program: no KeyboardInterrupt
    stages = split_at_bars(sys.argv[1:])
    if stages is None:
        print(USAGE, file=sys.stderr)
        return 2
    return run(stages)


if __name__ == "__main__":
    sys.exit(main())
