"""proclab: autograded labs on Unix processes and inter-process communication.

This is all that a check file imports. The fixtures ``run``, ``start`` and ``talk`` come by name, as
pytest's do; `grader.judging.fixtures` documents them.
"""

from __future__ import annotations

from grader.judging.vocabulary import diagnose, needs, points

__all__ = ["diagnose", "needs", "points"]
