"""Toys of tasks about answers: rows drawn one by one, in three parts, without a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from upwell.records import Example
from upwell.tables import Dataset, schema


def drawn(
    seed: int,
    sizes: Mapping[str, int],
    row: Callable[[np.random.Generator, str, int], dict[str, object]],
) -> Dataset:
    """``sizes`` rows of train, validation and test; ``row`` gets the part and a number."""
    rng = np.random.default_rng(seed)
    parts = {
        part: pa.Table.from_pylist([row(rng, part, n) for n in range(count)], schema(Example))
        for part, count in sizes.items()
    }
    items = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    return Dataset(parts["train"], parts["validation"], parts["test"], items)
