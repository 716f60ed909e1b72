"""Conversations through the loop: labels, replies, what users say of them, and a second turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from upwell import loop
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project
from upwell.tables import canonical_json

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FORMS = ("{}?", "{} please", "hi, {}", "so {}", "and {}", "say {}", "now {}", "oh {}", "ah {}")
REPLIES = {"open": "nine to five", "price": "ten euros", "where": "at the river"}
USERS = [f"u{n}" for n in range(12)]


def asked() -> list[tuple[str, str]]:
    return [(form.format(word), word) for form, word in product(FORMS, REPLIES)]


def test_a_conversation_is_learned_judged_and_corrected(tmp_path: Path) -> None:
    tables: dict[str, dict[str, object]] = {
        "project": {"task": "chat"}, "tune": {"base": "", "epochs": 30},
        "gate": {"resamples": 100},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(tmp_path, "shop", tables)))
    upwell.consent(USERS, PURPOSES, since=NOW)
    labels = [{"input": text, "target": REPLIES[word]} for text, word in asked()]
    upwell.capture(
        [{"id": f"l{n}", "kind": "label", "at": NOW, "payload": one}
         for n, one in enumerate(labels)],
        now=NOW,
    )  # fmt: skip
    loop.turn(upwell.project, now=NOW)
    later = NOW + timedelta(days=2)
    told = [canonical_json([{"role": "user", "content": f"{text} now"}]) for text, _ in asked()]
    users = [USERS[n % len(USERS)] for n in range(len(told))]
    found = upwell.predict_many(told, users, now=later)
    right = [REPLIES[word] for _, word in asked()]
    shown = found["answer"].to_pylist()
    events = [
        {"id": f"s{n}", "user": users[n], "at": later, "prediction": id_}
        | ({"kind": "thumbs", "value": 1.0} if shown[n] == right[n] else
           {"kind": "correction", "payload": {"correction": right[n]}})
        for n, id_ in enumerate(found["prediction"].to_pylist())
    ]  # fmt: skip
    upwell.capture(events, now=later)
    result = loop.turn(upwell.project, now=later + timedelta(days=1))
    assert result is not None
    report = upwell.project.ledger.reports("chat")[-1]
    assert {metric.name for metric in report.metrics} >= {"preference", "liked", "avoided"}
    assert report.guards["metric"] == "preference"
    assert report.ope["refused"] == "ope.refused.replies"
    assert len(upwell.project.ledger.versions("chat")) == 2
