"""A made-up story with every part filled, and a project whose turns were written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from upwell.interfaces.report.story import (
    Change,
    Curve,
    Point,
    SliceRow,
    Step,
    Story,
    Suggestion,
    TurnRow,
)
from upwell.records import Decision, Example, Json, Metric, ModelVersion, Report
from upwell.store.project import Project, create_project, open_project
from upwell.tables import schema, to_table

START = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def _turns() -> tuple[TurnRow, ...]:
    measured = (
        ("promote", 0.0581, None, None, None),
        ("promote", 0.0654, 0.0073, 0.0021, 0.0124),
        ("hold", 0.0629, -0.0025, -0.0071, 0.0022),
        ("promote", 0.0723, 0.0069, 0.0018, 0.0121),
        ("promote", 0.0768, 0.0045, -0.0004, 0.0093),
    )
    return tuple(
        TurnRow(
            number=number,
            at=START + timedelta(days=number),
            version=f"recommend-{number}",
            act=act,
            metric=Metric("ndcg@10", value, gain, low, high, 812, value - 0.006, value + 0.006),
            baselines={
                "popular": 0.0402 + 0.0006 * number,
                "recent_popular": 0.0421 + 0.001 * number,
            },
            reasons=({"key": "cli.row", "n": number},),
            seconds=20.0 + number,
        )
        for number, (act, value, gain, low, high) in enumerate(measured)
    )


@pytest.fixture
def hostile() -> str:
    return "<script>alert('x')</script> & \"Heat\" (1995)"


@pytest.fixture
def story(hostile: str) -> Story:
    groups = (
        ("M", 0.0791, 0.0192, 0.0121, 0.0263, 571),
        ("F", 0.0713, 0.0175, 0.0052, 0.0301, 241),
        ("unknown", 0.05, 0.004, -0.021, 0.03, 52),
    )
    points = tuple(
        Point(epoch, 4.1 * 0.93**epoch + 2.2, 0.9 * 0.95**epoch + 0.2, 4.6 * 0.94**epoch + 2.0)
        for epoch in range(1, 18)
    )
    return Story(
        project="movielens-demo",
        task="recommend",
        made=START,
        metric="ndcg@10",
        champion="recommend-4",
        turns=_turns(),
        changes=(
            Change("ndcg@10", 0.0581, 0.0768, 0.0121, 0.0254, 812),
            Change("hr@10", 0.119, 0.152, 0.018, 0.048, 812),
            Change("coverage", 0.31, 0.305, -0.02, 0.011, 812),
        ),
        slices=tuple(SliceRow(*group) for group in groups),
        steps=(
            Step("captured", 102_625),
            Step("examples", 99_100),
            Step("signals", 72_845),
            Step("training", 51_400),
            Step("bad", 12, kept=False),
            Step("duplicates", 340, kept=False),
        ),
        curve=Curve("recommend-4", points, 0.47, 14),
        suggestions=(
            Suggestion("196", hostile, 0.0912, "Like Fargo (1996), which you rated 5"),
            Suggestion("196", "Contact (1997)", 0.0744, "Viewers with your history chose it next"),
            Suggestion("22", "Heat (1995)", 0.0612, "Popular in the last weeks"),
        ),
    )


AT = datetime(2026, 5, 1, tzinfo=UTC)
CURVE = [
    {"epoch": epoch, "label_loss": 3.0 - epoch, "feedback_loss": None, "validation": 2.0}
    for epoch in range(3)
]


def _example(number: int, weight: float) -> Example:
    return Example(
        id=f"e{number}",
        user="u1",
        task="recommend",
        input="",
        target="i1",
        sign=1,
        weight=weight,
        reliability=1.0,
        propensity=None,
        group="F",
        at=AT,
        sources=("web/1",),
    )


def _report(number: int, champion: str | None, value: float, gain: float | None) -> Report:
    ends = (None, None) if gain is None else (gain - 0.01, gain + 0.01)
    low, high = ends
    main = Metric("ndcg@10", value, gain, low, high, 80, value - 0.02, value + 0.02)
    over_popular = Metric("ndcg@10[popular]", 0.03, value - 0.03, 0.0, 0.1, 80, 0.02, 0.04)
    return Report(
        id=f"recommend-{number}",
        challenger=f"recommend-{number}",
        champion=champion,
        at=AT,
        metrics=(main, over_popular),
        slices={"F": (main,)},
        guards={"coverage": {"challenger": 0.4, "champion": 0.3}},
        ope={},
    )


def _save(number: int, folder: Path) -> None:
    (folder / "config.json").write_text(f'{{"number":{number}}}', encoding="utf-8")


def _record(project: Project, number: int, told: Report, act: str) -> None:
    name, at = f"recommend-{number}", AT + timedelta(days=number)
    rows = to_table(Example, [_example(1, 1.0), _example(2, 0.0)])
    empty = schema(Example).empty_table()
    items = pa.table({"item": ["i1"], "text": ["Heat"]})
    parts = {"train": rows, "validation": empty, "test": empty, "items": items}
    snapshot = project.snapshots.write(parts, "recommend", AT, 7)
    ledger = project.ledger
    ledger.open_turn(name, "recommend", at, 7, None, {})
    path, digest = project.models.write(name, partial(_save, number))
    ledger.add_version(
        ModelVersion(name, "recommend", at, told.champion, snapshot.id, {}, None, path, digest)
    )
    ledger.add_report(told)
    reason: Mapping[str, Json] = {"key": "gate.finite.promote", "verdict": "promote", "count": 4}
    decision = Decision(name, name, "recommend", at, act, (reason,))
    ledger.decide(decision, name if act == "promote" else None)
    tuned: Mapping[str, Json] = {"id": name, "curve": CURVE, "label_share": 0.4, "best_epoch": 2}
    frozen: Mapping[str, Json] = {"examples": 2, "signals": 1, "training": 1}
    ledger.record_stage(name, "dataset", frozen, at)
    ledger.record_stage(name, "tune", tuned, at)
    ledger.record_stage(name, "evaluate", {"report": name}, at)
    ledger.record_stage(name, "release", {"decision": name}, at)
    ledger.close_turn(name, at)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A shop whose second version serves."""
    found = open_project(create_project(tmp_path / "shop", "shop"))
    _record(found, 0, _report(0, None, 0.05, None), "promote")
    _record(found, 1, _report(1, "recommend-0", 0.06, 0.01), "promote")
    return found


@pytest.fixture
def held(project: Project) -> Project:
    """The same shop after a turn whose candidate was held."""
    _record(project, 2, _report(2, "recommend-1", 0.055, -0.005), "hold")
    return project
