"""What learning platforms hand out: whose each file of an export is, told by names and a file beside them.

Each platform has its own way to put the names of students into those of files. Sources, as far as there
are any: Gradescope, "Export submissions" (``submission_metadata.yml``); Canvas, "Download submissions"
(``name_LATE_user_attachment_file``); Moodle, mod/assign/locallib.php, "Download all submissions"
(``name_id_assignsubmission_file_``); Classroom 50, ``gh teacher download`` (``classroom-assignment-user``); nbgrader,
``submitted/STUDENT/ASSIGNMENT``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from grader.model import Lab

GRADESCOPE = "submission_metadata.yml"
_CLASSROOM50 = ".classroom50.yaml"
_OF_RUNS = {"result.json", "results.json", ".git", ".github", _CLASSROOM50}
"""What `gh teacher download` puts beside the work: it changes whenever something is downloaded again"""
_MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<file>.*))?", re.DOTALL
)
_CANVAS = re.compile(
    r"(?P<name>anon_[^_]+|[^_]+)(?P<late>_LATE)?(?:_(?P<user>\d+))?_(?P<attachment>\d+)_(?P<file>.+)",
    re.DOTALL,
)
_CANVAS_TEXT = re.compile(
    r"(?P<name>anon_[^_]+|[^_]+)(?P<late>_LATE)?(?:_(?P<user>\d+))?_(?:text|link)\.html"
)


@dataclass(frozen=True)
class Piece:
    """What one student handed in."""

    student: str
    parts: tuple[tuple[str, str], ...]
    """Files and folders of the export, and what each is called in the submission; a folder: ``""``"""
    known_as: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """Who is in an export, and what of it belongs to nobody."""

    what: str
    """``an export of Moodle``"""
    pieces: tuple[Piece, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What lies in a folder or an archive, by name; the first levels of it are enough.

    :param inside: the names in one of the folders, those of folders with a slash behind them
    :param text: what stands in a file, as far as it is UTF-8 and not huge; empty if there is none
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    inside: Callable[[str], Sequence[str]] = field(compare=False)
    text: Callable[[str], str] = field(compare=False)


def recognise(listing: Listing, lab: Lab) -> Export | None:
    """The export that this is; none if it is none."""
    for reader in (_gradescope, _moodle, _classroom50, _canvas):
        found = reader(listing)
        if found is not None:
            return replace(found, pieces=tuple(_told_apart(found.pieces)))
    return _nbgrader(listing, lab)


def _told_apart(pieces: Iterable[Piece]) -> list[Piece]:
    """Two students of the same name get what tells them apart behind it."""
    pieces = list(pieces)
    names = Counter(piece.student for piece in pieces)
    return [
        replace(piece, student=f"{piece.student} ({piece.known_as[-1]})")
        if names[piece.student] > 1 and piece.known_as
        else piece
        for piece in pieces
    ]


# ---------------------------------------------------------------- Gradescope


@dataclass
class _Submitters:
    names: list[str] = field(default_factory=list)
    others: list[list[str]] = field(default_factory=list)


def _gradescope(listing: Listing) -> Export | None:
    if GRADESCOPE not in listing.files:
        return None
    known = _metadata(listing.text(GRADESCOPE))
    pieces, notices = [], []
    for name in (*listing.folders, *listing.files):
        if name == GRADESCOPE:
            continue
        who = known.pop(name, None)
        if who is None or not who.names:
            if name in listing.folders:
                pieces.append(Piece(name, ((name, ""),), (), (f"{GRADESCOPE} does not say whose this is",)))
            else:
                notices.append(f"{name} was passed over: {GRADESCOPE} does not name it")
            continue
        for number, student in enumerate(who.names):
            others = [other for other in who.names if other != student]
            together = (f"handed in together with {', '.join(others)}",) if others else ()
            called = "" if name in listing.folders else name
            pieces.append(Piece(student, ((name, called),), tuple(who.others[number]), together))
    notices += [f"{name} of {GRADESCOPE} is not there" for name in known]
    return Export("an export of Gradescope", tuple(pieces), tuple(notices))


def _metadata(text: str) -> dict[str, _Submitters]:
    """Who handed in which folder.

    Of the YAML that Gradescope writes only these lines are read; whatever they quote of students' programs
    further in (results, history) is indented more than they are.
    """
    found: dict[str, _Submitters] = {}
    current = _Submitters()
    inside = False
    for line in text.split("\n"):
        if line.startswith("       "):
            continue
        if (top := re.fullmatch(r"(['\"]?)([^\s'\"#:]+)\1:\s*", line)) and not line.startswith(" "):
            current = found.setdefault(top.group(2), _Submitters())
            inside = False
        elif re.fullmatch(r"  :\w+:.*", line):
            inside = line.strip() == ":submitters:"
        elif inside and (item := re.fullmatch(r"  ( )?( )?- :(\w+): ?(.*)", line)):
            current.names.append("")
            current.others.append([])
            _submitter(current, item.group(3), item.group(4))
        elif inside and current.names and (more := re.fullmatch(r" {4,6}:(\w+): ?(.*)", line)):
            _submitter(current, more.group(1), more.group(2))
    for each in found.values():
        each.names = [
            name or (others[0] if others else "")
            for name, others in zip(each.names, each.others, strict=True)
        ]
    return found


def _submitter(current: _Submitters, key: str, value: str) -> None:
    said = _scalar(value)
    if key == "name":
        current.names[-1] = said
    elif key in ("sid", "email") and said:
        current.others[-1].append(said)


def _scalar(value: str) -> str:
    """A YAML scalar on one line."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        named = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/", "e": "\x1b", "0": "\0"}

        def char(match: re.Match[str]) -> str:
            code = match.group(2) or match.group(3) or match.group(4)
            if code and int(code, 16) <= 0x10FFFF:
                return chr(int(code, 16))
            return named.get(match.group(1), match.group(0))

        pattern = r"\\(x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)"
        return re.sub(pattern, char, value[1:-1])
    return "" if value in ("null", "~") else value


# ---------------------------------------------------------------- Moodle


def _moodle(listing: Listing) -> Export | None:
    names = (*listing.folders, *listing.files)
    matches = {name: match for name in names if (match := _MOODLE.fullmatch(name))}
    if not matches or len(matches) < len(names) / 2:
        return None
    by_student: dict[tuple[str, str], dict[str, list[tuple[str, str]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for name, match in matches.items():
        called = "" if name in listing.folders else match["file"] or name
        by_student[match["name"], match["id"]][match["plugin"]].append((name, called))
    pieces = []
    for (student, number), plugins in by_student.items():
        files = plugins.pop("file", [])
        passed = [name for parts in plugins.values() for name, _ in parts]
        parts = files or [part for each in plugins.values() for part in each]
        told = (f"passed over: {', '.join(passed)}",) if files and passed else ()
        pieces.append(Piece(student, tuple(parts), (number,), told))
    return Export("an export of Moodle", tuple(pieces), _left_over(names, matches, "Moodle"))


# ---------------------------------------------------------------- Canvas


def _canvas(listing: Listing) -> Export | None:
    names = listing.files
    matches = {}
    for name in names:
        match = _CANVAS_TEXT.fullmatch(name) or _CANVAS.fullmatch(name)
        if match and (match["user"] or match["name"].startswith("anon_")):
            matches[name] = match
    if listing.folders or not matches or len(matches) < len(names) / 2:
        return None
    by_student: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, match in matches.items():
        by_student[match["name"], match["user"] or ""].append(name)
    pieces = []
    for (student, user), mine in by_student.items():
        called = {name: matches[name].groupdict().get("file") or name for name in mine}
        late = any(matches[name]["late"] for name in mine)
        pieces.append(
            Piece(
                student,
                tuple(zip(mine, _as_uploaded(list(called.values())), strict=True)),
                (user,) if user else (),
                ("handed in late, says Canvas",) if late else (),
            )
        )
    return Export("an export of Canvas", tuple(pieces), _left_over(names, matches, "Canvas"))


def _as_uploaded(names: list[str]) -> list[str]:
    """Names without the number that Canvas puts behind that of a file which was handed in again: ``echo-1.py``.

    It does so to all files of a later attempt, so a number that only one has is the student's own, unless that is
    the only file.
    """
    numbers = {
        match.group(1) if (match := re.search(r"-(\d+)$", PurePosixPath(n).stem)) else "" for n in names
    }
    if len(numbers) != 1 or "" in numbers:
        return names
    stems = [re.sub(r"-\d+$", "", PurePosixPath(name).stem) for name in names]
    endings = [PurePosixPath(name).suffix for name in names]
    uploaded = [f"{stem}{ending}" for stem, ending in zip(stems, endings, strict=True)]
    return uploaded if all(stems) and len(set(uploaded)) == len(uploaded) else names


def _left_over(names: Iterable[str], matches: Iterable[str], platform: str) -> tuple[str, ...]:
    known = set(matches)
    return tuple(
        f"{name} was passed over: its name is not one that {platform} gives to a submission"
        for name in names
        if name not in known
    )


# ---------------------------------------------------------------- Classroom 50


def _classroom50(listing: Listing) -> Export | None:
    clones = [name for name in listing.folders if _CLASSROOM50 in listing.inside(name)]
    if not clones:
        return None
    prefixes = set()
    for name in clones:
        text = listing.text(f"{name}/{_CLASSROOM50}")
        said = dict(re.findall(r"^(classroom|assignment):\s*['\"]?([\w.-]+)['\"]?\s*$", text, re.MULTILINE))
        if len(said) == 2:
            prefixes.add(f"{said['classroom']}-{said['assignment']}-")
    pieces, notices = [], []
    for name in listing.folders:
        prefix = next((each for each in sorted(prefixes) if name.lower().startswith(each.lower())), None)
        if name not in clones and prefix is None:
            notices.append(f"{name} was passed over: it is no clone of an assignment")
            continue
        student = name[len(prefix) :] if prefix and len(name) > len(prefix) else name
        kept = [inner for each in listing.inside(name) if (inner := each.rstrip("/")) not in _OF_RUNS]
        parts = tuple((f"{name}/{inner}", inner) for inner in kept) or ((name, ""),)
        pieces.append(Piece(student, parts, (student,)))
    return Export("a download of Classroom 50", tuple(pieces), tuple(notices))


# ---------------------------------------------------------------- nbgrader


def _nbgrader(listing: Listing, lab: Lab) -> Export | None:
    """``STUDENT/ASSIGNMENT/…``: every folder holds only assignments, and some hold this one."""
    if listing.files or not listing.folders:
        return None
    pieces, notices = [], []
    for name in listing.folders:
        inside = listing.inside(name)
        if not all(inner.endswith("/") for inner in inside):
            return None  # a file: so this is what a student handed in
        if f"{lab.slug}/" in inside:
            pieces.append(Piece(name, ((f"{name}/{lab.slug}", ""),), (name,)))
        else:
            notices.append(f"{name} has not handed in {lab.slug}")
    if not any("timestamp.txt" in listing.inside(piece.parts[0][0]) for piece in pieces):
        return None  # nbgrader writes one; without any, the folders may have those names for another reason
    return Export("nbgrader's submitted folder", tuple(pieces), tuple(notices))
