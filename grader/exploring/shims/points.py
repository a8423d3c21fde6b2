"""Where a Python program touches what its threads may share: read from the source, before anything runs.

A *spot* is an instruction before which another thread may get its turn. Every attribute, global, free
variable and element that is stored somewhere after it was made is one, and every call that may change or
look at a container. What cannot matter is none, for each spot makes more schedules to search: attributes
that only ``__init__`` stores, calls of the program's own functions (their insides have spots), methods that
synchronise (the model of `threading` makes a point of those itself), pure functions.

This file is copied into sandboxes, so it knows only the standard library.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType


@dataclass(frozen=True)
class Spot:
    """One instruction that matters."""

    op: str
    """``read``, ``write`` or ``call``"""
    thing: str
    """What two threads may race for: ``count``, ``slots[]``, ``items``"""
    shown: str
    """The same for people: ``items.append()``"""
    writes: bool
    file: str
    line: int


_LOADS = {
    "LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "BINARY_SUBSCR",
    "BINARY_SLICE", "CONTAINS_OP",
}  # fmt: skip
_STORES = {
    "STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME", "STORE_DEREF", "STORE_SUBSCR",
    "DELETE_SUBSCR", "STORE_SLICE",
}  # fmt: skip
_CALLS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW"}

_SYNCHRONISES = {
    "acquire", "release", "wait", "wait_for", "notify", "notify_all", "notifyAll", "is_set", "isSet", "start",
    "join", "locked", "put", "set",
}  # fmt: skip
"""Methods that the model of `threading` makes points of; ``" ".join`` does not matter either."""
_CONTAINER = {
    "append", "appendleft", "pop", "popleft", "popitem", "remove", "insert", "extend", "add", "discard",
    "update", "clear", "setdefault", "index", "count", "sort", "reverse", "copy", "items", "keys", "values",
}  # fmt: skip
"""A method of such a name may be a container's even where the program has one of that name too."""
_LOOKS = {"get", "index", "count", "copy", "items", "keys", "values", "qsize", "empty", "full"}
_LOOKING = {"len", "bool", "any", "all", "sum", "min", "max", "sorted", "list", "tuple", "set", "dict"}
_PURE = {
    "range", "int", "str", "float", "isinstance", "issubclass", "ord", "chr", "repr", "format", "type", "super",
    "abs", "enumerate", "zip", "map", "filter", "reversed", "round", "hash", "id", "callable", "divmod", "pow",
    "iter", "bytes", "bytearray", "frozenset", "object", "property", "ValueError", "RuntimeError", "Exception",
    "TypeError", "KeyError", "IndexError", "OSError", "SystemExit", "NotImplementedError", "exit", "vars",
    "getattr", "hasattr", "deque", "Thread", "Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore",
    "Event", "Barrier", "Queue", "SimpleQueue", "partial", "ArgumentParser", "sleep",
}  # fmt: skip
_PURE_METHODS = {
    "format", "encode", "decode", "split", "strip", "rstrip", "lstrip", "startswith", "endswith", "replace",
    "lower", "upper", "isdigit", "add_argument", "parse_args", "__init__", "flush", "fileno", "rjust", "ljust",
}  # fmt: skip
_MODULES = {
    "threading", "time", "random", "argparse", "math", "struct", "itertools", "functools", "collections",
    "contextlib", "enum", "dataclasses", "sys", "os", "signal", "queue", "string", "logging", "typing", "_thread",
    "operator", "textwrap", "traceback", "concurrent",
}  # fmt: skip
"""Functions of these touch nothing of the program's, or have points of their own."""
_STREAMS = {"print", "stdout", "stderr"}
_OUTPUT = "standard output"


@dataclass
class _Names:
    """What is stored after it was made, and what the program defines, by name, over all its files."""

    stored: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    growing: set[str] = field(default_factory=set)
    """What may be a container that changes: it has such a method called, or is handed to who knows what"""
    everything: bool = False
    """Attributes are also stored by name (setattr): each may change"""


class Sources:
    """The program's files, compiled once.

    :param texts: source by absolute path; what does not compile has no spots, and fails when it is run
    :param folder: the program's own, taken off the names of files
    """

    def __init__(self, texts: Mapping[str, bytes], folder: str):
        self.codes: dict[str, CodeType] = {}
        self.spots: dict[CodeType, dict[int, Spot]] = {}
        self.names: dict[str, str] = {}
        """Short names of the files that the program's code comes from"""
        self.targets: dict[tuple[str, int], tuple[str, ...]] = {}
        """What a line of a file assigns to, in the order of its calls: names for the locks that are made there"""
        trees = {}
        for path, text in texts.items():
            try:
                trees[path] = ast.parse(text, path)
                self.codes[path] = compile(text, path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
        known = _Names()
        for path, code in self.codes.items():
            self.names[path] = path.removeprefix(folder).lstrip("/")
            _survey(trees[path], code, known)
        for path, code in self.codes.items():
            reader = _Reader(trees[path], self.names[path], known)
            self.targets.update(((path, line), name) for line, name in _targets(trees[path]))
            for inner in _inside(code):
                self.spots[inner] = reader.spots(inner)


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inside(constant)


def _survey(tree: ast.Module, code: CodeType, known: _Names) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            known.defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            known.modules.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Call):
            name = _last(node.func)
            if isinstance(node.func, ast.Attribute) and name in _CONTAINER - _LOOKS:
                known.growing.add(_last(node.func.value))
            if name not in _PURE | _LOOKING | {"print"}:
                known.growing.update(
                    _last(each) for each in (*node.args, *(word.value for word in node.keywords))
                )
        elif isinstance(node, ast.Subscript) and (
            isinstance(node.ctx, ast.Del)
            or (isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Slice))
        ):
            known.growing.add(_last(node.value))
    seen: dict[str, int] = {}
    shared: set[str] = set()
    """Globals that a function uses: no others can be raced for"""
    for inner in _inside(code):
        making = inner.co_name in ("__init__", "__new__", "__post_init__")
        for step in dis.get_instructions(inner):
            name = str(step.argval)
            stores = step.opname in ("STORE_ATTR", "DELETE_ATTR") and not making
            if stores or step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                known.stored.add(name)
            elif step.opname == "STORE_NAME" and inner is code:
                seen[name] = seen.get(name, 0) + 1
            elif step.opname == "LOAD_GLOBAL":
                shared.add(name)
            elif step.opname == "STORE_DEREF":
                shared.add(name)
                seen[name] = seen.get(name, 0) + (2 if name in inner.co_freevars else 1)
        if {"setattr", "__dict__", "vars", "globals", "delattr"} & {*inner.co_names}:
            known.everything = True
    known.stored.update(name for name, times in seen.items() if times > 1 and name in shared)


def _targets(tree: ast.Module) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each line of a statement that assigns, with the last names of its targets."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target, value = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
            names: tuple[str, ...] = (_last(target),)
            if (
                isinstance(target, ast.Tuple)
                and isinstance(value, ast.Tuple)
                and len(target.elts) == len(value.elts)
            ):
                pairs = zip(target.elts, value.elts, strict=True)
                names = tuple(_last(name) for name, made in pairs if isinstance(made, ast.Call)) or ("",)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                yield line, names


def _last(node: ast.AST) -> str:
    """The last name of an expression: ``count`` of ``self.count``, ``slots[]`` of ``b.slots[i]``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript):
        return f"{_last(node.value)}[]"
    if isinstance(node, ast.Call):
        return _last(node.func)
    return ""


class _Reader:
    """Finds the spots of one file's code."""

    def __init__(self, tree: ast.Module, file: str, known: _Names):
        self._file, self._known = file, known
        self._calls: dict[tuple[int | None, int | None], ast.Call] = {}
        self._nodes: dict[tuple[int | None, ...], ast.AST] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                # By their end alone: the compiler moves the beginning of a call on several lines.
                self._calls[node.end_lineno, node.end_col_offset] = node
            elif isinstance(node, (ast.Subscript, ast.Compare)):
                self._nodes[node.lineno, node.end_lineno, node.col_offset, node.end_col_offset] = node

    def spots(self, code: CodeType) -> dict[int, Spot]:
        """The spots of one code object, by the offset of the instruction."""
        found = {}
        begins: int | None = None
        for step in dis.get_instructions(code):
            if step.opname == "EXTENDED_ARG":  # events come for the prefix, not for what it belongs to
                begins = step.offset if begins is None else begins
                continue
            offset, begins = step.offset if begins is None else begins, None
            spot = self._spot(step)
            if spot is not None:
                found[offset] = spot
        return found

    def _spot(self, step: dis.Instruction) -> Spot | None:
        at = step.positions
        if at is None or at.lineno is None:
            return None
        name = step.opname
        if name in _CALLS:
            call = self._calls.get((at.end_lineno, at.end_col_offset))
            return self._call(call, call.lineno) if call is not None else None
        if name == "BINARY_OP" and step.argrepr == "[]":
            name = "BINARY_SUBSCR"
        if name not in _LOADS and name not in _STORES:
            return None
        writes = name in _STORES
        if name.endswith(("SUBSCR", "SLICE")) or name == "CONTAINS_OP":
            node = self._nodes.get((at.lineno, at.end_lineno, at.col_offset, at.end_col_offset))
            if isinstance(node, ast.Compare):
                thing = _last(node.comparators[-1])
                if thing not in self._known.growing:
                    return None
            elif isinstance(node, ast.Subscript):
                thing = _last(node)
            else:
                return None
            if thing in ("argv[]", "environ[]"):
                return None
        else:
            thing = str(step.argval)
            attribute = name.endswith(("_ATTR", "_METHOD"))
            if thing not in self._known.stored and not (attribute and self._known.everything):
                return None
        return Spot("write" if writes else "read", thing, thing, writes, self._file, at.lineno)

    def _call(self, call: ast.Call, line: int) -> Spot | None:
        name = _last(call.func)
        if isinstance(call.func, ast.Name):
            if name in _STREAMS:
                return Spot("call", _OUTPUT, "print()", True, self._file, line)
            if name in self._known.defined or name in _PURE:
                return None
            if name in _LOOKING:
                thing = _last(call.args[0]) if call.args else ""
                if thing not in self._known.growing:
                    return None
                return Spot("read", thing, f"{name}({thing})", False, self._file, line)
            return Spot("call", name, f"{name}()", True, self._file, line)
        if not isinstance(call.func, ast.Attribute):
            return Spot("call", name, f"{name}()", True, self._file, line)
        owner = _last(call.func.value)
        if owner in _STREAMS:
            return (
                None
                if name in _PURE_METHODS
                else Spot("call", _OUTPUT, f"{owner}.{name}()", True, self._file, line)
            )
        if name in _SYNCHRONISES or name in _PURE_METHODS or not owner:
            return None
        if isinstance(call.func.value, ast.Name) and owner in _MODULES and owner in self._known.modules:
            return None
        if name in self._known.defined and name not in _CONTAINER:
            return None
        looks = name in _LOOKS
        if looks and owner not in self._known.growing:
            return None
        return Spot("read" if looks else "call", owner, f"{owner}.{name}()", not looks, self._file, line)
