"""P6: twenty turns that each lose too little to be seen, by the functions the loop decides with.

``open``: every version serves. ``anchored``: the attacker gets it past all checks but the one that
compares with versions promoted long before. ``gated``: it also has to pass the milder of the
gate's two ways to show a gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.records import Metric, Report
from upwell.settings import GateSettings
from upwell.stages.evaluate.cumulative import anchors, drift
from upwell.stages.evaluate.marks import Judged
from upwell.stages.evaluate.paired import intervals
from upwell.stages.release.beside import cumulative
from upwell.stages.release.measured import shown

Bools = npt.NDArray[np.bool_]
Gate: TypeAlias = Literal["open", "anchored", "gated"]
TURNS, PEOPLE, JUDGED = 20, 40_000, 2000
START = 0.85
CHURN = 0.01
"""Share of questions that a new version answers otherwise, as many better as worse."""
NOON = datetime(2026, 1, 1, tzinfo=UTC)


def lost(step: float, seed: int, gate: Gate) -> float:
    """True accuracy that twenty turns cost, each of which loses ``step`` of it.

    A version is judged on users drawn from all; what is lost is counted on all of them.
    """
    rng = np.random.default_rng([seed, round(step * 1e5)])
    judged = rng.choice(PEOPLE, JUDGED, replace=False)
    first = serving = rng.random(PEOPLE) < START
    versions, promoted = {"m-0": first}, ["m-0"]
    for turn in range(1, TURNS + 1):
        name = f"m-{turn}"
        versions[name] = _worse(serving, step, rng)
        if gate == "open" or _passes(versions, judged, promoted, name, gate, rng):
            serving = versions[name]
            promoted.append(name)
    return float(first.mean() - serving.mean())


def _worse(right: Bools, step: float, rng: np.random.Generator) -> Bools:
    """The next version's answers: some become right, more become wrong."""
    chance = rng.random(len(right))
    share = right.mean()
    becomes_wrong = right & (chance < (CHURN / 2 + step) / share)
    becomes_right = ~right & (chance < CHURN / 2 / (1 - share))
    return np.asarray((right & ~becomes_wrong) | becomes_right)


def _passes(
    versions: dict[str, Bools],
    judged: npt.NDArray[np.int64],
    promoted: Sequence[str],
    name: str,
    gate: Gate,
    rng: np.random.Generator,
) -> bool:
    """Whether the gate's checks let a version serve."""
    settings = GateSettings(promote="not_worse", resamples=500)
    users = pa.table({"user": [f"u{place}" for place in judged]})
    made = {
        one: Judged(one, users, pa.table({}), pa.table({"accuracy": right[judged].astype(float)}))
        for one, right in versions.items()
    }
    others = [made[one] for one in anchors(promoted, promoted[-1])]
    told = drift(made[name], others, "accuracy", settings, settings.drift_margin, rng)
    gain = (versions[name][judged].astype(float) - versions[promoted[-1]][judged])[:, None]
    mean, low, high = (float(one) for one in intervals(gain, settings.resamples, 0.95, rng)[0])
    main = Metric("accuracy", START, gain=mean, low=low, high=high, n=JUDGED)
    report = Report("r", name, promoted[-1], NOON, (main,), {}, {"cumulative": told}, {})
    reasons = [*cumulative(report), *(shown(report, settings) if gate == "gated" else ())]
    return all(reason["verdict"] in ("promote", "note") for reason in reasons)
