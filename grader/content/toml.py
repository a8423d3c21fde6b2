"""TOML at the door: every error names the file, the key and the cure."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from grader.model import Fault

T = TypeVar("T")


def table(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    :raises Fault: if it is missing, not UTF-8 or not TOML
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fault(
            "is missing", where=path, cure="proclab new SLUG makes a lab with all its files"
        ) from None
    except UnicodeDecodeError as error:
        raise Fault(f"is not UTF-8 text (byte {error.start})", where=path, cure="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise Fault(f"is not TOML: {error}", where=path, cure="mend that line") from None


def convert(data: Any, kind: type[T], where: Path, key: str = "") -> T:
    """Turn a table into a value.

    :raises Fault: naming the key that is unknown, missing or of the wrong kind
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise _fault(str(error), kind, where, key) from None


def _fault(words: str, kind: type, where: Path, key: str) -> Fault:
    """msgspec says ``Expected `int`, got `str` - at `$.limits.cpu_s```; we say it with the file and a cure."""
    what, _, place = words.partition(" - at `$")
    inner = place.rstrip("`").lstrip(".")
    path = ".".join(part for part in (key, inner) if part) or None
    unknown = re.match(r"Object contains unknown field `(.*)`", what)
    if unknown:
        near = difflib.get_close_matches(unknown.group(1), _fields(kind, inner), 1)
        name = ".".join(part for part in (path, unknown.group(1)) if part)
        known = ", ".join(_fields(kind, inner))
        cure = f"did you mean {near[0]}?" if near else f"known here: {known}"
        return Fault("unknown key", where=where, key=name, cure=cure)
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        name = ".".join(part for part in (path, missing.group(1)) if part)
        return Fault("is missing", where=where, key=name, cure=f"add it: {missing.group(1)} = ...")
    return Fault(what.replace("`", "'"), where=where, key=path, cure="change the value to that kind")


def _fields(kind: type, inner: str) -> list[str]:
    """Names that are known where the error is: of the value, or of one inside it."""
    for name in filter(None, inner.replace("[...]", "").split(".")):
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return []
        kind = next((f.type for f in msgspec.structs.fields(kind) if f.encode_name == name), object)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [field.encode_name for field in msgspec.structs.fields(kind)]
    return []
