# E. W. D.: two semaphores. P before V, and nothing else is needed.
import sys
import threading


class Closed(Exception):
    pass


class BoundedBuffer:
    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.head = self.tail = 0
        self.put_in = self.taken = 0
        self.closed = False
        self.free = threading.Semaphore(capacity)
        self.full = threading.Semaphore(0)

    def put(self, item):
        self.free.acquire()
        if self.closed:
            self.free.release()
            raise Closed
        self.slots[self.tail] = item
        self.tail = (self.tail + 1) % len(self.slots)
        self.put_in += 1
        self.full.release()

    def get(self):
        self.full.acquire()
        if self.put_in == self.taken:
            self.full.release()
            raise Closed
        item = self.slots[self.head]
        self.head = (self.head + 1) % len(self.slots)
        self.taken += 1
        self.free.release()
        return item

    def close(self):
        self.closed = True
        self.full.release()
        self.free.release()


def main(argv):
    try:
        opts = {}
        i = 0
        while i < len(argv):
            if argv[i] in ("--threads", "--processes"):
                opts[argv[i]] = True
                i += 1
            elif argv[i] in ("--capacity", "--producers", "--consumers", "--items"):
                opts[argv[i]] = int(argv[i + 1])
                i += 2
            else:
                raise ValueError(argv[i])
        n, p, c, m = (opts[k] for k in ("--capacity", "--producers", "--consumers", "--items"))
        if n < 1 or p < 1 or c < 1 or m < 0 or ("--threads" in opts and "--processes" in opts):
            raise ValueError
    except (ValueError, KeyError, IndexError):
        sys.stderr.write("usage: bounded_buffer --capacity N --producers P --consumers C --items M\n")
        return 2

    b = BoundedBuffer(n)

    def producer(k):
        for j in range(m):
            b.put((k, j))

    def consumer(k):
        while True:
            try:
                who, what = b.get()
            except Closed:
                return
            sys.stdout.write("consumer-%d producer-%d %d\n" % (k, who, what))

    ps = [threading.Thread(target=producer, args=(k,)) for k in range(p)]
    cs = [threading.Thread(target=consumer, args=(k,)) for k in range(c)]
    for t in ps + cs:
        t.start()
    for t in ps:
        t.join()
    b.close()
    for t in cs:
        t.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
