"""How commands look in a terminal: headings, aligned rows, three colours. Knows nothing of what is shown.

Colour only where somebody looks: on a terminal that is not `dumb`, unless NO_COLOR is set (no-color.org). Lines are
wrapped to a terminal's width; in a file or a pipe each row stays one line.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

#: Where the values of rows begin, in columns.
INDENT = 16


class Tone(Enum):
    """What a colour says, as its ANSI code."""

    GOOD = "32"
    WARNING = "33"
    BAD = "31"
    HEADING = "1"


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where lines go: whether it has colours, and its columns, 0 for as many as a line has."""

    colours: bool = False
    columns: int = 0

    def paint(self, text: str, tone: Tone) -> str:
        """The text in a colour, where there are colours."""
        return f"\033[{tone.value}m{text}\033[0m" if self.colours else text

    def row(self, label: str, text: str, indent: int = INDENT) -> Iterator[str]:
        """A label and what it says, wrapped beside it."""
        width = max(self.columns - indent, 20) if self.columns else 0
        # Paths and commands stay whole, to be copied.
        wrapped = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) if width else [text]
        first, *rest = wrapped or [""]
        yield f"{label:{indent}}{first}".rstrip()
        for line in rest:
            yield " " * indent + line


def standard_output() -> Terminal:
    """What the command prints to."""
    if not sys.stdout.isatty():
        return Terminal()
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return Terminal(not dumb and not os.environ.get("NO_COLOR"), shutil.get_terminal_size().columns)


def bytes_told(count: float) -> str:
    """`0 B`, `8.1 MiB`, `15 GiB`."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            break
        count, unit = count / 1024, larger
    return f"{count:.1f} {unit}" if unit != "B" and count < 10 else f"{count:.0f} {unit}"


def span_told(seconds: float) -> str:
    """`40 s`, `5 min`, `3 h 12 min`, `4 days`: as exact as somebody wants to know it."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def counted(count: int, noun: str) -> str:
    """`1 subject`, `1,204 subjects`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
