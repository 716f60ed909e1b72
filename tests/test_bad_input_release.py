"""What can be wrong when a model is to be proved and released: each has its clear end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.tiny_task import ANSWER, install
from tests.wiring.turns import DAY, TASK, entry, labelled, opened, spoiled, taken

from upwell import loop, wiring
from upwell.errors import RecordError, StageError, StoreError, UpwellError
from upwell.interfaces.cli.main import run
from upwell.records import PURPOSES, Decision, Json, Prediction
from upwell.service import Upwell
from upwell.stages.release.explain import render
from upwell.tables import to_table
from upwell.words import LANGUAGES

LATER = DAY + timedelta(hours=1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    yield
    monkeypatch.undo()


def refused(upwell: Upwell) -> UpwellError:
    """What a turn is refused with; it is told in every language and leaves nothing unfinished."""
    with pytest.raises(UpwellError) as found:
        loop.turn(upwell.project, now=DAY)
    assert all(all(found.value.explain(lang)) for lang in LANGUAGES)
    assert upwell.project.ledger.unfinished_turn(TASK) is None
    return found.value


def begun(folder: Path, **tables: Mapping[str, object]) -> Upwell:
    """A project in which a model serves that is wrong here and there."""
    upwell = opened(folder, **tables)
    upwell.capture(labelled(range(200)), now=DAY)
    taken(upwell.project, spoiled(40), DAY)
    upwell.capture(labelled(range(200, 240)), now=DAY)
    return upwell


def said(decision: Decision) -> None:
    for lang in LANGUAGES:
        assert "{" not in " ".join(render(decision, lang))


def test_no_frozen_test_ends_the_turn_before_anything_is_learned(tmp_path: Path) -> None:
    upwell = opened(tmp_path, split={"disjoint": "time", "frozen_from": DAY + timedelta(days=9)})
    hours = [DAY - timedelta(hours=n) for n in range(80)]
    told = zip(labelled(range(80)), hours, strict=True)
    upwell.capture([{**row, "at": at} for row, at in told], now=DAY)
    error = refused(upwell)
    assert isinstance(error, StageError)
    assert (error.code, error.details["split"]) == ("dataset.empty_split", "test")
    assert upwell.project.ledger.versions(TASK) == []


def test_a_test_smaller_than_its_power_holds_and_says_how_many_it_lacks(tmp_path: Path) -> None:
    upwell = begun(tmp_path)
    decision = taken(upwell.project, spoiled(34), LATER)
    assert decision.act == "hold"
    lacking = entry(decision, "missing")["users"]
    assert isinstance(lacking, int | float)
    assert lacking > 0
    said(decision)


def test_a_test_of_fewer_users_than_decide_anything_holds_whatever_was_measured(
    tmp_path: Path,
) -> None:
    upwell = begun(tmp_path, gate={"resamples": 100, "user_minimum": 1000})
    decision = taken(upwell.project, spoiled(0), LATER)
    assert decision.act == "hold"
    assert entry(decision, "users")["verdict"] == "hold"
    said(decision)


def test_a_champion_that_no_longer_loads_is_told_and_an_earlier_version_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upwell = begun(tmp_path)
    place = ("-p", str(upwell.project.folder), "--json")
    assert taken(upwell.project, spoiled(0), LATER).act == "promote"
    made = upwell.project.ledger.version(f"{TASK}-1")
    file = upwell.project.models.verified(made.path, made.digest) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert run(["predict", "apple", *place]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "model.damaged"
    upwell.capture(labelled(range(240, 260)), now=DAY)
    held = taken(upwell.project, spoiled(0), LATER + timedelta(hours=1))
    assert held.act == "hold"
    said(held)
    assert run(["rollback", *place]) == 0
    capsys.readouterr()
    assert upwell.predict("ann", "apple", now=DAY)["model"].to_pylist() == [f"{TASK}-0"]
    assert run(["promote", f"{TASK}-1", *place]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "model.damaged"


def prediction(number: int, propensity: float) -> Prediction:
    return Prediction(
        f"shown-{number}", f"u{number % 40}", TASK, f"{TASK}-0", DAY, f"apple {number}",
        {"answers": ["fruit"]}, propensity,
    )  # fmt: skip


@pytest.mark.parametrize("propensity", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_propensity_that_is_no_probability_is_never_recorded(propensity: float) -> None:
    with pytest.raises(RecordError) as found:
        prediction(0, propensity)
    assert found.value.details["field"] == "propensity"


def logged(upwell: Upwell, propensity: float) -> Mapping[str, Json]:
    """What a turn makes of thumbs on 400 answers that were shown with one propensity."""
    users = [f"u{n}" for n in range(40)]
    upwell.consent(users, PURPOSES, since=DAY)
    shown = [prediction(n, 0.5) for n in range(400)]
    column = pa.array([propensity] * len(shown), pa.float64())
    table = to_table(Prediction, shown)
    place = table.schema.get_field_index("propensity")
    upwell.project.journal.append_predictions(
        table.set_column(place, table.schema.field(place), column)
    )
    upwell.capture(
        {"id": f"said-{n}", "user": one.user, "kind": "thumbs", "value": 1, "at": DAY,
         "prediction": one.id}
        for n, one in enumerate(shown)
    )  # fmt: skip
    decision = taken(upwell.project, spoiled(0), LATER)
    said(decision)
    report = upwell.project.ledger.report(decision.id)
    assert report is not None
    assert decision.act == "promote"  # what logs cannot say keeps nobody from being better
    return report.ope


def test_logged_propensities_of_zero_or_above_one_are_refused_with_their_number(
    tmp_path: Path,
) -> None:
    for number, propensity in enumerate((0.0, 1.5)):
        ope = logged(begun(tmp_path / str(number)), propensity)
        assert ope["refused"] == "ope.refused.propensity"
        numbers = ope["numbers"]
        assert isinstance(numbers, Mapping)
        assert numbers["bad"] == numbers["rows"] == ope["n"]


def test_without_propensities_nothing_is_estimated_and_the_turn_goes_on(tmp_path: Path) -> None:
    upwell = begun(tmp_path)
    users = [f"u{n}" for n in range(40)]
    upwell.consent(users, PURPOSES, since=DAY)
    upwell.capture(
        {"id": f"said-{n}", "user": users[n % 40], "kind": "thumbs", "value": 1, "at": DAY,
         "payload": {"input": f"apple {n}", "target": "fruit"}}
        for n in range(80)
    )  # fmt: skip
    decision = taken(upwell.project, spoiled(0), LATER)
    report = upwell.project.ledger.report(decision.id)
    assert report is not None
    assert report.ope.get("gain") is None
    assert decision.act == "promote"
    said(decision)


def test_a_second_turn_at_once_is_refused_and_the_first_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upwell = opened(tmp_path)
    upwell.capture(labelled(range(80)), now=DAY)
    with wiring.alone(upwell.project, DAY):
        with pytest.raises(StoreError, match=r"turn\.running"):
            loop.turn(upwell.project, now=DAY)
        for lang in LANGUAGES:
            assert run(["turn", "-p", str(upwell.project.folder), "--lang", lang]) == 2
            assert "turn.running" in capsys.readouterr().err
    assert loop.turn(upwell.project, now=DAY).act == "promote"


def test_a_clock_that_is_set_back_an_hour_changes_the_order_of_nothing(tmp_path: Path) -> None:
    upwell = begun(tmp_path)
    decision = taken(upwell.project, spoiled(0), DAY - timedelta(hours=1))
    ledger = upwell.project.ledger
    assert decision.act == "promote"
    assert [one.id for one in ledger.turns(TASK)] == [f"{TASK}-0", f"{TASK}-1"]
    assert [one.id for one in ledger.versions(TASK)] == [f"{TASK}-0", f"{TASK}-1"]
    assert [one.id for one in ledger.decisions(TASK)] == [f"{TASK}-0", f"{TASK}-1"]
    assert upwell.predict("ann", "apple", now=DAY)["model"].to_pylist() == [f"{TASK}-1"]


def test_a_metric_that_is_not_a_number_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell, real = begun(tmp_path), type(ANSWER).mark

    def spoilt(self: object, rows: pa.Table, answers: pa.Table) -> pa.Table:
        marks = real(ANSWER, rows, answers)
        nothing = pa.array([float("nan")] * marks.num_rows, pa.float64())
        return marks.set_column(0, marks.column_names[0], nothing)

    monkeypatch.setattr(type(ANSWER), "mark", spoilt)
    decision = taken(upwell.project, spoiled(0), LATER)
    assert decision.act == "reject"
    assert entry(decision, "finite")["verdict"] == "reject"
    said(decision)
    champion = upwell.project.ledger.champion(TASK)
    assert champion is not None
    assert champion.id == f"{TASK}-0"


def test_a_gate_that_names_an_unknown_metric_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upwell = opened(tmp_path, gate={"metric": "accurracy"})
    upwell.capture(labelled(range(80)), now=DAY)
    error = refused(upwell)
    assert error.code == "evaluate.unknown_metric"
    assert error.details["nearest"] == "accuracy"
    assert upwell.project.ledger.versions(TASK) == []
    assert run(["history", "-p", str(upwell.project.folder)]) == 0
    assert "accurracy" in capsys.readouterr().out
