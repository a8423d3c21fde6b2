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
    # YOUR CODE HERE
    raise NotImplementedError("pipeline.py: YOUR CODE HERE")


def become(command, source, sink):
    """In the child: read from `source`, write to `sink`, and turn into `command`. Never returns.

    Where an end is None, the stage keeps the standard input or output that it has.
    """
    # YOUR CODE HERE
    raise NotImplementedError("pipeline.py: YOUR CODE HERE")


def run(stages):
    """Run all stages at the same time, reap every one of them, and return the status of the last."""
    # YOUR CODE HERE
    raise NotImplementedError("pipeline.py: YOUR CODE HERE")


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
