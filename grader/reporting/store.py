"""Reports as files: JSON with a format version, and writes that are whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from grader.content import files
from grader.model import FORMAT_VERSION, Fault, Report


class _Head(msgspec.Struct):
    """What every version of the format has."""

    format_version: int


def encoded(report: Report) -> bytes:
    """A report as JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write(report: Report, path: Path) -> None:
    """Store a report.

    :raises Fault: if the file cannot be written
    """
    replace(path, encoded(report))


def read(path: Path) -> Report:
    """Fetch a stored report.

    :raises Fault: if there is none, it is damaged, or another version wrote it
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        cure = "name a file that proclab grade wrote: DIR/reports/STUDENT.json"
        raise Fault(error.strerror or str(error), where=path, cure=cure) from error
    return decode(data, path)


def decode(data: bytes, path: Path) -> Report:
    """A report from its bytes.

    :param path: where they come from, for messages
    :raises Fault: if they are none, or another version wrote them
    """
    again = "grade the submission again: proclab grade LAB SUBMISSION"
    try:
        version = msgspec.json.decode(data, type=_Head).format_version
        if version != FORMAT_VERSION:
            newer = version > FORMAT_VERSION
            raise Fault(
                f"this is format {version}; this proclab reads format {FORMAT_VERSION}",
                where=path,
                key="format_version",
                cure="install the newer proclab that wrote it" if newer else again,
            )
        return msgspec.json.decode(data, type=Report)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        key = place.rstrip("`").lstrip(".") or None
        raise Fault(f"not a report: {what}", where=path, key=key, cure=again) from error
    except msgspec.DecodeError as error:
        what = re.sub(r"^JSON is malformed: ", "", str(error))
        raise Fault(f"not a report: the JSON is broken ({what})", where=path, cure=again) from error


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a half.

    :raises Fault: if the file cannot be written
    """
    try:
        files.write(path, data)
    except OSError as error:
        cure = "choose another folder, or make room in this one"
        raise Fault(f"cannot be written: {error.strerror}", where=path, cure=cure) from error
