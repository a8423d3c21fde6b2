#!/usr/bin/env python3
"""Producers and consumers round a bounded buffer.

    usage: bounded_buffer --capacity N --producers P --consumers C --items M [--threads | --processes]

P producers make M items each, C consumers take them, and between them lies a buffer of N slots that are
used in a circle:

    producers -> put ->  [ 3 | 4 |   |   |   | 0 | 1 | 2 ]  -> get -> consumers
                                 free          oldest

The buffer is a monitor: its state is touched only by who holds its lock, and who cannot go on waits on a
condition, which gives the lock back for the time of the waiting. Whoever changes the state tells those for
whom the change is good news.

For threads the state lies in ordinary lists. For processes it lies in memory that they share, and the lock
and the conditions are those of multiprocessing; nothing else differs.
"""

import argparse
import mmap
import multiprocessing
import os
import signal
import sys
import threading

FIRST, COUNT, CLOSED, STATE = 0, 1, 2, 3  # the cells of the state: the oldest item's slot, how many items there are,
#                                           whether it is closed; and how many such cells there are
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Closed(Exception):
    """The buffer is closed: nothing goes in any more, and what was in it is out."""


class BoundedBuffer:
    """A first-in first-out buffer for `capacity` integers, each of which fits into 64 bits.

    With `shared` it works between processes: those that are forked after it was made.
    """

    def __init__(self, capacity, shared=False):
        self.capacity = capacity
        # YOUR CODE HERE
        raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")

    def put(self, item):
        """Put an item in, when there is a free slot; wait for one as long as it takes.

        :raises Closed: if the buffer is closed, now or while we wait
        """
        # YOUR CODE HERE
        raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")

    def get(self):
        """Take the oldest item out, when there is one; wait for one as long as it takes.

        :raises Closed: if the buffer is closed and empty, now or while we wait
        """
        # YOUR CODE HERE
        raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")

    def close(self):
        """Let nothing in any more. Everybody who waits wakes up; what is in the buffer can still be taken."""
        # YOUR CODE HERE
        raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")


def made(producer, number):
    """The item that a producer makes as its number so and so: both in one integer."""
    return producer << 32 | number


def report(consumer, item):
    """Print the line for an item that was taken, in one write(2), so that lines never mix."""
    producer, number = item >> 32, item & 0xFFFFFFFF
    os.write(1, f"consumer-{consumer} producer-{producer} {number}\n".encode())


def produce(buffer, producer, items):
    """What a producer does: put its items in, from number 0 on; leave early if the buffer is closed."""
    # YOUR CODE HERE
    raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")


def consume(buffer, consumer):
    """What a consumer does: take items and report each, until the buffer is closed and empty."""
    # YOUR CODE HERE
    raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")


def run(capacity, producers, consumers, items, processes):
    """Let all of them work side by side, and come back when everything is done, or after SIGTERM.

    :param processes: whether each producer and each consumer is a process of its own, or a thread
    """
    # YOUR CODE HERE
    raise NotImplementedError("bounded_buffer.py: YOUR CODE HERE")


def main():
    """Read the command line; the rest is `run`."""

    def at_least(least):
        def number(text):
            if not text.isascii() or not text.isdecimal() or not least <= int(text) < 2**31:
                raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} on")
            return int(text)

        return number

    parser = argparse.ArgumentParser(prog="bounded_buffer", allow_abbrev=False)
    parser.add_argument("--capacity", type=at_least(1), metavar="N", required=True)
    parser.add_argument("--producers", type=at_least(1), metavar="P", required=True)
    parser.add_argument("--consumers", type=at_least(1), metavar="C", required=True)
    parser.add_argument("--items", type=at_least(0), metavar="M", required=True)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--threads", action="store_true", help="each producer and consumer is a thread (if not said)")
    how.add_argument("--processes", action="store_true", help="each of them is a process")
    given = parser.parse_args()  # a usage error ends the program with status 2
    try:
        run(given.capacity, given.producers, given.consumers, given.items, given.processes)
    except OSError as error:  # no more memory or processes
        print(f"bounded_buffer: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
