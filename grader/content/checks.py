"""The promises of a lab, read from the source of its checks without running it."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

from grader.content import files
from grader.model import CheckInfo, Fault


def read(path: Path, *, hidden: bool) -> tuple[CheckInfo, ...]:
    """The checks of a file: each ``test_*`` function with its claim (docstring) and its points.

    :raises Fault: for a syntax error, a check without claim or points, one that would never be run, or a
        name that occurs twice
    """
    text = files.text(path, "a lab needs at least one check")
    if "\0" in text:
        raise Fault("holds a NUL character", where=path, cure="save it as text again, or mend it by hand")
    try:
        tree = ast.parse(text, filename=str(path))
    except SyntaxError as error:
        raise Fault(f"line {error.lineno}: {error.msg}", where=path, cure="mend that line") from None
    except (RecursionError, MemoryError):
        raise Fault("cannot be parsed: nested too deeply", where=path, cure="mend it") from None
    found: list[CheckInfo] = []
    _no_lost_check(tree.body, path)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            if node.name in {check.name for check in found}:
                raise Fault(
                    f"line {node.lineno}: a second check of this name", where=path, key=node.name,
                    cure="give it a name of its own: the first would never run",
                )  # fmt: skip
            found.append(_check(node, path, hidden))
    return tuple(found)


def _no_lost_check(body: list[ast.stmt], path: Path, *, inside: bool = False) -> None:
    """A check in a class, in an `if`, or with `async` looks like one and would silently count for nothing."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_") and (inside or isinstance(node, ast.AsyncFunctionDef)):
                raise Fault(
                    f"line {node.lineno}: a check is a plain function of the module", where=path, key=node.name,
                    cure="take it out of the block around it, and write def without async",
                )  # fmt: skip
        else:
            for name in ("body", "orelse", "finalbody"):
                _no_lost_check(getattr(node, name, []), path, inside=True)


def _check(node: ast.FunctionDef, path: Path, hidden: bool) -> CheckInfo:
    claim = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    if not claim:
        raise Fault(
            f"line {node.lineno}: has no claim", where=path, key=node.name,
            cure='begin it with a docstring, the sentence that the student reads: """The pipeline ends."""',
        )  # fmt: skip
    if not claim.endswith(".") or re.search(r"\bshould(n't)?\b", claim, re.IGNORECASE):
        raise Fault(
            f"line {node.lineno}: the claim is not a plain statement", where=path, key=node.name,
            cure="say in the present tense what the program does, end with a period, and leave out 'should'",
        )  # fmt: skip
    return CheckInfo(name=node.name, claim=claim, points=_points(node, path), hidden=hidden, line=node.lineno)


def _points(node: ast.FunctionDef, path: Path) -> float:
    said = [each for each in node.decorator_list if _name(each) == "points"]
    if not said:
        raise Fault(
            f"line {node.lineno}: says nothing about points", where=path, key=node.name,
            cure="write @points(1) above it (from grader import points)",
        )  # fmt: skip
    if len(said) > 1:
        raise Fault(
            f"line {said[1].lineno}: says points twice",
            where=path,
            key=node.name,
            cure="take one of them away",
        )
    call = said[0]
    number: object = None
    if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords:
        number = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
        raise Fault(
            f"line {call.lineno}: points are a number above 0",
            where=path,
            key=node.name,
            cure="write @points(1)",
        )
    return float(number)


def _name(decorator: ast.expr) -> str:
    """``points`` of ``@points(1)``."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.id if isinstance(called, ast.Name) else ""
