"""Producers and consumers round a buffer: producers, consumers, items for each producer, capacity.

Every item that comes out is a line: consumer, producer, number. `Buffer.close`, where there is one, comes last.
"""

import sys
import threading


def produce(buffer, me, items):
    for number in range(items):
        buffer.put((me, number))


def consume(buffer, me, items):
    for _ in range(items):
        item = buffer.get()
        sys.stdout.write("{} {} {}\n".format(me, *item) if item else "nothing\n")


def main(make):
    producers, consumers, items, capacity = map(int, sys.argv[1:])
    buffer = make(capacity)
    share, rest = divmod(producers * items, consumers)
    threads = [
        threading.Thread(target=produce, args=(buffer, me, items), name=f"producer {me}") for me in range(producers)
    ] + [
        threading.Thread(target=consume, args=(buffer, me, share + (me < rest)), name=f"consumer {me}")
        for me in range(consumers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
