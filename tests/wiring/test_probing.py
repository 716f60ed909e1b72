"""What is told of how a version converses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from upwell.ports import Piece
from upwell.records import Example
from upwell.settings import Settings
from upwell.tables import to_table
from upwell.wiring import probing
from upwell.wiring.judging import Trial

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
ROWS = to_table(Example, [
    Example(f"e{n}", f"u{n}", "chat", f"question {n}", "so", 1, 1.0, 1.0, None, "", NOON, ())
    for n in range(12)
])  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "is_measured"), [(("length", "length"), False), (("length", "stop"), True)]
)
def test_of_replies_that_go_on_no_length_is_told(
    monkeypatch: pytest.MonkeyPatch, ends: tuple[str, str], *, is_measured: bool
) -> None:
    """Where those of one version alone do, it at least shows that they are longer."""

    def replies(_: Any, model: int, told: Sequence[str], __: Sequence[str]) -> list[Piece]:
        return [Piece(f"{one}{'!' * (9 - 5 * model)}", ends[model]) for one in told]

    monkeypatch.setattr(probing, "load", lambda *_: 0)
    monkeypatch.setattr(probing, "loaded", lambda *_: (1, None))
    monkeypatch.setattr(probing, "replies", replies)
    monkeypatch.setattr(probing, "_common", lambda *_: {})
    trial = SimpleNamespace(
        project=SimpleNamespace(settings=Settings.model_validate({"project": {"name": "shop"}})),
        turn=SimpleNamespace(options={"seed": 0}), task=None, rows=ROWS,
        data=SimpleNamespace(train=ROWS), version=None, champion="base",
    )  # fmt: skip
    found = probing.probed(cast("Trial", trial))["length"]
    assert (found.value is not None and found.value > 0) == is_measured
    assert found.why == ("" if is_measured else "guard.why.long")
