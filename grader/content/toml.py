"""TOML at the door: every error names the file, the key and the cure."""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from grader.content import files
from grader.model import Fault

T = TypeVar("T")


def table(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    :raises Fault: if it is missing, not UTF-8 or not TOML
    """
    text = files.text(path, "proclab new SLUG makes a lab with all its files")
    if text.startswith("\ufeff"):
        raise Fault(
            "begins with a byte order mark",
            where=path,
            cure="save it as UTF-8 without one (not 'UTF-8 with BOM')",
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Fault(f"is not TOML: {error}", where=path, cure="mend that line") from None
    except RecursionError:
        raise Fault("is not TOML that can be read: nested too deeply", where=path, cure="mend it") from None


def convert(data: Any, kind: type[T], where: Path, key: str = "") -> T:
    """Turn a table into a value.

    :raises Fault: naming the key that is unknown, missing or of the wrong kind
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise _fault(str(error), data, kind, where, key) from None


def _fault(words: str, data: Any, kind: type, where: Path, key: str) -> Fault:
    """msgspec says ``Expected `int`, got `str` - at `$.limits.cpu_s```; we say it with the file and a cure."""
    what, _, place = words.partition(" - at `$")
    steps, kind = _way(re.findall(r"\w+|\[[^]]*\]", place), data, kind)

    def path(*more: str) -> str | None:
        return ".".join(part for part in (key, *steps, *more) if part).replace(".[", "[") or None

    known = _fields(kind)
    unknown = re.match(r"Object contains unknown field `(.*)`", what)
    if unknown:
        near = difflib.get_close_matches(unknown.group(1), known, 1)
        cure = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        return Fault("unknown key", where=where, key=path(_quoted(unknown.group(1))), cure=cure)
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        name = missing.group(1)
        return Fault("is missing", where=where, key=path(name), cure=f"add it: {name} = ...")
    what = what.replace("`object", "`table").replace("`", "'")  # TOML's word
    return Fault(what, where=where, key=path(), cure="change the value to that kind")


def _way(steps: list[str], data: Any, kind: Any) -> tuple[list[str], Any]:
    """The keys that lead to the error, and the type that is wanted there.

    msgspec writes ``[...]`` for any key of a table whose keys are free; the guilty one is found by trying.
    """
    way: list[str] = []
    for step in steps:
        if step == "[...]":
            kind = next(iter(typing.get_args(kind)[1:]), object)
            name = next((name for name, value in data.items() if not _fits(value, kind)), "...")
            way.append(_quoted(name))
            data = data.get(name)
        elif step.startswith("["):
            kind = next(iter(typing.get_args(kind)), object)
            way.append(step)
            data = data[int(step[1:-1])]
        else:
            kind = next((f.type for f in _struct(kind) if f.encode_name == step), object)
            way.append(step)
            data = data.get(step) if isinstance(data, dict) else None
    return way, kind


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _quoted(name: str) -> str:
    """A key as it is written in TOML."""
    return name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'


def _fields(kind: Any) -> list[str]:
    return [field.encode_name for field in _struct(kind)]


def _struct(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a value, or of the value in ``Value | None``."""
    for each in (kind, *typing.get_args(kind)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return msgspec.structs.fields(each)
    return ()
