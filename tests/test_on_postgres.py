"""A project with its journal on PostgreSQL: another address, and nothing else is different."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Server

from upwell import loop
from upwell.interfaces.cli.main import run
from upwell.records import Metric
from upwell.service import Upwell

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FIRST, FROZEN, NOW = (DAY_ONE + timedelta(days=days) for days in (60, 100, 122))
Shop = Callable[..., Upwell]
USER, OUT, GONE = (f"u{number}.0@shop.example" for number in (10, 11, 12))


def turned(upwell: Upwell) -> Mapping[str, Any]:
    """What two turns made, what the second may see of the first, and what is answered then."""
    project = upwell.project
    for moment in (FIRST, FROZEN):
        loop.turn(project, now=NOW, as_of=moment)
    ledger = project.ledger
    answer = upwell.recommend(USER, 3, now=NOW)
    found = {
        "snapshots": [version.snapshot for version in ledger.versions("recommend")],
        "digests": [version.digest for version in ledger.versions("recommend")],
        "turns": [(one.id, one.watermark, one.options) for one in ledger.turns("recommend")],
        "acts": [decision.act for decision in ledger.decisions("recommend")],
        "metrics": [_known(report.metrics) for report in ledger.reports("recommend")],
        "served": ledger.alias_history("recommend").to_pylist(),
        "answer": answer.drop(["prediction"]).to_pylist(),
        "counts": project.journal.counts(),
        "in_lake": project.lake.watermark(),
    }
    kept = project.journal.prediction(answer["prediction"][0].as_py())
    assert kept is not None
    assert kept.user == USER
    project.journal.close()
    return found


def _known(metrics: tuple[Metric, ...]) -> list[tuple[str, float, float | None]]:
    return [(metric.name, metric.value, metric.gain) for metric in metrics]


def test_two_turns_give_the_same_to_the_last_digit(
    shop: Shop, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sqlite = turned(shop(tmp_path / "one", tune={"epochs": 1}))
    monkeypatch.setenv("UPWELL_DATA__JOURNAL", postgres.emptied())
    on_postgres = turned(shop(tmp_path / "other", tune={"epochs": 1}))
    assert on_postgres == on_sqlite
    assert on_postgres["acts"][0] == "promote"
    assert not list((tmp_path / "other").rglob("journal.db*"))


PASSING = {"at", "asked", "erased", "done", "erasure", "file", "folder", "keys", "public_key",
           "signature"}  # fmt: skip
"""What is another each time."""


def lasting(document: object) -> object:
    if isinstance(document, dict):
        return {name: lasting(one) for name, one in document.items() if name not in PASSING}
    return [lasting(one) for one in document] if isinstance(document, list) else document


def test_who_is_left_out_forgotten_or_restored_is_so_on_both(
    shop: Shop, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def told(folder: Path, *arguments: str) -> object:
        assert run([*arguments, "-p", str(folder), "--json"]) == 0
        return lasting(json.loads(capsys.readouterr().out))

    def managed(folder: Path, elsewhere: str) -> list[object]:
        upwell = shop(folder)
        upwell.capture([{"id": "bad", "user": GONE, "kind": "No Name"}], now=NOW)
        upwell.project.journal.close()
        backup, again = str(folder / "backup.zip"), folder.with_name(f"{folder.name}-again")
        found = [
            told(folder, "purge", "--user", OUT, "--reason", "a test"),
            told(folder, "forget", GONE),
            told(folder, "export", "--user", USER, "--out", str(folder / "user.zip")),
            told(folder, "bad-rows"),
            told(folder, "keys", "create", "a key", "--scope", "read") is not None,
            told(folder, "backup", backup),
        ]
        monkeypatch.setenv("UPWELL_DATA__JOURNAL", elsewhere)
        keys = str(folder / "data" / "keys")
        found.append(told(folder, "restore", backup, "--keys", keys, "--to", str(again)))
        return [*found, told(again, "status")]

    on_sqlite = managed(tmp_path / "one", "sqlite:///data/journal.db")
    monkeypatch.setenv("UPWELL_DATA__JOURNAL", postgres.emptied())
    assert managed(tmp_path / "other", postgres.fresh()) == on_sqlite
