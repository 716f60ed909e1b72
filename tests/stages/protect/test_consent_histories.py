"""Ten thousand random histories of consent: nothing is learned, or known, without it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from bench import consents
from bench.consenting.histories import allowed, day
from bench.consents import by_rule, by_serving, by_snapshots

from upwell.records import Consent
from upwell.stages.protect.consent import permitted


@pytest.mark.parametrize("seed", [1, 2])
def test_no_history_leaks_and_none_is_withheld(seed: int) -> None:
    found = by_rule(10_000, 6, seed)
    assert (found.asked, found.leaks, found.withheld) == (60_000, 0, 0)
    assert 0.1 < found.permitted / found.asked < 0.6


def test_a_rule_that_forgets_withdrawals_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is not blind."""

    def ever(consents: pa.Table, purpose: str, now: datetime) -> pa.Array:
        granted = [purpose in purposes for purposes in consents["purposes"].to_pylist()]
        return permitted(consents.filter(pa.array(granted)), purpose, now)

    monkeypatch.setattr(consents, "permitted", ever)
    assert by_rule(1_000, 6, 1).leaks > 100


def test_no_snapshot_holds_what_its_user_did_not_allow_then(tmp_path: Path) -> None:
    found = by_snapshots(tmp_path / "shop", 30, 4, seed=5)
    assert (found.snapshots, found.leaks, found.withheld) == (4, 0, 0)
    assert found.rows > 200


def test_who_withdraws_is_nobody_within_a_minute(tmp_path: Path) -> None:
    found = by_serving(tmp_path / "shop", 20, 3, seed=5)
    assert (found.known, found.still_known) == (3, 0)
    assert found.slowest < 60


def test_the_words_mean_what_they_say() -> None:
    said = [
        Consent("1", "u", ("train",), day(2)),
        Consent("2", "u", (), day(5)),
        Consent("3", "u", ("train", "serve"), day(5), day(7)),
    ]
    found = [allowed(said, "train", day(number)) for number in range(1, 9)]
    assert found == [False, True, True, True, True, True, False, False]
