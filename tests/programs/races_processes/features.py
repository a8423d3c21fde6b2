"""One small right program for each thing that the explorer models: features MODE. All print "ok" at the end."""

import ctypes
import mmap
import os
import select
import signal
import struct
import sys
import time
from multiprocessing import (
    Array, Barrier, BoundedSemaphore, Condition, Event, Lock, Pipe, Process, RawArray, RawValue, RLock, Semaphore,
    SimpleQueue, Value, current_process,
)
from multiprocessing.shared_memory import ShareableList, SharedMemory


def together(work, *arguments, count=2):
    processes = [Process(target=work, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0, process.exitcode


# ---- locks


def with_locks(lock, again, bounded, totals):
    with lock:
        totals[0] += 1
    with again, again:
        totals[1] += 1
    while not bounded.acquire(block=False):
        pass
    totals[2] += 1
    bounded.release()


def locks():
    lock, totals = Lock(), RawArray("i", 3)
    together(with_locks, lock, RLock(), BoundedSemaphore(2), totals)
    assert totals[:2] == [2, 2] and totals[2] in (1, 2)  # two may be in the last at a time
    assert lock.acquire(timeout=0.5) and not lock.acquire(timeout=0.5)
    try:
        BoundedSemaphore(1).release()
        raise SystemExit("released twice")
    except ValueError:
        pass


def with_condition(condition, turn, me):
    with condition:
        condition.wait_for(lambda: turn.value == me)
        turn.value += 1
        condition.notify_all()
        condition.wait(timeout=0.2)


def conditions():
    condition, turn = Condition(), RawValue("i", 0)
    processes = [Process(target=with_condition, args=(condition, turn, me)) for me in (1, 0)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert turn.value == 2


def with_event(go, done):
    go.wait()
    done.set()


def events():
    go, done = Event(), Event()
    process = Process(target=with_event, args=(go, done))
    process.start()
    assert not done.wait(timeout=0.1) and not done.is_set()
    go.set()
    assert done.wait()
    done.clear()
    assert not done.is_set()
    process.join()


def with_barrier(barrier, total):
    for round_ in (1, 2):
        with total.get_lock():
            total.value += 1
        barrier.wait()
        assert total.value == 3 * round_
        barrier.wait()


def barriers():
    together(with_barrier, Barrier(3), Value("i", 0), count=3)


# ---- memory


class Row(ctypes.Structure):
    _fields_ = [("count", ctypes.c_long), ("last", ctypes.c_long)]


def with_memory(lock, kinds):
    view, mapping, array, raw, shareable, row = kinds
    with lock:
        view[0] += 1
        mapping[0] += 1
        mapping.seek(8)
        old = mapping.read(8)
        mapping.seek(8)
        mapping.write(struct.pack("q", struct.unpack("q", old)[0] + 1))
        struct.pack_into("q", mapping, 16, struct.unpack_from("q", mapping, 16)[0] + 1)
        array[0] += 1
        raw[-1] += 1
        shareable[0] += 1
        row.count += 1
        first, view[2] = view[1], 7
        view[1] = first + 1
        for view[3] in range(3):
            pass


def memory():
    shared = SharedMemory(create=True, size=64)
    mapping = mmap.mmap(-1, 4096)
    shareable = ShareableList([0, "text"])
    row = Row.from_buffer(mapping, 64)
    array, raw = Array("i", 3), RawArray("q", 2)
    view = shared.buf.cast("q")
    together(with_memory, Lock(), (view, mapping, array, raw, shareable, row))
    assert (view[0], view[1], view[2], view[3]) == (2, 2, 7, 2)
    assert mapping[0] == 2 and mapping[8] == 2 and mapping[16] == 2
    assert (array[0], raw[1], shareable[0], row.count) == (2, 2, 2, 2)
    del row
    view.release()
    shared.close()
    shared.unlink()
    shareable.shm.close()
    shareable.shm.unlink()


def private():
    mine = [0] * 10
    if os.fork() == 0:
        for i in range(1000):
            mine[i % 10] += 1
        os._exit(sum(mine) != 1000)
    assert os.waitpid(-1, 0)[1] == 0 and sum(mine) == 0


# ---- processes


def zombies():
    children = [Process(target=os._exit, args=(i,), name=f"worker-{i}") for i in range(3)]
    for child in children:
        child.start()
    while any(child.is_alive() for child in children):
        pass
    assert [child.exitcode for child in children] == [0, 1, 2]
    pid = os.fork()
    if pid == 0:
        os._exit(9)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.01)
    try:
        os.wait()
        raise SystemExit("a child too many")
    except ChildProcessError:
        pass


def post_and_leave(semaphore):
    semaphore.release()
    os._exit(0)


def last_release():
    semaphore = Semaphore(0)
    for _ in range(3):
        Process(target=post_and_leave, args=(semaphore,)).start()
    for _ in range(3):
        semaphore.acquire()


def for_ever():
    time.sleep(10**6)


def ends():
    process = Process(target=for_ever)
    process.start()
    process.join(timeout=5)
    assert process.is_alive()
    process.terminate()
    process.join()
    assert process.exitcode == -signal.SIGTERM
    process = Process(target=Semaphore(0).acquire, daemon=True)
    process.start()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    Process(target=for_ever, daemon=True).start()


def echo(connection, queue):
    while (item := connection.recv()) is not None:
        connection.send(item * 2)
    queue.put("done")


def pipes():
    ours, theirs = Pipe()
    queue = SimpleQueue()
    process = Process(target=echo, args=(theirs, queue))
    process.start()
    for item in (1, "x", [2]):
        ours.send(item)
        assert ours.recv() == item * 2
    assert not ours.poll(0.1)
    ours.send(None)
    assert queue.get() == "done"
    process.join()
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        for _ in range(10):
            os.write(write, b"x" * 10000)
        os._exit(0)
    os.close(write)
    assert select.select([read], [], [])[0] == [read]
    total = 0
    while data := os.read(read, 4096):
        total += len(data)
    assert total == 100000 and os.wait()[1] == 0


def signals():
    got = []
    signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    parent = os.getpid()
    done = RawValue("i", 0)
    child = os.fork()
    if child == 0:
        while not done.value:
            os.kill(parent, signal.SIGUSR1)
            time.sleep(0.001)
        os._exit(0)
    signal.pause()
    done.value = 1
    assert got and os.waitpid(child, 0)[1] == 0


def time_passes():
    begin = time.time()
    clock = time.monotonic()
    time.sleep(3600)
    while time.monotonic() < clock + 3602:
        pass
    assert 3600 <= time.time() - begin < 3700


def closes_everything():
    os.closerange(3, 256)
    if os.fork() == 0:
        for descriptor in range(3, 256):
            try:
                os.close(descriptor)
            except OSError:
                pass
        os._exit(0)
    assert os.wait()[1] == 0


def fails():
    process = Process(target=int, args=("x",), name="reader")
    process.start()
    process.join()
    assert process.exitcode == 1 and current_process().name == "MainProcess"


if __name__ == "__main__":
    modes = {
        "locks": locks, "conditions": conditions, "events": events, "barriers": barriers, "memory": memory,
        "private": private, "zombies": zombies, "last-release": last_release, "ends": ends, "pipes": pipes,
        "signals": signals, "time": time_passes, "closes-everything": closes_everything, "fails": fails,
    }
    modes[sys.argv[1]]()
    print("ok")
