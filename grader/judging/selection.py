"""Which checks are meant by ``-k NAME``."""

from __future__ import annotations

import difflib
import fnmatch

from grader.model import CheckInfo, Fault, Lab


def choose(lab: Lab, select: str | None, *, hidden: bool) -> tuple[CheckInfo, ...]:
    """The checks whose name contains `select`, or matches it as a pattern; all of them without it.

    :raises Fault: if there is none
    """
    known = tuple(check for check in lab.checks if hidden or not check.hidden)
    found = tuple(
        check
        for check in known
        if select is None or select in check.name or fnmatch.fnmatch(check.name, select)
    )
    if known and not found:
        names = [check.name for check in known]
        near = difflib.get_close_matches(select or "", names, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise Fault(
            f"no check of {lab.slug} is named {select!r}", cure=f"{hint}the checks are: {', '.join(names)}"
        )
    return found
