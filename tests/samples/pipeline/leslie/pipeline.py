#!/usr/bin/env python3
"""pipeline, as it was handed out: nothing written yet."""

import sys

USAGE = "usage: pipeline CMD [ARG]... ['|' CMD [ARG]...]..."


def split_at_bars(arguments):
    """Cut the command line into stages. None where a stage is empty: nothing could run there."""
    stages = [[]]
    for argument in arguments:
        if argument == "|":
            stages.append([])
        else:
            stages[-1].append(argument)
    return stages if all(stages) else None


def run(stages):
    """Run all stages at the same time, reap every one of them, and return the status of the last."""
    # YOUR CODE HERE
    raise NotImplementedError


def main():
    stages = split_at_bars(sys.argv[1:])
    if stages is None:
        print(USAGE, file=sys.stderr)
        return 2
    return run(stages)


if __name__ == "__main__":
    sys.exit(main())
