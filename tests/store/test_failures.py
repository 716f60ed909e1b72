"""Failures of a turn: counted, in order, apart from what its stages recorded."""

from __future__ import annotations

from datetime import UTC, datetime

from upwell.store.failures import failures, record_failure
from upwell.store.journal import Journal
from upwell.store.ledger import Ledger

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_failures_are_numbered_for_each_turn_and_kept_in_order(journal: Journal) -> None:
    for name in ("m-1", "m-10"):
        Ledger(journal).open_turn(name, name, NOW, 0, None, {})
    counts = [record_failure(journal, "m-1", {"code": f"c{n}"}, NOW) for n in range(12)]
    assert counts == list(range(1, 13))
    assert record_failure(journal, "m-10", {"code": "other"}, NOW) == 1
    assert [one["code"] for one in failures(journal, "m-1")] == [f"c{n}" for n in range(12)]
    assert failures(journal, "m-10") == [{"code": "other"}]
    assert failures(journal, "m-2") == []


def test_a_failure_is_no_result_of_a_stage(journal: Journal) -> None:
    ledger = Ledger(journal)
    ledger.open_turn("m-0", "t", NOW, 0, None, {})
    ledger.record_stage("m-0", "collect", {"events": 3}, NOW)
    record_failure(journal, "m-0", {"code": "store.disk_full"}, NOW)
    assert ledger.stage_result("m-0", "collect") == {"events": 3}
    assert ledger.stage_result("m-0", "tune") is None
    assert len(failures(journal, "m-0")) == 1
