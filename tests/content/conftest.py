"""What the tests of content share: a small lab on disk, and what a message must say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from courses import make

from grader.content import course as courses
from grader.content.course import Course
from grader.model import Fault, Lab

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="session")
def refused() -> Refused:
    """``with refused("lab.toml", "files", "write")``: a Fault comes, and message and cure say all this."""

    @contextmanager
    def expect(*words: object) -> Iterator[None]:
        with pytest.raises(Fault) as caught:
            yield
        assert caught.value.cure, f"no cure: {caught.value}"
        told = f"{caught.value}; {caught.value.cure}"
        assert [word for word in words if str(word) not in told] == [], told

    return expect


@pytest.fixture(autouse=True)
def no_course_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROCLAB_COURSE", raising=False)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make(tmp_path / "course")


@pytest.fixture
def root(course: Course) -> Path:
    """The folder of the lab `echo`, to be spoilt."""
    return course.root / "labs" / "echo"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab `echo`, to be left alone."""
    return courses.load_lab(make(tmp_path_factory.mktemp("course")), "echo")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab `echo` in Python and in C, to be left alone."""
    course = make(tmp_path_factory.mktemp("course"))
    root = course.root / "labs" / "echo"
    written = (root / "lab.toml").read_text()
    (root / "lab.toml").write_text(written.replace("[files]\n", '[files]\nc = "echo.c"\n'))
    (root / "solution" / "echo.c").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n\nint main(void)\n{\n"
        "    // BEGIN SOLUTION\n    int c;\n    while ((c = getchar()) != EOF)\n        putchar(c);\n"
        "    // END SOLUTION\n}\n"
    )
    the_lab = courses.load_lab(course, "echo")
    from grader.content import build

    build.write(course)
    return the_lab
