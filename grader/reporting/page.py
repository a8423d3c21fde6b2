"""A page of styled lines: all text is escaped on its way in, and wrapped to the width of the reader.

Nothing here interprets text: rich gets finished `Text` objects and never markup, and only a terminal
gets colour (rich itself respects NO_COLOR).
"""

from __future__ import annotations

import textwrap
from typing import IO

from rich.console import Console
from rich.text import Text

from grader.reporting.escape import visible

Piece = str | tuple[str, str]
"""Text, or text with a style"""

WIDTH = 96
_PLAIN = str.maketrans(
    {"├": "|", "└": "`", "─": "-", "│": "|", "…": "...", "×": "x", "–": "-", "“": '"', "”": '"'}  # noqa: RUF001
)
"""Our own furniture, for a stream that is not Unicode"""


class Page:
    """Lines, from top to bottom."""

    def __init__(self, width: int = WIDTH):
        self.width = max(60, min(width, 100))
        self._lines: list[Text] = []

    def line(self, *pieces: Piece, indent: int = 0) -> None:
        """One line that is never wrapped."""
        built = Text(" " * indent, end="")
        for piece in pieces:
            text, style = (piece, "") if isinstance(piece, str) else piece
            built.append(visible(text), style or None)
        built.rstrip()
        self._lines.append(built)

    def blank(self) -> None:
        """An empty line, never two in a row."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text(end=""))

    def labelled(
        self, label: Piece, text: str, *, indent: int = 0, column: int = 0, style: str = "", below: str = ""
    ) -> None:
        """A label, and its text wrapped in a column beside it; line breaks in the text are kept.

        :param below: what stands in the label's place beside the rows after the first
        """
        name, name_style = (label, "bold") if isinstance(label, str) else label
        name = visible(name)
        column = max(column, len(name) + 1 if name else 0)
        first: list[Piece] = [(name.ljust(column), name_style)]
        for row in self._wrapped(text, self.width - indent - column):
            self.line(*first, (row, style), indent=indent)
            first = [below.ljust(column)]

    def paragraph(self, text: str, *, indent: int = 0, style: str = "") -> None:
        """Wrapped text."""
        self.labelled("", text, indent=indent, style=style)

    @staticmethod
    def _wrapped(text: str, width: int) -> list[str]:
        rows: list[str] = []
        for row in text.split("\n"):
            shown = visible(row)
            rows += textwrap.wrap(
                shown, max(width, 20), break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
                subsequent_indent=" " * min(len(shown) - len(shown.lstrip()), 12),
            ) or [""]  # fmt: skip
        return rows

    @property
    def plain(self) -> str:
        """The page without colour."""
        return "".join(line.plain + "\n" for line in self._lines)

    def write(self, stream: IO[str]) -> None:
        """Print the page, in colour if the stream is a terminal."""
        encoding = getattr(stream, "encoding", None) or "utf-8"
        unicode = encoding.lower().replace("-", "").startswith("utf")
        if stream.isatty() and unicode:
            console = Console(file=stream, markup=False, highlight=False, emoji=False)
            for line in self._lines:
                console.print(line, soft_wrap=True, end="\n")
        elif unicode:
            stream.write(self.plain)
        else:
            plain = self.plain.translate(_PLAIN).encode(encoding, "backslashreplace")
            stream.write(plain.decode(encoding))
        stream.flush()
