"""The small course as an nbgrader course: what its tests and those in a browser share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from victims import ROOT

from grader.jupyter import instructing

Book = dict[str, Any]
RIGHT = "import sys\n\nfor line in sys.stdin:\n    sys.stdout.write(line)\n    sys.stdout.flush()\n"
HELD = "import sys\n\nfor line in sys.stdin:\n    sys.stdout.write(line)\n"
BRIEF = """\
# An echo

```{file} echo.py
```

```{question} why 2
Why is there an echo?
```

```{check}
```
"""


def nbgrader(root: Path, *words: str, fails: bool = False, **environment: str) -> str:
    """Run an nbgrader command; gives all that it said."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nbgrader", *words],
        cwd=root, capture_output=True, text=True, timeout=300,
        env=instructing.environment() | {"HOME": str(root), "JUPYTER_PLATFORM_DIRS": "1", "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def released(root: Path) -> Book:
    book: Book = json.loads((root / "release/echo/echo.ipynb").read_text())
    return book


def cell(book: Book, identity: str) -> Book:
    (found,) = (c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == identity)
    assert isinstance(found, dict)
    return found
