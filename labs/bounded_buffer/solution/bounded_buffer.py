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
        ### BEGIN SOLUTION
        if shared:
            # This memory has no name, so there is nothing to remove: it goes with the last process that has it.
            cells = memoryview(mmap.mmap(-1, 8 * (STATE + capacity))).cast("q")
            kind = multiprocessing.get_context("fork")
        else:
            cells = [0] * (STATE + capacity)
            kind = threading
        self.state, self.slots = cells[:STATE], cells[STATE:]
        self.lock = kind.Lock()
        self.not_full = kind.Condition(self.lock)
        self.not_empty = kind.Condition(self.lock)
        ### END SOLUTION

    def put(self, item):
        """Put an item in, when there is a free slot; wait for one as long as it takes.

        :raises Closed: if the buffer is closed, now or while we wait
        """
        ### BEGIN SOLUTION
        with self.lock:
            while self.state[COUNT] == self.capacity and not self.state[CLOSED]:
                self.not_full.wait()
            if self.state[CLOSED]:
                raise Closed
            free = (self.state[FIRST] + self.state[COUNT]) % self.capacity
            self.slots[free] = item
            self.state[COUNT] += 1
            self.not_empty.notify()
        ### END SOLUTION

    def get(self):
        """Take the oldest item out, when there is one; wait for one as long as it takes.

        :raises Closed: if the buffer is closed and empty, now or while we wait
        """
        ### BEGIN SOLUTION
        with self.lock:
            while self.state[COUNT] == 0 and not self.state[CLOSED]:
                self.not_empty.wait()
            if self.state[COUNT] == 0:
                raise Closed
            item = self.slots[self.state[FIRST]]
            self.state[FIRST] = (self.state[FIRST] + 1) % self.capacity
            self.state[COUNT] -= 1
            self.not_full.notify()
            return item
        ### END SOLUTION

    def close(self):
        """Let nothing in any more. Everybody who waits wakes up; what is in the buffer can still be taken."""
        ### BEGIN SOLUTION
        with self.lock:
            self.state[CLOSED] = 1
            self.not_full.notify_all()
            self.not_empty.notify_all()
        ### END SOLUTION


def made(producer, number):
    """The item that a producer makes as its number so and so: both in one integer."""
    return producer << 32 | number


def report(consumer, item):
    """Print the line for an item that was taken, in one write(2), so that lines never mix."""
    producer, number = item >> 32, item & 0xFFFFFFFF
    os.write(1, f"consumer-{consumer} producer-{producer} {number}\n".encode())


def produce(buffer, producer, items):
    """What a producer does: put its items in, from number 0 on; leave early if the buffer is closed."""
    ### BEGIN SOLUTION
    try:
        for number in range(items):
            buffer.put(made(producer, number))
    except Closed:
        pass  # somebody ended the program
    ### END SOLUTION


def consume(buffer, consumer):
    """What a consumer does: take items and report each, until the buffer is closed and empty."""
    ### BEGIN SOLUTION
    try:
        while True:
            report(consumer, buffer.get())
    except Closed:
        pass  # all is done
    ### END SOLUTION


def run(capacity, producers, consumers, items, processes):
    """Let all of them work side by side, and come back when everything is done, or after SIGTERM.

    :param processes: whether each producer and each consumer is a process of its own, or a thread
    """
    ### BEGIN SOLUTION
    buffer = BoundedBuffer(capacity, shared=processes)
    worker = multiprocessing.get_context("fork").Process if processes else threading.Thread

    def stop(number, frame):
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # once is enough
        buffer.close()  # producers leave at once, consumers when they have taken what there is

    # The workers inherit the mask: none of them ever sees these signals. We see them only while we join the
    # producers, so `stop` never finds the buffer's lock in our own hands.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    making = [worker(target=produce, args=(buffer, number, items)) for number in range(producers)]
    taking = [worker(target=consume, args=(buffer, number)) for number in range(consumers)]
    started = []
    try:
        for each in making + taking:
            each.start()
            started.append(each)
        for number in STOPPING:
            signal.signal(number, stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        for each in making:
            each.join()
    finally:  # also if one of them could not be started: then the others must not wait for it for ever
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        buffer.close()  # no more will come: this lets the consumers come to their end
        for each in started:
            each.join()
    ### END SOLUTION


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
