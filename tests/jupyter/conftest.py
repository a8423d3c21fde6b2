"""Kernels and nbgrader's commands are processes of their own: they find this clone, installed or not."""

from __future__ import annotations

import pytest
from victims import ROOT


@pytest.fixture(autouse=True)
def _this_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
