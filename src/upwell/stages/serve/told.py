"""An answer as it is recorded, and as it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from upwell.records import Json, Prediction

LISTS = ("answer", "probability", "reason")
GIVEN = pa.schema(
    [
        ("answer", pa.list_(pa.string())),
        ("probability", pa.list_(pa.float64())),
        ("reason", pa.list_(pa.string())),
        ("propensity", pa.float64()),
        ("prediction", pa.string()),
        ("model", pa.string()),
    ]
)
# Types are named, for guessing them takes longer than making the column.
ITEMS = pa.schema(
    [
        ("item", pa.string()),
        ("title", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("propensity", pa.float64()),
        ("prediction", pa.string()),
        ("model", pa.string()),
    ]
)
BLANK: Mapping[str, Any] = {
    "output": [], "score": [], "reason": [], "propensity": 1.0, "policy": "greedy", "trial": None,
    "group": None,
}  # fmt: skip
"""The answer to an input that is blank, but for its ``model``."""


def recorded(answer: Mapping[str, Any], about: str, personal: bool) -> Mapping[str, Json]:
    """What is kept of an answer: what was shown, and what else decided it.

    >>> answer = {"output": ["a"], "score": [0.5], "trial": None, "explored": None}
    >>> recorded(answer, "item", personal=False)
    {'items': ['a'], 'personalize': False}
    """
    if about == "item":
        shown: dict[str, Json] = {"items": answer["output"]}
    else:
        shown = {"answers": answer["output"], "scores": answer["score"]}
    names = ("explored", "trial") if about == "item" else ("trial", "group")
    shown |= {name: answer[name] for name in names if answer[name] is not None}
    return shown if personal else {**shown, "personalize": False}


def items(answer: Mapping[str, Any], titles: Sequence[str], kept: Prediction) -> pa.Table:
    """Recommended items as they are given: a row each, best first."""
    size = len(titles)
    same = [[value] * size for value in (kept.propensity, kept.id, kept.model)]
    columns = (answer["output"], titles, answer["score"], answer["reason"], *same)
    return pa.table(dict(zip(ITEMS.names, columns, strict=True)), ITEMS)


def given(
    answers: Sequence[Mapping[str, Any]],
    blank: Mapping[str, Any],
    kept: Sequence[Prediction],
    abstain: float,
) -> pa.Table:
    """Answers to inputs as they are given: a row each, with the columns ``GIVEN``."""
    told = [_told(answer, answer is blank, abstain) for answer in answers]
    named = {"prediction": [one.id for one in kept], "model": [one.model for one in kept]}
    return pa.table(
        {**{name: [row[name] for row in told] for name in GIVEN.names[:4]}, **named}, GIVEN
    )


def _told(answer: Mapping[str, Any], is_blank: bool, abstain: float) -> Mapping[str, Any]:
    """Where nothing is said, '' with the reason why."""
    said, propensity = answer["output"], answer["propensity"]
    if said:
        score, reason = answer["score"], answer["reason"]
        return {"answer": said, "probability": score, "reason": reason, "propensity": propensity}
    why = "answer.no_input\t" if is_blank else f"answer.not_sure\t{abstain:.0%}"
    return {"answer": [""], "probability": [None], "reason": [why], "propensity": propensity}
