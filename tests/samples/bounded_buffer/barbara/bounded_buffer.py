"""Barbara's bounded buffer: there is a Queue in the library, so why write one?"""

import argparse
import multiprocessing
import queue
import threading

parser = argparse.ArgumentParser()
parser.add_argument("--capacity", type=int, required=True)
parser.add_argument("--producers", type=int, required=True)
parser.add_argument("--consumers", type=int, required=True)
parser.add_argument("--items", type=int, required=True)
parser.add_argument("--threads", action="store_true")
parser.add_argument("--processes", action="store_true")


class Closed(Exception):
    pass


class BoundedBuffer:
    def __init__(self, capacity, q=None):
        self.q = q or queue.Queue(capacity)
        self.closed = False

    def put(self, item):
        if self.closed:
            raise Closed
        self.q.put(item)

    def get(self):
        item = self.q.get()
        if item is None:
            self.q.put(None)
            raise Closed
        return item

    def close(self):
        self.closed = True
        self.q.put(None)


def produce(b, p, m):
    for i in range(m):
        b.put((p, i))


def consume(b, c):
    while True:
        try:
            p, i = b.get()
        except Closed:
            break
        print(f"consumer-{c} producer-{p} {i}", flush=True)


if __name__ == "__main__":
    args = parser.parse_args()
    if min(args.capacity, args.producers, args.consumers) < 1 or args.items < 0:
        parser.error("bad number")
    if args.threads and args.processes:
        parser.error("choose one")
    if args.processes:
        b, W = BoundedBuffer(args.capacity, multiprocessing.Queue(args.capacity)), multiprocessing.Process
    else:
        b, W = BoundedBuffer(args.capacity), threading.Thread
    ps = [W(target=produce, args=(b, p, args.items)) for p in range(args.producers)]
    cs = [W(target=consume, args=(b, c)) for c in range(args.consumers)]
    for w in ps + cs:
        w.start()
    for w in ps:
        w.join()
    b.close()
    for w in cs:
        w.join()
