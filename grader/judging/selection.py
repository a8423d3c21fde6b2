"""Which checks are meant by ``-k NAME``."""

from __future__ import annotations

import difflib
import fnmatch

from grader.model import CheckInfo, Fault, Lab


def choose(lab: Lab, select: str | None, *, hidden: bool) -> tuple[CheckInfo, ...]:
    """The checks whose name contains `select`, or matches it as a pattern; all of them without it.

    :raises Fault: if there is none
    """
    known = _known(lab, hidden)
    found = tuple(
        check
        for check in known
        if select is None or select in check.name or fnmatch.fnmatch(check.name, select)
    )
    if known and not found:
        raise _unknown(lab, known, select or "")
    return found


def exactly(lab: Lab, name: str, *, hidden: bool) -> tuple[CheckInfo, ...]:
    """The one check of this name.

    :raises Fault: if there is none
    """
    known = _known(lab, hidden)
    found = tuple(check for check in known if check.name == name)
    if not found:
        raise _unknown(lab, known, name)
    return found


def _known(lab: Lab, hidden: bool) -> tuple[CheckInfo, ...]:
    return tuple(check for check in lab.checks if hidden or not check.hidden)


def _unknown(lab: Lab, known: tuple[CheckInfo, ...], name: str) -> Fault:
    names = [check.name for check in known]
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return Fault(
        f"no check of {lab.slug} is named {name!r}", cure=f"{hint}the checks are: {', '.join(names)}"
    )
