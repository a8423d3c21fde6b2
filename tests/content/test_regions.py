"""What is taken out of a solution, and that nothing else is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import ROOT

from grader.content import course as courses
from grader.content import lab as labs
from grader.content.regions import YOUR_CODE, hollow
from grader.model import Fault, Lab, Language

PYTHON, C = Language.PYTHON, Language.C
BEGIN, END = "### BEGIN SOLUTION\n", "### END SOLUTION\n"
REAL = labs.skeletons(courses.load_lab(courses.find(ROOT), "pipeline"))


def test_puts_a_stub_in_the_place_of_a_region() -> None:
    text = "def f():\n    " + BEGIN + "    return 1\n    " + END + "print(f())\n"
    assert hollow(text, PYTHON, "a.py") == (
        'def f():\n    # YOUR CODE HERE\n    raise NotImplementedError("a.py: YOUR CODE HERE")\nprint(f())\n'
    )


def test_keeps_the_tabs_of_an_indentation() -> None:
    text = "int f(void)\n{\n\t// BEGIN SOLUTION\n\treturn 1;\n\t// END SOLUTION\n}\n"
    assert hollow(text, C, "a.c") == (
        "int f(void)\n{\n\t/* YOUR CODE HERE */\n"
        '\tfprintf(stderr, "a.c: YOUR CODE HERE\\n");\n\texit(70);\n}\n'
    )


def test_keeps_windows_line_ends_and_adds_no_others() -> None:
    text = "x = 1\n" + BEGIN + "y = 2\n" + END + "z = 3\n"
    assert hollow(text.replace("\n", "\r\n"), PYTHON, "a.py") == hollow(text, PYTHON, "a.py").replace(
        "\n", "\r\n"
    )


def test_takes_a_marker_without_a_line_end_for_the_last_line() -> None:
    assert hollow(BEGIN + "x\n" + END.strip(), PYTHON, "a.py").count(YOUR_CODE) == 2


def test_leaves_characters_alone_that_only_python_takes_for_line_ends() -> None:
    text = "a = '\x0c \x85 \u2028 \x1c'\n"
    assert hollow(text + BEGIN + END, PYTHON, "a.py").startswith(text)


LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",))).filter(
    lambda line: "SOLUTION" not in line
)


@settings(deadline=None)
@given(st.lists(st.one_of(LINES, st.lists(LINES).map(tuple)), min_size=1))
def test_keeps_each_line_outside_and_none_inside(pieces: list[str | tuple[str, ...]]) -> None:
    text = wanted = ""
    for piece in (*pieces, ("hidden",)):
        if isinstance(piece, str):
            text += piece + "\n"
            wanted += piece + "\n"
        else:
            text += BEGIN + "".join(line + "\n" for line in piece) + END
            wanted += f'# {YOUR_CODE}\nraise NotImplementedError("a.py: {YOUR_CODE}")\n'
    assert hollow(text, PYTHON, "a.py") == wanted


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x\n" + BEGIN + BEGIN + END, "line 3: a region begins inside the one of line 2"),
        ("x\n" + BEGIN + "y\n", "line 2: a region begins and never ends"),
        ("x\n" + END, "line 2: a region ends that has not begun"),
        (BEGIN + END + END, "line 3: a region ends that has not begun"),
        ("x\x0c\u2028y\n" + END, "line 2: a region ends"),
        ("x\n", "has no solution region"),
        ("", "has no solution region"),
        ("// BEGIN SOLUTION\nx\n// END SOLUTION\n", "line 1: is no marker"),
        (BEGIN + END + "## BEGIN SOLUTION\n", "line 3: is no marker"),
        (BEGIN + END + "x = 1  ### BEGIN SOLUTION\n", "line 3: is no marker"),
        (BEGIN + "x\n### END SOLUTION (of part 1)\n" + END, "line 3: is no marker"),
        (BEGIN + END + "###begin solution\n", "line 3: is no marker"),
    ],
)
def test_names_line_and_cure_where_markers_do_not_match(text: str, what: str) -> None:
    with pytest.raises(Fault) as caught:
        hollow(text, PYTHON, "solution/a.py")
    assert str(caught.value).startswith(f"solution/a.py: {what}")
    assert "### BEGIN SOLUTION" in caught.value.cure


@pytest.mark.parametrize(
    "skeleton", [each for each in REAL if each.language is PYTHON], ids=lambda s: s.entry
)
def test_python_skeletons_compile(skeleton: labs.Submission) -> None:
    compile(skeleton.files[0].data, skeleton.entry, "exec")


@pytest.mark.parametrize("skeleton", [each for each in REAL if each.language is C], ids=lambda s: s.entry)
def test_c_skeletons_compile(skeleton: labs.Submission, tmp_path: Path) -> None:
    source = tmp_path / skeleton.entry
    source.write_bytes(skeleton.files[0].data)
    words = [
        "gcc",
        "-Wall",
        "-Wextra",
        "-Werror=implicit-function-declaration",
        "-o",
        tmp_path / "out",
        source,
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_skeleton_of_a_solution_that_is_not_utf8_is_refused(both: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "echo"
    (folder / "solution").mkdir(parents=True)
    for name in ("lab.toml", "checks.py"):
        (folder / name).write_bytes((both.root / name).read_bytes())
    (folder / "solution" / "echo.py").write_bytes(b"# \xe9\n")
    (folder / "solution" / "echo.c").write_bytes((both.root / "solution" / "echo.c").read_bytes())
    with pytest.raises(Fault, match=r"solution/echo\.py: is not UTF-8 text \(byte 2\)"):
        labs.skeletons(labs.load(folder))


def test_a_marker_that_does_not_match_is_named_with_the_path_of_the_solution(
    both: Lab, tmp_path: Path
) -> None:
    folder = tmp_path / "echo"
    (folder / "solution").mkdir(parents=True)
    for name in ("lab.toml", "checks.py", "solution/echo.c"):
        (folder / name).write_bytes((both.root / name).read_bytes())
    (folder / "solution" / "echo.py").write_text(BEGIN)
    with pytest.raises(Fault) as caught:
        labs.skeletons(labs.load(folder))
    assert str(caught.value).startswith(f"{folder}/solution/echo.py: line 1: a region begins and never ends")
