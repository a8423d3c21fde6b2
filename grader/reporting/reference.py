"""Pages to look things up: diagnoses, the labs of a course, what this machine can do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from grader.model import DiagnosisKind, Fault, Lab
from grader.reporting.page import WIDTH, Page
from grader.reporting.text import counted, number
from grader.running.machine import LOSSES, Machine

_COLUMN = 10


def diagnosis(kinds: Mapping[str, DiagnosisKind], slug: str, *, width: int = WIDTH) -> Page:
    """What `proclab explain SLUG` shows.

    :raises Fault: if there is no such diagnosis
    """
    if slug not in kinds:
        near = difflib.get_close_matches(slug, kinds, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "proclab explain lists them all"
        raise Fault(f"there is no diagnosis named {slug!r}", cure=hint)
    kind = kinds[slug]
    page = Page(width)
    page.line((slug, "bold"))
    page.blank()
    page.labelled("what", kind.title, indent=2, column=_COLUMN)
    page.labelled("why", kind.why, indent=2, column=_COLUMN)
    page.labelled("cure", kind.cure, indent=2, column=_COLUMN, style="green")
    if kind.section:
        page.labelled("read", f'section "{kind.section}" of the brief', indent=2, column=_COLUMN)
    if kind.source:
        page.labelled("source", kind.source, indent=2, column=_COLUMN)
    return page


def diagnoses(groups: Mapping[str, Iterable[DiagnosisKind]], *, width: int = WIDTH) -> Page:
    """All diagnoses, those that all labs share first."""
    page = Page(width)
    for title, kinds in groups.items():
        page.blank()
        page.line((title, "bold"))
        for kind in kinds:
            page.labelled((kind.slug, "cyan"), kind.title, indent=2, column=32)
    page.blank()
    page.line("proclab explain SLUG   tells more of one of them")
    return page


def labs(title: str, found: Iterable[Lab], *, width: int = WIDTH) -> Page:
    """The labs of a course in teaching order."""
    page = Page(width)
    page.line((title, "bold"))
    page.blank()
    for lab in found:
        points = sum(check.points for check in lab.checks)
        languages = ", ".join(language.value for language in lab.files)
        words = f"{lab.title}  ({languages}; {counted(len(lab.checks), 'check')}, {number(points)} points)"
        page.labelled((lab.slug, "cyan"), words, indent=2, column=18)
    page.blank()
    page.line("proclab start LAB   puts the skeleton and the brief into a folder")
    return page


def machine(here: Machine, *, width: int = WIDTH) -> Page:
    """What `proclab doctor` found, with the cure for what is missing."""
    page = Page(width)
    loss = LOSSES[here.level]
    page.labelled(
        f"isolation level {here.level.value}", loss or "the best there is: nothing is shared", column=20
    )
    page.blank()
    for fact in here.facts:
        mark = ("yes", "green") if fact.ok else ("NO", "bold red")
        page.labelled(mark, f"{fact.name}: {fact.detail}", indent=2, column=5)
        if fact.cure and not fact.ok:
            page.labelled(("cure", "bold"), fact.cure, indent=7, column=6, style="green")
    return page
