"""What is still the skeleton is no work, whatever an editor did to its line ends."""

from __future__ import annotations

import pytest
from courses import RIGHT

from grader.content import lab as labs
from grader.content.skeleton import untouched
from grader.model import Lab


@pytest.fixture(scope="module")
def shipped(lab: Lab) -> bytes:
    return labs.skeletons(lab)[0].files[0].data


def test_the_skeleton_as_shipped_is_untouched(lab: Lab, shipped: bytes) -> None:
    assert untouched(lab, "echo.py", shipped)


def test_line_ends_are_no_work(lab: Lab, shipped: bytes) -> None:
    assert untouched(lab, "echo.py", shipped.replace(b"\n", b"\r\n"))
    assert untouched(lab, "echo.py", shipped.rstrip(b"\n"))


@pytest.mark.parametrize("data", [b"", b"\n \r\n\t\n"])
def test_a_blank_file_is_no_work(lab: Lab, data: bytes) -> None:
    assert untouched(lab, "echo.py", data)


def test_any_other_change_is_work(lab: Lab, shipped: bytes) -> None:
    assert not untouched(lab, "echo.py", shipped + b"# mine")
    assert not untouched(lab, "echo.py", b" " + shipped)
    assert not untouched(lab, "echo.py", RIGHT.encode())


def test_where_nothing_was_shipped_everything_is_work(lab: Lab, shipped: bytes) -> None:
    assert not untouched(lab, "echo.c", shipped)
