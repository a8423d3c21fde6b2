"""A notebook made whole again: whatever was done to it, the lab's cells come back with the student's text in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from courses import make
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.content import notebook, restore
from grader.model import Fault, Lab

Book = dict[str, Any]
WHERE = Path("ada.ipynb")
BRIEF = """\
# An echo

```{file} echo.py
```

```{question} why 2
Why is there an echo?
```

```{check}
```
"""
FILE, ANSWER, POINTS = "echo-file-echo-py", "echo-question-why", "echo--test_copies"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    from grader.content import lab as labs

    root = make(tmp_path_factory.mktemp("course")).root
    (root / "labs/echo/brief.md").write_text(BRIEF)
    return labs.load(root / "labs/echo")


def released(lab: Lab) -> Book:
    book: Book = json.loads(notebook.build(lab))
    return book


def cell(book: Book, identity: str) -> Book:
    (found,) = (c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == identity)
    assert isinstance(found, dict)
    return found


def restored(lab: Lab, book: object) -> Book:
    data, fault = restore.restore(lab, json.dumps(book).encode(), WHERE)
    assert fault is None, fault
    nbformat.validate(nbformat.reads(data.decode(), as_version=4))
    found: Book = json.loads(data)
    return found


def source(each: Book) -> str:
    return "".join(each["source"])


def skeleton(book: Book) -> list[tuple[str, str]]:
    """Ids and metadata: what nobody but the lab decides."""
    return [(each["id"], json.dumps(each["metadata"])) for each in book["cells"]]


PROGRAM = "print('¡uno!')\n\n\n# end  \n"


def test_files_become_a_notebook_and_files_again_byte_for_byte(lab: Lab) -> None:
    book = restore.wrap(lab, [("echo.py", PROGRAM.encode())])
    assert notebook.files(book, lab, WHERE) == (("echo.py", PROGRAM.encode()),)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_comes_back(lab: Lab, text: str) -> None:
    data = text.encode()
    assert notebook.files(restore.wrap(lab, [("echo.py", data)]), lab, WHERE) == (("echo.py", data),)


def test_the_work_stands_in_the_labs_own_cells(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    cell(book, ANSWER)["source"] = ["Because of\n", "the wall."]
    found = restored(lab, book)
    assert source(cell(found, FILE)) == "%%lab echo.py\nprint(1)\n"
    assert source(cell(found, ANSWER)) == "Because of\nthe wall."
    assert skeleton(found) == skeleton(released(lab))


def test_deleted_cells_come_back(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    book["cells"] = [cell(book, FILE)]
    found = restored(lab, book)
    assert skeleton(found) == skeleton(released(lab))
    assert source(cell(found, FILE)) == "%%lab echo.py\nprint(1)\n"


def test_points_and_checks_are_not_the_students_to_say(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    graded = cell(book, POINTS)
    graded["source"] = "100"
    graded["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "100"}}]
    graded["metadata"]["nbgrader"]["points"] = 100
    found = restored(lab, book)
    assert cell(found, POINTS) == cell(released(lab), POINTS)


def test_an_answer_without_its_metadata_is_known_by_its_question(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    cell(book, ANSWER)["source"] = "The wall."
    for each in book["cells"]:
        each["metadata"] = {}
    assert source(cell(restored(lab, book), ANSWER)) == "The wall."


def test_the_pieces_of_an_answer_are_joined(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    answer = cell(book, ANSWER)
    at = book["cells"].index(answer)
    book["cells"][at : at + 1] = [answer | {"source": "One."}, answer | {"source": "Two."}]
    assert source(cell(restored(lab, book), ANSWER)) == "One.\n\nTwo."


def test_what_else_was_written_is_kept_as_text(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    hostile = "<script>alert(1)</script>\n```\nimport os; os.abort()"
    book["cells"].insert(0, {"cell_type": "code", "metadata": {"x": 1}, "source": hostile, "outputs": []})
    found = restored(lab, book)
    other = found["cells"][-1]
    assert other["cell_type"] == "markdown"
    assert source(other) == f"````text\n{hostile}\n````"
    assert other["metadata"] == {}
    assert [each["cell_type"] for each in found["cells"]].count("code") == [
        each["cell_type"] for each in released(lab)["cells"]
    ].count("code")


def test_a_flood_of_cells_is_bounded(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    book["cells"] += [{"cell_type": "raw", "metadata": {}, "source": f"n{i}"} for i in range(5000)]
    found = restored(lab, book)
    assert len(found["cells"]) < 150
    assert "more cells are not shown" in source(found["cells"][-1])


@pytest.mark.parametrize("data", [b"", b"no json", b"[" * 100_000, b'{"cells": 3}', b'{"cells": []}'])
def test_what_is_no_notebook_gives_the_labs_own_and_the_reason(lab: Lab, data: bytes) -> None:
    book, fault = restore.restore(lab, data, WHERE)
    assert isinstance(fault, Fault)
    assert fault.cure
    assert json.loads(book)["cells"] == released(lab)["cells"]


def test_lone_surrogates_do_not_break_what_follows(lab: Lab) -> None:
    book = released(lab)
    cell(book, FILE)["source"] = "%%lab echo.py\nprint(1)\n"
    cell(book, ANSWER)["source"] = "half \ud800 a letter"
    data = json.dumps(book)  # as \ud800, which JSON allows
    found, fault = restore.restore(lab, data.encode(), WHERE)
    assert fault is None
    nbformat.writes(nbformat.reads(found.decode(), as_version=4)).encode()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_json_gives_a_notebook(lab: Lab, value: object) -> None:
    data, _ = restore.restore(lab, json.dumps({"cells": [value, {"source": value}]}).encode(), WHERE)
    nbformat.validate(nbformat.reads(data.decode(), as_version=4))
