"""The brief: what is a directive, what only shows one, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.content import brief
from grader.content import lab as labs
from grader.content.brief import Part
from grader.model import Fault, Lab, Language

Refused = Callable[..., AbstractContextManager[None]]
WHERE = Path("labs/echo/brief.md")
FILE = "```{file} echo.py\n```\n"


def kinds(text: str, lab: Lab) -> list[str]:
    return [part.kind for part in brief.parse(text, WHERE, lab)]


def test_reads_every_directive_in_order(lab: Lab) -> None:
    text = (
        "# An echo\n\n## One\n\nwords\n\n" + FILE + "```{check}\n```\n"
        "```{example} bash\nls\n```\n## Two\n````{question} who-waits 1.5\nWho?\n```\nx\n```\n````\nend"
    )
    assert brief.parse(text, WHERE, lab) == (
        Part("theory", "# An echo\n"),
        Part("theory", "## One\n\nwords\n"),
        Part("file", name="echo.py"),
        Part("check"),
        Part("example", "ls\n", "bash"),
        Part("theory", "## Two\n"),
        Part("question", "Who?\n```\nx\n```\n", "who-waits", 1.5),
        Part("theory", "end\n"),
    )


@pytest.mark.parametrize(
    "shown",
    [
        "````\n```{check}\n```\n````\n",
        "````markdown\n```{check}\n```\n````\n",
        "```\n````{check}\n```\n",
        "~~~\n```{check}\n```\n~~~\n",
        "  ````\n```{check}\n```\n  ````\n",
        "````\n```{check}\n```\n``````\n",
        "```text\n## no heading\n```\n",
        "Say ```{check}``` where the checks go.\n",
        "```{check}``` is where the checks go.\n",
    ],
)
def test_a_code_block_only_shows_a_directive(lab: Lab, shown: str) -> None:
    assert kinds(shown + FILE, lab) == ["theory", "file"]


def test_windows_line_ends_change_nothing(lab: Lab) -> None:
    text = "# x\n\n" + FILE + "## y\n```\ncode\n```\n```{check}\n```\n```{question} a 1\nWhat?\n```\n"
    assert brief.parse(text.replace("\n", "\r\n"), WHERE, lab) == brief.parse(text, WHERE, lab)


def test_a_form_feed_ends_no_line(lab: Lab) -> None:
    assert kinds("a\x0c```{check}\nb\u2028## no heading\n", lab) == ["theory"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x\n```{check}\n", ("line 2: the block never ends", "close it with a line of ```")),
        ("````{check}\n```\n", ("line 1: the block never ends", "close it with a line of ````")),
        ("x\n\n```\ncode\n", ("line 3: the block never ends", "close it with a line of ```")),
        ("~~~\ncode\n```\n", ("line 1: the block never ends", "close it with a line of ~~~")),
        ("```{question} a 1\nWhat?\n\n```{check}\n```\n", ("line 1: the block never ends", "line 4", "close it")),
        ("```{check}\n\nTheory.\n```\n", ("line 1: {check} takes no text", "close it")),
        ("```{file} echo.py\nprint()\n```\n", ("line 1: {file} takes no text", "close it")),
        ("```{check} echo\n```\n", ("line 1: {check} takes no argument", "```{check}")),
        ("```{chek}\n```\n", ("line 1: there is no directive 'chek'", "did you mean check?")),
        ("```{zebra}\n```\n", ("there is no directive 'zebra'", "the directives are: file, check, example, question")),
        ("```{file} cat.py\n```\n", ("line 1: 'cat.py' is no file of this lab", "the files are: echo.py")),
        ("```{file}\n```\n", ("'' is no file", "echo.py")),
        (FILE + FILE, ("line 3: a second {file}", "one place")),
        ("```{example} ruby\n```\n", ("examples are python or bash, not 'ruby'", "an ordinary code block")),
        ("```{question} who\n```\n", ("line 1: a question needs a name and points", "```{question} who-holds")),
        ("```{question} Who 1\n```\n", ("a question needs a name and points",)),
        ("```{question} who -1\n```\n", ("a question needs a name and points",)),
        ("```{question} a 1\nx\n```\n```{question} a 2\ny\n```\n", ("line 4: a second question 'a'", "name of its own")),
        ("```{question} a-text 1\nx\n```\n", ("line 1: ", "'a-text'", "another name")),
        ("```{question} a 1\n```\n", ("line 1: the question 'a' asks nothing", "write it")),
        ("- x\n  ```{check}\n  ```\n", ("line 2: a directive begins at the margin", "indentation")),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    lab: Lab, refused: Refused, text: str, words: tuple[str, ...]
) -> None:
    with refused(WHERE, *words):
        brief.parse(text, WHERE, lab)


PIECES = st.sampled_from(
    [
        "```",
        "````",
        "~~~",
        "```{check}",
        "```{file} echo.py",
        "```{example} bash",
        "```{question} a 1",
        "## x",
        "y",
        "",
    ]
)


@settings(deadline=None)
@given(st.lists(PIECES).map("\n".join) | st.text())
def test_any_text_is_read_or_refused_with_its_line(lab: Lab, text: str) -> None:
    try:
        brief.parse(text, WHERE, lab)
    except Fault as fault:
        assert str(fault).startswith("labs/echo/brief.md: line ")  # noqa: PT017
        assert fault.cure  # noqa: PT017


@pytest.mark.parametrize("data", [None, b"# \xe9\n"])
def test_a_brief_that_cannot_be_read_is_refused(root: Path, refused: Refused, data: bytes | None) -> None:
    (root / "brief.md").unlink()
    if data:
        (root / "brief.md").write_bytes(data)
    with refused(root / "brief.md", "is not UTF-8 text (byte 2)" if data else "is missing"):
        brief.read(labs.load(root))


def test_students_in_a_terminal_get_plain_markdown(both: Lab, root: Path) -> None:
    (root / "brief.md").write_text(
        "# x\n"
        + FILE
        + "```{check}\n```\n````{example} bash\ncat <<E\n```\nE\n````\n```{question} a 1\nWhat?\n```\n"
    )
    told = brief.markdown(labs.load(root), Language.PYTHON)
    assert "`echo.py`" in told
    assert "```bash\nproclab check echo\n```\n" in told
    assert "````bash\ncat <<E\n```\nE\n````\n" in told
    assert "**Question** (1): What?\n" in told
    assert "{" not in told
    assert "`echo.c`" in brief.markdown(both, Language.C)
