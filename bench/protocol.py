"""The protocol of the recommendation bench: leave-one-out, full ranking, paired intervals.

Every method sees the same rows and is asked the same question: the ten best items for a user among
the whole catalogue, without those the user is known to have. One target a user, so the ideal
discounted gain is 1 and an NDCG is `1 / log2(rank + 1)`.

Two stages keep choices away from the test. A hyper-parameter is chosen by fitting on
`Split.known("validation")` and ranking for `Split.validation`; the reported model is fitted afresh
on `Split.known("test")`, which has the validation rows back, and ranks for `Split.test` once.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Stage = Literal["validation", "test"]

TOP = 10
MIN_ITEMS = 3
RESAMPLES = 10_000
NOTHING = -1


@dataclass(frozen=True, slots=True)
class Interactions:
    """Rows (n,), sorted by user, then time, then original order.

    `user` and `item` count from 0. `when` is in seconds since 1970, or the row's place within its
    user when the data has no times. `weight` is the rating (stars) or the number of plays.
    """

    user: Ints
    item: Ints
    when: Floats
    weight: Floats

    def __len__(self) -> int:
        return int(self.user.size)

    def take(self, rows: Ints | Bools) -> "Interactions":
        """The chosen rows, in the order given."""
        return Interactions(self.user[rows], self.item[rows], self.when[rows], self.weight[rows])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A catalogue of items with texts and what users did with them.

    `texts[i]` describes item `i`; `item_ids[i]` and `user_ids[u]` are the ids in the source.
    `timed` says whether `when` is a time.
    """

    name: str
    rows: Interactions
    user_ids: Ints
    item_ids: Ints
    texts: tuple[str, ...]
    timed: bool

    @property
    def users(self) -> int:
        """How many users there are."""
        return int(self.user_ids.size)

    @property
    def items(self) -> int:
        """How many items the catalogue has, met in training or not."""
        return int(self.item_ids.size)


@dataclass(frozen=True, slots=True)
class Targets:
    """One held-out item a user: `user` (m,) ascending and distinct, `item` (m,)."""

    user: Ints
    item: Ints

    def __len__(self) -> int:
        return int(self.user.size)


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from and what to find: `train` has neither held-out item of any user."""

    dataset: Dataset
    train: Interactions
    validation: Targets
    test: Targets
    with_validation: Interactions

    def known(self, stage: Stage) -> Interactions:
        """The rows a method may fit on and filter by when it ranks for `stage`."""
        return self.train if stage == "validation" else self.with_validation

    def targets(self, stage: Stage) -> Targets:
        """What is to be found in `stage`."""
        return self.validation if stage == "validation" else self.test


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks of one ranking: per user (m,) in the order of the targets, and share of items shown."""

    ndcg: Floats
    hit: Floats
    coverage: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference with the bounds of its 95 % interval; `n` users were resampled."""

    gain: float
    low: float
    high: float
    n: int


def chronological(user: Ints, item: Ints, when: Floats, weight: Floats) -> Interactions:
    """Sort rows by user and time; rows of one time keep their original order."""
    order = np.lexsort((when, user))
    return Interactions(user, item, when, weight).take(order)


def leave_one_out(dataset: Dataset, seed: int) -> Split:
    """Hold out one item a user for the test and one for validation.

    With times, the last item is the test and the one before it validation, whatever the seed;
    without times, both are drawn at random from `seed`. Users with fewer than three rows keep all
    of them.
    """
    rows = dataset.rows
    counts = np.bincount(rows.user, minlength=dataset.users)
    rank = _place_from_end(rows.user, counts) if dataset.timed else _random_place(rows.user, seed)
    eligible = counts[rows.user] >= MIN_ITEMS
    test, validation = eligible & (rank == 0), eligible & (rank == 1)
    return Split(
        dataset=dataset,
        train=rows.take(~(test | validation)),
        validation=_targets(rows, validation),
        test=_targets(rows, test),
        with_validation=rows.take(~test),
    )


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Items that no training row mentions, and one of them to find for each user of `targets`."""

    dataset: Dataset
    known: Interactions
    cold: Bools
    targets: Targets


def cold_start(dataset: Dataset, rows: Interactions, seed: int, share: float = 0.1) -> ColdStart:
    """Take `share` of the items out of `rows` altogether.

    A user's target is the last of the user's cold items (one drawn from `seed` when the data has no
    times); with times, the user's rows at and after the target's moment go too. Users left without
    any row have no target. Applied to `known`, it gives cold items to choose hyper-parameters on.
    """
    random = np.random.default_rng([seed, 7])
    popular = np.flatnonzero(np.bincount(rows.item, minlength=dataset.items))
    cold = np.zeros(dataset.items, np.bool_)
    cold[random.choice(popular, max(1, round(share * popular.size)), replace=False)] = True
    among = rows.take(cold[rows.item])
    if not dataset.timed:
        among = among.take(np.lexsort((random.random(len(among)), among.user)))
    last = (
        np.flatnonzero(np.append(np.diff(among.user) != 0, True))
        if len(among)
        else np.zeros(0, np.int64)
    )
    keep = ~cold[rows.item]
    if dataset.timed:
        moment = np.full(dataset.users, np.inf)
        moment[among.user[last]] = among.when[last]
        keep &= rows.when < moment[rows.user]
    known = rows.take(keep)
    present = np.bincount(known.user, minlength=dataset.users) > 0
    last = last[present[among.user[last]]]
    return ColdStart(dataset, known, cold, Targets(among.user[last], among.item[last]))


def top_items(scores: Floats, users: Ints, known: Interactions, k: int = TOP) -> Ints:
    """The `k` best items for each of `users` as (m, k), best first, known items left out.

    `scores` is (m, items). Equal scores are ordered by item index, which carries no information.
    Scores of minus infinity are never recommended: their place holds -1.
    """
    masked = scores.astype(np.float64, copy=True)
    place = np.full(int(max(users.max(initial=0), known.user.max(initial=0))) + 1, NOTHING)
    place[users] = np.arange(users.size)
    row = place[known.user]
    masked[row[row >= 0], known.item[row >= 0]] = -np.inf
    best = np.argsort(-masked, axis=1, kind="stable")[:, :k]
    best[np.isneginf(np.take_along_axis(masked, best, axis=1))] = NOTHING
    return best.astype(np.int64)


def mark(ranking: Ints, targets: Targets, items: int, k: int = TOP) -> Marks:
    """NDCG@k and HR@k per user, and the share of the catalogue that `ranking` (m, ≥k) shows."""
    shown = ranking[:, :k]
    if shown.shape[0] != len(targets):
        raise ValueError(
            f"{shown.shape[0]} rankings for {len(targets)} targets: "
            "rank exactly the users of the targets, in their order"
        )
    found = shown == targets.item[:, None]
    gains = 1.0 / np.log2(np.arange(2, shown.shape[1] + 2))
    different = np.unique(shown[shown != NOTHING]).size
    return Marks(found @ gains, found.any(axis=1).astype(np.float64), different / items)


def mean_over_seeds(per_seed: list[tuple[Targets, Floats]], users: int) -> Floats:
    """Each user's mean mark over the seeds that held one of the user's items out; NaN for no seed.

    Shape (users,): methods asked the same questions stay paired by user.
    """
    total, times = np.zeros(users), np.zeros(users)
    for targets, marks in per_seed:
        total[targets.user] += marks
        times[targets.user] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / times)


def paired_interval(
    ours: Floats, theirs: Floats, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """95 % percentile bootstrap of mean(ours − theirs) over users.

    Both are (n,); a user for whom either is NaN is left out.
    Memory: a block of 256 resamples by n indices at a time.
    """
    difference = ours - theirs
    difference = difference[~np.isnan(difference)]
    n = int(difference.size)
    if n == 0:
        raise ValueError("no user has both marks: there is nothing to compare")
    random = np.random.default_rng(seed)
    means = np.concatenate(
        [
            difference[random.integers(0, n, (min(256, resamples - start), n))].mean(axis=1)
            for start in range(0, resamples, 256)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(difference.mean()), float(low), float(high), n)


def _targets(rows: Interactions, chosen: Bools) -> Targets:
    return Targets(rows.user[chosen], rows.item[chosen])


def _place_from_end(user: Ints, counts: Ints) -> Ints:
    """0 for each user's last row, 1 for the one before, and so on; rows are sorted by user."""
    ends = np.cumsum(counts)
    return np.asarray(ends[user] - 1 - np.arange(user.size))


def _random_place(user: Ints, seed: int) -> Ints:
    """A random permutation of 0..n-1 within each user's n rows."""
    draws = np.random.default_rng(seed).random(user.size)
    order = np.lexsort((draws, user))
    starts = np.concatenate(([0], np.cumsum(np.bincount(user))))[user[order]]
    place = np.empty(user.size, np.int64)
    place[order] = np.arange(user.size) - starts
    return place
