"""Reports as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reports import REPORTS

from grader.model import Fault
from grader.reporting import store


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_reads_what_it_wrote(name: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ada.json"
    store.write(REPORTS[name], path)
    assert store.read(path) == REPORTS[name]
    assert [each.name for each in path.parent.iterdir()] == ["ada.json"]


def test_is_json_that_people_can_read(tmp_path: Path) -> None:
    store.write(REPORTS["hung"], tmp_path / "ada.json")
    data = json.loads((tmp_path / "ada.json").read_text())
    assert data["format_version"] == 1
    assert data["checks"][1]["diagnosis"]["slug"] == "write-end-left-open"
    assert len((tmp_path / "ada.json").read_text().splitlines()) > 50


@pytest.mark.parametrize(
    ("content", "words", "cure"),
    [
        ("{", "the JSON is broken", "grade the submission again"),
        ("[]", "not a report", "grade the submission again"),
        ('{"format_version": 99}', "format_version: this is format 99", "install the newer proclab"),
        ('{"format_version": 0}', "format_version: this is format 0", "grade the submission again"),
        ('{"format_version": 1}', "missing required field", "grade the submission again"),
    ],
)
def test_says_what_is_wrong_with_a_file(content: str, words: str, cure: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(Fault, match=r"x\.json") as caught:
        store.read(path)
    assert words in str(caught.value)
    assert cure in caught.value.cure


def test_names_the_key_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    data = json.loads(store.encoded(REPORTS["hung"]))
    data["checks"][1]["verdict"] = "excellent"
    path.write_text(json.dumps(data))
    with pytest.raises(Fault) as caught:
        store.read(path)
    assert caught.value.key is not None
    assert caught.value.key.endswith("verdict")


def test_says_that_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="No such file"):
        store.read(tmp_path / "nobody.json")


def test_keeps_the_old_file_if_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where a folder should be")
    with pytest.raises(Fault, match="cannot be written"):
        store.write(REPORTS["hung"], tmp_path / "folder" / "ada.json")
    assert (tmp_path / "folder").read_text() == "a file where a folder should be"
