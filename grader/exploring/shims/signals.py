"""Runs inside the student's interpreter: counts the points of its main thread, and raises a signal at one of them.

The sandbox brings this file as ``sitecustomize``; `grader.exploring.points` says what is in the folder beside
it. A point is a line of the student's own files, or the moment just before or after a call that may block.
Only the process that the grader started is counted, not its children. Nothing is judged by what is written
here, since the program could write it too: a program that puts an end to the counting is only run as it
always is.

Nothing of the standard library is imported that is not built in or an extension: the program finds its
modules as new as ever, and starts as fast. The descriptor of the board is closed before the program begins, so
its own descriptor numbers stay as they were.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _struct
import mmap
import os
import sys

TYPE_CHECKING = False  # the real one would cost an import that takes longer than all of this
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_LINE, _BEFORE, _AFTER = 0, 1, 2
_HEAD, _ENTRY = 16, 16
_BLOCK_ALL = set(_signal.valid_signals())
_kill, _mask, _pack, _trace, _profile = (
    os.kill, _signal.pthread_sigmask, _struct.pack_into, sys.settrace, sys.setprofile,
)  # fmt: skip


def _read(name: str) -> bytes:
    descriptor = os.open(f"{_HERE}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 2**20)
    finally:
        os.close(descriptor)


def _map(name: str) -> mmap.mmap:
    """The board. `mmap` keeps a duplicate of the descriptor until the very end; that one is closed, too."""
    descriptor = os.open(f"{_HERE}/{name}", os.O_RDWR | os.O_CLOEXEC)
    if sys.version_info >= (3, 13):
        board = mmap.mmap(descriptor, 0, trackfd=False)
    else:
        duplicate = os.dup(descriptor)
        os.close(duplicate)  # the lowest free number: mmap takes the same one
        board = mmap.mmap(descriptor, 0)
        os.close(duplicate)
    os.close(descriptor)
    return board


def _install() -> None:
    plan = {
        words[0]: words[1:]
        for words in (line.split() for line in _read("plan").decode().splitlines())
        if words
    }
    board = _map("board")
    size = len(board)
    files = {f"/lab/{name}": index << 32 for index, name in enumerate(plan["files"])}
    calls = {name: index for index, name in enumerate(plan["calls"])}
    signals = [int(word) for word in plan["signals"]]
    from_start = plan["from"] == ["start"]
    target = tuple(int(word) for word in plan.get("target", ()))
    """where, kind, call, how often it was reached before, whether the signal comes from outside"""
    main = os.getpid()
    unprepared = (_signal.SIG_DFL, _signal.default_int_handler)
    _pack("<I", board, 4, 1)
    count = reached = 0
    owed = not from_start
    profiling = False

    def off() -> None:
        _trace(None)
        _profile(None)

    def owes() -> bool:
        """Whether the program has said by now that it deals with the signals; before, they only end it."""
        nonlocal owed
        blocked = _mask(_signal.SIG_BLOCK, ())
        owed = all(number in blocked or _signal.getsignal(number) not in unprepared for number in signals)
        return owed

    def arrive() -> None:
        _pack("<I", board, 4, 3)
        off()
        if len(signals) == 1:
            _kill(main, signals[0])
            return
        before = _mask(_signal.SIG_BLOCK, _BLOCK_ALL)
        for number in dict.fromkeys(signals):
            _kill(main, number)
        _mask(_signal.SIG_SETMASK, before)  # now all of them come at once
        for index, number in enumerate(signals):
            if number in signals[:index]:
                _kill(main, number)

    def point(where: int, kind: int, call: int) -> None:
        nonlocal count, reached, profiling
        if not profiling:
            if not (board[0] and (owed or owes())):
                return
            profiling = True
            _profile(note)
        offset = _HEAD + count * _ENTRY
        count += 1
        if target:
            if (where, kind, call) == target[:3]:
                reached += 1
                if reached == target[3] + 1:
                    if target[4]:
                        _pack("<I", board, 4, 2)
                    else:
                        arrive()
            elif kind == _AFTER and target[4] and reached == target[3] + 1:
                reached += 1
                _pack("<I", board, 4, 4)
                off()
        elif offset + _ENTRY <= size:
            _pack("<QII", board, offset, where, kind, call)
        _pack("<I", board, 8, count)

    def follow(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            try:
                point(files[frame.f_code.co_filename] | frame.f_lineno, _LINE, 0)
            except BaseException as error:  # the program's own handler raised it
                raise error.with_traceback(_theirs(error))  # noqa: B904
        return follow

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        return follow if frame.f_code.co_filename in files else None

    def note(frame: FrameType | None, event: str, arg: Any) -> None:
        if event == "c_call":
            kind = _BEFORE
        elif event == "c_return" or event == "c_exception":
            kind = _AFTER
        else:
            return
        call = calls.get(arg.__name__)
        if call is None:
            return
        while frame is not None and frame.f_code.co_filename not in files:
            frame = frame.f_back
        if frame is not None:
            try:
                point(files[frame.f_code.co_filename] | frame.f_lineno, kind, call)
            except BaseException as error:
                raise error.with_traceback(_theirs(error))  # noqa: B904

    os.register_at_fork(after_in_child=off)
    _trace(enter)


def _theirs(error: BaseException) -> Any:
    """The part of a traceback that begins in the program's own handler."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == _theirs.__code__.co_filename:
        trace = trace.tb_next
    return trace


os.environ.pop("PYTHONPATH", None)
sys.path[:] = [folder for folder in sys.path if folder != _HERE]
_install()
