"""What a student hands in, in every form that was ever seen, and in some that were meant to harm."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
from courses import RIGHT
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.content import lab as labs
from grader.content import notebook, submission
from grader.model import Fault, Lab, Language, SourceFile

Refused = Callable[..., AbstractContextManager[None]]
CURE = "hand in one of: echo.py, an executable echo, echo.ipynb"


def put(folder: Path, **contents: str | bytes) -> Path:
    """Files in a folder; ``__`` in a name stands for a slash, ``_`` before the last part for the dot."""
    for name, data in contents.items():
        path = folder / name.replace("__", "/").replace("_py", ".py").replace("_c", ".c").replace(
            "_txt", ".txt"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def skeleton(lab: Lab, language: Language) -> bytes:
    return next(each for each in labs.skeletons(lab) if each.language is language).files[0].data


# ---------------------------------------------------------------- forms


def test_a_folder(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "ada", echo_py=RIGHT, notes_txt="x", lib__more_py="")
    (tmp_path / "ada" / "notes.txt").chmod(0o755)
    found = submission.read(tmp_path / "ada", lab)
    assert (found.student, found.origin, found.entry) == ("ada", str(tmp_path / "ada"), "echo.py")
    assert found.language is Language.PYTHON
    assert [(file.path, file.executable) for file in found.files] == [
        ("echo.py", False), ("lib/more.py", False), ("notes.txt", True),
    ]  # fmt: skip
    assert found.notices == ()


def test_an_archive(lab: Lab, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ada.ZIP", "w") as file:
        file.writestr("ada/echo.py", RIGHT)
    found = submission.read(tmp_path / "ada.ZIP", lab)
    assert (found.student, found.entry, found.files[0].data) == ("ada", "echo.py", RIGHT.encode())


@pytest.mark.parametrize("name", ["ada.ipynb", "ada.IPYNB"])
def test_a_notebook(lab: Lab, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(notebook.build(lab))
    found = submission.read(tmp_path / name, lab)
    assert (found.student, found.entry) == ("ada", "echo.py")
    assert found.files == (SourceFile(path="echo.py", data=skeleton(lab, Language.PYTHON)),)


def test_a_notebook_in_a_folder(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "ada", letter_txt="Dear grader")
    (tmp_path / "ada" / "any name.ipynb").write_bytes(notebook.build(lab))
    assert submission.read(tmp_path / "ada", lab).entry == "echo.py"


def test_two_notebooks_are_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    for name in ("a.ipynb", "b.ipynb"):
        (tmp_path / name).write_bytes(notebook.build(lab))
    with refused(tmp_path, "holds 2 notebooks: a.ipynb, b.ipynb", "hand in the one"):
        submission.read(tmp_path, lab)


@pytest.mark.parametrize("name", ["echo.py", "ada.py", "My Lab (final) 2.py", "ada.PY", "é.py"])
def test_a_source_file_of_any_name(lab: Lab, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(RIGHT)
    found = submission.read(tmp_path / name, lab)
    assert (found.student, found.language, found.entry) == (name[:-3], Language.PYTHON, "echo.py")
    assert found.files == (SourceFile(path="echo.py", data=RIGHT.encode()),)


def test_a_c_file_of_any_name(both: Lab, tmp_path: Path) -> None:
    (tmp_path / "ada.c").write_text("int main(void) {}\n")
    found = submission.read(tmp_path / "ada.c", both)
    assert (found.language, found.entry) == (Language.C, "echo.c")


@pytest.mark.parametrize("data", [b"#!/bin/sh\nexec cat\n", b"\x7fELF\x02"])
def test_an_executable_of_any_name(lab: Lab, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ada.out").write_bytes(data)
    found = submission.read(tmp_path / "ada.out", lab)
    assert (found.language, found.entry) == (Language.EXECUTABLE, "echo")
    assert found.files == (SourceFile(path="echo", data=data, executable=True),)


@pytest.mark.parametrize("name", ["Makefile", "echo"])
def test_a_folder_that_makes_or_holds_an_executable(lab: Lab, tmp_path: Path, name: str) -> None:
    put(tmp_path / "ada", main_c="int main(void) {}")
    (tmp_path / "ada" / name).write_text("echo:\n")
    found = submission.read(tmp_path / "ada", lab)
    assert (found.language, found.entry) == (Language.EXECUTABLE, "echo")


def test_a_single_source_of_another_name_is_taken_with_a_notice(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "ada", src__main_py=RIGHT, letter_txt="x", src__data_txt="y")
    found = submission.read(tmp_path / "ada", lab)
    assert [file.path for file in found.files] == ["echo.py", "letter.txt", "src/data.txt"]
    assert found.notices == ("'src/main.py' was taken for echo.py",)


def test_single_folders_in_folders_are_looked_through(lab: Lab, tmp_path: Path) -> None:
    put(
        tmp_path / "ada",
        work__lab__echo_py=RIGHT,
        work__lab__lib__a_py="",
        __MACOSX__x="",
        **{"work__.DS_Store": ""},
    )
    (tmp_path / "ada" / "empty").mkdir()
    found = submission.read(tmp_path / "ada", lab)
    assert [file.path for file in found.files] == ["echo.py", "lib/a.py"]


def test_bytes_that_are_not_utf8_are_handed_on(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "ada", echo_py=b"# -*- coding: latin-1 -*-\n# \xe9\0\r\n")
    assert submission.read(tmp_path / "ada", lab).files[0].data.endswith(b"# \xe9\0\r\n")


def test_names_that_are_not_utf8_become_such(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "ada", echo_py=RIGHT)
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/ada/\xe9.txt"))).write_text("x")
    found = submission.read(tmp_path / "ada", lab)
    assert [file.path for file in found.files] == ["echo.py", "é.txt"]
    msgspec.json.encode(found)


def test_the_folder_where_one_stands_has_a_name(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(put(tmp_path / "ada", echo_py=RIGHT))
    assert submission.read(Path(), lab).student == "ada"


def test_somebody_else_may_name_the_student(lab: Lab, tmp_path: Path) -> None:
    assert submission.read(put(tmp_path / "x", echo_py=""), lab, "ada").student == "ada"


# ---------------------------------------------------------------- several programs


def test_a_source_that_is_still_the_skeleton_gives_way(both: Lab, tmp_path: Path) -> None:
    put(tmp_path / "a", echo_py=RIGHT, echo_c=skeleton(both, Language.C))
    assert submission.read(tmp_path / "a", both).entry == "echo.py"
    put(tmp_path / "b", echo_py=skeleton(both, Language.PYTHON), echo_c="int main(void) {}\n")
    assert submission.read(tmp_path / "b", both).entry == "echo.c"


def test_windows_line_ends_are_no_work(both: Lab, tmp_path: Path) -> None:
    put(tmp_path, echo_py=RIGHT, echo_c=skeleton(both, Language.C).replace(b"\n", b"\r\n"))
    assert submission.read(tmp_path, both).entry == "echo.py"


@pytest.mark.parametrize("changed", [True, False])
def test_two_programs_are_refused(both: Lab, tmp_path: Path, refused: Refused, changed: bool) -> None:
    more = b"\n" if changed else b""
    put(tmp_path, echo_py=skeleton(both, Language.PYTHON) + more, echo_c=skeleton(both, Language.C) + more)
    with refused(
        tmp_path, "echo.c and echo.py: two programs" if changed else "two programs", "hand in the one"
    ):
        submission.read(tmp_path, both)


# ---------------------------------------------------------------- a working folder, an export


def filled(lab: Lab, source: str) -> str:
    """The lab's notebook with a program in its cell."""
    book = json.loads(notebook.build(lab))
    for cell in book["cells"]:
        if cell["metadata"]["nbgrader"]["grade_id"] == notebook.grade_id(lab, "echo.py"):
            cell["source"] = f"%%lab echo.py\n{source}"
    return json.dumps(book)


def test_the_folder_that_holds_the_program_becomes_the_submission(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path, src__lab__echo_py=RIGHT, src__lab__more_py="x", src__other_py="y", notes_txt="z")
    found = submission.read(tmp_path, lab)
    assert [file.path for file in found.files] == ["echo.py", "more.py"]
    assert found.notices == ("the program lies in 'src/lab'; what lies elsewhere was passed over",)


def test_a_program_at_the_top_goes_before_those_below(lab: Lab, tmp_path: Path) -> None:
    found = submission.read(put(tmp_path, echo_py=RIGHT, old__echo_py="x"), lab)
    assert found.files[0] == SourceFile(path="echo.py", data=RIGHT.encode())
    assert found.notices == ()


def test_a_makefile_at_the_top_goes_before_programs_below(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path, src__echo_py=RIGHT)
    (tmp_path / "makefile").write_text("echo:\n")
    assert submission.read(tmp_path, lab).language is Language.EXECUTABLE


def test_programs_in_two_folders_are_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path, "holds several programs: new/echo.py, old/echo.py", "hand in the one"):
        submission.read(put(tmp_path, new__echo_py="1", old__echo_py="2"), lab)


def test_a_whole_release_holds_the_program_that_was_worked_on(both: Lab, tmp_path: Path) -> None:
    put(
        tmp_path,
        skeletons__echo__echo_py=skeleton(both, Language.PYTHON),
        skeletons__echo__echo_c="int main(void) {}\n",
        labs__echo__checks_py="",
    )
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "echo.ipynb").write_bytes(notebook.build(both))
    (tmp_path / "notebooks" / "fifo.ipynb").write_text("{}")
    assert submission.read(tmp_path, both).entry == "echo.c"


def test_a_whole_release_may_hold_the_work_in_its_notebook(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path, skeletons__echo__echo_py=skeleton(lab, Language.PYTHON))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "echo.ipynb").write_text(filled(lab, RIGHT))
    (tmp_path / "notebooks" / "fifo.ipynb").write_text("{}")
    assert submission.read(tmp_path, lab).files == (SourceFile(path="echo.py", data=RIGHT.encode()),)


def test_a_release_without_work_is_graded_as_such(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path, skeletons__echo__echo_py=skeleton(lab, Language.PYTHON), labs__echo__checks_py="")
    assert submission.read(tmp_path, lab).files[0].data == skeleton(lab, Language.PYTHON)


@pytest.mark.parametrize("name", ["echo.zip", "My work.ZIP"])
def test_an_archive_in_a_students_folder_is_unpacked(lab: Lab, tmp_path: Path, name: str) -> None:
    put(tmp_path / "ada", letter_txt="Dear grader")
    with zipfile.ZipFile(tmp_path / "ada" / name, "w") as file:
        file.writestr("work/echo.py", RIGHT)
    found = submission.read(tmp_path / "ada", lab)
    assert found.student == "ada"
    assert found.files == (SourceFile(path="echo.py", data=RIGHT.encode()),)
    assert found.notices == (f"{name!r} was unpacked",)


def test_an_archive_beside_a_program_is_only_a_file(lab: Lab, tmp_path: Path) -> None:
    found = submission.read(put(tmp_path, echo_py=RIGHT, **{"old.zip": b"no archive at all"}), lab)
    assert found.entry == "echo.py"


def test_archives_in_archives_are_opened(lab: Lab, tmp_path: Path) -> None:
    inner = b""
    for depth, content in enumerate(("echo.py", "in.zip", "in.zip")):
        with zipfile.ZipFile(tmp_path / f"{depth}.zip", "w") as file:
            file.writestr(f"work/{content}", inner or RIGHT)
        inner = (tmp_path / f"{depth}.zip").read_bytes()
    found = submission.read(tmp_path / "2.zip", lab)
    assert found.files == (SourceFile(path="echo.py", data=RIGHT.encode()),)
    assert found.notices == ("'in.zip' was unpacked", "'in.zip' was unpacked")


def test_archives_are_not_opened_without_end(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    inner = RIGHT.encode()
    for depth in range(6):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr("in.zip" if depth else "echo.py", inner)
        inner = (tmp_path / "a.zip").read_bytes()
    with refused("holds no program of echo; it holds: in.zip", "was unpacked", CURE):
        submission.read(tmp_path / "a.zip", lab)


def test_a_damaged_archive_in_an_archive_is_named(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("in.zip", b"PK no")
    with refused("a.zip/in.zip: cannot be unpacked", "pack it again"):
        submission.read(tmp_path / "a.zip", lab)


def test_an_archive_beside_a_program_in_an_archive_stays_closed(lab: Lab, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("echo.py", RIGHT)
        file.writestr("old.zip", b"x")
    assert submission.read(tmp_path / "a.zip", lab).notices == (
        "'old.zip' is an archive inside the archive; it was not opened",
    )


# ---------------------------------------------------------------- one student's parts of an export

PARTS = [
    (
        [("ada_1_2_echo.py", "echo.py"), ("ada_1_3_lib.py", "lib.py"), ("gone", "gone")],
        {"echo.py", "lib.py"},
        [],
    ),
    ([("ada_1_2_echo.py", "mine.py")], {"echo.py"}, ["'mine.py' was taken for echo.py"]),
    ([("bob_1_4_run", "run")], {"echo"}, []),
    ([("eve", "")], {"echo.py", "lib/a.py"}, []),
    ([("zoe_1_5_work.zip", "work.zip")], {"echo.py"}, ["'work.zip' was unpacked"]),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("parts", "names", "notices"), PARTS)
def test_a_submission_may_be_a_part_of_an_export(
    lab: Lab, tmp_path: Path, parts: list[tuple[str, str]], names: set[str], notices: list[str], packed: bool
) -> None:
    folder = put(
        tmp_path / "class", **{"ada_1_2_echo.py": RIGHT, "ada_1_3_lib.py": "", "bob_1_4_run": "#!/bin/sh\ncat\n"},
        eve__work__echo_py=RIGHT, eve__work__lib__a_py="",
    )  # fmt: skip
    with zipfile.ZipFile(folder / "zoe_1_5_work.zip", "w") as file:
        file.writestr("work/echo.py", RIGHT)
    path = folder
    if packed:
        path = tmp_path / "class.zip"
        with zipfile.ZipFile(path, "w") as file:
            for each in folder.rglob("*"):
                file.write(each, each.relative_to(folder))
    found = submission.read(path, lab, "somebody", parts)
    assert {file.path for file in found.files} == names
    kept = [notice for notice in found.notices if "gone" not in notice]
    assert kept == notices


def test_two_archives_are_not_guessed_at(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused("it holds: a.zip, b.zip", CURE):
        submission.read(put(tmp_path, **{"a.zip": b"", "b.zip": b""}), lab)


@pytest.mark.parametrize("litter", [".venv", "venv", "node_modules", ".git", "__pycache__"])
def test_environments_do_not_fill_a_submission(lab: Lab, tmp_path: Path, litter: str) -> None:
    put(tmp_path, echo_py=RIGHT)
    (tmp_path / litter).mkdir()
    for number in range(201):
        (tmp_path / litter / f"{number}.py").touch()
    assert [file.path for file in submission.read(tmp_path, lab).files] == ["echo.py"]


# ---------------------------------------------------------------- a notebook beside the file that it saved


def beside(lab: Lab, folder: Path, book: str, saved: str | bytes) -> tuple[bytes, tuple[str, ...]]:
    """What counts of a notebook and a file, and what is said about it."""
    put(folder, echo_py=saved)
    (folder / "echo.ipynb").write_text(book)
    found = submission.read(folder, lab)
    assert found.entry == "echo.py"
    return next(file.data for file in found.files if file.path == "echo.py"), found.notices


def test_a_notebook_beside_the_file_that_it_saved_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    assert beside(lab, tmp_path, filled(lab, RIGHT), RIGHT) == (RIGHT.encode(), ())


def test_a_cell_that_was_changed_after_it_was_run_counts(lab: Lab, tmp_path: Path) -> None:
    data, notices = beside(lab, tmp_path, filled(lab, RIGHT), "an older state\n")
    assert data == RIGHT.encode()
    assert notices == ("echo.py differs from its cell in 'echo.ipynb'; the cell counts",)


def test_a_notebook_that_nobody_touched_gives_way_to_the_file(lab: Lab, tmp_path: Path) -> None:
    assert beside(lab, tmp_path, notebook.build(lab).decode(), RIGHT) == (RIGHT.encode(), ())


def test_a_file_that_nobody_touched_gives_way_to_the_notebook(lab: Lab, tmp_path: Path) -> None:
    shipped = skeleton(lab, Language.PYTHON)
    assert beside(lab, tmp_path, filled(lab, RIGHT), shipped) == (RIGHT.encode(), ())


def test_a_notebook_that_cannot_be_read_does_not_harm_the_file(lab: Lab, tmp_path: Path) -> None:
    data, notices = beside(lab, tmp_path, "{", RIGHT)
    assert data == RIGHT.encode()
    assert notices == ("'echo.ipynb' was passed over: it is not a notebook",)


def test_a_worked_on_notebook_and_a_c_file_are_two_programs(
    both: Lab, tmp_path: Path, refused: Refused
) -> None:
    put(tmp_path, echo_c="int main(void) {}\n")
    (tmp_path / "echo.ipynb").write_text(filled(both, RIGHT))
    with refused("holds echo.c and echo.py: two programs"):
        submission.read(tmp_path, both)


def test_the_labs_own_notebook_goes_before_others(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "echo.ipynb").write_text(filled(lab, RIGHT))
    (tmp_path / "fifo.ipynb").write_text("{}")
    assert submission.read(tmp_path, lab).files[0].data == RIGHT.encode()


# ---------------------------------------------------------------- nothing to grade


def test_an_empty_folder_is_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path, "holds no program of echo; it holds: nothing", CURE):
        submission.read(tmp_path, lab)


def test_a_letter_is_no_program(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    put(tmp_path / "ada", letter_txt="My dog")
    with refused(tmp_path / "ada", "it holds: letter.txt", CURE):
        submission.read(tmp_path / "ada", lab)
    with refused(tmp_path / "ada" / "letter.txt", "it holds: letter.txt", CURE):
        submission.read(tmp_path / "ada" / "letter.txt", lab)


def test_two_sources_of_other_names_are_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused("it holds: a.py, b.py", CURE):
        submission.read(put(tmp_path, a_py="", b_py=""), lab)


def test_a_language_that_the_lab_lacks_is_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused("it holds: ada.c", CURE):
        submission.read(put(tmp_path, ada_c="") / "ada.c", lab)


def test_names_in_a_message_cannot_write_on_the_terminal(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "a\u202eb.txt").write_text("")
    (tmp_path / "c\x1b[2J.txt").write_text("")
    with pytest.raises(Fault) as caught:
        submission.read(tmp_path, lab)
    assert caught.value.what.isprintable()


def test_what_is_not_there_is_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    with refused(tmp_path / "nobody", "cannot be read: No such file or directory", "check the name"):
        submission.read(tmp_path / "nobody", lab)


# ---------------------------------------------------------------- hostile


def test_links_inside_are_passed_over(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path / "secret", key_txt="x")
    put(tmp_path / "ada", echo_py=RIGHT)
    (tmp_path / "ada" / "link.txt").symlink_to(tmp_path / "secret" / "key.txt")
    (tmp_path / "ada" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "ada" / "loop").symlink_to(tmp_path / "ada")
    found = submission.read(tmp_path / "ada", lab)
    assert [file.path for file in found.files] == ["echo.py"]
    assert found.notices == tuple(
        f"{name!r} was passed over: it is a link or a device, not a file"
        for name in ("folder", "loop", "link.txt")
    )


def test_a_program_that_is_a_link_is_no_program(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "echo.py").symlink_to("/etc/passwd")
    with refused("holds no program of echo; it holds: nothing ('echo.py' was passed over: it is a link"):
        submission.read(tmp_path, lab)


@pytest.mark.parametrize("name", ["echo.py", "pipe"])
def test_a_fifo_inside_is_not_opened(lab: Lab, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    put(tmp_path, more_py=RIGHT)
    found = submission.read(tmp_path, lab)
    assert found.files == (SourceFile(path="echo.py", data=RIGHT.encode()),)
    assert f"{name!r} was passed over: it is a link or a device, not a file" in found.notices


def test_a_fifo_that_takes_a_files_place_in_time_does_not_block(tmp_path: Path) -> None:
    """Between lstat and open anything may happen: O_NONBLOCK holds even then."""
    os.mkfifo(tmp_path / "echo.py")
    with pytest.raises(Fault, match="is no regular file"):
        submission._bytes(tmp_path / "echo.py")


def test_a_fifo_is_no_submission(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    os.mkfifo(tmp_path / "ada.py")
    with refused(tmp_path / "ada.py", "is neither a file nor a folder", "hand in"):
        submission.read(tmp_path / "ada.py", lab)


@pytest.mark.parametrize("target", [".", "nowhere", "/etc/passwd"])
def test_a_link_is_no_submission(lab: Lab, tmp_path: Path, refused: Refused, target: str) -> None:
    (tmp_path / "ada").symlink_to(target)
    with refused(tmp_path / "ada", "is a symbolic link", "hand in the file itself"):
        submission.read(tmp_path / "ada", lab)


@pytest.mark.parametrize("name", ["ada.py", "ada/echo.py"])
def test_a_huge_file_is_refused(lab: Lab, tmp_path: Path, refused: Refused, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # sparse
    with refused(path, "is larger than 16 MiB", "hand in the source alone"):
        submission.read(tmp_path / name.partition("/")[0], lab)


def test_too_many_files_are_refused(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    for number in range(201):
        (tmp_path / str(number)).touch()
    with refused(tmp_path, "holds more than 200 files", "hand in the source files alone"):
        submission.read(tmp_path, lab)


def test_folders_deep_in_each_other_are_looked_into_no_further(lab: Lab, tmp_path: Path) -> None:
    put(tmp_path, echo_py=RIGHT)
    (tmp_path / ("d/" * 250)).mkdir(parents=True)  # not too deep for pytest to take them away again
    found = submission.read(tmp_path, lab)
    assert [file.path for file in found.files] == ["echo.py"]
    assert any(
        "was passed over: the name leads out of the folder, or no file can have it" in n
        for n in found.notices
    )


def test_notices_do_not_bury_the_report(lab: Lab, tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"link{number:03}").symlink_to("x")
    found = submission.read(put(tmp_path, echo_py=RIGHT), lab)
    assert len(found.notices) == 21
    assert found.notices[-1] == "and 480 more"


def test_no_file_of_a_submission_is_a_folder_too(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    """What is taken for the program gets its name, which is taken here."""
    put(tmp_path, a__main_py=RIGHT)
    (tmp_path / "echo.py").mkdir()
    (tmp_path / "echo.py" / "x.txt").touch()
    with refused(tmp_path, "'echo.py' is a folder", "rename"):
        submission.read(tmp_path, lab)


def test_a_folder_that_may_not_be_read_is_refused(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    """As root nothing is forbidden, so the refusal is made by hand."""
    put(tmp_path, echo_py=RIGHT, closed__x_py="")
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as patched, refused(tmp_path / "closed", "cannot be read: Permission denied"):
        patched.setattr(os, "scandir", closed)
        submission.read(tmp_path, lab)


PLACES = st.lists(st.sampled_from(["a", "src", "echo", "skeletons"]), max_size=2).map(
    lambda each: [*each, ""]
)
NAMES = st.sampled_from(
    ["echo.py", "echo.c", "echo", "echo.ipynb", "b.ipynb", "Makefile", "main.py", "x.zip", "x.txt"]
)


@settings(deadline=None)
@given(st.data())
def test_any_folder_is_read_or_refused(both: Lab, data: st.DataObject) -> None:
    """And whatever is read has a program among its files, or something that makes it."""
    contents = st.sampled_from(
        [b"", b"x\n", b"#!/bin/sh\n", notebook.build(both), filled(both, RIGHT).encode()]
        + [each.files[0].data for each in labs.skeletons(both)]
    )
    tree = data.draw(st.dictionaries(st.builds(lambda p, n: "/".join(p) + n, PLACES, NAMES), contents))
    with tempfile.TemporaryDirectory() as top:
        for name, content in tree.items():
            path = Path(top, "ada", name)
            if not any(parent.is_file() for parent in path.parents) and not path.exists():
                put(path.parent, **{path.name: content})
        Path(top, "ada").mkdir(exist_ok=True)
        try:
            found = submission.read(Path(top, "ada"), both)
        except Fault as fault:
            assert fault.cure  # noqa: PT017
            return
    names = {file.path for file in found.files}
    assert found.entry in names or "Makefile" in names
    assert len(names) == len(found.files)


# ---------------------------------------------------------------- version


def test_a_version_changes_with_content_and_with_nothing_else(lab: Lab, tmp_path: Path) -> None:
    first = submission.read(put(tmp_path / "ada", echo_py=RIGHT, lib__a_py="x"), lab)
    put(tmp_path / "bob", lib__a_py="x")
    second = submission.read(put(tmp_path / "bob", echo_py=RIGHT), lab, "somebody")
    os.utime(tmp_path / "bob" / "echo.py", (1, 1))
    same = msgspec.structs.replace(submission.read(tmp_path / "bob", lab), notices=("x",), origin="elsewhere")
    assert submission.version(first) == submission.version(second) == submission.version(same)
    others = [
        msgspec.structs.replace(first, files=files)
        for files in (
            first.files[:1],
            (first.files[0], SourceFile(path="lib/a.py", data=b"y")),
            (first.files[0], SourceFile(path="lib/b.py", data=b"x")),
            (first.files[0], SourceFile(path="lib/a.py", data=b"x", executable=True)),
            (first.files[0], SourceFile(path="lib/a.p", data=b"yx")),
            (),
        )
    ]
    others += [msgspec.structs.replace(first, entry="x"), msgspec.structs.replace(first, language=Language.C)]
    assert len({submission.version(each) for each in (first, *others)}) == 9


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("ada.py", "ada"), ("ada.c", "ada"), ("ada.tar.gz", "ada"), ("ada.TGZ", "ada"), ("ada.ipynb", "ada"),
        ("ada", "ada"), ("ada.b.zip", "ada.b"), (".py", ".py"), ("ada.rar", "ada.rar"),
    ],
)  # fmt: skip
def test_a_file_is_named_after_its_student(name: str, whose: str) -> None:
    assert submission.stem(Path("x") / name) == whose


def test_a_notebook_that_is_none_is_named(lab: Lab, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "ada.ipynb").write_text(json.dumps({"cells": 3}))
    with refused(tmp_path, "ada.ipynb: is not a notebook", "that Jupyter saves"):
        submission.read(tmp_path, lab)
