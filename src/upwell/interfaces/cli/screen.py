"""How answers and errors look: one JSON document, or lines and tables aligned for any script."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Sequence

from upwell.errors import UpwellError
from upwell.interfaces.cli.here import Answer, Grid, Here

NUMBER = re.compile(r"[+−-]?[\d.,]+%?( … [+−-]?[\d.,]+)?")


def show(answer: Answer, here: Here) -> None:
    """Print an answer to stdout; one whose document is empty has told it already."""
    if here.json:
        if answer.document:
            print(json.dumps(answer.document, ensure_ascii=False, indent=2, default=str))
        return
    for line in answer.lines:
        print("\n".join(grid(line)) if isinstance(line, Grid) else line)


def show_error(error: UpwellError, here: Here) -> None:
    """What happened, how things stand now, what to do next: on stderr, or as JSON on stdout."""
    what, now, after = error.explain(here.lang)
    if here.json:
        told = {"code": error.code, "what": what, "now": now, "next": after}
        print(json.dumps({"error": told}, ensure_ascii=False, indent=2))
        return
    mark = strong("✗", sys.stderr.isatty(), "31")
    print(f"{mark} {what}\n  {now}\n  → {after}\n  [{error.code}]", file=sys.stderr)


def grid(table: Grid) -> list[str]:
    """A table as lines: a head, a rule, the rows.

    >>> for line in grid(Grid(("标题", "n"), (("Heat", "12"), ("Se7en", "5")))):
    ...     print(line)
    标题    n
    ─────  ──
    Heat   12
    Se7en   5
    """
    rows = [list(table.columns), *([_flat(cell) for cell in row] for row in table.rows)]
    widths = [max(width(row[place]) for row in rows) for place in range(len(table.columns))]
    right = [_numeric([row[place] for row in rows[1:]]) for place in range(len(widths))]
    ruled = [rows[0], ["─" * size for size in widths], *rows[1:]]
    return [_line(row, widths, right) for row in ruled]


def width(said: str) -> int:
    """Columns that a text takes in a terminal: two for a Chinese character.

    >>> width("标题 n")
    6
    """
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in said
    )


def strong(said: str, coloured: bool, code: str = "1") -> str:
    """Text in a terminal's bold or colour, where the terminal shows it and NO_COLOR is unset."""
    return f"\033[{code}m{said}\033[0m" if coloured and not os.environ.get("NO_COLOR") else said


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        " " * (size - width(cell)) + cell if at_right else cell + " " * (size - width(cell))
        for cell, size, at_right in zip(row, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _numeric(cells: Sequence[str]) -> bool:
    plain = [cell for cell in cells if cell]
    return bool(plain) and all(NUMBER.fullmatch(cell) for cell in plain)


def _flat(cell: str) -> str:
    """One line without control characters: what users wrote cannot steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in cell)
