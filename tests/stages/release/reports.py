"""Reports as evaluate makes them, with whatever a test of the gate needs in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from upwell.records import Decision, Json, Metric, Report
from upwell.settings import GateSettings
from upwell.stages.release.gate import decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BETTER_ONLY = GateSettings(slice_margin=0.02, slice_minimum=50, user_minimum=10)
NOT_WORSE = GateSettings(promote="not_worse", margin=0.002, slice_minimum=50, user_minimum=10)


def ndcg(gain: float, low: float, high: float, n: int = 500, name: str = "ndcg@10") -> Metric:
    return Metric(name=name, value=0.3, gain=gain, low=low, high=high, n=n)


def proof(bound: float | None, **more: Json) -> Mapping[str, Json]:
    flips: Mapping[str, Json] = {"permutation": {"p": 0.004, "users": 320}}
    told: Mapping[str, Json] = {
        "look": 3,
        "alpha": 0.0024,
        "p": 0.004,
        "bound": bound,
        "decides": "permutation",
    }
    return {"proof": {**told, "tests": flips, **more}}


def report(
    *metrics: Metric,
    slices: Mapping[str, Metric] | None = None,
    champion: str | None = "m-1",
    guards: Mapping[str, Json] | None = None,
    ope: Mapping[str, Json] | None = None,
) -> Report:
    groups = {group: (metric,) for group, metric in (slices or {}).items()}
    return Report("r", "m-2", champion, NOW, metrics, groups, guards or {}, ope or {})


def decided(
    found: Report, champion: str | None = "m-1", settings: GateSettings = BETTER_ONLY
) -> Decision:
    return decide(found, settings, id="d", task="recommend", at=NOW, champion=champion)


def keys(decision: Decision) -> list[str]:
    return [str(reason["key"]).removeprefix("gate.") for reason in decision.reasons]


def harmed(holm: float | None) -> Mapping[str, Json]:
    group: Mapping[str, Json] = {"kind": "profile", "users": 60, "holm": holm, "traits": []}
    return {**proof(0.002), "slices": {"f": group}}


SHOWN, BETTER = proof(0.002), ndcg(0.01, 0.004, 0.016)
