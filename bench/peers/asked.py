"""Several clients at once, each with its questions one after the other: what they got.

Interpreters of peers run this too, so that it needs nothing but Python.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Ask = Callable[[str], "tuple[float, int]"]


def answered(asked: Sequence[Sequence[str]], ask: Ask) -> dict[str, Any]:
    """``seconds`` of all, ``tokens`` of all, and of each reply the seconds to its ``first`` one.

    ``ask`` gives the seconds to the first token of a reply, and its tokens.
    """
    began = time.perf_counter()
    with ThreadPoolExecutor(len(asked)) as crew:
        told = crew.map(lambda texts: [ask(text) for text in texts], asked)
        found = [one for mine in told for one in mine]
    return {
        "seconds": time.perf_counter() - began,
        "first": [first for first, _ in found],
        "tokens": sum(tokens for _, tokens in found),
    }
