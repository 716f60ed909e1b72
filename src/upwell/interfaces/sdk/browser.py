"""The snippet for browsers, as it is served: without comments and indents, within 2 kB."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

MOST = 2_048
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@cache
def snippet() -> str:
    """JavaScript that tells clicks, visible seconds and thumbs of the elements marked for it.

    >>> len(snippet().encode()) <= MOST
    True
    """
    source = (Path(__file__).parent / "upwell.js").read_text(encoding="utf-8")
    lines = (line.strip() for line in _COMMENT.sub("", source).splitlines())
    return "\n".join(line for line in lines if line) + "\n"
