from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.release.outcomes import UNITS
from upwell.stages.release.sequential import first_true
from upwell.stages.release.trials import Plan, decide, follow

PLAN = Plan(alpha=0.05, power=0.8, effect=0.1, margin=0.0, minimum=50)


def units(
    gain: float, size: int, seed: int = 0, share: float = 0.5, known: float = 0.0
) -> pa.Table:
    """Users who like (+1), dislike (−1) or say nothing (0), by version; ``known`` of it before."""
    rng = np.random.default_rng(seed)
    is_challenger = rng.random(size) < share
    kind = rng.normal(size=size)
    level = 0.1 + np.where(is_challenger, gain, 0.0) + 0.4 * known * kind
    drawn = rng.random(size)
    reward = np.where(
        drawn < (0.5 + level) / 2, 1.0, np.where(drawn > 1 - (0.5 - level) / 2, -1, 0)
    )
    before = kind if known else np.full(size, np.nan)
    return pa.table(
        {"unit": [str(n) for n in range(size)], "challenger": is_challenger,
         "chance": np.full(size, share), "reward": reward.astype(float),
         "before": pa.array(before, pa.float64(), from_pandas=True)},
        schema=UNITS,
    )  # fmt: skip


def acts(gain: float, plan: Plan, runs: int, size: int, share: float = 0.5) -> dict[str, float]:
    """How often each act comes first, over ``runs`` trials."""
    each = [units(gain, size, seed, share) for seed in range(runs)]
    rewards, who, chance = (
        np.array([one[name].to_numpy() for one in each])
        for name in ("reward", "challenger", "chance")
    )
    course = follow(rewards, who.astype(bool), chance, plan)
    names = ("rollback", "promote", "stop")
    firsts = np.array([first_true(one) for one in (course.worse, course.better, course.none)])
    came = np.where(firsts.min(0) < size, firsts.argmin(0), len(names))
    return {name: float((came == place).mean()) for place, name in enumerate((*names, "go_on"))}


def by_chance(share: float, runs: int) -> float:
    """How far a share that is just as promised may lie off in so many runs: two errors."""
    return float(2.0 * np.sqrt(share * (1.0 - share) / runs))


@pytest.mark.parametrize(
    ("gain", "act", "often"),
    [(0.25, "promote", 0.99), (-0.25, "rollback", 0.99), (0.0, "stop", 0.95),
     (0.1, "promote", 0.8), (-0.1, "rollback", 0.8)],
)  # fmt: skip
def test_a_world_is_seen_for_what_it_is_as_often_as_promised(
    gain: float, act: str, often: float
) -> None:
    assert acts(gain, PLAN, 600, 6000)[act] >= often - by_chance(often, 600)


@pytest.mark.parametrize("gain", [0.25, -0.25, 0.0, -0.1])
def test_a_decision_comes_with_its_numbers(gain: float) -> None:
    for one in (decide(units(gain, 8000, seed), PLAN) for seed in range(5)):
        assert one.key == f"trial.{one.act}"
        assert one.decided is not None
        assert one.decided < 8000
        assert one.estimate == pytest.approx(gain, abs=0.2)


@pytest.mark.parametrize("gain", [0.25, -0.25])
def test_the_interval_says_what_the_decision_says(gain: float) -> None:
    found = decide(units(gain, 8000, 1), PLAN)
    assert found.low is not None
    assert found.high is not None
    assert found.low < gain < found.high
    assert (found.low > 0.0) == (found.act == "promote")
    assert (found.high < 0.0) == (found.act == "rollback")


def test_a_real_loss_is_not_waited_for() -> None:
    sizes = [decide(units(-0.3, 8000, seed), PLAN).decided for seed in range(5)]
    assert all(size is not None and size < 1500 for size in sizes)


def test_looking_again_does_not_change_a_decision() -> None:
    whole = units(0.2, 6000, 4)
    final = decide(whole, PLAN)
    assert final.decided is not None
    for end in (final.decided, final.decided + 1, 5000):
        assert decide(whole.slice(0, end), PLAN).decided == final.decided
    assert decide(whole.slice(0, final.decided - 1), PLAN).act == "go_on"


def test_too_few_say_nothing() -> None:
    for size in (0, 1, 40, 90):
        found = decide(units(0.5, size), PLAN)
        assert (found.act, found.key, found.decided) == ("go_on", "trial.few", None)
        assert found.seen == sum(found.units) == size


def test_what_is_not_worse_by_the_margin_may_be_promoted() -> None:
    lenient = Plan(0.05, 0.8, 0.1, 0.15, 50)
    assert decide(units(0.0, 8000, 1), lenient).act == "promote"
    assert decide(units(0.0, 8000, 1), PLAN).act == "stop"


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1])
def test_false_decisions_are_as_rare_as_promised_however_often_one_looks(share: float) -> None:
    found = acts(0.0, PLAN, 600, 3000, share)
    assert found["promote"] + found["rollback"] <= 0.05 + by_chance(0.05, 600)


def test_what_was_before_makes_the_interval_narrower() -> None:
    told = units(0.0, 4000, 2, known=1.0)
    blind = told.set_column(4, "before", pa.nulls(4000, pa.float64()))
    wide = Plan(0.05, 0.8, 5.0, 0.0, 50)
    narrow, usual = (decide(one, wide) for one in (told, blind))
    for one in (narrow, usual):
        assert one.low is not None
        assert one.high is not None
    assert narrow.high is not None
    assert narrow.low is not None
    assert usual.high is not None
    assert usual.low is not None
    assert narrow.high - narrow.low < 0.95 * (usual.high - usual.low)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.05, 0.95), st.floats(-1, 1)), min_size=0, max_size=80
    )
)
def test_any_rows_get_a_verdict_with_finite_numbers(told: list[tuple[bool, float, float]]) -> None:
    table = pa.table(
        {"unit": [str(n) for n in range(len(told))], "challenger": [one[0] for one in told],
         "chance": [one[1] for one in told], "reward": [one[2] for one in told],
         "before": pa.nulls(len(told), pa.float64())},
        schema=UNITS,
    )  # fmt: skip
    found = decide(table, Plan(0.05, 0.8, 0.1, 0.0, 5))
    assert all(np.isfinite(float(str(number))) for number in found.numbers().values())
