"""The server in a sandbox that runs a Python program again and again, each time in a fresh child of its own.

It never runs code of the program itself: it compiles the files, imports what they will import from the
standard library, and forks. A child tells its scheduler's view through shared memory, not through a
descriptor, so a program that closes everything does not cut itself off; its output goes to memory files, and the
descriptor of the answers exists only here.

Jobs are lines of JSON on standard input; an answer is `HEAD` and what it announces.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # without enumerations: these calls are made for each run
import ast
import atexit
import ctypes
import faulthandler
import fcntl
import gc
import io
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
import threading
import types
from typing import Any, NoReturn

from grader.exploring.shims import threads
from grader.exploring.shims.points import Sources

HEAD = struct.Struct("<IiqIII")
"""Number of the job; wait status; CPU microseconds; sizes of what the scheduler says, of standard output and error"""
WAKE = signal.SIGUSR1
"""What the grader sends to the server when it has waited long enough"""
READY = 0
"""The number of the first answer, before any job: the server has started"""
_MARK = struct.Struct("<II")
"""At the beginning of the shared memory: whether the child came to a known end, and the size of what follows"""
_SHARED = 4 * 2**20
CPU_S = 2
"""CPU seconds of one run, after which a program that comes to no point any more is ended by SIGXCPU"""
_PR_SET_DUMPABLE = 4

_IGNORED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, WAKE, signal.SIGUSR2, signal.SIGALRM,
)  # fmt: skip
"""A program that signals its parent, or everybody, does not end the server with these"""

_exit = os._exit
_prctl = ctypes.CDLL(None).prctl
_fork = ctypes.PyDLL(None).fork
"""fork(2) without what Python does after it, which costs as much again. It would make locks anew, of which none is
held, and let other threads go, of which there is none; and the random numbers are to be the same each time."""


class Server:
    """One program, ready to be run.

    :param entry: its main file
    :param folder: where its files lie
    :param private: /tmp and /dev/shm are the sandbox's own, so what a run leaves there can be taken away
    """

    def __init__(self, entry: str, folder: str, private: bool):
        self._path = os.path.join(folder, entry)
        self._entry, self._folder = entry, folder
        texts = {}
        for base, _, names in os.walk(folder):
            for name in names:
                if name.endswith(".py"):
                    path = os.path.join(base, name)
                    with open(path, "rb") as file:
                        texts[path] = file.read()
        self.sources = Sources(texts, folder)
        self._shared = mmap.mmap(-1, _SHARED)
        self._running = 0
        """The child of this moment"""
        places = [folder, *(("/dev/shm", "/tmp") if private else ())]  # noqa: S108
        self._before = {place: set(os.listdir(place)) for place in places}
        _import_beforehand(texts)
        _find_compiled(self.sources)
        self._prepare()

    def run(self, job: dict[str, Any], answers: int) -> None:
        """Run one job in a child, and answer."""
        _MARK.pack_into(self._shared, 0, 0, 0)
        out, err = os.memfd_create("stdout"), os.memfd_create("stderr")
        child = self._running = _fork()
        if child == 0:
            self._child(job, out, err)
        _, status, usage = os.wait4(child, 0)
        self._running = 0
        try:
            os.killpg(child, signal.SIGKILL)  # what it has started, if anything
        except OSError:
            pass
        self._tidy()
        known, size = _MARK.unpack_from(self._shared)
        said = self._shared[_MARK.size : _MARK.size + min(size, _SHARED - _MARK.size)] if known else b""
        limit = int(job["limit"])
        texts = [os.pread(each, limit + 1, 0) for each in (out, err)]
        for each in (out, err):
            threads._os_close(each)
        cpu = int((usage.ru_utime + usage.ru_stime) * 1e6)
        head = HEAD.pack(int(job["id"]), status, cpu, len(said), *map(len, texts))
        _write_all(answers, b"".join((head, said, *texts)))

    def interrupt(self, *_: object) -> None:
        """End a run that is silent, so that it says where it is."""
        if self._running:
            threads._os_kill(self._running, signal.SIGXCPU)

    def _tidy(self) -> None:
        """Take away the files that a run has made, so that the next one finds what the first found."""
        for folder, before in self._before.items():
            for name in os.listdir(folder):
                if name not in before:
                    path = os.path.join(folder, name)
                    try:
                        os.unlink(path)
                    except OSError:
                        shutil.rmtree(path, ignore_errors=True)

    # ------------------------------------------------------------ in the child

    def _child(self, job: dict[str, Any], out: int, err: int) -> NoReturn:
        os.setsid()
        for number in _IGNORED:
            _signal.signal(number, _signal.SIG_DFL)
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        os.closerange(3, 256)
        for target in (1, 2):
            fcntl.fcntl(target, fcntl.F_SETFL, os.O_APPEND)
        _dumpable(True)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        sys.argv[:] = [self._entry, *job["arguments"]]
        threads.enter(threads.World(self.sources, job["strategy"], bool(job["story"]), self._finish))
        status = 0
        try:
            status = self._program()
        finally:
            _exit(status)

    def _prepare(self) -> None:
        """Make all that a child finds and that is the same for each: done once, before any is forked."""
        # SIGXCPU ends a run that does not end, and first every thread says where it is.
        faulthandler.register(signal.SIGXCPU, file=2, all_threads=True, chain=True)
        os._exit = self._left
        for name in ("fork", "forkpty"):
            setattr(os, name, self._forks)
        if "multiprocessing.process" in sys.modules:
            sys.modules["multiprocessing.process"].BaseProcess.start = self._forks
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
        for name, target in (("stdout", 1), ("stderr", 2)):
            raw = io.FileIO(target, "w", closefd=False)
            errors = "backslashreplace" if target == 2 else "strict"
            stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=target == 2)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        module = types.ModuleType("__main__")
        module.__file__ = self._path
        module.__dict__["__builtins__"] = __builtins__
        sys.modules["__main__"] = module

    def _program(self) -> int:
        """Run the program as Python does; its exit status."""
        status = 0
        world = threads.world()
        try:
            code = self.sources.codes.get(self._path)
            if code is None:  # it does not compile: let it say why
                with open(self._path, "rb") as file:
                    code = compile(file.read(), self._path, "exec", dont_inherit=True)
            exec(code, sys.modules["__main__"].__dict__)  # noqa: S102 (the program: this is a child in the sandbox)
        except BaseException as error:
            status = _told(error)
        for call in reversed(threading._threading_atexits):  # type: ignore[attr-defined]
            call()
        me = world.tasks[0]
        others = [task for task in world.alive if task is not me and not task.daemon]
        if others:
            world.turn(me, "", gate=lambda: all(t.ended or t.daemon for t in world.tasks[1:]),
                       waits=("join", "the other threads"))  # fmt: skip
        world.check_watch()
        world.note(me, "end")
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                status = status or 120
        self._say("escaped" if world.escaped else "ended", world.escaped)
        return status & 0xFF

    def _left(self, status: int) -> NoReturn:
        """`os._exit`, by any thread."""
        threads.world().check_watch()
        self._say("escaped" if threads.world().escaped else "ended", threads.world().escaped)
        _exit(status)

    def _forks(self, *_: object) -> NoReturn:
        """The program makes a process, which is nobody's here."""
        self._finish("forks", "")

    def _finish(self, came: str, detail: str) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # noqa: S112 (whatever the program has made of its streams)
                continue
        self._say(came, detail)
        _exit(0)

    def _say(self, came: str, detail: str) -> None:
        """Put what the scheduler knows into the shared memory."""
        world = threads.world()
        labels = _labels([task.name for task in world.tasks])
        frames = sys._current_frames()
        waiting = []
        plural = world.plural()

        def called(thing: Any) -> str:
            name = thing if isinstance(thing, str) else getattr(thing, "thing", "")
            return plural.get(name, name)

        for task in world.alive if came in ("deadlock", "livelock") else []:
            if came == "livelock" and task.gate is None:
                continue
            op, thing = task.waits
            owner = getattr(thing, "_owner", None)
            waiting.append([
                task.id, op, called(thing), *world.place(frames.get(task.ident)),
                task.other.id if task.other is not None else None, owner.id if owner is not None else None,
                [called(lock) for lock in task.holds],
            ])  # fmt: skip
        said = {
            "came": came, "detail": detail, "moments": world.moments, "length": world.length, "tasks": labels,
            "waiting": waiting, "delays": world.delays,
            "steps": [(*step[:2], called(step[2]), *step[3:]) for step in world.steps],
        }  # fmt: skip
        data = json.dumps(said).encode()
        if len(data) > _SHARED - _MARK.size:
            data = json.dumps({**said, "steps": world.steps[:5000], "delays": []}).encode()[
                : _SHARED - _MARK.size
            ]
        self._shared[_MARK.size : _MARK.size + len(data)] = data
        _MARK.pack_into(self._shared, 0, 1, len(data))


def _told(error: BaseException) -> int:
    """What Python does with an exception that nobody caught: the exit status."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    error.__traceback__ = threads.cleaned(error.__traceback__)
    sys.excepthook(type(error), error, error.__traceback__)
    return 1


def _labels(names: list[str]) -> list[str]:
    """Names that tell the threads apart: ``consumer 1``, ``consumer 2``."""
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        number = seen[name] = seen.get(name, 0) + 1
        labels.append(f"{name} {number}" if names.count(name) > 1 else name)
    return labels


def _import_beforehand(texts: dict[str, bytes]) -> None:
    """Import what the program will import from the standard library, so that a child need not."""
    wanted = {"queue", "fcntl", "traceback", "linecache"}
    for text in texts.values():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                wanted.add(node.module)
                wanted.update(f"{node.module}.{alias.name}" for alias in node.names)  # where it is a module
    own = {os.path.basename(path).removesuffix(".py") for path in texts}
    for name in sorted(wanted):
        top = name.split(".")[0]
        if (
            top in sys.stdlib_module_names
            and top not in own
            and top not in ("__main__", "this", "antigravity")
        ):
            try:
                __import__(name)
            except ImportError:
                continue
    import linecache
    import queue

    queue.SimpleQueue = queue._PySimpleQueue  # type: ignore[attr-defined,misc]
    linecache.getlines(queue.__file__)
    if any(name.split(".")[0] == "multiprocessing" for name in wanted):
        _model_multiprocessing()


def _model_multiprocessing() -> None:
    """Let the locks of multiprocessing be modelled too, as long as only threads use them."""
    import multiprocessing.synchronize as synchronize

    for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"):
        model = getattr(threading, name)
        setattr(synchronize, name, _without_context(model))
    from multiprocessing import resource_tracker

    # It would start a process that only watches for what is left behind.
    for name in ("register", "unregister", "ensure_running"):
        setattr(resource_tracker, name, threads._nothing)
        setattr(resource_tracker.ResourceTracker, name, threads._nothing)


def _without_context(model: Any) -> Any:
    def make(*arguments: Any, ctx: object = None, **more: Any) -> Any:
        return model(*arguments, **more)

    return make


def _find_compiled(sources: Sources) -> None:
    """Let imports of the program's own files give the code that has been read here."""
    from importlib.machinery import SourceFileLoader

    get_code = SourceFileLoader.get_code

    def found(self: SourceFileLoader, name: str) -> types.CodeType | None:
        return sources.codes.get(os.path.abspath(self.path)) or get_code(self, name)

    SourceFileLoader.get_code = found  # type: ignore[method-assign,assignment]
    sys.dont_write_bytecode = True


def _dumpable(on: bool) -> None:
    """Whether others of the same user may look into this process, and so reach its descriptors (prctl(2))."""
    _prctl(_PR_SET_DUMPABLE, int(on), 0, 0, 0)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[threads._os_write(descriptor, view[:65536]) :]


def serve(jobs: Any, options: dict[str, Any]) -> None:
    """Serve until there are no more jobs.

    :param jobs: standard input, as a file that does not read ahead of what it was asked for
    """
    _dumpable(False)
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    for number in _IGNORED:
        _signal.signal(number, _signal.SIG_IGN)
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[int(options["server"]) % len(cpus)]})
    folder = os.getcwd()
    sys.path[0] = folder
    threading.stack_size(2**20)
    threads.enter(threads.World(Sources({}, folder), "d", False, _unexpected))
    threads.install()
    server = Server(options["entry"], folder, options["private"])
    threads.observe(server.sources.spots)
    _signal.signal(WAKE, server.interrupt)
    _warm_up()
    random.seed(0)
    gc.collect()
    gc.freeze()
    _write_all(answers, HEAD.pack(READY, 0, 0, 0, 0, 0))
    for line in jobs:
        server.run(json.loads(line), answers)


def _warm_up() -> None:
    """Let the interpreter meet the shim's own code, so that not each child must specialise it."""
    for _ in range(3):
        threads.enter(threads.World(Sources({}, ""), "s1", False, _unexpected))
        condition = threading.Condition()

        def work(condition: threading.Condition = condition) -> None:
            with condition:
                condition.notify_all()

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _unexpected(came: str, detail: str) -> None:
    raise RuntimeError(f"{came} in the server {detail}")
