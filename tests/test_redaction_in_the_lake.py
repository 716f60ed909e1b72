"""What reaches the lake of a project holds no personal data of texts, unless it is switched off."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from upwell import rows, wiring
from upwell.records import Event, Prediction
from upwell.settings import ProtectSettings
from upwell.store.project import create_project, open_project
from upwell.tables import to_table

AT = datetime(2024, 1, 1, tzinfo=UTC)
TEXT = "I am Anna Smith, ann.lee@example.org, 手机13800138000"


def kept(folder: Path, chosen: dict[str, dict[str, object]] | None = None) -> str:
    project = open_project(create_project(folder, "shop", chosen))
    event = Event("1", "web", "ann", "label", AT, {"input": TEXT, "target": "praise"})
    project.journal.append_events(to_table(Event, [event]), AT)
    shown = Prediction("p", "ann", "text_classification", "m", AT, TEXT, "praise", 1.0)
    project.journal.append_predictions(to_table(Prediction, [shown]))
    assert wiring.drain(project) == 2
    with rows.workspace(project) as (_, con):
        events = project.lake.events(con).to_arrow_table()
        predictions = project.lake.predictions(con).to_arrow_table()
    return str(events.to_pylist()) + str(predictions.to_pylist())


def test_texts_are_redacted_on_their_way(tmp_path: Path) -> None:
    told = kept(tmp_path / "shop")
    assert not [one for one in ("Anna", "ann.lee", "13800138000") if one in told]
    assert told.count("praise") == 2


def test_a_project_may_switch_it_off(tmp_path: Path) -> None:
    assert kept(tmp_path / "shop", {"protect": {"redact": False}}).count(TEXT) == 2


def test_what_tells_not_who_stays_by_default() -> None:
    assert {"place", "organisation", "date"} <= set(ProtectSettings().off)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="off"):
        ProtectSettings.model_validate({"off": ["shoe size"]})
