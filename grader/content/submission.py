"""What a student handed in, whatever its form, becomes one value in memory.

Everything here is hostile: links are not followed, devices and FIFOs are not opened, sizes are
limited, and what the program is comes from the lab, never from the submission.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from grader.content import archive, notebook
from grader.content.archive import Unpacked
from grader.model import Fault, Lab, Language, SourceFile, Submission

MOST_NOTICES = 20


def read(path: Path, lab: Lab, student: str | None = None) -> Submission:
    """Read a submission: a folder, an archive, a notebook, a source file of any name, an executable.

    :param student: whose it is; by default the name of the file or folder
    :raises Fault: if it cannot be read or holds no program of the lab
    """
    found = _gather(path, lab)
    language, entry = _program(found, lab, path)
    if any(file.path.startswith(f"{entry}/") for file in found.files):
        raise Fault(
            f"{entry!r} is a folder, where the program has its place", where=path, cure="rename the folder"
        )
    if len(found.notices) > MOST_NOTICES:
        found.notices[MOST_NOTICES:] = [f"and {len(found.notices) - MOST_NOTICES} more"]
    return Submission(
        student=student or stem(path) or stem(path.resolve()),
        origin=str(path),
        language=language,
        entry=entry,
        files=tuple(sorted(found.files, key=lambda file: file.path)),
        notices=tuple(found.notices),
    )


def stem(path: Path) -> str:
    """A file's name without its endings: whose submission it is."""
    name = path.name
    for ending in (*archive.ENDINGS, ".ipynb", ".py", ".c"):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def version(submission: Submission) -> str:
    """Hash of what is graded: the same files give the same verdict."""
    digest = hashlib.sha256(f"{submission.language.value}\0{submission.entry}\0".encode())
    for file in submission.files:
        digest.update(
            f"{file.path}\0{len(file.data)}\0{file.executable:d}\0".encode(errors="surrogateescape")
        )
        digest.update(file.data)
    return digest.hexdigest()[:16]


def _gather(path: Path, lab: Lab) -> Unpacked:
    try:
        kind = path.lstat().st_mode
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", where=path, cure="check the name") from None
    if stat.S_ISLNK(kind):
        raise Fault("is a symbolic link", where=path, cure="hand in the file itself")
    if stat.S_ISDIR(kind):
        return _folder(path)
    if not stat.S_ISREG(kind):
        raise Fault(
            "is neither a file nor a folder", where=path, cure="hand in a folder, an archive or a file"
        )
    if archive.is_archive(path):
        return archive.unpack(path)
    data = _bytes(path)
    found = Unpacked()
    suffix = path.suffix.lower()
    if suffix == ".ipynb":
        for name, source in notebook.files(data, lab, path):
            found.add(name, source, executable=False, where=path)
        return found
    named = {".py": Language.PYTHON, ".c": Language.C}.get(suffix)
    name = (
        lab.files.get(named, path.name)
        if named
        else lab.slug
        if data[:2] == b"#!" or data[:4] == b"\x7fELF"
        else path.name
    )
    found.add(name, data, executable=named is None, where=path)
    return found


def _bytes(path: Path) -> bytes:
    """A file's content without following links or waiting at a FIFO."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Fault("is no regular file any more", where=path, cure="hand in files alone")
            data = file.read(archive.MOST_BYTES + 1)
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", where=path, cure="check its permissions") from None
    if len(data) > archive.MOST_BYTES:
        raise Fault(
            f"is larger than {archive.MOST_BYTES // 2**20} MiB", where=path, cure="hand in the source alone"
        )
    return data


def _folder(path: Path) -> Unpacked:
    found = Unpacked()

    def unreadable(error: OSError) -> None:
        raise Fault(
            f"cannot be read: {error.strerror}", where=Path(error.filename), cure="check its permissions"
        ) from None

    for top, folders, names in os.walk(path, onerror=unreadable):
        kept = []
        for name in sorted(name for name in folders if not archive.litter(name)):
            relative = Path(top, name).relative_to(path).as_posix()
            if Path(top, name).is_symlink():
                found.notices.append(f"{relative!r} {archive.NO_FILE}")
            elif archive.clean_name(relative) is None:  # also what is too long: no walk gets lost down there
                found.notices.append(f"{relative!r} {archive.PASSED_OVER}")
            else:
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            file = Path(top, name)
            relative = file.relative_to(path).as_posix()
            if archive.litter(relative):
                continue
            kind = file.lstat().st_mode
            clean = archive.clean_name(relative)
            if not stat.S_ISREG(kind):
                found.notices.append(f"{relative!r} {archive.NO_FILE}")
            elif clean is None:
                found.notices.append(f"{relative!r} {archive.PASSED_OVER}")
            else:
                found.add(clean, _bytes(file), executable=bool(kind & 0o111), where=path)
    archive.strip(found)
    return found


def _program(found: Unpacked, lab: Lab, path: Path) -> tuple[Language, str]:
    """Which of the files is the program.

    :raises Fault: if none is, or two may be
    """
    names = {file.path: file for file in found.files}
    sources = [(language, name) for language, name in lab.files.items() if name in names]
    if len(sources) > 1:
        sources = _changed(sources, names, lab)
    if len(sources) > 1:
        both = " and ".join(sorted(name for _, name in sources))
        raise Fault(f"holds {both}: two programs", where=path, cure="hand in the one that is to be graded")
    if sources:
        return sources[0]
    if lab.slug in names or "Makefile" in names:
        return Language.EXECUTABLE, lab.slug
    books = [file for file in found.files if file.path.lower().endswith(".ipynb")]
    if len(books) > 1:
        several = ", ".join(file.path for file in books[:8])
        raise Fault(
            f"holds {len(books)} notebooks: {several}",
            where=path,
            cure="hand in the one that is to be graded",
        )
    if len(books) == 1:
        found.files = [
            SourceFile(path=name, data=data)
            for name, data in notebook.files(books[0].data, lab, path / books[0].path)
        ]
        return _program(found, lab, path)
    lonely = [file for file in found.files if Path(file.path).suffix.lower() in (".py", ".c")]
    for language, name in lab.files.items():
        if len(lonely) == 1 and lonely[0].path.lower().endswith(Path(name).suffix):
            found.notices.append(f"{lonely[0].path!r} was taken for {name}")
            found.files = [
                *(f for f in found.files if f is not lonely[0]),
                SourceFile(path=name, data=lonely[0].data),
            ]
            return language, name
    there = ", ".join(name if name.isprintable() else repr(name) for name in sorted(names)[:8]) or "nothing"
    wanted = ", ".join((*lab.files.values(), f"an executable {lab.slug}", f"{lab.slug}.ipynb"))
    raise Fault(
        f"holds no program of {lab.slug}; it holds: {there}", where=path, cure=f"hand in one of: {wanted}"
    )


def _changed(
    sources: list[tuple[Language, str]], names: dict[str, SourceFile], lab: Lab
) -> list[tuple[Language, str]]:
    """Of several programs those that differ from the skeleton as shipped, if any does."""
    folder = lab.root.parent.parent / "skeletons" / lab.slug
    shipped = {name: _plain((folder / name).read_bytes()) for _, name in sources if (folder / name).is_file()}
    changed = [
        (language, name) for language, name in sources if _plain(names[name].data) != shipped.get(name)
    ]
    return changed or sources


def _plain(data: bytes) -> bytes:
    """Without what an editor on Windows, or a front end that saves, changes on its own."""
    return data.replace(b"\r\n", b"\n").rstrip(b"\n")
