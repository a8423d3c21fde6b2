"""What a student handed in, whatever its form, becomes one value in memory.

Everything here is hostile: links are not followed, devices and FIFOs are not opened, sizes are
limited, and what the program is comes from the lab, never from the submission.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from grader.content import archive, notebook
from grader.content.archive import Unpacked
from grader.content.skeleton import untouched
from grader.model import Fault, Lab, Language, SourceFile, Submission

MOST_NOTICES = 20
_DEEPEST = 3
"""Archives in archives that are opened"""
_MAKEFILES = {"GNUmakefile", "makefile", "Makefile"}


def read(
    path: Path,
    lab: Lab,
    student: str | None = None,
    parts: Iterable[tuple[str, str]] = (),
    *,
    saved: bool = False,
) -> Submission:
    """Read a submission: a folder, an archive, a notebook, a source file of any name, an executable.

    :param student: whose it is; by default the name of the file or folder
    :param parts: the files and folders that belong to it, if `path` is a folder or a zip archive that holds
        other students' too, and what each is called in the submission (a folder: in front of its files)
    :param saved: what counts are the files, as ``%%lab`` saved them; the notebook beside them may be older
    :raises Fault: if it cannot be read or holds no program of the lab
    """
    found = _picked(path, lab, tuple(parts)) if parts else _gather(path, lab)
    if saved and any(file.path in lab.files.values() for file in found.files):
        found.files = [file for file in found.files if not file.path.lower().endswith(".ipynb")]
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
        return _folder(path, lab)
    if not stat.S_ISREG(kind):
        raise Fault(
            "is neither a file nor a folder", where=path, cure="hand in a folder, an archive or a file"
        )
    if archive.is_archive(path):
        found = _unpacked(archive.unpack(path), lab, path)
        for file in found.files:
            if archive.is_archive(Path(file.path)):
                found.notices.append(f"{file.path!r} is an archive inside the archive; it was not opened")
        return found
    data = _bytes(path)
    found = Unpacked()
    suffix = path.suffix.lower()
    if suffix == ".ipynb":
        for name, source in notebook.files(data, lab, path):
            found.add(name, source, executable=False, where=path)
        return found
    named = {".py": Language.PYTHON, ".c": Language.C}.get(suffix)
    name = lab.files.get(named, path.name) if named else lab.slug if _runs(data) else path.name
    found.add(name, data, executable=named is None, where=path)
    return found


def _runs(data: bytes) -> bool:
    """Whether a file is a program by its first bytes: a script or an executable."""
    return data[:2] == b"#!" or data[:4] == b"\x7fELF"


def _picked(path: Path, lab: Lab, parts: tuple[tuple[str, str], ...]) -> Unpacked:
    """Some of the files of a folder or of a zip archive."""
    if path.is_dir():
        found = Unpacked()
        for part, called in parts:
            source = path / part
            kind = source.lstat().st_mode if os.path.lexists(source) else 0
            if stat.S_ISDIR(kind):
                _walk(source, found, f"{called}/" if called else "")
            elif stat.S_ISREG(kind):
                found.add(called or source.name, _bytes(source), executable=bool(kind & 0o111), where=source)
            else:
                found.notices.append(f"{part!r} {archive.NO_FILE}")
    else:
        found = archive.pick(path, parts)
    found = _unpacked(found, lab, path)
    archive.strip(found)
    if len(found.files) == 1 and not Path(found.files[0].path).suffix and _runs(found.files[0].data):
        found.files = [SourceFile(path=lab.slug, data=found.files[0].data, executable=True)]
    return found


def _unpacked(found: Unpacked, lab: Lab, where: Path) -> Unpacked:
    """As learning platforms export, and students pack: the one archive, and no program beside it, is the work."""
    for _ in range(_DEEPEST):
        packed = [file for file in found.files if archive.is_archive(Path(file.path))]
        if len(packed) != 1 or any(_may_be_program(file.path, lab) for file in found.files):
            break
        inner = archive.unpack(where / packed[0].path, packed[0].data)
        inner.notices[:0] = [*found.notices, f"{packed[0].path!r} was unpacked"]
        found = inner
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


def _folder(path: Path, lab: Lab) -> Unpacked:
    found = Unpacked()
    _walk(path, found, "")
    found = _unpacked(found, lab, path)
    archive.strip(found)
    return found


def _walk(path: Path, found: Unpacked, prefix: str) -> None:
    """Take in all files of a folder and below.

    :param prefix: what stands before their names in the submission
    """

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
            clean = archive.clean_name(prefix + relative)
            if not stat.S_ISREG(kind):
                found.notices.append(f"{relative!r} {archive.NO_FILE}")
            elif clean is None:
                found.notices.append(f"{relative!r} {archive.PASSED_OVER}")
            else:
                found.add(clean, _bytes(file), executable=bool(kind & 0o111), where=path)


def _may_be_program(name: str, lab: Lab) -> bool:
    file = Path(name)
    return file.suffix.lower() in (".py", ".c", ".ipynb") or file.name in {lab.slug, *_MAKEFILES}


def _program(found: Unpacked, lab: Lab, path: Path) -> tuple[Language, str]:
    """Which of the files is the program.

    :raises Fault: if none is, or two may be
    """
    _enter(found, lab, path)
    _open_notebook(found, lab, path)
    names = {file.path: file for file in found.files}
    sources = [(language, name) for language, name in lab.files.items() if name in names]
    if len(sources) > 1:
        sources = [each for each in sources if not untouched(lab, each[1], names[each[1]].data)] or sources
    if len(sources) > 1:
        both = " and ".join(sorted(name for _, name in sources))
        raise Fault(f"holds {both}: two programs", where=path, cure="hand in the one that is to be graded")
    if sources:
        return sources[0]
    if lab.slug in names or _MAKEFILES & set(names):
        return Language.EXECUTABLE, lab.slug
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
    why = f" ({'; '.join(found.notices[:3])})" if found.notices else ""
    wanted = ", ".join((*lab.files.values(), f"an executable {lab.slug}", f"{lab.slug}.ipynb"))
    raise Fault(
        f"holds no program of {lab.slug}; it holds: {there}{why}",
        where=path,
        cure=f"hand in one of: {wanted}",
    )


def _enter(found: Unpacked, lab: Lab, path: Path) -> None:
    """If the program lies in a folder further down, that folder becomes the submission.

    Students hand in their whole working folder, often with the skeletons as they got them in it.

    :raises Fault: if there are several such folders with work in them
    """
    for wanted in ({*lab.files.values(), f"{lab.slug}.ipynb"}, {lab.slug}):
        programs = [file for file in found.files if Path(file.path).name in wanted]
        if any("/" not in file.path for file in (*programs, *_makefiles(found))):
            return
        if programs:
            break
    worked = [file for file in programs if not _no_work(file, lab)] or programs[:1]
    tops = {file.path.rpartition("/")[0] for file in worked}
    if len(tops) > 1:
        several = ", ".join(sorted(file.path for file in worked)[:8])
        raise Fault(
            f"holds several programs: {several}", where=path, cure="hand in the one that is to be graded"
        )
    for top in tops:
        inside = [file for file in found.files if file.path.startswith(f"{top}/")]
        if len(inside) < len(found.files):
            found.notices.append(f"the program lies in {top!r}; what lies elsewhere was passed over")
        found.files = [
            SourceFile(path=file.path[len(top) + 1 :], data=file.data, executable=file.executable)
            for file in inside
        ]


def _makefiles(found: Unpacked) -> list[SourceFile]:
    return [file for file in found.files if file.path in _MAKEFILES]


def _no_work(file: SourceFile, lab: Lab) -> bool:
    """Whether a program, or a notebook that holds one, is still as it was shipped."""
    if not file.path.endswith(".ipynb"):
        return untouched(lab, Path(file.path).name, file.data)
    try:
        return all(untouched(lab, *each) for each in notebook.files(file.data, lab, Path(file.path)))
    except Fault:
        return False  # somebody shall hear of it


def _open_notebook(found: Unpacked, lab: Lab, path: Path) -> None:
    """Take the lab's files out of a notebook, if there is one.

    Beside a program it is the notebook that counts, once it was worked on: ``%%lab`` wrote the file when
    the cell was run last, and the cell may have been changed since.

    :raises Fault: if there are several notebooks, or the only program is in one that cannot be read
    """
    names = {file.path: file for file in found.files}
    books = [file for file in found.files if file.path.lower().endswith(".ipynb")]
    books = [file for file in books if file.path == f"{lab.slug}.ipynb"] or books
    beside = any(name in names for name in lab.files.values())
    if not books or (not beside and (lab.slug in names or _makefiles(found))):
        return
    if len(books) > 1:
        if beside:
            return
        several = ", ".join(file.path for file in books[:8])
        raise Fault(
            f"holds {len(books)} notebooks: {several}",
            where=path,
            cure="hand in the one that is to be graded",
        )
    try:
        inside = notebook.files(books[0].data, lab, path / books[0].path)
    except Fault as fault:
        if not beside:
            raise
        found.notices.append(f"{books[0].path!r} was passed over: it {fault.what}")
        return
    if not beside:
        found.files = [SourceFile(path=name, data=data) for name, data in inside]
        return
    for name, data in inside:
        saved = names.get(name)
        if untouched(lab, name, data) or (saved and saved.data == data):
            continue
        if saved:
            found.files.remove(saved)
            if not untouched(lab, name, saved.data):
                found.notices.append(f"{name} differs from its cell in {books[0].path!r}; the cell counts")
        found.files.append(SourceFile(path=name, data=data))
