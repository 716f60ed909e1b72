"""Memory that a step no longer needs goes back to the machine, not to a heap that only grows."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from upwell.ports import Model
from upwell.stages.tune.precision import worth

PIECE = 256 * 2**10
"""Bytes from which a block is the machine's own while a large model learns."""
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGEST = 32 * 2**20
"""Where glibc's own threshold ends in a program that frees large blocks (mallopt(3))."""


@contextmanager
def given_back(model: Model) -> Iterator[None]:
    """While a large model learns, blocks of ``PIECE`` or more go back when they are freed.

    The rest goes back when the block ends. glibc would keep them for later, in pieces that the next
    step's blocks do not fit: a language model's training took as much again as it used. Other C
    libraries are left as they are, and so are small models, whose steps would wait for memory.
    """
    library = _library() if worth(model, torch.device("cpu")) else None
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, PIECE)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)
        library.malloc_trim(0)


def _library() -> Any:
    """The C library, where it can be told this."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
