"""Calls a student's BoundedBuffer as a script says, each script in a thread of its own, and tells what came of it.

    usage: driver CAPACITY SCRIPT... [-- SCRIPT...]...    all scripts up to -- side by side, then those up to the next
           driver CAPACITY                                each line of standard input is NAME SCRIPT, begun at once
           driver --program ARGUMENT...                   the program itself; then what it loaded of ready-made queues

A script is a list of calls, `put 1, put 2, get, close, drain`; drain gets until the buffer is closed. The scripts of
the command line are called a, b, c, ... in their order. Each call tells its result in one line when it is over:

    a put 1             b get 1           c close
    a put 2 closed      b get closed

An exception that is not Closed ends everything with a traceback and status 1. driver.c does the same for C.
"""

import os
import runpy
import sys
import threading
import traceback

READY_MADE = (
    "queue", "_queue", "multiprocessing.queues", "multiprocessing.managers", "multiprocessing.pool",
    "concurrent.futures.thread", "concurrent.futures.process", "asyncio.queues",
)  # fmt: skip


def tell(*words):
    """One line in one write(2): lines of several threads never mix, and nothing is held back."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Script(threading.Thread):
    """The calls of one thread, named as its lines begin."""

    def __init__(self, module, buffer, name, calls):
        super().__init__(name=name)
        self.closed, self.buffer, self.calls = module.Closed, buffer, calls.split(",")

    def run(self):
        """Make the calls one after the other."""
        try:
            for call in self.calls:
                name, *arguments = call.split()
                if name == "put":
                    self.put(int(arguments[0]))
                elif name == "get":
                    self.get()
                elif name == "drain":
                    while self.get():
                        pass
                elif name == "close":
                    self.buffer.close()
                    tell(self.name, "close")
        except BaseException:  # whatever it is, and whatever the other threads wait for
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def put(self, item):
        try:
            self.buffer.put(item)
            tell(self.name, "put", item)
        except self.closed:
            tell(self.name, "put", item, "closed")

    def get(self):
        try:
            item = self.buffer.get()
            tell(self.name, "get", item)
        except self.closed:
            tell(self.name, "get", "closed")
            return False
        return True


def side_by_side(module, capacity, words):
    """Phases of scripts: those of one phase run at the same time. One alone needs no thread."""
    buffer = module.BoundedBuffer(capacity)
    names = iter("abcdefghijklmnopqrstuvwxyz")
    phase = []
    for word in [*words, "--"]:
        if word != "--":
            phase.append(Script(module, buffer, next(names), word))
        elif len(phase) == 1:
            phase.pop().run()
        else:
            for script in phase:
                script.start()
            for script in phase:
                script.join()
            phase = []


def as_told(module, capacity):
    """Lines of standard input, each begun in a thread of its own as soon as it comes."""
    buffer = module.BoundedBuffer(capacity)
    tell("ready")
    for line in sys.stdin:
        name, calls = line.split(None, 1)
        Script(module, buffer, name, calls).start()
    os._exit(0)  # whoever still waits is not waited for


def program(arguments):
    """The student's program, as it is started by its name."""
    sys.argv = ["bounded_buffer.py", *arguments]
    status = 0
    try:
        runpy.run_path("bounded_buffer.py", run_name="__main__")
    except SystemExit as end:
        status = end.code
    tell("loaded", *(name for name in READY_MADE if name in sys.modules))
    sys.exit(status)


def main():
    """Choose by the arguments."""
    first, *others = sys.argv[1:]
    if first == "--program":
        program(others)
    import bounded_buffer  # here, for the program imports what it needs itself

    if others:
        side_by_side(bounded_buffer, int(first), others)
    else:
        as_told(bounded_buffer, int(first))


if __name__ == "__main__":
    main()
