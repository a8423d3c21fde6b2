"""Exports of learning platforms, as folders and as the zip files that are downloaded: who handed in what."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from courses import RIGHT, WRONG, echo
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.classroom import exports, roster
from grader.classroom.exports import Listing
from grader.content import archive, submission
from grader.model import Fault, Lab

Files = dict[str, str | bytes]
Lay = Callable[[Path, Files], Path]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return echo(tmp_path_factory.mktemp("course"))


def as_folder(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        path = folder / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder / "export"


def as_zip(folder: Path, files: Files) -> Path:
    with zipfile.ZipFile(folder / "export.zip", "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return folder / "export.zip"


def in_a_folder(folder: Path, files: Files) -> Path:
    """With a folder of its own around all, as some unpack it."""
    as_folder(folder / "around", files)
    (folder / "around" / ".DS_Store").write_text("")
    return folder / "around"


def zip_in_a_folder(folder: Path, files: Files) -> Path:
    (folder / "downloads").mkdir()
    return as_zip(folder / "downloads", {f"assignment_1_export/{n}": d for n, d in files.items()}).parent


lays = pytest.mark.parametrize("lay", [as_folder, as_zip, in_a_folder, zip_in_a_folder])


def zipped(**files: str) -> bytes:
    import io

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, text in files.items():
            file.writestr(name.replace("_py", ".py"), text)
    return made.getvalue()


def read(path: Path, lab: Lab) -> tuple[dict[str, str], list[str], dict[str, tuple[str, ...]]]:
    """The program of each student (or the fault), what is told of the export, and of each submission."""
    found = roster.find([path], lab)
    programs, notices = {}, {}
    for entry in found.entries:
        try:
            made = submission.read(entry.path, lab, entry.student, entry.parts)
            programs[entry.student] = next(f.data for f in made.files if f.path == made.entry).decode()
            notices[entry.student] = (*entry.notices, *made.notices)
        except Fault as fault:
            programs[entry.student] = str(fault)
    return programs, [notice.rpartition("export")[2] for notice in found.notices], notices


# ---------------------------------------------------------------- Gradescope

METADATA = """\
---
submission_101:
  :submitters:
  - :name: Ada Lovelace
    :sid: '100'
    :email: ada@example.edu
  :created_at: 2026-11-01 10:00:00.000000000 Z
  :score: 3.0
  :results:
    :tests:
    - :name: evil
      :output: |
        submission_666:
          :submitters:
          - :name: Eve
  :history:
  - :id: 99
    :created_at: 2026-10-30 10:00:00.000000000 Z
    :submitters:
    - :name: Not Ada
submission_102:
  :submitters:
  - :name: "Jos\\u00e9 \\"Pepe\\" N."
    :sid:
    :email: jose@example.edu
  - :name: 'Grace O''Hopper'
    :sid: '102'
    :email: grace@example.edu
submission_103:
  :submitters:
  - :name: Ada Lovelace
    :sid: '103'
    :email: other@example.edu
submission_104:
  :submitters:
  - :name: Gone
"""
GRADESCOPE: Files = {
    "submission_metadata.yml": METADATA,
    "submission_101/echo.py": RIGHT,
    "submission_102/lab/echo.py": WRONG,
    "submission_103/work.zip": zipped(echo_py=RIGHT),
    "submission_105/echo.py": RIGHT,
}


@lays
def test_gradescope(lab: Lab, tmp_path: Path, lay: Lay) -> None:
    programs, told, notices = read(lay(tmp_path, GRADESCOPE), lab)
    assert programs == {
        "Ada Lovelace (ada@example.edu)": RIGHT,
        "Ada Lovelace (other@example.edu)": RIGHT,
        'José "Pepe" N.': WRONG,
        "Grace O'Hopper": WRONG,
        "submission_105": RIGHT,
    }
    assert notices["Grace O'Hopper"] == ('handed in together with José "Pepe" N.',)
    assert notices["submission_105"] == ("submission_metadata.yml does not say whose this is",)
    assert told == [" of Gradescope: 5 submissions", "submission_104 of submission_metadata.yml is not there"]


def test_gradescope_tells_by_what_else_students_are_known(lab: Lab, tmp_path: Path) -> None:
    entries = roster.find([as_folder(tmp_path, GRADESCOPE)], lab).entries
    known = {entry.student: entry.known_as for entry in entries}
    assert known["Grace O'Hopper"] == ("102", "grace@example.edu")
    assert known['José "Pepe" N.'] == ("jose@example.edu",)


def test_a_huge_metadata_file_does_not_stop_the_grading(lab: Lab, tmp_path: Path) -> None:
    """It holds the output of all attempts."""
    text = METADATA + "  :results:\n" + "        x: y\n" * 2_000_000
    programs, _, _ = read(as_zip(tmp_path, GRADESCOPE | {"submission_metadata.yml": text}), lab)
    assert len(programs) == 5


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(alphabet="ab: -'\"\\\n\t|submitters:name", max_size=300))
def test_whatever_stands_in_the_metadata_nothing_breaks(text: str) -> None:
    listing = Listing(
        files=(exports.GRADESCOPE,), folders=("submission_1",), inside=lambda name: (), text=lambda name: text
    )
    found = exports._gradescope(listing)
    assert found is not None
    assert {piece.parts[0][0] for piece in found.pieces} <= {"submission_1"}


# ---------------------------------------------------------------- Canvas

CANVAS: Files = {
    "lovelaceada_1001_5001_echo.py": RIGHT,
    "hopergrace_LATE_1002_5002_echo-2.py": WRONG,
    "hopergrace_LATE_1002_5003_lib-2.py": "",
    "smithjo_1003_5004_work.zip": zipped(echo_py=RIGHT),
    "smithjo_1004_5005_my program.py": WRONG,
    "anon_x7Qk2_5006_echo.py": RIGHT,
    "texttom_1005_text.html": "<p>done</p>",
    "notes.docx": "x",
}


@lays
def test_canvas(lab: Lab, tmp_path: Path, lay: Lay) -> None:
    programs, told, notices = read(lay(tmp_path, CANVAS), lab)
    text = programs.pop("texttom")
    assert programs == {
        "lovelaceada": RIGHT,
        "hopergrace": WRONG,
        "smithjo (1003)": RIGHT,
        "smithjo (1004)": WRONG,
        "anon_x7Qk2": RIGHT,
    }
    assert "holds no program of echo; it holds: texttom_1005_text.html" in text
    assert notices["hopergrace"] == ("handed in late, says Canvas",)
    assert told[0] == " of Canvas: 6 submissions"
    assert "notes.docx was passed over: its name is not one that Canvas gives to a submission" in told


def test_canvas_parts_have_their_names_back(lab: Lab, tmp_path: Path) -> None:
    entries = roster.find([as_folder(tmp_path, CANVAS)], lab).entries
    grace = next(entry for entry in entries if entry.student == "hopergrace")
    assert [called for _, called in grace.parts] == ["echo.py", "lib.py"]
    assert grace.origin == f"{tmp_path}/export/hopergrace_LATE_1002_5002_echo-2.py and 1 more"
    assert grace.known_as == ("1002",)


@pytest.mark.parametrize(
    ("names", "uploaded"),
    [
        (["echo-1.py"], ["echo.py"]),
        (["echo-1.py", "Makefile-1"], ["echo.py", "Makefile"]),
        (["part-1.py", "part-2.py"], ["part-1.py", "part-2.py"]),
        (["a-1.py", "a-1.c"], ["a.py", "a.c"]),
        (["echo.py", "lib-1.py"], ["echo.py", "lib-1.py"]),
        (["-1.py"], ["-1.py"]),
        (["1-1"], ["1"]),
    ],
)
def test_the_number_of_an_attempt_is_no_part_of_a_name(names: list[str], uploaded: list[str]) -> None:
    assert exports._as_uploaded(names) == uploaded


# ---------------------------------------------------------------- Moodle

MOODLE: Files = {
    "Ada Lovelace_2001_assignsubmission_file_/echo.py": RIGHT,
    "Ada Lovelace_2001_assignsubmission_onlinetext_/onlinetext.html": "<p>done</p>",
    "José Núñez_2002_assignsubmission_file/work.zip": zipped(echo_py=RIGHT),
    "Jo Smith_2003_assignsubmission_file_/echo.py": WRONG,
    "Jo Smith_2004_assignsubmission_file_/a.py": WRONG,
    "Tom_B_2005_assignsubmission_onlinetext_/onlinetext.html": "<p>done</p>",
}
MOODLE_FLAT: Files = {
    "Ada Lovelace_2001_assignsubmission_file_echo.py": RIGHT,
    "Ada Lovelace_2001_assignsubmission_onlinetext_onlinetext.html": "<p>done</p>",
    "José Núñez_2002_assignsubmission_file_work.zip": zipped(echo_py=RIGHT),
    "Jo Smith_2003_assignsubmission_file_echo.py": WRONG,
    "Jo Smith_2004_assignsubmission_file_a.py": WRONG,
    "Tom_B_2005_assignsubmission_onlinetext_onlinetext.html": "<p>done</p>",
}


@lays
@pytest.mark.parametrize("files", [MOODLE, MOODLE_FLAT], ids=["folders", "flat"])
def test_moodle(lab: Lab, tmp_path: Path, lay: Lay, files: Files) -> None:
    programs, told, notices = read(lay(tmp_path, files), lab)
    text = programs.pop("Tom_B")
    assert programs == {
        "Ada Lovelace": RIGHT,
        "José Núñez": RIGHT,
        "Jo Smith (2003)": WRONG,
        "Jo Smith (2004)": WRONG,
    }
    assert "holds no program of echo; it holds: onlinetext.html" in text
    assert notices["Ada Lovelace"][0].startswith(
        "passed over: Ada Lovelace_2001_assignsubmission_onlinetext_"
    )
    assert told == [" of Moodle: 5 submissions"]


# ---------------------------------------------------------------- Classroom 50

MARKER = "classroom: ipc-2027\nassignment: echo-lab\nsource:\n  owner: x\n"
CLASSROOM50: Files = {
    "scores.csv": "username,score\n",
    "ipc-2027-echo-lab-ada/.classroom50.yaml": MARKER,
    "ipc-2027-echo-lab-ada/echo.py": RIGHT,
    "ipc-2027-echo-lab-ada/result.json": "{}",
    "ipc-2027-echo-lab-ada/.github/workflows/autograde.yaml": "on: push",
    "ipc-2027-echo-lab-bob-the-2nd/.classroom50.yaml": MARKER,
    "ipc-2027-echo-lab-bob-the-2nd/src/echo.py": WRONG,
    "ipc-2027-echo-lab-eve/README.md": "no marker, but a clone by its name",
    "another/README.md": "x",
}


@lays
def test_classroom_50(lab: Lab, tmp_path: Path, lay: Lay) -> None:
    programs, told, _ = read(lay(tmp_path, CLASSROOM50), lab)
    eve = programs.pop("eve")
    assert programs == {"ada": RIGHT, "bob-the-2nd": WRONG}
    assert "holds no program" in eve
    assert told == [
        "a download of Classroom 50: 3 submissions",
        "another was passed over: it is no clone of an assignment",
    ] or (
        told[0].endswith("of Classroom 50: 3 submissions") and told[1].startswith("another was passed over")
    )


def test_what_a_download_puts_beside_the_work_is_no_part_of_it(lab: Lab, tmp_path: Path) -> None:
    """Otherwise each download would be another version, and graded again."""
    folder = as_folder(tmp_path, CLASSROOM50)

    def version() -> str:
        entry = next(each for each in roster.find([folder], lab).entries if each.student == "ada")
        return submission.version(submission.read(entry.path, lab, "ada", entry.parts))

    before = version()
    (folder / "ipc-2027-echo-lab-ada" / "result.json").write_text('{"score": 1}')
    assert version() == before
    (folder / "ipc-2027-echo-lab-ada" / "echo.py").write_text(WRONG)
    assert version() != before


# ---------------------------------------------------------------- nbgrader

NBGRADER: Files = {
    "ada/echo/echo.py": RIGHT,
    "ada/echo/timestamp.txt": "2026-11-01 10:00:00 UTC",
    "ada/other/other.py": "",
    "bob/other/other.py": "",
    "eve/echo/echo.py": WRONG,
    "eve/echo/timestamp.txt": "2026-11-01 10:00:00 UTC",
}


@lays
def test_nbgrader(lab: Lab, tmp_path: Path, lay: Lay) -> None:
    programs, told, _ = read(lay(tmp_path, NBGRADER), lab)
    assert programs == {"ada": RIGHT, "eve": WRONG}
    assert told[-1] == "bob has not handed in echo"


def test_folders_that_only_look_like_nbgrader_cost_nobody_points(lab: Lab, tmp_path: Path) -> None:
    """Students may call a folder as the lab; who calls it otherwise has handed in all the same."""
    folder = as_folder(tmp_path, {"ada/echo/echo.py": RIGHT, "bob/my echo/echo.py": WRONG})
    assert read(folder, lab)[0] == {"ada": RIGHT, "bob": WRONG}


# ---------------------------------------------------------------- archives of a class without a platform


def test_an_archive_of_folders_archives_and_notebooks(lab: Lab, tmp_path: Path) -> None:
    files: Files = {
        "README.txt": "x",
        "ada/echo.py": RIGHT,
        "bob/lab/echo.py": WRONG,
        "eve.zip": zipped(echo_py=RIGHT),
    }
    programs, told, _ = read(as_zip(tmp_path, {f"class/{n}": d for n, d in files.items()}), lab)
    assert programs == {"ada": RIGHT, "bob": WRONG, "eve": RIGHT}
    assert told == [
        ".zip was read as the archive of a class: 3 submissions",
        "README.txt was passed over: it is a text",
    ]


def test_an_archive_of_archives(lab: Lab, tmp_path: Path) -> None:
    files: Files = {"ada.zip": zipped(echo_py=RIGHT), "bob.zip": b"PK no"}
    programs, _, _ = read(as_zip(tmp_path, files), lab)
    assert programs["ada"] == RIGHT
    assert "cannot be unpacked" in programs["bob"]


@pytest.mark.parametrize(
    "files",
    [
        {"echo.py": RIGHT, "old/echo.py": WRONG},
        {"work/echo.py": RIGHT},
        {"echo/echo.py": RIGHT, "skeletons/echo/echo.py": "x", "labs/echo/lab.toml": "x"},
        {"a.zip": b"x"},
        {},
    ],
)
def test_the_archive_of_one_student_is_no_class(lab: Lab, tmp_path: Path, files: Files) -> None:
    (entry,) = roster.find([as_zip(tmp_path, files)], lab).entries
    assert (entry.student, entry.parts) == ("export", ())


def test_a_damaged_archive_is_one_submission_that_cannot_be_read(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "export.zip").write_bytes(b"PK no")
    assert "cannot be unpacked" in read(tmp_path / "export.zip", lab)[0]["export"]


def test_hostile_names_in_an_export(lab: Lab, tmp_path: Path) -> None:
    files = {
        "ada/echo.py": RIGHT, "bob/echo.py": WRONG, "../../evil/echo.py": "x", "/etc/evil/echo.py": "x",
        "e\x1b[2Jve/echo.py": "x", "__MACOSX/ada/._echo.py": "x",
    }  # fmt: skip
    programs, _, _ = read(as_zip(tmp_path, dict(files)), lab)
    assert programs == {"ada": RIGHT, "bob": WRONG}


# ---------------------------------------------------------------- one student, one name


def test_an_accent_is_the_same_however_it_is_written(lab: Lab, tmp_path: Path) -> None:
    """macOS writes a letter and its accent apart."""
    for name, age in (("Jose\u0301.py", 2_000_000), ("Jos\u00e9.zip", 1_000_000)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (age, age))
    (entry,) = roster.find([tmp_path], lab).entries
    assert entry.student == "Jos\u00e9"
    assert "more than one attempt" in entry.notices[0]


def test_names_as_windows_packs_them(lab: Lab, tmp_path: Path) -> None:
    path = as_zip(tmp_path, {"xxxxxx/echo.py": RIGHT, "bob/echo.py": WRONG})
    path.write_bytes(path.read_bytes().replace(b"xxxxxx", b"M\x81ller"))
    assert archive.listing(path) == ("Müller/echo.py", "bob/echo.py")
    assert read(path, lab)[0] == {"Müller": RIGHT, "bob": WRONG}
