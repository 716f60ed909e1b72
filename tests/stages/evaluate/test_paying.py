"""Which groups' adapters are kept, by what they earn beside the shared model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tests.stages.evaluate.contenders import rows, said

from upwell.settings import GateSettings
from upwell.stages.evaluate.marks import Judged
from upwell.stages.evaluate.paying import paying

SETTINGS = GateSettings(resamples=100)


def tried(better: int, worse: int, same: int = 4) -> tuple[Judged, Judged]:
    """An adapter that is right for so many users where the shared model is wrong, and so on."""
    size = better + worse + same
    given = rows([f"u{n}" for n in range(size)], ["a"] * size)
    right: Sequence[Sequence[str]] = [["a"]] * better + [["b"]] * worse + [["a"]] * same
    other: Sequence[Sequence[str]] = [["b"]] * better + [["a"]] * worse + [["a"]] * same
    return said(given, right), said(given, other)


def found(**groups: tuple[Judged, Judged]) -> dict[str, object]:
    told = paying(groups, "accuracy", SETTINGS, np.random.default_rng(0))
    return {group: one["act"] for group, one in told.items()}


def test_what_pays_is_kept_and_what_does_not_is_refused() -> None:
    acts = found(pays=tried(12, 0), same=tried(0, 0), chance=tried(6, 5), worse=tried(0, 12))
    assert acts == {"pays": "kept", "same": "refused", "chance": "refused", "worse": "refused"}
    assert found() == {}


def test_many_groups_ask_for_more_than_one() -> None:
    alone, among = tried(5, 0), {f"other{n}": tried(3, 3) for n in range(4)}
    assert found(it=alone) == {"it": "kept"}
    assert found(it=alone, **among)["it"] == "refused"
    told = paying({"it": alone, **among}, "accuracy", SETTINGS, np.random.default_rng(0))
    assert told["it"]["p"] == pytest.approx(1 / 32)
    assert told["it"]["holm"] == pytest.approx(5 / 32)
    assert told["it"]["gain"] == pytest.approx(5 / 9)


def test_what_is_not_finite_is_not_kept_and_costs_others_nothing() -> None:
    its, shared = tried(12, 0)
    broken = Judged("b", its.rows, its.answers, its.marks.set_column(
        0, "accuracy", [np.full(its.rows.num_rows, np.nan)]))  # fmt: skip
    assert found(broken=(broken, shared), pays=(its, shared)) == {
        "broken": "failed",
        "pays": "kept",
    }
