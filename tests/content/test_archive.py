"""Archives from anywhere: nothing gets out of them, and no bomb goes off."""

from __future__ import annotations

import bz2
import io
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import ROOT

from grader.content import archive
from grader.model import Fault

Refused = Callable[..., AbstractContextManager[None]]
Pack = Callable[..., Path]
PROMPT_S = 20.0
"""Far above what stopping takes, far below what unpacking would"""


def pack_zip(path: Path, *members: tuple[str, bytes], mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    return path


def pack_tar(path: Path, *members: tuple[str, bytes], mode: int = 0o100644, **more: object) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode & 0o777
            for key, value in more.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(data))
    return path


PACKERS = [pytest.param(pack_zip, "a.zip", id="zip"), pytest.param(pack_tar, "a.tar.gz", id="tar")]
both_kinds = pytest.mark.parametrize(("pack", "name"), PACKERS)


def names(found: archive.Unpacked) -> list[str]:
    return [file.path for file in found.files]


# ---------------------------------------------------------------- usual ones


@both_kinds
def test_reads_files_with_their_bytes(tmp_path: Path, pack: Pack, name: str) -> None:
    found = archive.unpack(pack(tmp_path / name, ("echo.py", b"\0\r\n\xff"), ("lib/a.py", b"")))
    assert [(file.path, file.data, file.executable) for file in found.files] == [
        ("echo.py", b"\0\r\n\xff", False),
        ("lib/a.py", b"", False),
    ]
    assert found.notices == []


@both_kinds
def test_keeps_the_right_to_execute(tmp_path: Path, pack: Pack, name: str) -> None:
    assert archive.unpack(pack(tmp_path / name, ("echo", b"#!"), mode=0o100755)).files[0].executable


@pytest.mark.parametrize("kind", ["", ":gz", ":bz2", ":xz"])
def test_reads_every_usual_compression(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.tar{kind.replace(':', '.')}"
    with tarfile.open(path, f"w{kind}") as file:  # type: ignore[call-overload]
        file.add(__file__, "work/echo.py")
    assert names(archive.unpack(path)) == ["echo.py"]


@both_kinds
def test_takes_single_top_folders_away(tmp_path: Path, pack: Pack, name: str) -> None:
    members = (("ada/lab/echo.py", b"x"), ("ada/lab/lib/a.py", b""), ("__MACOSX/ada/._echo.py", b""))
    assert names(archive.unpack(pack(tmp_path / name, *members))) == ["echo.py", "lib/a.py"]


@both_kinds
def test_keeps_folders_where_there_are_two(tmp_path: Path, pack: Pack, name: str) -> None:
    members = (("a/echo.py", b"x"), ("b/echo.py", b""))
    assert names(archive.unpack(pack(tmp_path / name, *members))) == ["a/echo.py", "b/echo.py"]


@both_kinds
def test_passes_over_what_systems_leave_lying_about(tmp_path: Path, pack: Pack, name: str) -> None:
    litter = (
        "__MACOSX/._echo.py",
        ".DS_Store",
        "lib/.DS_Store",
        "._echo.py",
        "__pycache__/a.pyc",
        ".git/HEAD",
    )
    found = archive.unpack(pack(tmp_path / name, *((each, b"x") for each in litter), ("echo.py", b"")))
    assert (names(found), found.notices) == (["echo.py"], [])


def test_an_archive_that_lies_in_memory_is_read_too(tmp_path: Path) -> None:
    for pack, name in ((pack_zip, "a.zip"), (pack_tar, "a.tgz")):
        data = pack(tmp_path / name, ("work/echo.py", b"x")).read_bytes()
        assert names(archive.unpack(Path("nowhere") / name, data)) == ["echo.py"]


def test_reads_what_windows_packs(tmp_path: Path) -> None:
    """Backslashes between folders, and folders that are empty members whose names end with one."""
    members = (("work\\", b""), ("work\\lib\\", b""), ("work\\echo.py", b"x"), ("work\\lib\\a.py", b""))
    found = archive.unpack(pack_zip(tmp_path / "a.zip", *members, mode=0))
    assert (names(found), found.notices) == (["echo.py", "lib/a.py"], [])


# ---------------------------------------------------------------- the archive of a whole class


CLASS = (
    ("ada/echo.py", b"ada"), ("ada/lib/a.py", b"a"), ("__MACOSX/ada/._echo.py", b"x"), ("bob_1_2_echo.py", b"bob"),
    ("adam/echo.py", b"adam"), ("../evil.py", b"x"), ("bob_1_3_work.zip", b"zip"),
)  # fmt: skip


def test_a_class_is_listed_without_being_unpacked(tmp_path: Path) -> None:
    listed = archive.listing(pack_zip(tmp_path / "class.zip", *CLASS))
    assert listed == ("ada/echo.py", "ada/lib/a.py", "bob_1_2_echo.py", "adam/echo.py", "bob_1_3_work.zip")


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([("ada", "")], {"echo.py": b"ada", "lib/a.py": b"a"}),
        ([("ada", "old")], {"old/echo.py": b"ada", "old/lib/a.py": b"a"}),
        (
            [("bob_1_2_echo.py", "echo.py"), ("bob_1_3_work.zip", "w.zip")],
            {"echo.py": b"bob", "w.zip": b"zip"},
        ),
        ([("bob_1_2_echo.py", "")], {"bob_1_2_echo.py": b"bob"}),
        ([("nobody", "")], {}),
    ],
)
def test_one_student_is_picked_out_of_a_class(
    tmp_path: Path, parts: list[tuple[str, str]], wanted: dict[str, bytes]
) -> None:
    found = archive.pick(pack_zip(tmp_path / "class.zip", *CLASS), parts)
    assert {file.path: file.data for file in found.files} == wanted
    assert found.notices == []


def test_links_of_others_are_not_told_to_a_student(tmp_path: Path) -> None:
    path = pack_zip(tmp_path / "class.zip", ("ada/link", b"x"), ("bob/link", b"x"), mode=0o120777)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("ada/echo.py", "")
    assert archive.pick(path, [("ada", "")]).notices == [f"'ada/link' {archive.NO_FILE}"]


def test_a_bomb_of_one_student_stops_only_that_one(tmp_path: Path, refused: Refused) -> None:
    path = pack_zip(
        tmp_path / "class.zip", ("eve/zeros", b"\0" * (archive.MOST_BYTES + 1)), ("ada/echo.py", b"x")
    )
    assert names(archive.pick(path, [("ada", "")])) == ["echo.py"]
    with refused("class.zip", "MiB"):
        archive.pick(path, [("eve", "")])


def test_no_archive_is_no_class(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "class.zip").write_bytes(b"PK no")
    with refused("cannot be unpacked"):
        archive.listing(tmp_path / "class.zip")


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Jos\u00e9/echo.py".encode(), "Jos\u00e9/echo.py"),  # UTF-8 without the flag that says so
        (b"M\x81ller/echo.py", "M\u00fcller/echo.py"),  # the code page of the IBM PC
    ],
)
def test_a_zip_that_does_not_say_its_encoding(tmp_path: Path, written: bytes, read: str) -> None:
    path = pack_zip(tmp_path / "a.zip", ("x" * len(written), b"x"), ("other.py", b""))
    path.write_bytes(path.read_bytes().replace(b"x" * len(written), written))
    assert names(archive.unpack(path)) == [read, "other.py"]


@both_kinds
@pytest.mark.parametrize(
    "evil",
    [
        "../evil.py", "/etc/evil.py", "a/../../evil.py", "..\\evil.py", "\\evil.py", "C:\\evil.py", "c:evil.py",
        "a\nb.py", "a\x1b[2Jb.py", "a\x7fb.py", "a\x9bb.py", "a\u2028b.py", "x" * 300 + ".py", "a/" * 300 + "b.py", "..", "./.",
    ],
)  # fmt: skip
def test_passes_over_names_that_cannot_be(tmp_path: Path, pack: Pack, name: str, evil: str) -> None:
    found = archive.unpack(pack(tmp_path / name, (evil, b"evil"), ("echo.py", b"good")))
    assert names(found) == ["echo.py"]
    assert len(found.notices) == 1
    assert found.notices[0].isprintable()
    assert "was passed over: the name leads out of the folder, or no file can have it" in found.notices[0]


def test_a_nul_in_a_name_does_no_harm(tmp_path: Path) -> None:
    """zipfile cuts the name at the NUL, when it writes and when it reads: so put it there by hand."""
    path = pack_zip(tmp_path / "a.zip", ("echoX.py", b"x"))
    path.write_bytes(path.read_bytes().replace(b"echoX.py", b"echo\0.py"))
    assert all("\0" not in name for name in names(archive.unpack(path)))
    assert archive.clean_name("echo\0.py") is None


def test_names_that_are_not_utf8_are_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT, encoding="latin-1") as file:
        file.addfile(tarfile.TarInfo("\xdcbung/echo.py"))
        file.addfile(tarfile.TarInfo("\xdcbung/\xe9.py"))
        file.addfile(tarfile.TarInfo("b.py"))
    assert names(archive.unpack(path)) == ["Übung/echo.py", "Übung/é.py", "b.py"]


@settings(deadline=None)
@given(st.text())
def test_a_clean_name_is_relative_and_stays_so(name: str) -> None:
    clean = archive.clean_name(name)
    if clean is not None:
        clean.encode()
        assert clean.isprintable() or not clean.isascii()
        assert not Path(clean).is_absolute()
        assert not {"..", ".", ""} & set(clean.split("/"))
        assert archive.clean_name(clean) == clean


@both_kinds
def test_the_first_of_equal_names_counts(tmp_path: Path, pack: Pack, name: str) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if name == "a.zip" else _nothing():
        path = pack(tmp_path / name, ("echo.py", b"1"), ("./echo.py", b"2"), ("echo.py", b"3"))
    found = archive.unpack(path)
    assert [(file.path, file.data) for file in found.files] == [("echo.py", b"1")]
    assert found.notices == ["'echo.py' occurs twice; the first one counts"] * 2


@both_kinds
def test_no_name_is_a_file_and_a_folder(tmp_path: Path, pack: Pack, name: str) -> None:
    found = archive.unpack(pack(tmp_path / name, ("a", b"1"), ("a/b.py", b"2"), ("c/d", b"3"), ("c", b"4")))
    assert names(found) == ["a", "c/d"]
    assert found.notices == [
        "'a/b.py' was passed over: it would be a file and a folder at once",
        "'c' was passed over: it would be a file and a folder at once",
    ]


def _nothing() -> AbstractContextManager[object]:
    import contextlib

    return contextlib.nullcontext()


# ---------------------------------------------------------------- what is no file


@pytest.mark.parametrize("mode", [0o120777, 0o020644, 0o060644, 0o010644, 0o140644])
def test_links_and_devices_in_a_zip_are_passed_over(tmp_path: Path, mode: int) -> None:
    found = archive.unpack(pack_zip(tmp_path / "a.zip", ("evil", b"/etc/passwd"), mode=mode))
    assert names(found) == []
    assert found.notices == ["'evil' was passed over: it is a link or a device, not a file"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_passed_over(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        good = tarfile.TarInfo("echo.py")
        evil = tarfile.TarInfo("evil")
        evil.type, evil.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else "echo.py"
        file.addfile(good)
        file.addfile(evil)
    found = archive.unpack(path)
    assert names(found) == ["echo.py"]
    assert found.notices == ["'evil' was passed over: it is a link or a device, not a file"]


# ---------------------------------------------------------------- bombs

MEASURE = """
import resource, sys
from pathlib import Path
from grader.content import archive
from grader.model import Fault
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    archive.unpack(Path(sys.argv[1]))
except Fault as fault:
    print(fault, fault.cure)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, file=sys.stderr)
"""
MOST_MIB = 150


def defuse(path: Path) -> str:
    """Unpack in a process of its own; what the Fault says. Little time and memory are part of the bargain."""
    began = time.monotonic()
    words = [sys.executable, "-c", MEASURE, path]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - began < PROMPT_S
    assert int(done.stderr) < MOST_MIB, f"{done.stderr} MiB"
    return done.stdout


class Zeros(io.RawIOBase):
    """Zeros without end, for tarfile to copy from."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def tar_of_zeros(path: Path, name: str, size: int, kind: str = "gz") -> Path:
    with tarfile.open(path, f"w:{kind}", compresslevel=1) as file:  # type: ignore[call-overload]
        info = tarfile.TarInfo(name)
        info.size = size
        file.addfile(info, Zeros())
    return path


def zip_of_zeros(path: Path, name: str, size: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with (
        zipfile.ZipFile(path, "w", method, compresslevel=1) as file,
        file.open(name, "w", force_zip64=True) as member,
    ):
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return path


GIB = 1 << 30


@pytest.mark.parametrize("name", ["zeros.py", "._zeros.py", "../zeros.py"])
def test_a_gibibyte_of_zeros_in_a_tar_is_stopped(tmp_path: Path, name: str) -> None:
    told = defuse(tar_of_zeros(tmp_path / "a.tar.gz", name, GIB))
    assert "a.tar.gz: holds more than" in told
    assert "hand in the source files alone" in told


def test_a_gibibyte_of_zeros_in_a_zip_is_stopped(tmp_path: Path) -> None:
    told = defuse(zip_of_zeros(tmp_path / "a.zip", "zeros.py", GIB))
    assert "a.zip: holds more than 200 files or 16 MiB" in told


def test_litter_in_a_zip_is_not_even_unpacked(tmp_path: Path) -> None:
    assert defuse(zip_of_zeros(tmp_path / "a.zip", "._zeros", GIB)) == ""


def test_a_size_that_lies_is_no_help(tmp_path: Path) -> None:
    """The headers say one byte."""
    path = zip_of_zeros(tmp_path / "a.zip", "zeros.py", 64 << 20)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = b"\x01\0\0\0"
    path.write_bytes(data)
    told = defuse(path)
    assert told == "" or "a.zip: " in told


def test_compressions_that_cannot_be_stopped_are_not_begun(tmp_path: Path, refused: Refused) -> None:
    """zipfile gives bzip2 and LZMA members whole, however little was asked for: 1 GiB from 800 bytes."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("echo.py", b"x")
    with refused(path, "'echo.py' is compressed in an unusual way", "plain zip"):
        archive.unpack(path)


def test_a_bomb_of_bzip2_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.bz2"
    head = tarfile.TarInfo("zeros.py")
    head.size = GIB
    path.write_bytes(bz2.compress(head.tobuf()) + bz2.compress(bytes(16 << 20)) * 64)
    assert "holds more than" in defuse(path)


def test_an_extended_header_that_never_ends_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    tar_of_zeros(path, "x", 0)
    import gzip

    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 8 * GIB - 1
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head.tobuf(tarfile.PAX_FORMAT))
        for _ in range(512):
            file.write(bytes(1 << 20))
    began = time.monotonic()
    with pytest.raises(Fault):
        archive.unpack(path)
    assert time.monotonic() - began < PROMPT_S
    assert "a.tar.gz: " in defuse(path)


@both_kinds
def test_too_many_files_are_refused(tmp_path: Path, refused: Refused, pack: Pack, name: str) -> None:
    path = pack(tmp_path / name, *((f"{number}.py", b"") for number in range(archive.MOST_FILES + 1)))
    with refused(path, "holds more than 200 files", "hand in the source files alone"):
        archive.unpack(path)


@both_kinds
def test_as_many_files_as_are_allowed_are_read(tmp_path: Path, pack: Pack, name: str) -> None:
    path = pack(tmp_path / name, *((f"{number}.py", b"") for number in range(archive.MOST_FILES)))
    assert len(archive.unpack(path).files) == archive.MOST_FILES


@both_kinds
def test_too_much_litter_is_refused(tmp_path: Path, refused: Refused, pack: Pack, name: str) -> None:
    path = pack(tmp_path / name, *((f".git/{number}", b"") for number in range(archive.MOST_FILES * 20 + 1)))
    with refused(path, "has too many members", "hand in the source files alone"):
        archive.unpack(path)


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize(
    "data", [b"", b"print(1)\n", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"x" * 600]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, refused: Refused, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with refused(tmp_path / name, "cannot be unpacked: ", "pack it again as a plain zip or tar"):
        archive.unpack(tmp_path / name)


@both_kinds
@pytest.mark.parametrize("part", [0.3, 0.5, 0.8])
def test_a_truncated_archive_is_refused(
    tmp_path: Path, refused: Refused, pack: Pack, name: str, part: float
) -> None:
    path = pack(tmp_path / name, ("echo.py", bytes(range(256)) * 40))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with refused(path, "cannot be unpacked: "):
        archive.unpack(path)


@pytest.mark.parametrize("at", [600, 1100, 1300])
def test_a_plain_tar_that_was_cut_is_refused(tmp_path: Path, refused: Refused, at: int) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as file:
        for name in ("a.py", "b.py"):
            info = tarfile.TarInfo(name)
            info.size = 100
            file.addfile(info, io.BytesIO(bytes(100)))
    path.write_bytes(path.read_bytes()[:at])
    with refused(path, "cannot be unpacked: "):
        archive.unpack(path)


def test_an_encrypted_zip_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = pack_zip(tmp_path / "a.zip", ("echo.py", b"x"))
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with refused(path, "'echo.py' is encrypted", "without a password"):
        archive.unpack(path)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("samples")
    members = (("work/echo.py", b"print('a line')\n" * 50), ("work/lib/b.py", b"x"))
    found = {
        name: pack(folder / name, *members) for pack, name in ((pack_zip, "a.zip"), (pack_tar, "a.tar.gz"))
    }
    with tarfile.open(folder / "a.tar", "w") as file:
        file.add(__file__, "echo.py")
    return {name: path.read_bytes() for name, path in (found | {"a.tar": folder / "a.tar"}).items()}


@settings(deadline=None)
@given(
    name=st.sampled_from(["a.zip", "a.tar.gz", "a.tar"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0.05, 1) | st.just(1.0),
)
def test_damage_is_a_fault_and_never_a_crash(
    samples: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory,
    name: str, changes: list[tuple[float, int]], keep: float,
) -> None:  # fmt: skip
    data = bytearray(samples[name])
    for at, value in changes:
        data[int(at * len(data))] = value
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(data[: int(len(data) * keep)])
    try:
        found = archive.unpack(path)
    except Fault as fault:
        assert fault.cure  # noqa: PT017
        assert str(fault).startswith(str(path))  # noqa: PT017
    else:
        assert all(archive.clean_name(file.path) == file.path for file in found.files)
