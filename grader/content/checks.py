"""The promises of a lab, read from the source of its checks without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from grader.model import CheckInfo, Fault


def read(path: Path, *, hidden: bool) -> tuple[CheckInfo, ...]:
    """The checks of a file: each ``test_*`` function with its claim (docstring) and its points.

    :raises Fault: for a syntax error, a check without claim or points, or a name that occurs twice
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except FileNotFoundError:
        raise Fault("is missing", where=path, cure="a lab needs at least one check") from None
    except SyntaxError as error:
        raise Fault(f"line {error.lineno}: {error.msg}", where=path, cure="mend that line") from None
    found: list[CheckInfo] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            if node.name in {check.name for check in found}:
                raise Fault(
                    f"line {node.lineno}: a second check of this name", where=path, key=node.name,
                    cure="give it a name of its own: the first would never run",
                )  # fmt: skip
            found.append(_check(node, path, hidden))
    return tuple(found)


def _check(node: ast.FunctionDef, path: Path, hidden: bool) -> CheckInfo:
    claim = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    if not claim:
        raise Fault(
            f"line {node.lineno}: has no claim", where=path, key=node.name,
            cure='begin it with a docstring, the sentence that the student reads: """The pipeline ends."""',
        )  # fmt: skip
    if not claim.endswith(".") or " should " in f" {claim} ":
        raise Fault(
            f"line {node.lineno}: the claim is not a plain statement", where=path, key=node.name,
            cure="say in the present tense what the program does, end with a period, and leave out 'should'",
        )  # fmt: skip
    return CheckInfo(name=node.name, claim=claim, points=_points(node, path), hidden=hidden, line=node.lineno)


def _points(node: ast.FunctionDef, path: Path) -> float:
    for decorator in node.decorator_list:
        if (
            isinstance(decorator, ast.Call)
            and isinstance(decorator.func, ast.Name)
            and decorator.func.id == "points"
        ):
            value = decorator.args[0] if len(decorator.args) == 1 else None
            number = value.value if isinstance(value, ast.Constant) else None
            if isinstance(number, (int, float)) and number > 0:
                return float(number)
            raise Fault(
                f"line {decorator.lineno}: points are a number above 0",
                where=path,
                key=node.name,
                cure="write @points(1)",
            )
    raise Fault(
        f"line {node.lineno}: says nothing about points", where=path, key=node.name,
        cure="write @points(1) above it (from grader import points)",
    )  # fmt: skip
