"""Which groups' adapters pay: each beside the shared model, on held-out rows of its group.

The test is the gate's, paired over users, with Holm's correction for all groups of a turn. It
chooses what a version is made of; whether that version serves, the frozen test decides.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from upwell.records import Json
from upwell.settings import GateSettings
from upwell.stages.evaluate import paired, significance
from upwell.stages.evaluate.deciding import pair
from upwell.stages.evaluate.marks import Judged


def paying(
    tried: Mapping[str, tuple[Judged, Judged]],
    metric: str,
    settings: GateSettings,
    rng: np.random.Generator,
) -> dict[str, dict[str, Json]]:
    """For each group's adapter and the shared model, judged alike: what it gains, if it pays.

    ``act`` is ``kept`` where p (of no gain) after Holm's correction, ``holm``, is at most
    ``settings.alpha``, else ``refused``; ``gain`` has its interval, ``low`` and ``high``. Where a
    mark is not finite it is ``failed``.
    """
    found, raw = dict[str, dict[str, Json]](), dict[str, float]()
    for group, (its, shared) in tried.items():
        marks = [np.asarray(one.marks[metric], np.float64) for one in (its, shared)]
        apart = pair(marks[0], marks[1], its.rows["user"])
        if not np.isfinite(apart.users).all():
            found[group] = {"act": "failed", "why": "evaluate.not_finite"}
            continue
        drawn = paired.intervals(apart.users[:, None], settings.resamples, settings.confidence, rng)
        gain, low, high = map(float, drawn[0])
        p = significance.no_gain(apart.users, apart.right_or_wrong)
        found[group] = {"metric": metric, "gain": gain, "low": low, "high": high, "p": p}
        raw[group] = p
    for group, p in zip(raw, significance.holm([*raw.values()]), strict=True):
        found[group] |= {"holm": p, "act": "kept" if p <= settings.alpha else "refused"}
    return found
