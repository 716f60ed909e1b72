"""What the version on trial would have earned where others answered: the Report's ``ope``.

It stands on the frozen part's rows that were never learned from: answers that were shown with a
known probability and that a user liked (1) or disliked (0), at most so many a user. Rows with a
propensity of 1 are left out, for both sides alike: chance had no say in them.

A version would answer as it would be served: its best answer, or with probability ε one of the
runners-up of its pool, chosen evenly. Only rows that users reacted to are known, so the value is
the mean over reactions; ``snips`` estimates just that even where some answers provoke more
reactions than others, and decides. Intervals are over users.

``ope`` has ``estimator``, ``challenger``, ``champion`` and ``gain`` (each ``{"value", "error",
"low", "high"}`` or null), ``n`` rows, ``users``, ``logged`` rows with a propensity, ``epsilon``,
``ess`` and ``largest`` (the worse of both versions'), ``missing``, ``refused`` (a word key or null)
with the ``numbers`` of its sentence, and ``estimates``: all three by name of the estimator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.ports import Judging, Model, Task
from upwell.records import Json
from upwell.stages.evaluate.marks import spread
from upwell.stages.evaluate.offpolicy import Found, clipped, dr, ips, slope, sndr, snips
from upwell.stages.evaluate.rewards import Beliefs, Choices, believed
from upwell.stages.evaluate.support import LEAST_SIZE, Log, Support, support

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Loader = Callable[[], Model]

DECIDES = "snips"
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Serving:
    """How a version would be served: ε, the pool a runner-up comes from, when it says nothing."""

    explore: float
    pool: int
    abstain: float = 0.0


def worth(
    task: Task,
    test: pa.Table,
    challenger: Loader,
    champion: Loader | None,
    serving: Serving,
    *,
    per_user: int,
    confidence: float,
) -> Mapping[str, Json]:
    """The Report's ``ope`` from the frozen rows (Example columns); models are loaded if needed.

    Nothing is raised for rows that carry no estimate: ``refused`` says why there is none.
    """
    logged = _logged(test)
    rows = spread(logged.filter(pc.not_equal(logged["propensity"], 1.0)), per_user)
    facts: dict[str, Json] = {
        "estimator": DECIDES, "challenger": None, "champion": None, "gain": None,
        "n": rows.num_rows, "users": len(pc.unique(rows["user"])), "logged": logged.num_rows,
        "epsilon": serving.explore, "ess": 0.0, "largest": 0.0, "missing": 0.0,
        "refused": None, "numbers": {}, "estimates": {},
    }  # fmt: skip
    why = _hopeless(task, logged, rows)
    if why:
        count: Json = {"rows": rows.num_rows, "logged": logged.num_rows, "least": LEAST_SIZE}
        return facts | {"refused": why, "numbers": count}
    said = {"challenger": _said(task, challenger(), rows, serving.pool)}
    if champion is not None:
        said["champion"] = _said(task, champion(), rows, serving.pool)
    sides = {name: _side(rows, answers, serving) for name, answers in said.items()}
    return facts | _told(sides, confidence)


def chances(answers: pa.Table, shown: pa.ChunkedArray, serving: Serving) -> Floats:
    """(n,) the probability with which each row's ``shown`` answer would be the one answer served.

    ``answers`` has up to ``serving.pool`` candidates a row, best first, in ``output``.

    >>> answers = pa.table({"output": [["a", "b"], ["a", "b"], ["a"]], "score": [[0.9, 0.1]] * 3})
    >>> chances(answers, pa.chunked_array([["a", "b", "b"]]), Serving(0.1, pool=2))
    array([0.9, 0.1, 0. ])
    """
    places, offered = _offers(answers, serving)
    same = pc.equal(_flat(answers["output"]), shown.combine_chunks().take(pa.array(places)))
    hit = np.asarray(pc.fill_null(same, False))
    chance: Floats = np.zeros(answers.num_rows)
    np.add.at(chance, places[hit], offered[hit])
    return chance


@dataclass(frozen=True, slots=True)
class _Side:
    """One version on the rows: the log as it would have answered it, and what supports it."""

    log: Log
    support: Support
    choices: Choices


def _logged(test: pa.Table) -> pa.Table:
    """Rows of weight above 0 that were shown with a propensity and got a sign."""
    known = pc.and_(pc.is_valid(test["propensity"]), pc.is_valid(test["sign"]))
    return test.filter(pc.and_(known, pc.greater(test["weight"], 0.0)))


def _hopeless(task: Task, logged: pa.Table, rows: pa.Table) -> str | None:
    """Why no model needs to be asked: a word key, or None."""
    if task.ABOUT == "item":
        return "ope.refused.lists"
    if isinstance(task, Judging):
        return "ope.refused.replies"
    if not logged.num_rows:
        return "ope.refused.rows"
    if not rows.num_rows:
        return "ope.refused.deterministic"
    return "ope.refused.few" if rows.num_rows < LEAST_SIZE else None


def _said(task: Task, model: Model, rows: pa.Table, pool: int) -> pa.Table:
    """The ``pool`` best answers to each row, columns ``output`` and ``score``."""
    starts = range(0, rows.num_rows, _BATCH)
    parts = [task.answer(model, rows.slice(start, _BATCH), pool) for start in starts]
    return pa.concat_tables([part.select(["output", "score"]) for part in parts])


def _side(rows: pa.Table, answers: pa.Table, serving: Serving) -> _Side:
    user = pc.dictionary_encode(rows["user"]).combine_chunks().indices
    log = Log(
        reward=(np.asarray(rows["sign"], np.float64) + 1.0) / 2.0,
        propensity=np.asarray(rows["propensity"], np.float64),
        chance=chances(answers, rows["target"], serving),
        user=np.asarray(user, np.int64),
        share=np.asarray(pc.multiply(rows["weight"], rows["reliability"]), np.float64),
    )
    return _Side(log, support(log), _choices(rows, answers, serving))


def _told(sides: Mapping[str, _Side], confidence: float) -> dict[str, Json]:
    """Estimates of every side and of the gain, or why there are none."""
    supports = [side.support for side in sides.values()]
    facts: dict[str, Json] = {
        "ess": min(found.size for found in supports),
        "largest": max(found.largest for found in supports),
        "missing": max(found.missing for found in supports),
    }
    for found in supports:
        if found.refused:
            return facts | {"refused": found.refused, "numbers": dict(found.numbers)}
    every = {name: _estimates(side, confidence) for name, side in sides.items()}
    table: dict[str, dict[str, Json]] = {}
    user = next(iter(sides.values())).log.user
    for name in every["challenger"]:
        values = {side: estimates[name] for side, estimates in every.items()}
        if "champion" in values:
            values["gain"] = values["challenger"] - values["champion"]
        table[name] = {side: asdict(one.told(confidence, user)) for side, one in values.items()}
    return facts | table[DECIDES] | {"estimates": table}


def _estimates(side: _Side, confidence: float) -> dict[str, Found]:
    """Every estimator on one side; what never was shown widens all of them."""
    reward, weight = side.log.reward, side.log.weight
    beliefs: Beliefs = believed(side.choices, reward, weight, side.log.user)
    told = (reward, weight, beliefs.shown, beliefs.expected)
    found = {
        "ips": ips(reward, weight),
        "snips": snips(reward, weight),
        "clipped": clipped(reward, weight, slope(reward, weight, confidence)),
        "dr": dr(*told),
        "sndr": sndr(*told),
    }
    return {name: one.widened(side.support.missing, reward) for name, one in found.items()}


def _choices(rows: pa.Table, answers: pa.Table, serving: Serving) -> Choices:
    """What was shown and what would be, as codes of texts; a missing candidate has chance 0."""
    places, offered = _offers(answers, serving)
    texts = pa.concat_arrays([rows["target"].combine_chunks(), _flat(answers["output"])])
    known = texts.dictionary_encode()
    codes = np.asarray(known.indices, np.int64)
    shape = (rows.num_rows, max(int(np.bincount(places).max(initial=0)), 1))
    starts = np.searchsorted(places, np.arange(rows.num_rows))
    slots = np.arange(len(places)) - starts[places]
    action, chance = np.zeros(shape, np.int64), np.zeros(shape)
    action[places, slots], chance[places, slots] = codes[rows.num_rows :], offered
    return Choices(_features(rows), codes[: rows.num_rows], action, chance, len(known.dictionary))


def _offers(answers: pa.Table, serving: Serving) -> tuple[Integers, Floats]:
    """The row of each candidate, and the probability with which it would be served alone.

    As ``serve`` does it: the best with 1 − ε, the runners-up of the pool share ε; with none, the
    best is certain. Below ``abstain`` nothing is shown.
    """
    lists = answers["output"].combine_chunks()
    sizes = np.asarray(pc.list_value_length(lists), np.int64)
    places = np.repeat(np.arange(len(sizes)), sizes)
    rank = np.arange(len(places)) - (np.cumsum(sizes) - sizes)[places]
    runners = np.minimum(sizes, serving.pool)[places] - 1
    explored = np.where(rank <= runners, serving.explore / np.maximum(runners, 1), 0.0)
    best = np.where(runners > 0, 1.0 - serving.explore, 1.0)
    offered = np.where(rank == 0, best, explored)
    scores = np.asarray(_flat(answers["score"]), np.float64)
    top = scores[(np.cumsum(sizes) - sizes)[places]]
    return places, np.where(top < serving.abstain, 0.0, offered)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().flatten()


def _features(rows: pa.Table) -> Floats:
    """(n, d) the users' features; d is 0 where rows have none or not all the same."""
    lists = rows["features"].combine_chunks()
    sizes = np.unique(np.asarray(pc.list_value_length(lists)))
    width = int(sizes[0]) if len(sizes) == 1 else 0
    if not width:
        return np.zeros((rows.num_rows, 0))
    return np.nan_to_num(np.asarray(lists.flatten(), np.float64)).reshape(-1, width)
