"""The notebook's magics in a real kernel: cells become files, and checks run beside the kernel."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from victims import ROOT

from grader.content import course, notebook
from grader.content import lab as labs

LAB = course.load_lab(course.find(ROOT), "pipeline")
SOLUTION = labs.solutions(LAB)[0].files[0].data.decode()


def _run(folder: Path, *sources: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Execute cells in a fresh kernel, in a folder of the student's; what each one printed."""
    monkeypatch.setenv("PROCLAB_COURSE", str(ROOT))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return ["".join(map(_words, cell.outputs)) for cell in book.cells]


def _words(output: nbformat.NotebookNode) -> str:
    """What an output says: printed, or the value of the cell."""
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


@pytest.mark.filterwarnings("ignore")
def test_what_was_saved_last_is_checked_whatever_the_notebook_on_disk_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front end saves the notebook now and then; ``%%lab`` saves the file at once."""
    older = notebook.build(LAB).decode().replace("YOUR CODE HERE", "SOMETHING ELSE")
    (tmp_path / "pipeline.ipynb").write_text(older)
    said = _run(
        tmp_path, "%load_ext grader", f"%%lab pipeline.py\n{SOLUTION}", "%check pipeline -k test_connects_two_stages",
        monkeypatch=monkeypatch,
    )  # fmt: skip
    assert said[2] == "2"


@pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries
def test_saves_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = _run(
        tmp_path,
        "%load_ext grader",
        f"%%lab pipeline.py\n{SOLUTION}",
        "%check pipeline -k test_connects_two_stages",
        "%%lab pipeline.py\nif True print('no')\n",
        "%%lab ../escape.py\nx",
        "%check",
        monkeypatch=monkeypatch,
    )
    assert "saved pipeline.py" in said[1]
    assert said[2] == "2"
    assert "syntax error in line 1" in said[3]
    assert "needs the name of a file" in said[4]
    assert "needs the name of a lab" in said[5]
    assert not (tmp_path.parent / "escape.py").exists()


@pytest.mark.filterwarnings("ignore")
def test_keeps_what_was_changed_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipeline.py").write_text("mine")
    said = _run(tmp_path, "%load_ext grader", "%%lab pipeline.py\nx = 1\n", monkeypatch=monkeypatch)
    assert "is now pipeline.py.bak" in said[1]
    assert (tmp_path / "pipeline.py.bak").read_text() == "mine"
    assert (tmp_path / "pipeline.py").read_text() == "x = 1\n"


@pytest.mark.filterwarnings("ignore")
def test_every_worked_example_of_the_lab_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = nbformat.reads(notebook.build(LAB).decode(), as_version=4)
    examples = [cell.source for cell in book.cells if cell.source.startswith(("%%python", "%%bash"))]
    assert examples
    try:
        said = _run(tmp_path, *examples, monkeypatch=monkeypatch)
    except CellExecutionError as error:
        pytest.fail(str(error))
    assert all(said)
