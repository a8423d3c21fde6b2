"""Where the victims lie, and how tests speak of starting them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.model import Level
from grader.running.process import Program

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(__file__).parent / "programs"

Launch = Callable[..., Program]

LEVELS = [
    pytest.param(Level.FULL, id="full"),
    pytest.param(Level.PROCESS_GROUP, id="group"),
]
