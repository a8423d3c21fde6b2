"""The skeleton as students got it, and whether a file is still no more than that."""

from __future__ import annotations

from grader.model import Lab


def untouched(lab: Lab, name: str, data: bytes) -> bool:
    """Whether nobody has worked on a file: it is blank, or the shipped skeleton.

    Line ends, and those at the very end, are no work: editors and front ends change them unasked.
    """
    shipped = lab.root.parent.parent / "skeletons" / lab.slug / name
    plain = _plain(data)
    return not plain.strip() or (shipped.is_file() and plain == _plain(shipped.read_bytes()))


def _plain(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").rstrip(b"\n")
