"""Challenger against champion and baselines, on the same rows: everything a Report says.

A Report's ``metrics`` begin with the deciding metric, then the task's other marks, each as

* ``m``: the challenger's value with its interval (``value_low``, ``value_high``), and its gain
  over the champion with the gain's interval (``low``, ``high``; all three None without one);
* ``m[x]`` for each opponent x (``champion`` and every baseline by name): the opponent's value
  with its interval, and the *challenger's* gain over that opponent with the gain's interval.

``n`` counts users; every value is a mean over users of the user's own mean. ``slices`` hold
the plain ``m`` per user group, those of the profile's column and those found in behaviour; a
group of fewer than ``slice_minimum`` users is left out.
``guards`` hold ``metric`` (the deciding one), ``users``, ``rows``, ``looks`` (how often the
frozen part has been looked at), by contender (``challenger``, ``champion``, baselines)
``coverage``, ``concentration`` and ``calibration_error``, and where there is a champion ``proof``
(see ``deciding``), ``slices`` (see ``slices``) and ``more_users`` (``{"gain": g, "users": N,
"alpha": a}``: N more users would show a gain of g at the next look's level).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import StageError
from upwell.records import Json, Metric, Report
from upwell.settings import GateSettings
from upwell.stages.evaluate import paired, ranking
from upwell.stages.evaluate.deciding import Look, missing, pair, proof
from upwell.stages.evaluate.marks import CHAMPION, Judged
from upwell.stages.evaluate.slices import Group, groups, harms

Floats = npt.NDArray[np.float64]
_ONLY = Look()


def compare(
    challenger: Judged,
    champion: Judged | None,
    baselines: Sequence[Judged],
    *,
    metric: str,
    catalogue: int,
    settings: GateSettings,
    rng: np.random.Generator,
    id: str,
    at: datetime,
    looks: int = 1,
    look: Look | None = _ONLY,
    features: Sequence[str] = (),
) -> Report:
    """The Report on a challenger; see the module's text for its exact shape.

    ``catalogue`` is the number of known items, 0 where a task has none. ``look`` says what level
    may be spent (None: this comparison decides nothing); ``features`` name the rows' features.
    Raises StageError when contenders were judged on different rows or ``metric`` is not a mark.
    """
    names = _marks(challenger, metric)
    opponents = _opponents(challenger, champion, baselines)
    found = _measure(challenger, opponents, names, settings, rng)
    contenders = {"challenger": challenger, **opponents}
    parts = groups(challenger.rows, settings, features)
    guards = _facts(challenger, metric) | {"looks": looks}
    if champion is not None:
        guards |= _proved(challenger, champion, metric, settings, look, parts)
    return Report(
        id=id,
        challenger=challenger.name,
        champion=None if champion is None else champion.name,
        at=at,
        metrics=found,
        slices=_slices(challenger, champion, names, settings, rng, parts),
        guards=guards | _guards(contenders, catalogue),
        ope={},
    )


def _marks(challenger: Judged, metric: str) -> list[str]:
    """Names of the marks, the deciding one first."""
    known = challenger.marks.column_names
    if metric not in known:
        raise StageError("evaluate.no_metric", metric=metric, known=", ".join(known))
    return [metric, *(name for name in known if name != metric)]


def _opponents(
    challenger: Judged, champion: Judged | None, baselines: Sequence[Judged]
) -> dict[str, Judged]:
    """The champion first; all were judged on the challenger's rows."""
    found = {} if champion is None else {CHAMPION: champion}
    found |= {baseline.name: baseline for baseline in baselines}
    for other in found.values():
        if not challenger.rows["id"].equals(other.rows["id"]):
            raise StageError("evaluate.other_rows", one=challenger.name, other=other.name)
    return found


def _matrix(judged: Judged, names: list[str]) -> Floats:
    """(n, m) marks of a contender."""
    columns = [np.asarray(judged.marks[name], dtype=np.float64) for name in names]
    return np.stack(columns, axis=1)


def _measure(
    challenger: Judged,
    opponents: Mapping[str, Judged],
    names: list[str],
    settings: GateSettings,
    rng: np.random.Generator,
    chosen: npt.NDArray[np.int64] | slice = slice(None),
) -> tuple[Metric, ...]:
    """Values and gains over the chosen rows; one bootstrap serves all of them."""
    mine = _matrix(challenger, names)[chosen]
    theirs = [_matrix(opponent, names)[chosen] for opponent in opponents.values()]
    users = pa.chunked_array([np.asarray(challenger.rows["user"])[chosen]])
    blocks = [mine, *theirs, *(mine - their for their in theirs)]
    samples = paired.user_means(users, np.concatenate(blocks, axis=1))
    drawn = paired.intervals(samples, settings.resamples, settings.confidence, rng)
    shaped = drawn.reshape(len(blocks), len(names), 3)
    values, gains = shaped[: len(theirs) + 1], shaped[len(theirs) + 1 :]
    against = gains[0] if CHAMPION in opponents else [None] * len(names)
    found = [
        _metric(name, values[0][place], against[place], len(samples))
        for place, name in enumerate(names)
    ]
    for row, opponent in enumerate(opponents):
        for place, name in enumerate(names):
            label = f"{name}[{opponent}]"
            found.append(_metric(label, values[row + 1][place], gains[row][place], len(samples)))
    return tuple(found)


def _metric(name: str, value: Floats, gain: Floats | None, n: int) -> Metric:
    middle, low, high = (None, None, None) if gain is None else (float(x) for x in gain)
    return Metric(
        name=name,
        value=float(value[0]),
        gain=middle,
        low=low,
        high=high,
        n=n,
        value_low=float(value[1]),
        value_high=float(value[2]),
    )


def _slices(
    challenger: Judged,
    champion: Judged | None,
    names: list[str],
    settings: GateSettings,
    rng: np.random.Generator,
    parts: Sequence[Group],
) -> dict[str, tuple[Metric, ...]]:
    """The plain metrics of every group."""
    opponents = {} if champion is None else {CHAMPION: champion}
    return {
        part.name: _measure(challenger, opponents, names, settings, rng, part.rows)[: len(names)]
        for part in parts
    }


def _facts(challenger: Judged, metric: str) -> dict[str, Json]:
    """What the comparison stands on."""
    users = len(pc.unique(challenger.rows["user"]))
    return {"metric": metric, "users": users, "rows": challenger.rows.num_rows}


def _proved(
    challenger: Judged,
    champion: Judged,
    metric: str,
    settings: GateSettings,
    look: Look | None,
    parts: Sequence[Group],
) -> dict[str, Json]:
    """Whether the gain is shown, who is shown to lose, and how many users are missing."""
    mine, theirs = _matrix(challenger, [metric])[:, 0], _matrix(champion, [metric])[:, 0]
    whole = pair(mine, theirs, challenger.rows["user"])
    told: dict[str, Json] = {"slices": harms(parts, challenger.rows, whole)}
    if look is not None:
        told["proof"] = proof(whole, look, settings)
        told["more_users"] = missing(whole, look, settings)
    return told


def _guards(contenders: Mapping[str, Judged], catalogue: int) -> dict[str, Json]:
    """Numbers that must not go wrong while the metrics rise, by contender."""
    guards: dict[str, Json] = {}
    if catalogue:
        outputs = {name: judged.answers["output"] for name, judged in contenders.items()}
        guards["coverage"] = {n: ranking.coverage(o, catalogue) for n, o in outputs.items()}
        guards["concentration"] = {
            n: ranking.concentration(o, catalogue) for n, o in outputs.items()
        }
    models = ("challenger", CHAMPION)
    guards["calibration_error"] = {
        name: _calibration(contenders[name])
        for name in models
        if name in contenders and len(pc.list_flatten(contenders[name].answers["output"]))
    }
    return guards


def _calibration(judged: Judged) -> float:
    """How far the first answer's probability is from how often it is right."""
    rank = ranking.ranks(judged.answers["output"], judged.rows["target"])
    confidence = ranking.first_scores(judged.answers["score"])
    return ranking.calibration_error(confidence, ranking.hit_rate(rank, 1))
