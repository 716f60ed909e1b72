"""What suits a chat model: settings by how it is tuned, and an objective by what users said.

With ``BOTH`` likes and as many dislikes the objective is ``kto``, whose losses end where a reply
has become clearly less probable than it was. Before that it is ``positives``: what a few dislikes
push away is mostly good language. With ``PAIRS`` corrections of ``PEOPLE`` users, or ``ALONE``, it
is ``dpo``, which takes one pass at a higher rate: what it learns is the difference of a pair, and
a little to say what users made of it. What fewer put right is imitated, in about ``LOOKS`` / 4
steps however many they are: they mostly want one thing, which their edits show whole. With the
replies what was asked is learned a little, too: else the model forgets how people write.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pyarrow import compute as pc

from upwell.tables import CORRECTED

BIG = 20_000_000
"""Weights from which low-rank adapters learn in place of all."""
LOW = ("lora", "qlora")
"""Ways of tuning by adapters, which take the same settings."""
BOTH = 500
"""Likes, and dislikes, from which on both are learned from, and not what was liked alone: by what
they count, so that many weak signs are no more than they are."""
PAIRS, PEOPLE, ALONE = 30, 10, 200
"""Corrections from which on both sides of a pair are held together: ``PAIRS`` of ``PEOPLE`` users,
``ALONE`` of fewer."""
LOOKS = 100
"""Rows that are imitated in all epochs, about: what is forgotten grows with every step."""
BY_TUNING: Mapping[str, dict[str, object]] = {
    "tiny": {
        "learning_rate": 3e-3, "epochs": 60, "patience": 10, "batch_rows": 16, "average": 0.9,
    },
    "lora": {
        "learning_rate": 3e-4, "epochs": 3, "patience": 1, "batch_rows": 8, "average": 0.98,
        "warmup": 0.1,
    },
    "full": {
        "learning_rate": 2e-5, "epochs": 3, "patience": 1, "batch_rows": 8, "average": 0.98,
        "warmup": 0.1,
    },
    "head": {
        "learning_rate": 1e-4, "epochs": 3, "patience": 1, "batch_rows": 8, "average": 0.98,
        "warmup": 0.1,
    },
}  # fmt: skip
OF_PAIRS: Mapping[str, object] = {
    "learning_rate": 5e-4,
    "epochs": 1,
    "average": 0.0,
    "imitated": 0.1,
}
OF_EDITS: Mapping[str, object] = {"batch_rows": 4, "patience": 2, "average": 0.0, "asked": 0.2}
CHOOSES = frozenset({"tuning", "objective", "beta"}.union(*BY_TUNING.values(), OF_PAIRS, OF_EDITS))
"""Settings that are chosen here, for some model or other, where nobody set them."""


def suited(
    size: int, tuning: str, learned: pa.Table, objective: str | None = None
) -> dict[str, object]:
    """Settings for a model of ``size`` weights that learns these rows of ``EXAMPLE``.

    They suit ``objective``, where one was chosen.
    """
    found = _by_size(size, tuning, learned)
    found["objective"] = objective or found["objective"]
    if tuning in LOW and found["objective"] == "dpo":
        return {**found, **OF_PAIRS}
    if tuning in LOW and found["objective"] == "positives":
        return {**found, **_of_edits(learned)}
    return found


def of_group(size: int, learned: pa.Table) -> dict[str, object]:
    """Settings for the adapter of a group of users, which always is of low rank."""
    tuning = "full" if size < BIG else "lora"
    return {**_by_size(size, tuning, learned), "tuning": "lora"}


def _by_size(size: int, tuning: str, learned: pa.Table) -> dict[str, object]:
    way = "lora" if tuning in LOW else "tiny" if size < BIG else tuning
    objective = _objective(learned)
    return {**BY_TUNING[way], "tuning": tuning, "objective": objective, "beta": 10.0}


def _objective(learned: pa.Table) -> str:
    users = _corrected(learned)["user"]
    many = pc.count_distinct(users).as_py() >= PEOPLE
    if len(users) >= (PAIRS if many else ALONE):
        return "dpo"
    told = learned["sign"]
    likes, dislikes = (
        pc.sum(learned.filter(side)["weight"]).as_py() or 0.0
        for side in (pc.greater(told, 0), pc.less(told, 0))
    )
    return "kto" if min(likes, dislikes) >= BOTH else "positives"


def _of_edits(learned: pa.Table) -> dict[str, object]:
    """``OF_EDITS`` and epochs, where half of what is imitated, or more, are users' edits."""
    imitated = pc.sum(pc.greater_equal(learned["sign"].fill_null(1), 0)).as_py() or 0
    if not 0 < imitated <= 2 * _corrected(learned).num_rows:
        return {}
    return {**OF_EDITS, "epochs": min(max(round(LOOKS / imitated), 1), 5)}


def _corrected(learned: pa.Table) -> pa.Table:
    return learned.filter(pc.ends_with(learned["id"], CORRECTED))
