"""Names a training that runs away instead of handing over what is left of the model.

Where every target's net mass is ≥ 0 the textbook loss is ≥ 0 (−Σ c_k log p_k with all c_k ≥ 0), so
a loss below 0 shows an unmatched dislike, and a loss that goes on falling from there has no
minimum to find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from upwell.errors import StageError

FLOOR = -10.0
"""Nats. No fit of labels or likes explains a mean loss below this, whatever validation says."""

Row: TypeAlias = "dict[str, float | None]"


def watch(objective: str, curve: Sequence[Row], best_epoch: int, patience: int) -> None:
    """Raise StageError when the last epoch of ``curve`` shows a loss without a minimum.

    ``tune.textbook_diverged`` for the textbook objective: its loss is no number, lies below
    ``FLOOR``, or is below 0 and fell in each of ``patience`` epochs while validation was never
    better than before them. ``tune.not_finite`` for any other objective whose loss is no number.

    >>> watch("bounded", [{"epoch": 1, "combined": 0.7}], best_epoch=1, patience=3)
    """
    last = curve[-1]
    loss = last["combined"]
    if loss is None:
        return
    shown = {"epoch": last["epoch"], "loss": f"{loss:.4g}", "best": best_epoch}
    if objective != "textbook":
        if not math.isfinite(loss):
            raise StageError("tune.not_finite", **shown)
        return
    if not math.isfinite(loss) or loss < FLOOR or _endless(curve, best_epoch, patience):
        raise StageError("tune.textbook_diverged", **shown)


def _endless(curve: Sequence[Row], best_epoch: int, patience: int) -> bool:
    """Below 0, falling in each of the last ``patience`` epochs, none of them the best."""
    losses = [row["combined"] for row in curve if row["combined"] is not None][-patience - 1 :]
    late = curve[-1]["epoch"] or 0
    falling = all(after < before for before, after in pairwise(losses))
    return len(losses) > patience and losses[-1] < 0 and falling and late - best_epoch >= patience
