"""Trials that may be looked at after every user, beside tests with one look.

Users like (+1), dislike (−1) or say nothing (0); the champion's mean is .1, each user meets the
challenger with probability ½, and ``release.trials`` decides. A test with one look is planned for
α = 5 %, power .8 and the least gain that matters; effects are told in shares of that gain. Samples
are shares of what that test takes.

False alarms: no difference, a look after every user up to 4,000; beside it a z-test looked at every
50 users from 100 on, which stops at the first p below 5 %. Speed: effects that matter (1 to 2 times
the planned one, either sign, evenly), effects of any size (normal, its deviation the planned one),
and each effect by itself, none left out. A trial that has not decided after four times the planned
sample counts as four.

Cookie Cats: 90,189 players of a randomised test, by number of player as if by time, and in 200
other orders; the planned effect is the one that a test with one look of that size finds with power
.8. Promotion, rollback or neither must be what that test says.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets import data_folder
from bench.protocol import Floats
from bench.rows import Row, publish
from upwell.stages.release.outcomes import UNITS
from upwell.stages.release.sequential import first_true, fixed_size
from upwell.stages.release.trials import Plan, decide, follow

ALPHA, POWER, EFFECT, MINIMUM = 0.05, 0.8, 0.1, 50
PLAN = Plan(ALPHA, POWER, EFFECT, 0.0, MINIMUM)
LEVEL = 0.1
KNOWN = 0.3
LOOKS, FIRST, EVERY = 4000, 100, 50
QUIET, RUNS, CHUNK = 4000, 1000, 100
LONGEST, FASTER = 4, 0.63
SHARES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
ORDERS = 200
ACTS = ("rollback", "promote", "stop", "go_on")

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Users:
    """(runs, n) rewards, who met the challenger, with which probability, and rewards before."""

    reward: Floats
    challenger: Booleans
    chance: Floats
    before: Floats | None = None


def users(
    gain: Floats, size: int, rng: np.random.Generator, *, share: float = 0.5, known: float = 0.0
) -> Users:
    """One run for each ``gain``; ``known``: how far users of two kinds lie apart, as shows before.

    No level leaves what half of all reacting can reach, so a gain is as large as it is said to be.
    """
    shape = (len(gain), size)
    challenger = rng.random(shape) < share
    kind = rng.choice((-1.0, 1.0), shape)
    level = LEVEL + np.where(challenger, gain[:, None], 0.0) + known * kind
    drawn = rng.random(shape)
    likes, dislikes = drawn < (0.5 + level) / 2.0, drawn > 1.0 - (0.5 - level) / 2.0
    reward = likes.astype(np.float64) - dislikes
    return Users(reward, challenger, np.full(shape, share), kind if known else None)


def decided(met: Users, plan: Plan) -> tuple[Integers, Integers]:
    """(runs,) places in ACTS, and after how many users; all of them where none decides."""
    course = follow(met.reward, met.challenger, met.chance, plan, before=met.before)
    firsts = np.array([first_true(one) for one in (course.worse, course.better, course.none)])
    size, came = met.reward.shape[-1], firsts.min(axis=0)
    act = np.where(came < size, firsts.argmin(axis=0), len(ACTS) - 1)
    return act, np.minimum(came + 1, size)


def quiet(share: float, known: float) -> tuple[Booleans, Booleans]:
    """(runs,) false alarms of the trial and of the z-test that is looked at often."""
    rng, ours, naive = np.random.default_rng(7), [], []
    looks = np.arange(FIRST, LOOKS + 1, EVERY) - 1
    for _ in range(QUIET // CHUNK):
        met = users(np.zeros(CHUNK), LOOKS, rng, share=share, known=known)
        act, _ = decided(met, PLAN)
        ours.append(act < ACTS.index("stop"))
        naive.append((np.abs(_z(met)[:, looks]) > 1.96).any(axis=1))
    return np.concatenate(ours), np.concatenate(naive)


def _z(met: Users) -> Floats:
    """(runs, n) the two-sample z after each user; 0 while an arm has fewer than two."""
    parts = []
    for arm in (met.challenger, ~met.challenger):
        count = np.maximum(np.cumsum(arm, axis=-1), 1)
        mean = np.cumsum(np.where(arm, met.reward, 0.0), axis=-1) / count
        square = np.cumsum(np.where(arm, met.reward**2, 0.0), axis=-1) / count
        parts.append((mean, np.maximum(square - mean**2, 0.0) / count))
    (one, noise), (other, more) = parts
    return np.asarray((one - other) / np.sqrt(np.maximum(noise + more, 1e-12)))


def alarms() -> Iterator[Row]:
    """False alarms under continuous looking."""
    for share, known in ((0.5, 0.0), (0.1, 0.0), (0.5, KNOWN)):
        ours, naive = quiet(share, known)
        head = f"false alarms, share {share:g}{', with CUPED' if known else ''}"
        yield _share(f"{head}: upwell", ours, f"at most {ALPHA}", most=ALPHA)
        yield _share(f"{head}: naive z-test", naive, "known elsewhere: .336" if not known else "")


def planned(deviation: float) -> int:
    """Users of the test with one look."""
    return fixed_size(EFFECT, deviation, ALPHA, POWER, 0.5)


def speed() -> Iterator[Row]:
    """Samples until a decision, as shares of the test with one look."""
    rng = np.random.default_rng(11)
    # The deviation of a user's reward: half of all react.
    fixed = planned(float(np.sqrt(0.5 - LEVEL**2)))
    yield Row("users of the test with one look", fixed)
    strong = rng.uniform(1.0, 2.0, RUNS) * rng.choice((-1.0, 1.0), RUNS)
    mixed = {"effects that matter": strong, "effects of any size": rng.normal(size=RUNS)}
    for head, shares in mixed.items():
        act, used = _tried(shares, fixed, rng)
        yield _median(f"samples, {head}: median", used / fixed, f"at most {FASTER}")
        yield Row(f"samples, {head}: mean", float(used.mean()) / fixed)
        said = np.where(shares > 0.0, act == ACTS.index("rollback"), act == ACTS.index("promote"))
        yield _share(f"wrong side, {head}", said, f"at most {ALPHA}", most=ALPHA)
    for effect in SHARES:
        yield from _by_itself(effect, fixed, rng)
    act, used = _tried(np.ones(RUNS), fixed, rng, known=KNOWN)
    yield _median("samples, effect 1 with CUPED: median", used / fixed)
    yield _share("promoted, effect 1 with CUPED", act == ACTS.index("promote"))


def _by_itself(effect: float, fixed: int, rng: np.random.Generator) -> Iterator[Row]:
    act, used = _tried(np.full(RUNS, effect), fixed, rng)
    is_planned = effect == 1.0
    yield _median(
        f"samples, effect {effect:g}: median", used / fixed, f"at most {FASTER}" * is_planned
    )
    yield Row(f"samples, effect {effect:g}: mean", float(used.mean()) / fixed)
    for place, name in enumerate(ACTS):
        target = f"at least {POWER}" if is_planned and name == "promote" else ""
        hits = act == place
        if hits.any():
            yield _share(f"effect {effect:g}: {name}", hits, target, least=POWER)


def _tried(
    shares: Floats, fixed: int, rng: np.random.Generator, *, known: float = 0.0
) -> tuple[Integers, Integers]:
    """Trials of effects that are shares of the planned one."""
    parts = [
        decided(users(some * EFFECT, LONGEST * fixed, rng, known=known), PLAN)
        for some in np.array_split(shares, len(shares) // CHUNK)
    ]
    return np.concatenate([act for act, _ in parts]), np.concatenate([n for _, n in parts])


def _median(name: str, samples: Floats, target: str = "") -> Row:
    """The median with its interval over runs; judged where there is a target."""
    drawn = np.random.default_rng(0).integers(0, len(samples), (2000, len(samples)))
    low, high = np.quantile(np.median(samples[drawn], axis=1), (0.025, 0.975))
    value = float(np.median(samples))
    holds = value <= FASTER if target else None
    return Row(name, value, float(low), float(high), target, holds)


def _share(
    name: str, hits: Booleans, target: str = "", *, most: float = 1.0, least: float = 0.0
) -> Row:
    """A share with Wilson's interval; judged where there is a target."""
    share, count = float(hits.mean()), len(hits)
    centre = (share + 1.92 / count) / (1.0 + 3.84 / count)
    reach = 1.96 * (share * (1 - share) / count + 0.96 / count**2) ** 0.5 / (1.0 + 3.84 / count)
    holds = least <= share <= most if target and not target.startswith("known") else None
    return Row(name, share, centre - reach, centre + reach, target, holds)


def cookie_cats() -> Iterator[Row]:
    """The real test: what one look says, what the trial says and after how many players."""
    rows = pq.read_table(data_folder() / "ab-cookie-cats" / "cookie_cats.parquet")
    rows = rows.sort_by("userid")
    is_new = np.array([version == "gate_40" for version in rows["version"].to_pylist()])
    for column in ("retention_1", "retention_7"):
        kept = rows[column].cast(pa.int8()).to_numpy().astype(np.float64)
        yield from _real(column, kept, is_new)


def _real(column: str, kept: Floats, is_new: Booleans) -> Iterator[Row]:
    size = len(kept)
    error = np.sqrt(kept[is_new].var() / is_new.sum() + kept[~is_new].var() / (~is_new).sum())
    gain = float(kept[is_new].mean() - kept[~is_new].mean())
    says = "neither" if abs(gain / error) < 1.96 else "promote" if gain > 0 else "rollback"
    normal = NormalDist()
    seen = normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER)
    plan = Plan(ALPHA, POWER, float(seen * error), 0.0, MINIMUM)
    yield Row(f"cookie cats {column}, one look ({says})", gain, gain - 1.96 * error,
              gain + 1.96 * error)  # fmt: skip
    found = decide(_table(kept, is_new), plan)
    mine = found.act if found.act in ("promote", "rollback") else "neither"
    used = (found.decided or size) / size
    yield Row(f"cookie cats {column}, trial: {found.act} at", used, None, None,
              f"{says}, as one look says", mine == says)  # fmt: skip
    rng, acts = np.random.default_rng(0), Counter[str]()
    for _ in range(ORDERS):
        order = rng.permutation(size)[None]
        act, _ = decided(Users(kept[order], is_new[order], np.full((1, size), 0.5)), plan)
        acts[ACTS[act[0]]] += 1
    for name, times in acts.items():
        yield Row(f"cookie cats {column}, other orders: {name}", times / ORDERS)


def _table(kept: Floats, is_new: Booleans) -> pa.Table:
    size = len(kept)
    return pa.table(
        {
            "unit": pa.nulls(size, pa.string()),
            "challenger": is_new,
            "chance": np.full(size, 0.5),
            "reward": kept,
            "before": pa.nulls(size, pa.float64()),
        },
        schema=UNITS,
    )


def main() -> None:
    """Measure and publish."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    publish("ab", [*alarms(), *speed(), *cookie_cats()])


if __name__ == "__main__":
    main()
