"""The story is what the stores recorded: turns written by hand, told back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upwell.interfaces.cli.by_hand import before, decide
from upwell.interfaces.cli.here import Here
from upwell.interfaces.report.gather import gather
from upwell.interfaces.report.write import pictures
from upwell.store.project import Project, create_project, open_project

AT = datetime(2026, 5, 1, tzinfo=UTC)


def test_turns_are_told_in_order(project: Project) -> None:
    told = gather(project, AT)
    assert [(turn.version, turn.act) for turn in told.turns] == [
        ("recommend-0", "promote"),
        ("recommend-1", "promote"),
    ]
    assert told.champion == "recommend-1"
    assert told.turns[1].baselines == {"popular": 0.03}
    assert told.turns[1].metric.gain == 0.01


def test_the_whole_gain_is_that_over_the_first_version(project: Project) -> None:
    told = gather(project, AT)
    main, coverage = told.changes
    assert (main.name, main.after, main.n) == ("ndcg@10", 0.06, 80)
    assert main.before == pytest.approx(0.05)
    assert (coverage.name, coverage.before, coverage.after) == ("coverage", 0.3, 0.4)
    assert told.slices_over == "first"
    assert [(row.group, row.n) for row in told.slices] == [("F", 80)]


def test_the_funnel_counts_what_teaches(project: Project) -> None:
    steps = {step.name: step.rows for step in gather(project, AT).steps}
    assert steps == {"captured": 7, "examples": 2, "signals": 1, "training": 1, "bad": 0}


def test_the_curve_leaves_out_what_had_no_rows(project: Project) -> None:
    curve = gather(project, AT).curve
    assert curve is not None
    assert [point.labels for point in curve.points] == [3.0, 2.0, 1.0]
    assert [point.feedback for point in curve.points] == [None, None, None]
    assert (curve.label_share, curve.best) == (0.4, 2)


def test_all_pictures_can_be_drawn_from_it(project: Project) -> None:
    names = [picture.name for picture in pictures(gather(project, AT), "zh")]
    assert names == ["quality", "founder", "before_after", "slices", "funnel", "learning"]


def test_a_held_challenger_changes_nothing_of_what_serves(held: Project) -> None:
    told = gather(held, AT)
    assert [turn.act for turn in told.turns] == ["promote", "promote", "hold"]
    assert told.champion == "recommend-1"
    assert told.changes[0].after == 0.06


def test_a_new_project_has_no_story_yet(tmp_path: Path) -> None:
    told = gather(open_project(create_project(tmp_path / "new", "new")), AT)
    assert told.turns == ()
    assert pictures(told, "en") == ()


def test_rollback_by_hand_goes_to_what_served_before(project: Project) -> None:
    assert before(project) == "recommend-0"
    answer = decide(
        project, "rollback", "recommend-0", AT + timedelta(days=3), Here(None, False, "en")
    )
    champion = project.ledger.champion("recommend")
    assert champion is not None
    assert champion.id == "recommend-0"
    assert "serves again" in str(answer.lines[0])
