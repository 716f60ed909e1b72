"""Trials as they are kept: one runs per task, and none ends twice."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.store.test_ledger import version

from upwell.errors import StoreError
from upwell.records import Json
from upwell.store.journal import Journal
from upwell.store.ledger import Ledger
from upwell.store.trials import Trial, Trials


@pytest.fixture
def trials(journal: Journal, now: datetime) -> Trials:
    for name in ("m1", "m2"):
        Ledger(journal).add_version(version(name, now))
    return Trials(journal)


def trial(id: str, now: datetime, task: str = "recommend") -> Trial:
    return Trial(id, task, "m1", "m2", "ab", now, {"share": 0.5}, ((now, 0.5),))


def test_one_trial_runs_per_task(trials: Trials, now: datetime) -> None:
    assert trials.running("recommend") is None
    first = trials.start(trial("t1", now))
    assert trials.start(trial("t1", now + timedelta(days=1))) == first
    with pytest.raises(StoreError) as refused:
        trials.start(trial("t2", now))
    assert refused.value.code == "trial.running"
    other = trials.start(trial("t3", now, "rating"))
    assert (trials.running("recommend"), trials.running("rating")) == (first, other)


def test_a_trial_is_aimed_forward_and_ends_once(trials: Trials, now: datetime) -> None:
    trials.start(trial("t1", now))
    later = now + timedelta(days=1)
    for chance, since in ((0.7, later), (0.9, later), (0.1, now)):
        trials.aim("t1", chance, since)
    reason: dict[str, Json] = {"key": "trial.better", "gain": 0.1}
    assert trials.end("t1", later, "promote", reason)
    assert not trials.end("t1", later, "rollback", {})
    trials.aim("t1", 0.2, later + timedelta(days=1))
    (found,) = trials.all("recommend")
    assert found.chances == ((now, 0.5), (later, 0.7))
    assert (found.ended, found.outcome, found.reason) == (later, "promote", reason)
    assert trials.running("recommend") is None
    assert trials.start(trial("t2", later)).id == "t2"
