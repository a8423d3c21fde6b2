"""The promises of a lab, read without running them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grader.content import checks
from grader.model import CheckInfo

Refused = Callable[..., AbstractContextManager[None]]

GOOD = '@points(1)\ndef test_ends(run):\n    """The pipeline ends."""\n'


def read(folder: Path, text: str) -> tuple[CheckInfo, ...]:
    (folder / "checks.py").write_text(text)
    return checks.read(folder / "checks.py", hidden=True)


def test_reads_name_claim_points_and_line(tmp_path: Path) -> None:
    text = '''\
import nothing_that_exists


def helper(): ...


@other
@points(2.5)
def test_ends(run):
    """The pipeline
    ends.

    More about it should stand here.
    """
'''
    assert read(tmp_path, text) == (
        CheckInfo(name="test_ends", claim="The pipeline ends.", points=2.5, hidden=True, line=9),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace('"""The pipeline ends."""', "..."), ("test_ends", "line 2: has no claim", "docstring")),
        (GOOD.replace("The pipeline ends.", " "), ("test_ends", "has no claim")),
        (GOOD.replace("ends.", "should end."), ("test_ends", "not a plain statement", "'should'")),
        (GOOD.replace("The", "Should the"), ("test_ends", "not a plain statement")),
        (GOOD.replace("ends.", "shouldn't hang."), ("test_ends", "not a plain statement")),
        (GOOD.replace("ends.", "ends as it should."), ("test_ends", "not a plain statement")),
        (GOOD.replace("ends.", "ends"), ("test_ends", "not a plain statement", "period")),
        (GOOD.replace("@points(1)\n", ""), ("test_ends", "says nothing about points", "@points(1)")),
        (
            GOOD.replace("@points(1)", "@points"),
            ("test_ends", "line 1: points are a number", "write @points(1)"),
        ),
        (GOOD + "\n\n" + GOOD, ("test_ends", "line 7: a second check of this name", "a name of its own")),
        ("@points(2)\n" + GOOD, ("test_ends", "points twice")),
        (GOOD.replace("def ", "async def "), ("test_ends", "line 2", "plain function")),
        (
            "class TestIt:\n" + "".join(f"    {line}\n" for line in GOOD.splitlines()),
            ("test_ends", "plain function"),
        ),
        (
            "if True:\n" + "".join(f"    {line}\n" for line in GOOD.splitlines()),
            ("test_ends", "plain function"),
        ),
        ("def f(:\n", ("line 1: ", "mend that line")),
        ("x = 1\0", ("NUL", "mend")),
        ("x = " + "(" * 5000, ("line 1: too many nested parentheses", "mend that line")),
        ("x = " + "-" * 100_000 + "1", ("cannot be parsed", "mend")),
    ],
)
def test_a_wrong_check_is_refused(
    tmp_path: Path, refused: Refused, text: str, words: tuple[str, ...]
) -> None:
    with refused(tmp_path / "checks.py", *words):
        read(tmp_path, text)


@pytest.mark.parametrize("value", ["0", "-1", "'1'", "True", "1e999", "", "1, 2", "X", "1, of=2"])
def test_points_are_a_number_above_0(tmp_path: Path, refused: Refused, value: str) -> None:
    with refused(
        tmp_path / "checks.py", "test_ends", "line 1: points are a number above 0", "write @points(1)"
    ):
        read(tmp_path, GOOD.replace("@points(1)", f"@points({value})"))


def test_checks_that_are_not_utf8_are_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "checks.py").write_bytes(b"# \xe9\n")
    with refused(tmp_path / "checks.py", "is not UTF-8 text (byte 2)", "save it as UTF-8"):
        checks.read(tmp_path / "checks.py", hidden=False)


def test_a_function_inside_a_check_is_none(tmp_path: Path) -> None:
    assert len(read(tmp_path, GOOD + "    def test_inner(): ...\n")) == 1
