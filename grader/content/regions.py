"""Solution regions: what is taken out of a solution to make the skeleton.

In Python ``### BEGIN SOLUTION`` and ``### END SOLUTION``, in C ``// BEGIN SOLUTION`` and
``// END SOLUTION``, each on a line of its own.
"""

from __future__ import annotations

import re

from grader.model import Fault, Language

_MARKS = {
    Language.PYTHON: re.compile(r"(?P<indent>[ \t]*)### (?P<which>BEGIN|END) SOLUTION[ \t]*"),
    Language.C: re.compile(r"(?P<indent>[ \t]*)// (?P<which>BEGIN|END) SOLUTION[ \t]*"),
}
_LIKE_A_MARK = re.compile(r"\b(?:BEGIN|END)[ \t]+SOLUTION\b", re.IGNORECASE)
"""What somebody meant as a marker: passed over, it would hand the solution to students"""
YOUR_CODE = "YOUR CODE HERE"


def _stub(language: Language, indent: str, where: str) -> list[str]:
    """What stands in a skeleton in the place of a region.

    It ends the program in a way that a report can tell from a crash; status 70 is EX_SOFTWARE.
    """
    if language is Language.C:
        return [
            f"{indent}/* {YOUR_CODE} */",
            f'{indent}fprintf(stderr, "{where}: {YOUR_CODE}\\n");',
            f"{indent}exit(70);",
        ]
    return [f"{indent}# {YOUR_CODE}", f'{indent}raise NotImplementedError("{where}: {YOUR_CODE}")']


def inside(text: str, language: Language) -> tuple[str, ...]:
    """The lines that `hollow` takes away."""
    found: list[str] = []
    within = False
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        mark = _MARKS[language].fullmatch(line.removesuffix("\n").removesuffix("\r"))
        if mark:
            within = mark["which"] == "BEGIN"
        elif within:
            found.append(line)
    return tuple(found)


def hollow(text: str, language: Language, where: str) -> str:
    """Replace each region by a stub.

    Line ends stay as they are; the stub takes that of its marker. Only these are line ends, not the
    form feeds and separators that `str.splitlines` takes for some.

    :raises Fault: for a marker without its partner or written wrong, a region inside another, or no region
    """
    result: list[str] = []
    begun: int | None = None
    regions = 0
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        bare = line.removesuffix("\n").removesuffix("\r")
        mark = _MARKS[language].fullmatch(bare)
        if mark is None:
            if _LIKE_A_MARK.search(bare):
                raise Fault(
                    f"line {number}: is no marker as it stands: {bare.strip()}", where=where, cure=_CURE
                )
            if begun is None:
                result.append(line)
        elif mark["which"] == "BEGIN":
            if begun is not None:
                raise Fault(
                    f"line {number}: a region begins inside the one of line {begun}", where=where, cure=_CURE
                )
            begun, regions = number, regions + 1
            end = line[len(bare) :] or "\n"
            result += [stub + end for stub in _stub(language, mark["indent"], where)]
        else:
            if begun is None:
                raise Fault(f"line {number}: a region ends that has not begun", where=where, cure=_CURE)
            begun = None
    if begun is not None:
        raise Fault(f"line {begun}: a region begins and never ends", where=where, cure=_CURE)
    if not regions:
        raise Fault("has no solution region, so the skeleton would be the solution", where=where, cure=_CURE)
    return "".join(result)


_CURE = "put '### BEGIN SOLUTION' and '### END SOLUTION' (in C: //) on lines of their own around what students write"
