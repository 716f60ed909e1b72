"""What every kind of feedback promises."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import compute as pc

from upwell.checks._require import require, require_schema
from upwell.ports import Feedback
from upwell.records import Event, Signal
from upwell.tables import event_keys, schema, to_records


def toy_is_events_with_signs(feedback: Feedback, folder: Path) -> None:
    """The toy has the Event schema and a column ``sign`` of +1, −1 or null, not all null."""
    toy = feedback.toy()
    require("sign" in toy.column_names, toy.column_names)
    require_schema(_events(toy).schema, schema(Event))
    signs = set(toy["sign"].to_pylist())
    require(signs <= {1, -1, None} and signs != {None}, signs)
    require(len(pc.unique(event_keys(toy))) == toy.num_rows, "toy: id × 2")


def signals_are_the_signs_of_the_toy(feedback: Feedback, folder: Path) -> None:
    """Each event of the toy gets the sign that it must get; null says nothing."""
    toy = feedback.toy()
    said = feedback.signals(_events(toy), feedback.DEFAULT)
    found = dict(zip(said["event"].to_pylist(), said["sign"].to_pylist(), strict=True))
    keys = event_keys(toy).to_pylist()
    wanted = dict(zip(keys, toy["sign"].to_pylist(), strict=True))
    for key, sign in wanted.items():
        require(found.get(key) == sign, f"{key}: {found.get(key)} ≠ {sign}")
    require(set(found) <= set(wanted), sorted(set(found) - set(wanted)))


def signals_have_the_schema(feedback: Feedback, folder: Path) -> None:
    """Signals have the Signal schema and every row is a valid Signal."""
    said = feedback.signals(_events(feedback.toy()), feedback.DEFAULT)
    require_schema(said.schema, schema(Signal))
    require(len(to_records(Signal, said)) == said.num_rows, said.num_rows)


def signals_keep_the_order(feedback: Feedback, folder: Path) -> None:
    """Signals come in the order of their events, whatever that is, at most one an event."""
    toy = _events(feedback.toy())
    for events in (toy, toy.take(pa.array(range(toy.num_rows - 1, -1, -1)))):
        said = feedback.signals(events, feedback.DEFAULT)["event"].to_pylist()
        spoke = set(said)
        wanted = [key for key in event_keys(events).to_pylist() if key in spoke]
        require(said == wanted, f"{said} ≠ {wanted}")


def signals_name_the_prediction(feedback: Feedback, folder: Path) -> None:
    """A signal carries the prediction that its event names."""
    toy = _events(feedback.toy())
    shown = pa.array([f"shown-{row}" for row in range(toy.num_rows)], pa.string())
    events = _with(toy, "prediction", shown)
    said = feedback.signals(events, feedback.DEFAULT)
    wanted = dict(zip(event_keys(events).to_pylist(), shown.to_pylist(), strict=True))
    for key, prediction in zip(
        said["event"].to_pylist(), said["prediction"].to_pylist(), strict=True
    ):
        require(prediction == wanted[key], f"{key}: {prediction} ≠ {wanted[key]}")


def what_is_not_a_number_says_nothing(feedback: Feedback, folder: Path) -> None:
    """A value NaN says what a missing value says; under a threshold of value, nothing."""
    toy, rule = _events(feedback.toy()), feedback.DEFAULT
    types = pa.float64()
    absent = feedback.signals(_with(toy, "value", pa.nulls(toy.num_rows, types)), rule)
    nan = pa.array([float("nan")] * toy.num_rows, types)
    broken = feedback.signals(_with(toy, "value", nan), rule)
    require(broken.equals(absent), f"NaN: {broken.num_rows}, null: {absent.num_rows}")
    if rule.good is not None or rule.bad is not None:
        require(absent.num_rows == 0, f"{absent.num_rows} ≠ 0")


def weight_follows_the_rule(feedback: Feedback, folder: Path) -> None:
    """Doubling the rule's weight doubles the weight of each signal."""
    toy, rule = _events(feedback.toy()), feedback.DEFAULT
    once = feedback.signals(toy, rule)["weight"].to_pylist()
    heavy = rule.model_copy(update={"weight": 2.0 * rule.weight})
    twice = feedback.signals(toy, heavy)["weight"].to_pylist()
    require(twice == [2.0 * weight for weight in once], f"{twice} ≠ 2 · {once}")


def no_events_no_signals(feedback: Feedback, folder: Path) -> None:
    """An empty table of events gives an empty table of signals."""
    said = feedback.signals(_events(feedback.toy()).slice(0, 0), feedback.DEFAULT)
    require_schema(said.schema, schema(Signal))
    require(said.num_rows == 0, f"{said.num_rows} ≠ 0")


def _events(toy: pa.Table) -> pa.Table:
    return toy.drop_columns(["sign"])


def _with(events: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = events.schema.get_field_index(name)
    return events.set_column(place, events.schema.field(name), column)
