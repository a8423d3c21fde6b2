"""proclab: autograded labs on Unix processes and inter-process communication.

This is all that a check file imports. The fixtures ``run``, ``start`` and ``talk`` come by name, as
pytest's do; `grader.judging.fixtures` documents them.
"""

from __future__ import annotations

from grader.judging.vocabulary import diagnose, needs, points

__all__ = ["diagnose", "needs", "points"]


def load_ipython_extension(shell: object) -> None:
    """``%load_ext grader`` in a notebook brings ``%%lab`` and ``%check``."""
    from grader.jupyter.magics import LabMagics

    shell.register_magics(LabMagics)  # type: ignore[attr-defined]
