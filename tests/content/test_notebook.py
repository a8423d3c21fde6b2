"""Notebooks: valid and always the same when built; whatever comes back is read or refused, and quickly."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from courses import make
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import ROOT

from grader.content import course as courses
from grader.content import lab as labs
from grader.content import notebook
from grader.model import Fault, Lab

Refused = Callable[..., AbstractContextManager[None]]
Book = dict[str, Any]
WHERE = Path("ada.ipynb")
HEADER = "%%lab echo.py\n"
PROMPT_S = 10.0
"""Far above what any of this takes, far below what a hostile file could make of it"""


def book_of(lab: Lab) -> Book:
    book: Book = json.loads(notebook.build(lab))
    return book


def file_cell(book: Book) -> Book:
    (cell,) = (
        each
        for each in book["cells"]
        if each["metadata"].get("nbgrader", {}).get("grade_id") == "echo-file-echo-py"
    )
    assert isinstance(cell, dict)
    return cell


def with_sources(lab: Lab, *sources: object, **more: object) -> Book:
    """The lab's notebook with its file cell once for each source, all with the cell's metadata."""
    book = book_of(lab)
    cell = file_cell(book)
    at = book["cells"].index(cell)
    book["cells"][at : at + 1] = [cell | {"source": source} | more for source in sources]
    return book


def read(book: object, lab: Lab) -> bytes:
    ((name, data),) = notebook.files(json.dumps(book).encode(), lab, WHERE)
    assert name == "echo.py"
    return data


# ---------------------------------------------------------------- building


def test_the_real_notebook_is_valid_and_always_the_same() -> None:
    lab = courses.load_lab(courses.find(ROOT), "pipeline")
    built = notebook.build(lab)
    assert built == notebook.build(lab)
    book = nbformat.reads(built.decode(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)
    assert (book.nbformat, book.nbformat_minor) == (4, 5)


def spoil(root: Path, file: str, old: str, new: str) -> Lab:
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))
    return labs.load(root)


def ids(lab: Lab) -> list[str]:
    book = book_of(lab)
    nbformat.validate(nbformat.from_dict(book))  # type: ignore[no-untyped-call]
    found = [cell["id"] for cell in book["cells"]]
    assert [each for each in found if not re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", each)] == []
    assert len(set(found)) == len(found)
    grades = [cell["metadata"]["nbgrader"]["grade_id"] for cell in book["cells"]]
    assert len(set(grades)) == len(grades)
    return found


def test_ids_are_valid_and_unique(root: Path) -> None:
    more = "```{check}\n```\n```{example} bash\nls\n```\n```{example} python\n1\n```\n"
    questions = (
        "```{question} a 1\nWhat?\n```\n```{question} b 2.5\nWhat?\n```\n```{question} "
        + "c" * 90
        + " 1\nx\n```\n"
    )
    assert len(ids(spoil(root, "brief.md", "```{check}\n```\n", more + more + "## x\n" + questions))) > 15


def test_long_names_of_checks_do_not_collide(root: Path) -> None:
    text = '@points(1)\ndef {}(run):\n    """It ends."""\n'
    names = ["test_" + "x" * 80 + end for end in ("a", "b", "c")]
    (root / "checks.py").write_text("\n".join(text.format(name) for name in (*names, "test_größe")))
    ids(labs.load(root))


def test_no_hidden_check_stands_in_a_notebook(lab: Lab) -> None:
    built = notebook.build(lab).decode()
    assert "test_copies " not in built
    assert "test_copies_secrets" not in built
    assert "Whatever" not in built


def test_windows_line_ends_of_a_solution_stay(root: Path) -> None:
    path = root / "solution" / "echo.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    lab = labs.load(root)
    assert notebook.files(notebook.build(lab), lab, WHERE) == (
        ("echo.py", labs.skeletons(lab)[0].files[0].data),
    )


def test_a_lab_in_both_languages_gets_its_python_file(both: Lab) -> None:
    assert [name for name, _ in notebook.files(notebook.build(both), both, WHERE)] == ["echo.py"]


def test_a_lab_in_c_alone_gets_a_stub_in_c(tmp_path: Path) -> None:
    root = make(tmp_path).root / "labs" / "echo"
    spoil_text = (root / "lab.toml").read_text().replace('python = "echo.py"', 'c = "echo.c"')
    (root / "lab.toml").write_text(spoil_text)
    (root / "brief.md").write_text("# x\n\n```{file} echo.c\n```\n")
    (root / "solution" / "echo.c").write_text(
        "int main(void)\n{\n    // BEGIN SOLUTION\n    // END SOLUTION\n}\n"
    )
    lab = labs.load(root)
    assert notebook.files(notebook.build(lab), lab, WHERE) == (
        ("echo.c", labs.skeletons(lab)[0].files[0].data),
    )


@pytest.mark.parametrize("data", [None, b"# \xe9\n### BEGIN SOLUTION\n### END SOLUTION\n", b"x = 1\n"])
def test_a_wrong_solution_is_named(root: Path, refused: Refused, data: bytes | None) -> None:
    (root / "solution" / "echo.py").unlink()
    if data:
        (root / "solution" / "echo.py").write_bytes(data)
    with refused(root / "solution" / "echo.py"):
        notebook.build(labs.load(root))


# ---------------------------------------------------------------- reading back

TEXTS = st.text(st.characters(exclude_categories=("Cs",))) | st.lists(
    st.sampled_from(["%%lab echo.py", "x = 1", "\r\n", "\n", "\r", "\u2028", "\x0c", "\0", "ß", "\ufeff", "🐚", " "])
).map("".join)  # fmt: skip


@settings(deadline=None)
@given(TEXTS)
def test_what_stands_below_the_header_comes_back_byte_for_byte(lab: Lab, text: str) -> None:
    assert read(with_sources(lab, HEADER + text), lab) == text.encode()
    assert read(with_sources(lab, (HEADER + text).splitlines(keepends=True)), lab) == text.encode()


@settings(deadline=None)
@given(TEXTS.filter(lambda text: not text.lstrip().startswith("%%lab")))
def test_a_cell_whose_header_is_gone_comes_back_byte_for_byte(lab: Lab, text: str) -> None:
    assert read(with_sources(lab, text), lab) == text.encode()


def test_the_built_notebook_gives_back_the_skeleton(lab: Lab) -> None:
    assert notebook.files(notebook.build(lab), lab, WHERE) == (
        ("echo.py", labs.skeletons(lab)[0].files[0].data),
    )


@pytest.mark.parametrize(
    "header", ["%%lab echo.py\r\n", "\n%%lab echo.py\n", " \n%%lab  echo.py \t\n", "%%lab other.py\n"]
)
def test_a_header_that_works_in_jupyter_is_no_part_of_the_file(lab: Lab, header: str) -> None:
    assert read(with_sources(lab, header + "x = 1\n"), lab) == b"x = 1\n"


def test_the_pieces_of_a_split_cell_are_joined_in_order(lab: Lab) -> None:
    assert read(with_sources(lab, HEADER + "a", "b\n", "c"), lab) == b"a\nb\nc"


def test_equal_pieces_of_a_split_cell_are_all_kept(lab: Lab) -> None:
    assert read(with_sources(lab, HEADER + "a", "f()", "b", "f()\n"), lab) == b"a\nf()\nb\nf()\n"


def test_a_copied_cell_counts_once(lab: Lab) -> None:
    assert read(with_sources(lab, HEADER + "a\n", HEADER + "a\n"), lab) == b"a\n"
    assert read(with_sources(lab, "a\n", "a\n"), lab) == b"a\n"


def test_a_copy_of_the_skeleton_gives_way_to_work(lab: Lab) -> None:
    skeleton = labs.skeletons(lab)[0].files[0].data.decode()
    assert read(with_sources(lab, HEADER + skeleton, HEADER + "work\n"), lab) == b"work\n"
    assert read(with_sources(lab, HEADER + "work\n", HEADER + skeleton), lab) == b"work\n"


def test_an_emptied_copy_gives_way_to_work(lab: Lab) -> None:
    assert read(with_sources(lab, HEADER + "work\n", HEADER + "\n"), lab) == b"work\n"


def retyped(book: Book, *sources: str) -> Book:
    """With new cells at the end: they have a header, but no grade id."""
    book["cells"] += [{"cell_type": "code", "metadata": {}, "source": HEADER + each} for each in sources]
    return book


def test_work_in_a_new_cell_goes_before_a_skeleton_that_nobody_touched(lab: Lab) -> None:
    assert read(retyped(book_of(lab), "mine\n"), lab) == b"mine\n"
    assert read(retyped(with_sources(lab, ""), "mine\n"), lab) == b"mine\n"


def test_work_in_the_labs_own_cell_goes_before_a_new_one(lab: Lab) -> None:
    assert read(retyped(with_sources(lab, HEADER + "work\n"), "an attempt\n"), lab) == b"work\n"


def test_two_new_cells_with_work_are_refused(lab: Lab, refused: Refused) -> None:
    with refused(WHERE, "holds 2 versions of echo.py", "delete"):
        read(retyped(book_of(lab), "one\n", "two\n"), lab)


def test_two_programs_are_refused(lab: Lab, refused: Refused) -> None:
    with refused(WHERE, "holds 2 versions of echo.py", "delete"):
        read(with_sources(lab, HEADER + "one\n", HEADER + "two\n"), lab)


def test_a_moved_cell_is_found(lab: Lab) -> None:
    book = with_sources(lab, HEADER + "a\n")
    book["cells"].reverse()
    assert read(book, lab) == b"a\n"


@pytest.mark.parametrize("metadata", [{}, None, 3, {"nbgrader": None}, {"nbgrader": {"grade_id": 3}}])
def test_without_metadata_the_header_tells(lab: Lab, metadata: object) -> None:
    assert read(with_sources(lab, HEADER + "a\n", metadata=metadata), lab) == b"a\n"


@pytest.mark.parametrize("kind", ["markdown", "raw", "nonsense", None])
def test_a_cell_that_was_turned_into_text_is_still_the_file(lab: Lab, kind: object) -> None:
    assert read(with_sources(lab, HEADER + "a\n", cell_type=kind), lab) == b"a\n"


def test_text_that_only_speaks_of_a_header_is_no_file(lab: Lab, refused: Refused) -> None:
    with refused(WHERE, "has no cell that begins with '%%lab echo.py'", "into such a cell"):
        read(with_sources(lab, HEADER + "a\n", cell_type="markdown", metadata={}), lab)


def test_a_byte_order_mark_is_passed_over(lab: Lab) -> None:
    assert notebook.files(b"\xef\xbb\xbf" + notebook.build(lab), lab, WHERE)


def test_lone_surrogates_become_bytes(lab: Lab) -> None:
    assert read(with_sources(lab, HEADER + "'\ud800'"), lab) == b"'\xed\xa0\x80'"


# ---------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is not a notebook"),
        (b"\xff\xfe", "is not a notebook"),
        (b"print(1)\n", "is not a notebook"),
        (b'{"cells": [', "is not a notebook"),
        (b"9" * 5000, "is not a notebook"),
        (b"[]", "has no list of cells"),
        (b"null", "has no list of cells"),
        (b"{}", "has no list of cells"),
        (b'{"cells": {}}', "has no list of cells"),
        (b'{"cells": "x"}', "has no list of cells"),
        (b'{"cells": []}', "has no cell"),
        (b'{"cells": [1, null, [], "x", {}, {"cell_type": "code"}]}', "has no cell"),
        (b'{"cells": [{"cell_type": "code", "source": 3}, {"cell_type": "code", "source": [3, {}]}]}', "has no cell"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"cells": ' + b"[" * 1000, "nested too deeply"),
        (b" " * (notebook.MOST_BYTES + 1), "is larger than 8 MiB"),
        (b'"' + b'\\"' * (2 * 2**20), "is not a notebook"),
        (b'"' * 2 * 2**20, "is not a notebook"),
        (b'"' + b"\\" * (4 * 2**20 + 1), "is not a notebook"),
        (b"[" * (8 * 2**20), "nested too deeply"),
        (b"[]," * (2 * 2**20), "is not a notebook"),
    ],
    ids=range(22),
)  # fmt: skip
def test_what_is_no_notebook_is_refused_at_once(lab: Lab, refused: Refused, data: bytes, what: str) -> None:
    began = time.process_time()
    with refused(WHERE, what):
        notebook.files(data, lab, WHERE)
    assert time.process_time() - began < PROMPT_S


def test_brackets_inside_strings_are_no_nesting(lab: Lab) -> None:
    text = '"[[[{{{\\' * 100
    assert read(with_sources(lab, HEADER + text), lab) == text.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from(["code", HEADER]),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["cells", "cell_type", "source", "metadata", "nbgrader", "grade_id"]) | st.text(), inner
    ),
)  # fmt: skip


@settings(deadline=None)
@given(JSON | st.builds(lambda cells: {"cells": cells}, st.lists(JSON)))
def test_any_json_is_read_or_refused(lab: Lab, book: object) -> None:
    try:
        assert read(book, lab) is not None
    except Fault as fault:
        assert str(fault).startswith("ada.ipynb: ")  # noqa: PT017
        assert fault.cure  # noqa: PT017


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_refused(lab: Lab, data: bytes) -> None:
    with pytest.raises(Fault):
        notebook.files(data, lab, WHERE)
