"""A notebook as it comes back, made whole again: the lab's own cells with the student's work in them.

Students delete, copy, split, rename and retype cells, and some do so to gain something. So nothing of
what is graded or shown is taken from the submission but the text of files and answers. Which cells there are,
what they say, their points and types come from the lab. What else the student wrote is kept at the end, as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grader.content import brief, notebook
from grader.model import Fault, Lab, Submission

_MOST_OTHERS = 100
_MOST_OTHER_BYTES = 200_000
_NO_ANSWER = "*Your answer:*"

Book = dict[str, Any]


def wrap(lab: Lab, files: Iterable[tuple[str, bytes]]) -> bytes:
    """The lab's notebook around files that were handed in without one.

    :raises Fault: if a file is not text, or there is no file of the lab
    """
    book = _release(lab)
    _put_files(lab, book, dict(files), Path(lab.slug))
    return _written(book)


def wrap_submission(submission: Submission, lab: Lab) -> bytes:
    """The lab's notebook around a submission of any form; what is no text stands there as a remark."""
    files = [(file.path, file.data) for file in submission.files]
    try:
        return wrap(lab, files)
    except Fault:
        names = ", ".join(name for name, _ in files[:20])
        remark = f"# Handed in as {submission.language.value}: {names}\n# What became of it stands below.\n"
        return wrap(lab, [(next(iter(lab.files.values())), remark.encode())])


def restore(lab: Lab, data: bytes, where: Path) -> tuple[bytes, Fault | None]:
    """The lab's notebook with the files and answers of a submitted one.

    :return: the notebook, and why there is no program in it, if there is none
    """
    book = _release(lab)
    fault: Fault | None = None
    cells: list[tuple[str, str, str]] = []
    try:
        cells = notebook.read(data, where)
        _put_files(lab, book, dict(notebook.files(data, lab, where)), where)
    except Fault as error:
        fault = error
    released = [_source(cell) for cell in book["cells"]]
    known = {identity for cell in book["cells"] if (identity := _identity(cell))}
    taken = _put_answers(lab, book, cells, set(released))
    others = [
        source
        for index, (_, identity, source) in enumerate(cells)
        if index not in taken
        and identity not in known
        and source.strip()
        and source not in released
        and not re.match(r"\s*%%lab[ \t]", source)
    ]
    book["cells"] += _others(lab, others)
    return _written(book), fault


def _release(lab: Lab) -> Book:
    book: Book = json.loads(notebook.build(lab))
    return book


def _written(book: Book) -> bytes:
    return (json.dumps(book, indent=1, ensure_ascii=False) + "\n").encode()


def _source(cell: Book) -> str:
    return "".join(cell["source"])


def _identity(cell: Book) -> str:
    identity = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
    return str(identity)


def _put(cell: Book, text: str) -> None:
    cell["source"] = _lines(text)


def _lines(text: str) -> list[str]:
    """A cell's text as notebooks have it; lone surrogates, which UTF-8 cannot write, as backslashes."""
    return re.findall(r"[^\n]*\n|[^\n]+", text.encode(errors="backslashreplace").decode())


def _put_files(lab: Lab, book: Book, files: dict[str, bytes], where: Path) -> None:
    """Put the program into the file's cell; of several the one that was worked on comes from `notebook.files`."""
    names = [name for name in lab.files.values() if name in files]
    if not names:
        raise Fault(
            "holds no program of the lab", where=where, cure=f"hand in {' or '.join(lab.files.values())}"
        )
    places = {notebook.grade_id(lab, name) for name in lab.files.values()}
    cell = next(cell for cell in book["cells"] if _identity(cell) in places)
    released = _source(cell).partition("\n")[2].encode()
    worked = [name for name in names if files[name] != released] or names
    try:
        text = files[worked[0]].decode()
    except UnicodeDecodeError:
        raise Fault(
            f"{worked[0]} is not UTF-8 text", where=where, cure="save it as UTF-8 and hand it in again"
        ) from None
    _put(cell, f"%%lab {worked[0]}\n{text}")


def _put_answers(lab: Lab, book: Book, cells: list[tuple[str, str, str]], released: set[str]) -> set[int]:
    """Put each answer into its cell; gives the places where they stood.

    An answer is known by its cell's grade id, its pieces joined; where the metadata is gone, by standing
    after its question.
    """
    taken: set[int] = set()
    for part in brief.read(lab):
        if part.kind != "question":
            continue
        identity = f"{lab.slug}-question-{part.name}"
        cell = next(cell for cell in book["cells"] if _identity(cell) == identity)
        own = [index for index, (_, grade_id, _) in enumerate(cells) if grade_id == identity]
        if not own:
            question = next(_source(c) for c in book["cells"] if _identity(c) == f"{identity}-text")
            own = _after(question, cells, released)
        texts = list(dict.fromkeys(cells[index][2] for index in own))
        worked = [text for text in texts if text.strip() and text.strip() != _NO_ANSWER]
        if worked:
            _put(cell, "\n\n".join(worked))
        taken |= set(own)
    return taken


def _after(question: str, cells: list[tuple[str, str, str]], released: set[str]) -> list[int]:
    """The cell after a question, unless it is one of the lab's own."""
    for index, (_, _, source) in enumerate(cells[:-1]):
        if source.strip() == question.strip() and cells[index + 1][2] not in released:
            return [index + 1]
    return []


def _others(lab: Lab, sources: list[str]) -> list[Book]:
    """What the student wrote besides, as text that nobody runs."""
    if not sources:
        return []
    cells = [_text(f"{lab.slug}-others", "## Other cells of this submission")]
    size = 0
    for number, source in enumerate(sources[:_MOST_OTHERS], 1):
        size += len(source)
        if size > _MOST_OTHER_BYTES:
            break
        longest = max((len(run) for run in re.findall("`+", source)), default=0)
        fence = "`" * max(3, longest + 1)
        cells.append(_text(f"{lab.slug}-other-{number}", f"{fence}text\n{source}\n{fence}"))
    if len(cells) - 1 < len(sources):
        left = len(sources) - len(cells) + 1
        cells.append(_text(f"{lab.slug}-others-left", f"({left} more cells are not shown)"))
    return cells


def _text(identity: str, source: str) -> Book:
    return {
        "cell_type": "markdown",
        "id": identity,
        "metadata": {},
        "source": _lines(source),
    }
