"""Which formats a file's columns look like, for who did not say one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from upwell.plugins import locations, plugin
from upwell.ports import Recognised


def formats_of(file: str, names: Collection[str]) -> list[str]:
    """The formats that are known by the most of the columns ``names``, of those that read ``file``.

    >>> formats_of("pairs.jsonl", ["prompt", "chosen", "rejected", "page"])
    ['trl']
    >>> formats_of("pairs.csv", ["prompt", "chosen", "rejected"])
    []
    """
    ending = Path(file.removesuffix(".gz")).suffix
    matched = {name: _known_by(name, ending, set(names)) for name in locations("sources")}
    most = max(matched.values())
    return [name for name, count in matched.items() if most and count == most]


def _known_by(name: str, ending: str, names: set[str]) -> int:
    """How many columns tell that a file with such an ending is of the format ``name``."""
    try:
        source = plugin("sources", name)
    except ImportError:
        # Another package's importer that lacks what it needs is no reason to tell nothing.
        return 0
    if not isinstance(source, Recognised) or ending not in source.READS:
        return 0
    return max((len(one) for one in source.KNOWN_BY if one <= names), default=0)
