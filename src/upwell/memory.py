"""What the C library keeps of freed memory: during large steps, and when they have ended."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

PIECE = 2**20
"""Bytes from which a block is the machine's own after ``spare``."""
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGEST = 32 * 2**20
"""Where glibc's own threshold ends in a program that frees large blocks (mallopt(3))."""


def spare() -> None:
    """From now on large blocks go back to the machine as soon as they are freed.

    Else glibc keeps them in pieces that the next blocks do not fit, and a step of several GB takes
    twice as much. It costs time, up to half as much again: worth it where memory is what is short.
    """
    library = _library()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, PIECE)


def give_back() -> None:
    """Hand over all that is kept, and keep again what is freed from now on.

    A server that turns would stay as large as its training was, by gigabytes for a language model.
    """
    library = _library()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        library.malloc_trim(0)


def _library() -> Any:
    """The C library, where it can be told this: glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
