"""Slow drift: steps that each are too small to see, measured together.

Each turn compares with the version that serves, so a loss below its threshold can come again and
again. Here the challenger is compared with anchors too: the first version that was promoted and
every fifth one since. On one set of rows, Page's cumulative sum of the steps' losses (1954) is how
far the challenger lies below the best version before it; the anchors stand for these, so that
judging them all again stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from upwell.records import Json
from upwell.settings import GateSettings
from upwell.stages.evaluate import paired
from upwell.stages.evaluate.marks import Judged

EVERY, MOST = 5, 4
"""Each fifth promoted version is an anchor; the first and the latest are looked at, so many."""


def anchors(promoted: Sequence[str], champion: str | None) -> list[str]:
    """The versions to compare with, of all ``promoted`` (oldest first), without the champion.

    >>> anchors([f"m-{n}" for n in range(13)], "m-12")
    ['m-0', 'm-5', 'm-10']
    >>> anchors(["m-0"], "m-0")
    []
    """
    known = list(dict.fromkeys(promoted))[::EVERY]
    chosen = [known[0], *known[1:][-(MOST - 1) :]] if known else []
    return [one for one in chosen if one != champion]


def cusum(gains: Sequence[float]) -> float:
    """How far the last version lies below the best before it, from the gain of each step (≥ 0).

    >>> round(cusum([0.01, -0.004, -0.004, 0.002, -0.004]), 3)
    0.01
    """
    lost = 0.0
    for gain in gains:
        lost = max(0.0, lost - gain)
    return lost


def drift(
    challenger: Judged,
    others: Sequence[Judged],
    metric: str,
    settings: GateSettings,
    threshold: float,
    rng: np.random.Generator,
) -> Mapping[str, Json]:
    """The challenger's gain over the anchor that it loses most against; empty without anchors.

    ``anchor``, ``gain`` with ``low`` and ``high``, and the ``threshold``. Paired bootstrap over
    users; the intervals hold for all anchors together (Bonferroni). A gain of −threshold or less
    says that small steps have added up.
    """
    if not others:
        return {}
    names = [other.name for other in others]
    mine = _column(challenger, metric)
    gains = np.stack([mine - _column(other, metric) for other in others], axis=1)
    samples = paired.user_means(challenger.rows["user"], gains)
    level = 1.0 - (1.0 - settings.confidence) / len(names)
    found = paired.intervals(samples, settings.resamples, level, rng)
    worst = int(np.argmin(found[:, 0]))
    gain, low, high = (float(number) for number in found[worst])
    told: dict[str, Json] = {"gain": gain, "low": low, "high": high, "threshold": threshold}
    return {"anchor": names[worst], **told}


def _column(judged: Judged, metric: str) -> npt.NDArray[np.float64]:
    return np.asarray(judged.marks[metric], dtype=np.float64)
