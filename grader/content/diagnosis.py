"""The faults that have a name: those that all labs share, and those of one lab."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from grader.content import toml
from grader.model import DiagnosisKind, Fault, Value

SHARED = Path(__file__).parents[1] / "diagnoses.toml"


class _Entry(Value, frozen=True, kw_only=True):
    """One table of diagnoses.toml, or one ``[diagnoses.SLUG]`` of a lab."""

    title: str
    why: str
    cure: str
    section: str = ""
    source: str = ""


def kinds(tables: dict[str, Any], where: Path, key: str = "") -> dict[str, DiagnosisKind]:
    """Read tables of diagnoses.

    :raises Fault: for a slug that is not kebab-case, or a table that lacks something
    """
    found = {}
    for slug, entry in tables.items():
        name = f"{key}.{slug}" if key else slug
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug):
            raise Fault(
                "is not kebab-case", where=where, key=name, cure="write it like 'write-end-left-open'"
            )
        value = toml.convert(entry, _Entry, where, name)
        found[slug] = DiagnosisKind(
            slug=slug,
            title=value.title,
            why=value.why,
            cure=value.cure,
            section=value.section,
            source=value.source,
        )
    return found


@functools.cache
def shared() -> dict[str, DiagnosisKind]:
    """The faults that all labs share (grader/diagnoses.toml)."""
    return kinds(toml.table(SHARED), SHARED)
