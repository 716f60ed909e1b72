from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from upwell.errors import StoreError
from upwell.records import Decision, Json, Metric, ModelVersion, Report
from upwell.store import ledger as ledger_module
from upwell.store.journal import Journal
from upwell.store.ledger import Ledger


@pytest.fixture
def ledger(journal: Journal) -> Ledger:
    return Ledger(journal)


def version(name: str, at: datetime, task: str = "recommend") -> ModelVersion:
    recipe: dict[str, Json] = {"q": 0.7, "layers": [1, 2]}
    return ModelVersion(name, task, at, None, "s", recipe, None, name, "digest")


def decision(name: str, model: str, at: datetime, act: str = "promote") -> Decision:
    return Decision(name, model, "recommend", at, act, ({"key": "gate.better", "gain": 0.1},))


def test_a_turn_can_be_resumed_from_where_it_stood(ledger: Ledger, now: datetime) -> None:
    assert ledger.unfinished_turn("recommend") is None
    turn = ledger.open_turn("t1", "recommend", now, 42, now, {"seed": 1})
    assert ledger.unfinished_turn("recommend") == turn
    assert ledger.stage_result("t1", "clean") is None
    ledger.record_stage("t1", "clean", {"rows": 3}, now)
    ledger.record_stage("t1", "clean", {"rows": 3}, now + timedelta(hours=1))
    assert ledger.stage_result("t1", "clean") == {"rows": 3}
    with pytest.raises(StoreError) as raised:
        ledger.record_stage("t1", "clean", {"rows": 4}, now)
    assert raised.value.code == "turn.differs"
    ledger.close_turn("t1", now + timedelta(hours=2))
    ledger.close_turn("t1", now + timedelta(hours=3))
    assert ledger.unfinished_turn("recommend") is None
    assert [found.closed for found in ledger.turns("recommend")] == [now + timedelta(hours=2)]


def test_a_task_has_one_unfinished_turn(ledger: Ledger, now: datetime) -> None:
    ledger.open_turn("t1", "recommend", now, 0, None, {})
    ledger.open_turn("t2", "rating", now, 0, None, {})
    with pytest.raises(StoreError) as raised:
        ledger.open_turn("t3", "recommend", now, 0, None, {})
    assert (raised.value.code, raised.value.details["turn"]) == ("turn.unfinished", "t1")


def test_versions_and_reports_come_back_whole(ledger: Ledger, now: datetime) -> None:
    first, second = version("m1", now), version("m2", now + timedelta(days=1))
    for made in (second, first, first):
        ledger.add_version(made)
    assert ledger.version("m1") == first
    assert ledger.versions("recommend") == [first, second]
    with pytest.raises(StoreError) as raised:
        ledger.version("m3")
    assert raised.value.code == "ledger.no_version"
    ndcg = Metric("ndcg@10", 0.2, 0.01, 0.0, 0.02, 943)
    report = Report("r", "m2", "m1", now, (ndcg,), {"young": (ndcg,)}, {"flat": True}, {})
    ledger.add_report(report)
    assert ledger.report("r") == report
    assert ledger.report("other") is None
    assert (ledger.reports("recommend"), ledger.reports("rating")) == ([report], [])


def test_what_served_when(ledger: Ledger, now: datetime) -> None:
    assert ledger.champion("recommend") is None
    for name in ("m1", "m2"):
        ledger.add_version(version(name, now))
    later = [now + timedelta(hours=hour) for hour in range(4)]
    ledger.decide(decision("d1", "m1", later[0]), "m1")
    ledger.decide(decision("d2", "m2", later[1]), "m2")
    ledger.decide(decision("d3", "m2", later[2], "hold"), None)
    ledger.decide(decision("d4", "m1", later[3], "rollback"), "m1")
    ledger.decide(decision("d4", "m1", later[3], "rollback"), "m1")
    champion = ledger.champion("recommend")
    assert champion is not None
    assert champion.id == "m1"
    assert ledger.alias_history("recommend").to_pylist() == [
        {"version": "m1", "since": later[0], "until": later[1], "decision": "d1"},
        {"version": "m2", "since": later[1], "until": later[3], "decision": "d2"},
        {"version": "m1", "since": later[3], "until": None, "decision": "d4"},
    ]
    assert [made.act for made in ledger.decisions("recommend")] == [
        "promote",
        "promote",
        "hold",
        "rollback",
    ]


def test_a_decision_and_its_alias_move_together_or_not_at_all(
    ledger: Ledger, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add_version(version("m1", now))
    ledger.add_version(version("r1", now, "rating"))
    for unknown in ("m9", "r1"):
        with pytest.raises(StoreError) as raised:
            ledger.decide(decision("d", "m1", now), unknown)
        assert raised.value.code == "ledger.no_version"
    real = ledger_module._move_alias

    def dies(connection: Connection, made: Decision, alias_to: str) -> None:
        real(connection, made, alias_to)
        raise RuntimeError("killed before the commit")

    with monkeypatch.context() as patched:
        patched.setattr(ledger_module, "_move_alias", dies)
        with pytest.raises(RuntimeError):
            ledger.decide(decision("d", "m1", now), "m1")
    assert ledger.decisions("recommend") == []
    assert ledger.champion("recommend") is None
    ledger.decide(decision("d", "m1", now), "m1")
    assert len(ledger.alias_history("recommend")) == 1


def test_looks_at_a_frozen_set_are_counted_by_turn(ledger: Ledger, now: datetime) -> None:
    for turn in ("t1", "t2"):
        ledger.open_turn(turn, "recommend", now, 0, None, {})
        ledger.close_turn(turn, now)
    counts = [ledger.count_look(*look, now) for look in (("x", "t1"), ("x", "t1"), ("x", "t2"))]
    assert counts == [1, 1, 2]
    assert ledger.count_look("y", "t2", now) == 1
