"""What an instructor writes wrong in TOML, and what is said about it: file, key, cure."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grader.content import course as courses
from grader.content import lab as labs
from grader.content import toml
from grader.content.course import Course
from grader.model import Fault, Language, Limits, Value

Refused = Callable[..., AbstractContextManager[None]]

GOOD = 'title = "An echo"\n[files]\npython = "echo.py"\n'


# ---------------------------------------------------------------- lab.toml


def test_a_lab_becomes_a_value(root: Path) -> None:
    lab = labs.load(root)
    assert (lab.slug, lab.title, lab.files) == ("echo", "An echo", {Language.PYTHON: "echo.py"})
    assert [check.name for check in lab.checks] == ["test_copies", "test_answers", "test_copies_secrets"]
    assert [check.hidden for check in lab.checks] == [False, False, True]
    assert lab.own_diagnoses == ("not-loud-enough",)
    assert {"not-loud-enough", "write-end-left-open"} <= lab.diagnoses.keys()
    assert lab.limits == Limits()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("title", "titel"), ("titel: unknown key", "did you mean title?")),
        (GOOD + "[limits]\ncpus_s = 3\n", ("limits.cpus_s: unknown key", "did you mean cpu_s?")),
        (GOOD + "[limits]\nzebra = 3\n", ("limits.zebra: unknown key", "known here: cpu_s, memory_mib")),
        (GOOD + '[limits]\ncpu_s = "3"\n', ("limits.cpu_s: ", "int", "str")),
        (GOOD + "[limits]\ncpu_s = 0\n", ("limits.cpu_s: ", "above 0")),
        (GOOD + "[limits]\noutput_mib = -1\n", ("limits.output_mib: ", "above 0")),
        (GOOD.replace('"echo.py"', "3"), ("files.python: ", "str", "int")),
        ("objectives = 3\n" + GOOD, ("objectives: ", "array", "int")),
        ("objectives = ['a', 3]\n" + GOOD, ("objectives[1]: ", "str", "int")),
        ("files = 3\ntitle = 'x'\n", ("files: ", "table", "int")),
        ('title = "x"\n', ("files: is missing", "add it: files = ...")),
        ('title = "x"\n[files]\n', ("files: names no file", 'write python = "echo.py"')),
        (GOOD.replace("echo.py", "cat.py"), ("files.python: is 'cat.py'", "write 'echo.py'")),
        (GOOD.replace("python", "rust"), ("files.rust: is no language", "python and c are")),
        (GOOD + "[diagnoses.Bad_Slug]\n", ("diagnoses.Bad_Slug: is not kebab-case", "write-end-left-open")),
        (GOOD + "[diagnoses.a-b]\ntitle = 'x'\n", ("diagnoses.a-b.why: is missing", "add it: why")),
        (GOOD + "[diagnoses.a-b]\ntitel = 'x'\n", ("diagnoses.a-b.titel: unknown key", "did you mean title?")),
        (GOOD + "[diagnoses]\na-b = 3\n", ("diagnoses.a-b: ", "table", "int")),
        (
            GOOD + "[diagnoses.write-end-left-open]\ntitle = 'x'\nwhy = 'x'\ncure = 'x'\n",
            ("diagnoses.write-end-left-open: is a diagnosis that all labs share", "rename it"),
        ),
        ("title = \n", ("is not TOML", "line 1", "mend that line")),
        ("x = " + "[" * 100_000, ("is not TOML", "mend")),
        ("\ufeff" + GOOD, ("byte order mark", "save it as UTF-8 without")),
    ],
)  # fmt: skip
def test_a_wrong_lab_toml_is_refused(root: Path, refused: Refused, text: str, words: tuple[str, ...]) -> None:
    (root / "lab.toml").write_text(text)
    with refused(root / "lab.toml", *words):
        labs.load(root)


def test_a_lab_toml_that_is_not_utf8_is_refused(root: Path, refused: Refused) -> None:
    (root / "lab.toml").write_bytes(b'title = "\xe9"')
    with refused(root / "lab.toml", "is not UTF-8 text (byte 9)", "save it as UTF-8"):
        labs.load(root)


@pytest.mark.parametrize("name", ["lab.toml", "checks.py"])
def test_a_missing_file_is_named(root: Path, refused: Refused, name: str) -> None:
    (root / name).unlink()
    with refused(f"{root / name}: is missing"):
        labs.load(root)


@pytest.mark.parametrize("name", ["lab.toml", "checks.py", "hidden.py"])
def test_a_folder_in_the_place_of_a_file_is_named(root: Path, refused: Refused, name: str) -> None:
    (root / name).unlink()
    (root / name).mkdir()
    with refused(root / name, "cannot be read: Is a directory"):
        labs.load(root)


def test_a_missing_solution_is_named(root: Path, refused: Refused) -> None:
    (root / "solution" / "echo.py").unlink()
    with refused(root / "solution" / "echo.py", "is missing", "take python out of [files]"):
        labs.solutions(labs.load(root))


def test_a_name_in_both_check_files_is_refused(root: Path, refused: Refused) -> None:
    (root / "hidden.py").write_text((root / "checks.py").read_text())
    with refused("test_copies: occurs in checks.py and in hidden.py", "rename one of them"):
        labs.load(root)


@pytest.mark.parametrize("name", ["Echo", "my-lab", "1st", "ecHo", "é"])
def test_a_folder_with_a_strange_name_is_refused(root: Path, refused: Refused, name: str) -> None:
    root.rename(root.parent / name)
    with refused(root.parent / name, "lower case", "rename the folder"):
        labs.load(root.parent / name)


def test_a_version_follows_all_that_a_verdict_depends_on(root: Path) -> None:
    versions = [labs.load(root).version]
    for name in ("lab.toml", "checks.py", "hidden.py"):
        with open(root / name, "a") as file:
            file.write("# more\n")
        versions.append(labs.load(root).version)
    (root / "hidden.py").unlink()
    versions.append(labs.load(root).version)
    assert len(set(versions)) == 5
    (root / "brief.md").write_text("other words")
    assert labs.load(root).version == versions[-1]


# ---------------------------------------------------------------- variants


def test_variants_are_files_or_folders(root: Path) -> None:
    folder = root / "variants" / "by_make"
    folder.mkdir()
    (folder / "Makefile").write_text("echo:\n\tcp x echo\n")
    (root / "variants" / "__pycache__").mkdir()
    (root / "variants" / ".hidden").write_text("")
    found = {each.student: each for each in labs.variants(labs.load(root))}
    assert list(found) == ["by_make", "unbuffered"]
    assert found["by_make"].language is Language.EXECUTABLE
    assert found["unbuffered"].entry == "echo.py"


@pytest.mark.parametrize("name", ["README.md", "other.c"])
def test_a_variant_that_is_no_program_is_refused(root: Path, refused: Refused, name: str) -> None:
    (root / "variants" / name).write_text("")
    with refused(root / "variants" / name, "is no program of this lab", "name it NAME.py"):
        labs.variants(labs.load(root))


# ---------------------------------------------------------------- course.toml


def test_a_course_is_found_from_below(course: Course, root: Path) -> None:
    assert courses.find(root / "solution") == course
    assert course.slugs == ("echo",)


def test_the_environment_names_a_course(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROCLAB_COURSE", str(course.root))
    assert courses.find() == course


def test_a_named_folder_goes_before_the_environment(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCLAB_COURSE", str(tmp_path))
    assert courses.find(course.root) == course


def test_a_folder_outside_of_any_course_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path, "there is no course here", "PROCLAB_COURSE"):
        courses.find(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", ".", "x" * 5000])
def test_a_wrong_proclab_course_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROCLAB_COURSE", str(tmp_path / name))
    with refused(tmp_path, "PROCLAB_COURSE: ", "labs/course.toml", "unset"):
        courses.find()


def test_a_folder_that_is_gone_is_no_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    with refused("current folder", "cd"):
        courses.find()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labs = []\n", ("title: is missing",)),
        ("title = 'x'\nlab = []\n", ("lab: unknown key", "did you mean labs?")),
        ("title = 'x'\nlabs = 'echo'\n", ("labs: ", "array", "str")),
        ("title = 'x'\nlabs = ['echo', 7]\n", ("labs[1]: ", "str", "int")),
        ("title = 'x'\nlabs = ['echo', 'echo']\n", ("labs[1]: 'echo' occurs twice",)),
        ("title = 'x'\nlabs = ['../echo']\n", ("labs[0]: '../echo' is no name of a lab",)),
        ("title = 'x'\nlabs = ['']\n", ("labs[0]: '' is no name of a lab",)),
        ("title = 'x'\nlabs = ['echo\"]\n", ("is not TOML",)),
    ],
)
def test_a_wrong_course_toml_is_refused(
    course: Course, refused: Refused, text: str, words: tuple[str, ...]
) -> None:
    path = course.root / "labs" / "course.toml"
    path.write_text(text)
    with refused(path, *words):
        courses.find(course.root)


def test_an_unknown_lab_is_answered_with_the_nearest(course: Course, refused: Refused) -> None:
    with refused("there is no lab named 'ecko'", "did you mean echo? the labs are: echo"):
        courses.load_lab(course, "ecko")


def test_a_listed_lab_without_a_folder_is_refused(course: Course, root: Path, refused: Refused) -> None:
    root.rename(root.parent / "moved")
    with refused(root, "there is no such lab"):
        courses.load_lab(course, "echo")


# ---------------------------------------------------------------- toml


class Inner(Value, frozen=True, kw_only=True):
    word: str = ""


class Outer(Value, frozen=True, kw_only=True):
    one: Inner | None = None
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = {}  # noqa: RUF012 (msgspec copies it)
    words: dict[str, dict[str, str]] = {}  # noqa: RUF012


@pytest.mark.parametrize(
    ("data", "key", "cure"),
    [
        ({"one": {"wort": "x"}}, "top.one.wort", "did you mean word?"),
        ({"many": [{}, {"wort": "x"}]}, "top.many[1].wort", "did you mean word?"),
        ({"named": {"a": {}, "b": {"wort": "x"}}}, "top.named.b.wort", "did you mean word?"),
        ({"named": {"a": {}, "b": {"word": 1}}}, "top.named.b.word", "change"),
        ({"words": {"a": {"b": "x", "c": 1}}}, "top.words.a.c", "change"),
        ({"words": {"a.b": {"c": 1}}}, 'top.words."a.b".c', "change"),
    ],
)
def test_the_path_to_a_key_is_whole(tmp_path: Path, data: object, key: str, cure: str) -> None:
    with pytest.raises(Fault) as caught:
        toml.convert(data, Outer, tmp_path / "x.toml", "top")
    assert (caught.value.key, caught.value.where) == (key, tmp_path / "x.toml")
    assert cure in caught.value.cure
