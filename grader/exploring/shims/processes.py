"""The shim for Python programs that make processes: it asks the grader before each step that matters.

It runs in the student's interpreter, and is the server that starts the program anew for each schedule: it
compiles the program once, and each run is a fork. What can be shared between processes is an element of a buffer, an
array or a list in shared memory (``buffer[i]``), a field (``count.value``), and the primitives of
`multiprocessing`. So the program's source is compiled with a call in the place of each ``x[i]`` and ``x.value``, which
looks whether ``x`` is shared memory; and the primitives are replaced by models that try, and never wait in the
kernel for another task.

The messages are those of hooks.c; `grader.exploring.controller` is at the other end. This file is copied into
sandboxes, so it knows only the standard library; nothing that it says could earn points.
"""

from __future__ import annotations

import _socket
import ast
import atexit
import builtins
import ctypes
import errno
import fcntl
import gc
import importlib
import importlib.machinery
import io
import mmap
import os
import random
import resource
import select
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import types
from typing import Any, NoReturn

HEAD = struct.Struct("<BBHiQQQq")
ANSWER = struct.Struct("<B3xIq")
MEMORY, LOCK, SEMAPHORE, CONDITION, _, EVENT, PIPE, _, _, SIGNALS = range(1, 11)
TIME = 13
WRITES, GLOBAL, PROCESS, NO_WAIT, OTHER_GLOBAL = 1, 2, 4, 8, 16
GO, TIME_OVER, INTERRUPTED, NONE, NO_CHILD = b"gtine"
FOR_EVER = -1
LARGEST_FILE = 2 * 2**20
"""Bytes: a small set-up that writes more is ended, and tells so by what it wrote"""
EPOCH_S, SINCE_BOOT_S = 1767225600, 1000
PRELOADED = ("multiprocessing", "multiprocessing.shared_memory", "multiprocessing.sharedctypes", "argparse")

_signal: Any = importlib.import_module("_signal")  # the module without enumerations, for speed
_read, _write, _close, _closerange, _dup2 = os.read, os.write, os.close, os.closerange, os.dup2
_fork, _exit, _kill, _waitpid, _wait4 = os.fork, os._exit, os.kill, os.waitpid, os.wait4
_fstat, _getpid = os.fstat, os.getpid
_sleep = time.sleep
_ALL_SIGNALS = [int(number) for number in signal.valid_signals()]
_select = select.select
_Mmap = mmap.mmap
_pack_into, _unpack_from = struct.pack_into, struct.unpack_from


class Me:
    """The task that this process is. None of it exists in the server."""

    on = False
    socket = -1
    channel: _socket.socket
    number = 0
    now = 0
    """Virtual time, ns"""
    result = 0
    """Of the last step: 0 if it was done"""
    behind = b""
    """What was done since the last question and nobody had to be asked about"""
    quiet = 0
    """Inside an access that takes and gives back the lock of its own variable"""
    made = 0
    """Primitives that this process has made"""
    handles_signals = False
    forked = False
    """There is, or was, another process"""
    child_name = ""


def give_up() -> NoReturn:
    """The grader is gone, or the program has closed our socket."""
    while True:
        _exit(121)


def ask(
    op: bytes, flags: int = 0, kind: int = 0, thing: int = 0, other: int = 0, number: int = 0, line: int = 0,
    text: bytes = b"",
) -> tuple[int, int]:  # fmt: skip
    """Say something and sleep until the answer: what to do, and a value."""
    if not Me.on:
        return GO, 0
    head = HEAD.pack(op[0], flags, kind | len(text) << 8, Me.result, line, thing, other, number)
    message, Me.behind, Me.result = Me.behind + head + text, b"", 0
    # A handler is a part of its own task: it runs when that may run.
    mask = _signal.pthread_sigmask(_signal.SIG_SETMASK, _ALL_SIGNALS) if Me.handles_signals else None
    try:
        _write(Me.socket, message)
        answer = _read(Me.socket, 64)
    except OSError:
        give_up()
    if len(answer) != ANSWER.size:
        give_up()
    code, value, Me.now = ANSWER.unpack(answer)
    if mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    return code, value


def later(op: bytes, flags: int, kind: int, thing: int, line: int, text: bytes) -> None:
    """Tell with the next question."""
    if not Me.on:
        return
    if len(Me.behind) > 1500:
        ask(b".")
    Me.behind += HEAD.pack(op[0], flags, kind | len(text) << 8, Me.result, line, thing, 0, 0) + text
    Me.result = 0


def unmodelled(what: str) -> None:
    """End the run: nothing can be said of a program that does this."""
    ask(b"!", text=what.encode()[:60])


# ---------------------------------------------------------------- places and names


class Program:
    """The program's files, compiled once."""

    codes: dict[str, types.CodeType] = {}  # noqa: RUF012 (one program, one server)
    spots: list[tuple[int, bytes]] = []  # noqa: RUF012
    """Line, and file and name, of each place where memory is touched"""
    targets: dict[tuple[str, int], list[str]] = {}  # noqa: RUF012
    """What a line assigns to: names for the primitives that are made there"""
    short: dict[str, str] = {}  # noqa: RUF012


def here() -> tuple[int, str, str]:
    """The line of the program that is being run, its file's short name, and its path."""
    frame = sys._getframe(1)
    short = Program.short
    while frame is not None:
        path = frame.f_code.co_filename
        if path in short:
            return frame.f_lineno, short[path], path
        frame = frame.f_back  # type: ignore[assignment]
    return 0, "", ""


_texts: dict[tuple[str, str], bytes] = {}


def text_of(file: str, name: str) -> bytes:
    """What goes with a message: file and name."""
    found = _texts.get((file, name))
    if found is None:
        found = _texts[file, name] = f"{file}\t{name}".encode()[:250]
    return found


_made_at: dict[tuple[str, int], int] = {}


def identity() -> tuple[int, str]:
    """A number for a new primitive, the same in all processes that get it by fork; and its name."""
    Me.made += 1
    line, _, path = here()
    names = Program.targets.get((path, line), [])
    times = _made_at[path, line] = _made_at.get((path, line), 0) + 1
    return Me.number << 32 | Me.made, names[(times - 1) % len(names)] if names else ""


# ---------------------------------------------------------------- the program's source


class Rewrite(ast.NodeTransformer):
    """Put a call in the place of each ``x[i]`` and ``x.value``.

    ``x[i] = y`` becomes ``item(x, i, spot).v = y``, and the same for a value that is read or changed: Python then
    evaluates everything in the order in which it would have, and the point lies right before the access.
    """

    def __init__(self, file: str, fields: set[str]):
        self._file, self._fields = file, fields

    def _cell(self, node: Any, helper: str, arguments: list[ast.expr], name: str) -> ast.expr:
        Program.spots.append((node.lineno, text_of(self._file, name)))
        spot = ast.Constant(len(Program.spots) - 1)
        call = ast.Call(ast.Name(f"__proclab_{helper}__", ast.Load()), [*arguments, spot], [])
        found = ast.Attribute(call, "v", node.ctx)
        for new in (spot, call.func, call, found):
            ast.copy_location(new, node)
        return found

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """``x[i]``."""
        name = named(node)
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Del):
            return node
        return self._cell(node, "item", [node.value, self._key(node.slice)], name)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """``x.value``."""
        name = named(node)
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Del) or node.attr not in self._fields:
            return node
        attribute = ast.copy_location(ast.Constant(node.attr), node)
        return self._cell(node, "field", [node.value, attribute], name)

    def _key(self, key: ast.expr) -> ast.expr:
        if isinstance(key, ast.Slice):
            none = ast.copy_location(ast.Constant(None), key)
            parts = [key.lower or none, key.upper or none, key.step or none]
            function = ast.copy_location(ast.Name("__proclab_slice__", ast.Load()), key)
            return ast.copy_location(ast.Call(function, parts, []), key)
        if isinstance(key, ast.Tuple):
            key.elts = [self._key(each) for each in key.elts]
        return key

    def _but(self, node: ast.AST, *fields: str) -> ast.AST:
        """Visit all of a node but some fields."""
        kept = {field: getattr(node, field) for field in fields if hasattr(node, field)}
        for field in kept:
            setattr(node, field, [] if isinstance(kept[field], list) else None)
        self.generic_visit(node)
        for field, value in kept.items():
            setattr(node, field, value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Annotations are no accesses."""
        annotation = node.annotation
        node.annotation = ast.copy_location(ast.Constant(None), annotation)
        self.generic_visit(node)
        node.annotation = annotation
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """The same."""
        return node

    def visit_FunctionDef(self, node: ast.AST) -> ast.AST:
        """The same."""
        return self._but(node, "returns", "type_params")

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.AST) -> ast.AST:
        """Bases are subscripted for types only."""
        return self._but(node, "bases", "type_params")

    def visit_TypeAlias(self, node: ast.AST) -> ast.AST:
        """The same."""
        return node

    def visit_match_case(self, node: ast.AST) -> ast.AST:
        """A pattern is no expression."""
        return self._but(node, "pattern")


def named(node: ast.expr) -> str:
    """``self.slots[i]`` is ``slots[]``, ``state[COUNT]`` itself, ``self.count.value`` is ``count``."""
    if isinstance(node, ast.Subscript):
        inner, key = named(node.value), node.slice
        plain = isinstance(key, ast.Constant) or (isinstance(key, ast.Name) and key.id.isupper())
        return f"{inner}[{ast.unparse(key)[:20] if plain else ''}]"
    if isinstance(node, ast.Attribute):
        return named(node.value) if node.attr in ("value", "buf", "raw") else node.attr
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call):
        return named(node.func)
    return ""


def _fields(trees: list[ast.Module]) -> set[str]:
    """Attributes that may lie in shared memory: ``value``, and the fields of structures."""
    found = {"value", "raw"}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == "_fields_" for target in node.targets
            ):
                found |= {
                    each.value
                    for each in ast.walk(node.value)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
    return found


def _note_targets(tree: ast.Module, path: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            names = [
                name
                for target in node.targets
                for each in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
                if (name := named(each))
            ]
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                Program.targets.setdefault((path, line), names)


def compile_all(folder: str) -> None:
    """Compile the program's files; what does not compile says so when it is run."""
    trees: dict[str, ast.Module] = {}
    for base, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(base, name)
            if name.endswith(".py"):
                Program.short[path] = os.path.relpath(path, folder)
                try:
                    with open(path, "rb") as file:
                        trees[path] = ast.parse(file.read(), path)
                except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
                    continue
    fields = _fields(list(trees.values()))
    for path, tree in trees.items():
        try:
            _note_targets(tree, path)
            new = ast.fix_missing_locations(Rewrite(Program.short[path], fields).visit(tree))
            Program.codes[path] = compile(new, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    get_code = importlib.machinery.SourceFileLoader.get_code

    def found(self: Any, name: str) -> types.CodeType | None:
        return Program.codes.get(os.path.abspath(self.path)) or get_code(self, name)

    put(importlib.machinery.SourceFileLoader, get_code=found)
    sys.dont_write_bytecode = True


# ---------------------------------------------------------------- memory


class Regions:
    """Shared memory of this process, from /proc/self/maps: start, end, and where it is for all."""

    known: list[tuple[int, int, int]] = []  # noqa: RUF012
    stale = True

    @classmethod
    def find(cls, address: int) -> int:
        """The name of an address that all who can reach the memory agree on; 0 for memory that nobody shares."""
        if cls.stale:
            cls.read()
        for start, end, base in cls.known:
            if start <= address < end:
                return base + address - start
        return 0

    @classmethod
    def read(cls) -> None:
        """Read the table."""
        cls.stale = False
        known = []
        with io.FileIO("/proc/self/maps") as file:
            for line in file.readall().splitlines():
                where, rights, offset, _, inode = line.split(None, 5)[:5]
                if rights[3:4] == b"s":
                    start, end = (int(number, 16) for number in where.split(b"-"))
                    base = 1 << 63 | (int(inode) & 0x7FFFFFF) << 36 | int(offset, 16) & 0xFFFFFFFFF
                    known.append((start, end, base))
        cls.known = known


def address_of(buffer: Any) -> int:
    """Where a writable buffer lies; 0 if that cannot be told."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    except (TypeError, ValueError, BufferError):
        return 0


def _in_view(view: Any, key: Any) -> Any:
    start = address_of(view)
    if not start:
        return 0
    if isinstance(key, slice):
        key = key.indices(len(view))[0]
    elif not isinstance(key, int):
        return start
    return start + (key + len(view) if key < 0 else key) * view.itemsize


def _in_mmap(memory: Any, key: Any) -> Any:
    start = memory.proclab_start
    if isinstance(key, slice):
        key = key.indices(len(memory))[0]
    return start + (key + len(memory) if key < 0 else key) if isinstance(key, int) else start


def _in_array(array: Any, key: Any) -> Any:
    start = ctypes.addressof(array)
    if isinstance(key, slice):
        key = key.indices(len(array))[0]
    elif not isinstance(key, int):
        return start
    return start + (key + len(array) if key < 0 else key) * ctypes.sizeof(array._type_)


def _in_synchronized(wrapper: Any, key: Any) -> Any:
    inner = wrapper._obj
    return _in_array(inner, key) if isinstance(inner, ctypes.Array) else ctypes.addressof(inner)


def _in_list(shareable: Any, key: Any) -> Any:
    return address_of(shareable.shm.buf) + 8 * (key if isinstance(key, int) else 0)


def _in_numpy(array: Any, key: Any) -> Any:
    return int(array.__array_interface__["data"][0])


def _in_field(structure: Any, key: Any) -> Any:
    field = getattr(type(structure), key, None)
    return ctypes.addressof(structure) + int(getattr(field, "offset", 0))


_Cells: dict[type, Any] = {}
"""For each type that was met: how to find where an element of it lies; none for what is never shared"""


def _finder(kind: type) -> Any:
    """How to find where an element or a field lies, for objects of a type."""
    import multiprocessing.shared_memory
    import multiprocessing.sharedctypes

    if kind is memoryview:
        return _in_view
    if issubclass(kind, Mmap):
        return _in_mmap
    if issubclass(kind, ctypes.Array):
        return _in_array
    if issubclass(kind, multiprocessing.sharedctypes.SynchronizedBase):
        return _in_synchronized
    if issubclass(kind, multiprocessing.shared_memory.ShareableList):
        return _in_list
    if issubclass(kind, ctypes.Structure | ctypes.Union | ctypes._SimpleCData):
        return _in_field
    return _in_numpy if kind.__module__ == "numpy" and kind.__name__ == "ndarray" else None


def point(obj: Any, key: Any, writes: bool, line: int, text: bytes) -> None:
    """A point, if what is about to be touched is memory that processes share."""
    kind = type(obj)
    try:
        finder = _Cells[kind]
    except KeyError:
        finder = _Cells[kind] = _finder(kind)
    if finder is None or not Me.forked:
        return
    try:
        thing = Regions.find(finder(obj, key))
    except (ValueError, TypeError, AttributeError, IndexError):
        return  # it is not what it seems: the access itself will say so
    if thing:
        ask(b"w" if writes else b"r", GLOBAL | WRITES * writes, MEMORY, thing, 0, 0, line, text)


class Item:
    """``x[i]``, about to be read or written."""

    __slots__ = ("key", "obj", "spot")

    def __init__(self, obj: Any, key: Any, spot: int):
        self.obj, self.key, self.spot = obj, key, spot

    @property
    def v(self) -> Any:
        """The element."""
        obj = self.obj
        point(obj, self.key, False, *Program.spots[self.spot])
        Me.quiet += 1
        try:
            return obj[self.key]
        finally:
            Me.quiet -= 1

    @v.setter
    def v(self, value: Any) -> None:
        obj = self.obj
        point(obj, self.key, True, *Program.spots[self.spot])
        Me.quiet += 1
        try:
            obj[self.key] = value
        finally:
            Me.quiet -= 1


class Field:
    """``x.value``, about to be read or written."""

    __slots__ = ("name", "obj", "spot")

    def __init__(self, obj: Any, name: str, spot: int):
        self.obj, self.name, self.spot = obj, name, spot

    @property
    def v(self) -> Any:
        """The field."""
        obj = self.obj
        point(obj, self.name, False, *Program.spots[self.spot])
        Me.quiet += 1
        try:
            return getattr(obj, self.name)
        finally:
            Me.quiet -= 1

    @v.setter
    def v(self, value: Any) -> None:
        obj = self.obj
        point(obj, self.name, True, *Program.spots[self.spot])
        Me.quiet += 1
        try:
            setattr(obj, self.name, value)
        finally:
            Me.quiet -= 1


def _point_of_call(buffer: Any, offset: int, writes: bool) -> None:
    """A point for a call of the program's own that touches a buffer."""
    if not Me.forked or sys._getframe(2).f_code.co_filename not in Program.short:
        return
    line, file, _ = here()
    start = buffer.proclab_start if isinstance(buffer, Mmap) else address_of(buffer)
    thing = Regions.find(start + offset) if start else 0
    if thing:
        ask(b"w" if writes else b"r", GLOBAL | WRITES * writes, MEMORY, thing, 0, 0, line, text_of(file, ""))


class Mmap(_Mmap):
    """A mapping that knows where it lies; its methods are points."""

    proclab_start = 0

    def __new__(cls, *arguments: Any, **more: Any) -> Mmap:
        """Map."""
        Regions.stale = True
        made = super().__new__(cls, *arguments, **more)
        made.proclab_start = address_of(made)
        return made

    def close(self) -> None:
        """Unmap."""
        Regions.stale = True
        super().close()

    def read(self, *arguments: Any) -> bytes:
        """Read from where it stands."""
        _point_of_call(self, self.tell(), False)
        return super().read(*arguments)

    def readline(self) -> bytes:
        """The same."""
        _point_of_call(self, self.tell(), False)
        return super().readline()

    def read_byte(self) -> int:
        """The same."""
        _point_of_call(self, self.tell(), False)
        return super().read_byte()

    def write(self, data: Any) -> int:
        """Write where it stands."""
        _point_of_call(self, self.tell(), True)
        return super().write(data)

    def write_byte(self, byte: int) -> None:
        """The same."""
        _point_of_call(self, self.tell(), True)
        super().write_byte(byte)


def pack_into(form: Any, buffer: Any, offset: int, *values: Any) -> None:
    """`struct.pack_into`."""
    _point_of_call(buffer, offset, True)
    _pack_into(form, buffer, offset, *values)


def unpack_from(form: Any, buffer: Any, offset: int = 0) -> tuple[Any, ...]:
    """`struct.unpack_from`."""
    _point_of_call(buffer, offset, False)
    return _unpack_from(form, buffer, offset)


class Struct(struct.Struct):
    """`struct.Struct`."""

    def pack_into(self, buffer: Any, offset: int, *values: Any) -> None:
        """Write into a buffer."""
        _point_of_call(buffer, offset, True)
        super().pack_into(buffer, offset, *values)

    def unpack_from(self, buffer: Any, offset: int = 0) -> Any:
        """Read from a buffer."""
        _point_of_call(buffer, offset, False)
        return super().unpack_from(buffer, offset)


# ---------------------------------------------------------------- locks and semaphores


def put(where: Any, **models: Any) -> None:
    """Put models in the place of what they model."""
    for name, model in models.items():
        setattr(where, name, model)


def _until(timeout: float | None) -> int:
    return FOR_EVER if timeout is None else Me.now + int(max(0.0, timeout) * 1e9)


class SemLock:
    """In the place of `_multiprocessing.SemLock`: the same, but it never waits in the kernel."""

    SEM_VALUE_MAX = 0
    real_kind: Any = None

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool):
        self._wrap(SemLock.real_kind(kind, value, maxvalue, name, unlink))

    def _wrap(self, real: Any) -> None:
        self.real = real
        self.number, self.label = identity()
        self.what = LOCK if real.maxvalue == 1 else SEMAPHORE

    @classmethod
    def _rebuild(cls, *arguments: Any) -> SemLock:
        made = cls.__new__(cls)
        made._wrap(cls.real_kind._rebuild(*arguments))
        return made

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it, or wait for it."""
        real = self.real
        if not Me.on or (real.kind == 0 and real._is_mine()):
            return bool(real.acquire(block, timeout))
        line, file, _ = here()
        text = text_of(file, self.label)
        flags = GLOBAL | WRITES
        if not block or (timeout is not None and timeout <= 0):
            ask(b"t", flags, self.what, self.number, 0, FOR_EVER, line, text)
            done = bool(real.acquire(False))
            Me.result = 0 if done else 1
            return done
        until = _until(timeout)
        if not Me.quiet:
            ask(b"a", flags, self.what, self.number, 0, until, line, text)
        while not real.acquire(False):
            Me.result = 1
            code, _ = ask(b"b", flags, self.what, self.number, 0, until, line, text)
            if code == TIME_OVER:
                return False
        return True

    def release(self) -> None:
        """Give it back."""
        if Me.on and not Me.quiet and not (self.real.kind == 0 and self.real._count() > 1):
            line, file, _ = here()
            later(b"u", GLOBAL | WRITES, self.what, self.number, line, text_of(file, self.label))
        self.real.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def again(self, line: int, text: bytes, times: int) -> None:
        """Take it after a wait, as often as it was had before."""
        while not self.real.acquire(False):
            Me.result = 1
            ask(b"b", GLOBAL | WRITES, self.what, self.number, 0, FOR_EVER, line, text)
        for _ in range(times - 1):
            self.real.acquire(False)


def _model_synchronize() -> None:
    """Put models in the place of what `multiprocessing.synchronize` builds on and is."""
    _multiprocessing: Any = importlib.import_module("_multiprocessing")
    import multiprocessing.synchronize as synchronize

    SemLock.real_kind = _multiprocessing.SemLock
    SemLock.SEM_VALUE_MAX = _multiprocessing.SemLock.SEM_VALUE_MAX
    _multiprocessing.SemLock = SemLock
    condition, event = synchronize.Condition, synchronize.Event
    made, event_made = condition.__init__, event.__init__

    def make(self: Any, lock: Any = None, *, ctx: Any) -> None:
        made(self, lock, ctx=ctx)
        self.proclab = identity()

    def wait(self: Any, timeout: float | None = None) -> bool:
        lock = self._lock._semlock
        assert lock._is_mine(), "must acquire() condition before using wait()"
        times = lock._count() if lock.real.kind == 0 else 1
        number, label = self.proclab
        line, file, _ = here()
        text, until = text_of(file, label), _until(timeout)
        flags = GLOBAL | WRITES | OTHER_GLOBAL
        ask(b"c", flags, CONDITION, number, lock.number, until, line, text)
        for _ in range(times):
            lock.real.release()
        code, _ = ask(b"C", flags, CONDITION, number, lock.number, until, line, text)
        while code == INTERRUPTED:
            code, _ = ask(b"C", flags, CONDITION, number, lock.number, until, line, text)
        lock.again(line, text, times)
        return code != TIME_OVER

    def notify(self: Any, n: int = 1) -> None:
        lock = self._lock._semlock
        assert lock._is_mine(), "lock is not owned"
        number, label = self.proclab
        line, file, _ = here()
        ask(b"n", GLOBAL | WRITES, CONDITION, number, 0, min(n, 2**31), line, text_of(file, label))

    def notify_all(self: Any) -> None:
        notify(self, 0)

    def wait_for(self: Any, predicate: Any, timeout: float | None = None) -> Any:
        until = None if timeout is None else Me.now + int(timeout * 1e9)
        outcome = predicate()
        while not outcome:
            left = None if until is None else (until - Me.now) / 1e9
            if left is not None and left <= 0:
                break
            wait(self, left)
            outcome = predicate()
        return outcome

    def event_make(self: Any, *, ctx: Any) -> None:
        event_made(self, ctx=ctx)
        self.proclab = identity()

    def say(self: Any, op: bytes, number: int = 0) -> int:
        line, file, _ = here()
        thing, label = self.proclab
        flags = GLOBAL | (0 if op == b"r" else WRITES)
        return ask(op, flags, EVENT, thing, 0, number, line, text_of(file, label))[0]

    def is_set(self: Any) -> bool:
        say(self, b"r")
        return bool(self._flag._semlock._get_value())

    def event_set(self: Any) -> None:
        say(self, b"E")
        if not self._flag._semlock._get_value():
            self._flag._semlock.real.release()

    def clear(self: Any) -> None:
        say(self, b"F")
        self._flag._semlock.real.acquire(False)

    def event_wait(self: Any, timeout: float | None = None) -> bool:
        until = _until(timeout)
        say(self, b"a", until)
        while not self._flag._semlock._get_value():
            Me.result = 1
            if say(self, b"b", until) == TIME_OVER:
                return False
        return True

    put(condition, __init__=make, wait=wait, notify=notify, notify_all=notify_all, wait_for=wait_for)
    put(event, __init__=event_make, is_set=is_set, set=event_set, clear=clear, wait=event_wait)


# ---------------------------------------------------------------- processes


def fork() -> int:
    """`os.fork`: the child has its place before the parent goes on."""
    if not Me.on:
        return _fork()
    line, file, _ = here()
    name, Me.child_name = Me.child_name, ""
    text = text_of(file, "")
    head = HEAD.pack(b"s"[0], PROCESS, len(text) << 8, Me.result, line, 0, 0, 0)
    message, Me.behind, Me.result = Me.behind + head + text, b"", 0
    try:
        _write(Me.socket, message)
        answer, rights, _, _ = Me.channel.recvmsg(64, 64)
    except OSError:
        give_up()
    if len(answer) != ANSWER.size or not rights:
        give_up()
    _, number, Me.now = ANSWER.unpack(answer)
    descriptor = struct.unpack("i", rights[0][2][:4])[0]
    Me.forked = True
    try:
        child = _fork()
    except OSError:
        _close(descriptor)
        ask(b"S", PROCESS, number=-1)
        raise
    if child == 0:
        begin(descriptor, number, name)
        return 0
    _close(descriptor)
    ask(b"S", PROCESS, number=child)
    return child


def begin(descriptor: int, number: int, name: str) -> None:
    """Be a task."""
    if Me.on:
        Me.channel.detach()
        _close(Me.socket)
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200)
    _close(descriptor)
    Me.on, Me.socket, Me.number, Me.made, Me.result, Me.behind = True, high, number, 0, 0, b""
    Me.channel = _socket.socket(fileno=high)
    random.seed(number)  # fork has seeded it anew
    ask(b"h", PROCESS, number=_getpid(), text=name.encode()[:60])


def _wait(pid: int, options: int, until: int = FOR_EVER) -> tuple[int, int, Any] | None:
    """Wait for a child: its id, status and usage; none if its time is over."""
    line, file, _ = here()
    flags = PROCESS | (NO_WAIT if options & os.WNOHANG else 0)
    while True:
        code, value = ask(b"j", flags, 0, pid & 0xFFFFFFFFFFFFFFFF, 0, until, line, text_of(file, ""))
        if code == TIME_OVER:
            return None
        if code == NONE:
            return 0, 0, None
        if code == NO_CHILD:
            return _wait4(pid, options)  # raises ChildProcessError
        if code == GO:
            found = _wait4(value, options & ~os.WNOHANG)
            Me.result = int(os.WIFSIGNALED(found[1]))
            return found


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """`os.waitpid`."""
    if not Me.on:
        return _waitpid(pid, options)
    found = _wait(pid, options)
    return (found[0], found[1]) if found else (0, 0)


def wait() -> tuple[int, int]:
    """`os.wait`."""
    return waitpid(-1, 0)


def wait4(pid: int, options: int) -> Any:
    """`os.wait4`."""
    return _wait(pid, options) if Me.on else _wait4(pid, options)


def leave(status: int) -> NoReturn:
    """`os._exit`: the last word first."""
    if Me.number == 0:
        Modules.tell()
    ask(b"d", PROCESS, number=status if isinstance(status, int) else 0)
    _exit(status)


def kill(pid: int, number: int) -> None:
    """`os.kill`."""
    if Me.on and pid != _getpid() and number:
        line, file, _ = here()
        thing = pid & 0xFFFFFFFFFFFFFFFF
        ask(b"k", PROCESS, 0, thing, 0, int(number), line, text_of(file, ""))
        Me.result = 1
        _kill(pid, number)
        Me.result = 0
        return
    _kill(pid, number)


def _model_processes() -> None:
    """`multiprocessing.Process`, which goes through `os.fork` and `os.waitpid`."""
    import multiprocessing.popen_fork as popen_fork
    import multiprocessing.process as process
    import multiprocessing.resource_tracker as resource_tracker

    start = process.BaseProcess.start

    def begin_child(self: Any) -> None:
        default = f"{type(self).__name__}-{':'.join(map(str, self._identity))}"
        Me.child_name = "" if self._name == default else str(self._name)
        start(self)

    def cleanup() -> None:
        for child in list(process._children):  # type: ignore[attr-defined]
            popen = child._popen
            if popen is None or (popen.returncode is None and ask(b"q", PROCESS, 0, popen.pid)[0] != GO):
                continue
            if popen.poll() is not None:
                process._children.discard(child)  # type: ignore[attr-defined]

    original: Any = popen_fork.Popen.wait

    def wait_for(self: Any, timeout: float | None = None) -> Any:
        if not Me.on or timeout is None or self.returncode is not None:
            return original(self, timeout)
        found = _wait(self.pid, 0, _until(timeout))
        if found is None:
            return None
        self.returncode = os.waitstatus_to_exitcode(found[1])
        return self.returncode

    put(process.BaseProcess, start=begin_child)
    put(process, _cleanup=cleanup)
    put(popen_fork.Popen, wait=wait_for)
    # The tracker is a program of its own, started when first needed; here what is left is taken away anyhow.
    nothing = lambda *_: None  # noqa: E731
    put(resource_tracker, register=nothing, unregister=nothing, ensure_running=nothing)


# ---------------------------------------------------------------- descriptors, time, signals, threads


def _pipe_at(descriptor: int) -> int:
    """A number for a pipe, FIFO or socket; 0 for what never waits."""
    try:
        status = _fstat(descriptor)
    except (OSError, TypeError, ValueError):
        return 0
    return status.st_ino if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode) else 0


def _await(descriptor: int, writing: bool, thing: int) -> None:
    """A point; come back when the descriptor can be read or written."""
    line, file, _ = here()
    arguments = (GLOBAL | WRITES, PIPE, thing, 0, FOR_EVER, line, text_of(file, ""))
    ask(b"v" if writing else b"V", *arguments)
    if not os.get_blocking(descriptor):
        return
    sets: tuple[list[int], list[int]] = ([], [descriptor]) if writing else ([descriptor], [])
    while not any(_select(*sets, [], 0)):
        Me.result = 1
        ask(b"b", *arguments)


def read(descriptor: int, size: int) -> bytes:
    """`os.read`."""
    thing = _pipe_at(descriptor) if Me.on else 0
    if thing:
        _await(descriptor, False, thing)
    return _read(descriptor, size)


def write(descriptor: int, data: Any) -> int:
    """`os.write`: into a pipe piece by piece, as there is room, pipe(7)."""
    thing = _pipe_at(descriptor) if Me.on else 0
    if not thing:
        return _write(descriptor, data)
    done, view = 0, memoryview(data).cast("B")
    while True:
        _await(descriptor, True, thing)
        done += _write(descriptor, view[done : done + select.PIPE_BUF])
        if done >= len(view):
            return done


def close(descriptor: int) -> None:
    """`os.close`, but for what is ours."""
    if Me.on and descriptor == Me.socket:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    thing = _pipe_at(descriptor) if Me.on else 0
    _close(descriptor)
    if thing:
        later(b"p", GLOBAL | WRITES, PIPE, thing, 0, b"")


def closerange(low: int, high: int) -> None:
    """`os.closerange`."""
    if not Me.on or not low <= Me.socket < high:
        _closerange(low, high)
        return
    _closerange(low, Me.socket)
    _closerange(Me.socket + 1, high)
    later(b"p", GLOBAL | WRITES, PIPE, 0, 0, b"")


def dup2(source: int, target: int, inheritable: bool = True) -> int:
    """`os.dup2`."""
    if Me.on and target == Me.socket:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    made = _dup2(source, target, inheritable)
    later(b"p", GLOBAL | WRITES, PIPE, 0, 0, b"")
    return made


def ready(readers: Any, writers: Any, exceptional: Any, timeout: float | None = None) -> Any:
    """`select.select`."""
    if not Me.on:
        return _select(readers, writers, exceptional, timeout)
    line, file, _ = here()
    arguments = (GLOBAL, PIPE, 0, 0, _until(timeout), line, text_of(file, ""))
    ask(b"V", *arguments)
    while True:
        found = _select(readers, writers, exceptional, 0)
        if any(found) or timeout == 0:
            return found
        Me.result = 1
        if ask(b"b", *arguments)[0] == TIME_OVER:
            return found


def _model_connections() -> None:
    """`multiprocessing.Pipe` and what is made of it."""
    import multiprocessing.connection as connection

    plain: Any = connection.Connection
    receive, send, wait_for = plain._recv, plain._send, connection.wait

    def wait_here(objects: Any, timeout: float | None = None) -> Any:
        if not Me.on:
            return wait_for(objects, timeout)
        line, file, _ = here()
        arguments = (GLOBAL, PIPE, 0, 0, _until(timeout), line, text_of(file, ""))
        ask(b"V", *arguments)
        while True:
            found = wait_for(objects, 0)
            if found or timeout == 0:
                return found
            Me.result = 1
            if ask(b"b", *arguments)[0] == TIME_OVER:
                return found

    put(
        plain,
        _recv=lambda self, size, read=read: receive(self, size, read),
        _send=lambda self, data, write=write: send(self, data, write),
        _close=lambda self, _close=close: _close(self._handle),
    )
    put(connection, wait=wait_here)


def sleep(seconds: float) -> None:
    """`time.sleep`: a promise of no order."""
    if not Me.on:
        _sleep(seconds)
        return
    line, file, _ = here()
    until = Me.now + int(seconds * 1e9)
    while ask(b"z", 0, TIME, 0, 0, until, line, text_of(file, ""))[0] == INTERRUPTED:
        pass  # the handler has run; PEP 475


def _clock(start: int, scale: float) -> Any:
    def look() -> Any:
        line, file, _ = here()
        if line:
            ask(b"l", 0, TIME, 0, 0, 0, line, text_of(file, ""))
        value = start * 10**9 + Me.now
        return value if scale == 1 else value / scale

    return look


def pause() -> None:
    """`signal.pause`."""
    line, file, _ = here()
    arguments = (0, SIGNALS, 0, 0, FOR_EVER, line, text_of(file, ""))
    ask(b"a", *arguments)
    while True:
        Me.result = 1
        code, number = ask(b"b", *arguments)
        if code == INTERRUPTED and callable(signal.getsignal(number)):
            return


def sigwait(signals: Any) -> Any:
    """`signal.sigwait`."""
    line, file, _ = here()
    arguments = (0, SIGNALS, 0, 0, FOR_EVER, line, text_of(file, ""))
    ask(b"a", *arguments)
    while True:
        found = signal.sigtimedwait(signals, 0)
        if found is not None:
            return signal.Signals(found.si_signo)
        Me.result = 1
        ask(b"b", *arguments)


def _alarmed(original: Any) -> Any:
    """Alarms go by the real clock: whoever waits while one is set may be woken by it, so it is no deadlock."""

    def set_alarm(*arguments: Any) -> Any:
        later(b"A", 0, TIME, 0, 0, b"")
        return original(*arguments)

    return set_alarm


_set_handler = signal.signal


def handle(number: int, handler: Any) -> Any:
    """`signal.signal`: from now on signals must wait for their task's turn."""
    Me.handles_signals |= callable(handler) and Me.on
    return _set_handler(number, handler)


def no_thread(*_: Any, **__: Any) -> int:
    """A process with threads of its own is not modelled."""
    if Me.on:
        unmodelled("makes a thread in a process")
    raise RuntimeError("no threads here")


def no_program(*_: Any, **__: Any) -> None:
    """Nor is another program in the place of this one."""
    unmodelled("starts another program")


def install() -> None:
    """Put the models where the program will look for them."""
    put(builtins, __proclab_item__=Item, __proclab_field__=Field, __proclab_slice__=slice)
    put(mmap, mmap=Mmap)
    put(struct, pack_into=pack_into, unpack_from=unpack_from, Struct=Struct)
    _model_synchronize()
    _model_processes()
    _model_connections()
    put(os, fork=fork, waitpid=waitpid, wait=wait, wait4=wait4, _exit=leave, kill=kill)
    put(os, read=read, write=write, close=close, closerange=closerange, dup2=dup2)
    put(os, execv=no_program, execve=no_program, posix_spawn=no_program, posix_spawnp=no_program)
    put(subprocess, _fork_exec=no_program)
    put(importlib.import_module("_posixsubprocess"), fork_exec=no_program)
    put(select, select=ready)
    put(time, sleep=sleep)
    for name, start in (("time", EPOCH_S), ("monotonic", SINCE_BOOT_S), ("perf_counter", SINCE_BOOT_S)):
        put(time, **{name: _clock(start, 1e9), f"{name}_ns": _clock(start, 1)})
    put(signal, pause=pause, sigwait=sigwait, signal=handle)
    put(signal, alarm=_alarmed(signal.alarm), setitimer=_alarmed(signal.setitimer))
    put(threading, _start_new_thread=no_thread, _start_joinable_thread=no_thread)


# ---------------------------------------------------------------- the server


class Modules:
    """Modules of the standard library that a run imports, so that the server imports them before the next."""

    shared: _Mmap
    before: frozenset[str] = frozenset()
    count = 0

    @classmethod
    def prepare(cls) -> None:
        """In the server, before the first run."""
        cls.shared = _Mmap(-1, 8192)
        cls.before, cls.count = frozenset(sys.modules), len(sys.modules)

    @classmethod
    def tell(cls) -> None:
        """At the end of a run: which are new."""
        if len(sys.modules) == cls.count:
            return  # and none of the names was touched, which would copy its page
        new = " ".join(name for name in sys.modules if name not in cls.before and "." not in name)
        data = new.encode(errors="replace")[:8000]
        cls.shared[: len(data) + 1] = data + b"\0"

    @classmethod
    def take(cls) -> None:
        """In the server: import them."""
        text = cls.shared[:8192].partition(b"\0")[0]
        cls.shared[0] = 0
        if text:
            _import(text.decode(errors="replace").split())
            cls.before, cls.count = frozenset(sys.modules), len(sys.modules)
            gc.freeze()


def _import(names: list[str]) -> None:
    """Import modules of the standard library, but never a file of the program's."""
    own = {os.path.basename(path).removesuffix(".py") for path in Program.short}
    for name in names:
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


def _import_beforehand() -> None:
    """Import what the program will import from the standard library, so that a run need not."""
    wanted = set(PRELOADED)
    for path in Program.short:
        try:
            with open(path, "rb") as file:
                tree = ast.parse(file.read())
        except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                wanted.add(node.module)
    _import(sorted(wanted))


_TEMPORARY = "/tmp"  # noqa: S108 (a sandbox's own)


class Files:
    """What lies in the program's folder, and what a run leaves there and elsewhere."""

    def __init__(self, folder: str):
        self._folder = folder
        self._originals = self._look()
        self._temporary = set(os.listdir(_TEMPORARY))
        self.touched = False

    def _look(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for entry in os.scandir(self._folder):
            status = entry.stat(follow_symlinks=False)
            found[entry.name] = status.st_ino, status.st_size, status.st_mtime_ns
        return found

    def clean(self) -> str:
        """The next run finds nothing of this one; what objects there were, one a line."""
        left = []
        for entry in os.scandir("/dev/shm"):  # noqa: S108 (a sandbox's own)
            # Where the program itself runs, a tracker takes shared memory away at the end (multiprocessing).
            os.unlink(entry.path)
        for entry in os.scandir("/dev/mqueue"):
            left.append(f"POSIX message queue\t/{entry.name}")
            os.unlink(entry.path)
        left += self._system_v()
        for folder, kept in ((_TEMPORARY, self._temporary), (self._folder, self._originals)):
            for entry in os.scandir(folder):
                if entry.name not in kept:
                    _remove(entry.path)
        self.touched |= self._look() != self._originals
        return "".join(line + "\n" for line in left)

    @staticmethod
    def _system_v() -> list[str]:
        left = []
        libc = ctypes.CDLL(None)
        for table, words, remove, extra in (
            ("msg", "message queue", libc.msgctl, (0, None)),
            ("sem", "semaphore set", libc.semctl, (0, 0)),
            ("shm", "shared memory segment", libc.shmctl, (0, None)),
        ):
            with io.FileIO(f"/proc/sysvipc/{table}") as file:
                for line in file.readall().splitlines()[1:]:
                    key, number = (int(word) for word in line.split()[:2])
                    left.append(f"{words}\tid {number}, key {key & 0xFFFFFFFF:#x}")
                    remove(number, *extra)
        return left


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        for entry in os.scandir(path):
            _remove(entry.path)
        os.rmdir(path)
    else:
        os.unlink(path)


def _told(error: BaseException) -> int:
    """What Python does with an exception that nobody caught: the exit status."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    sys.excepthook(type(error), error, error.__traceback__)
    return 1


def run(entry: str, arguments: list[str], descriptors: tuple[int, int, int], cpu: int) -> NoReturn:
    """Be the program."""
    os.setsid()
    os.sched_setaffinity(0, {cpu})
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    _dup2(descriptors[1], 1)
    _dup2(descriptors[2], 2)
    _close(descriptors[1])
    _close(descriptors[2])
    path = os.path.join(os.getcwd(), entry)
    sys.argv[:] = [entry, *arguments]
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__builtins__ = builtins  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    begin(descriptors[0], 0, "")
    status = 0
    try:
        code = Program.codes.get(path)
        if code is None:  # it does not compile: let it say why
            with open(path, "rb") as file:
                code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 (the program: this is a child in the sandbox)
    except BaseException as error:
        status = _told(error)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 120
    leave(status & 0xFF)


def serve(entry: str, path: str) -> NoReturn:
    """Listen at a path, and run the program as often as it is asked for."""
    if _getpid() != 2:
        raise SystemExit("only for the grader: it ends everything but itself and process 1")
    folder = os.getcwd()
    sys.path[0] = folder
    os.environ.pop("PYTHONPATH", None)
    os.environ.pop("PYTHONHASHSEED", None)
    compile_all(folder)
    _import_beforehand()
    install()
    files = Files(folder)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    listener: Any = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chmod(path, 0o777)  # noqa: S103 (the grader is another user)
    listener.listen(1)
    _write(1, b"ready\n")
    descriptor, _ = listener._accept()
    os.unlink(path)
    listener.close()
    control = _socket.socket(fileno=descriptor)
    Modules.prepare()
    gc.collect()
    gc.freeze()
    child = -1
    while True:
        data, rights, _, _ = control.recvmsg(65536, 256)
        if data[:1] == b"R" and rights:
            descriptors = struct.unpack("3i", rights[0][2][:12])
            child = _fork()
            if child == 0:
                control.close()
                arguments = [word.decode() for word in data[6:].split(b"\0")[:-1]]
                run(entry, arguments, descriptors, struct.unpack_from("i", data, 2)[0])
            for each in descriptors:
                _close(each)
        elif data[:1] == b"E":
            status = _end(child, data[1:2] == b"k")
            Modules.take()
            left = files.clean()
            control.send(f"{status} {int(files.touched)}\n{left[:8000]}".encode())
        else:
            _exit(0)


def _end(child: int, at_once: bool) -> int:
    """End what is left of a run; the wait status of the program's first process."""
    if at_once:
        _kill(-1, signal.SIGKILL)
    _, status = _waitpid(child, 0)
    try:
        _kill(-1, signal.SIGKILL)
        while True:
            _waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        return status


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
