"""The promises of feedback hold for an honest kind, and each catches the bug it is there for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import compute as pc

from upwell.checks import Promise, feedback, promises
from upwell.errors import PluginError
from upwell.ports import Feedback
from upwell.records import Event, Signal
from upwell.settings import FeedbackRule
from upwell.tables import event_keys, schema, to_table

VALUES = (5.0, 1.0, 3.0, 4.0, None)
SIGNS = (1, -1, None, 1, None)


class Stars:
    """Stars: four and more are good, two and fewer bad."""

    DEFAULT = FeedbackRule(good=4.0, bad=2.0)

    def toy(self) -> pa.Table:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        events = [
            Event(f"e{n}", "shop", "ada", "stars", start + timedelta(n), item="x", value=value)
            for n, value in enumerate(VALUES)
        ]
        return to_table(Event, events).append_column("sign", pa.array(SIGNS, pa.int64()))

    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        value = np.asarray(pc.fill_null(events["value"], float("nan")), dtype=np.float64)
        sign = np.where(value >= (rule.good or 0.0), 1, 0) - (value <= (rule.bad or 0.0))
        return said(events.filter(pa.array(sign != 0)), sign[sign != 0], rule.weight)


def said(events: pa.Table, sign: object, weight: float) -> pa.Table:
    n = events.num_rows
    columns = [event_keys(events), events["prediction"], sign, [weight] * n, [None] * n]
    return pa.table(columns, schema=schema(Signal))


class Upside(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        found = super().signals(events, rule)
        return found.set_column(2, found.schema.field("sign"), pc.negate(found["sign"]))


class Signless(Stars):
    def toy(self) -> pa.Table:
        toy = super().toy()
        return toy.set_column(toy.num_columns - 1, "sign", pa.nulls(toy.num_rows, pa.int64()))


class Narrow(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        return super().signals(events, rule).drop_columns(["correction"])


class Backwards(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        return super().signals(events, rule).sort_by([("event", "descending")])


class Nameless(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        found = super().signals(events, rule)
        field = found.schema.field("prediction")
        return found.set_column(1, field, pa.nulls(found.num_rows, pa.string()))


class Credulous(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        nan = pc.fill_null(pc.is_nan(events["value"]), False)
        return pa.concat_tables(
            [
                said(events.filter(nan), [1] * pc.sum(nan).as_py(), 1.0),
                super().signals(events, rule),
            ]
        )


class Talkative(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        return said(events, [1] * events.num_rows, rule.weight)


class Weightless(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        return super().signals(events, rule.model_copy(update={"weight": 1.0}))


class Noisy(Stars):
    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        toy = self.toy().drop_columns(["sign"])
        return super().signals(events if events.num_rows else toy, rule)


@pytest.mark.parametrize("promise", promises("feedback"))
def test_an_honest_kind_keeps_every_promise(promise: Promise, tmp_path: Path) -> None:
    promise(Stars(), tmp_path)


@pytest.mark.parametrize(
    ("promise", "kind"),
    [
        (feedback.toy_is_events_with_signs, Signless()),
        (feedback.signals_are_the_signs_of_the_toy, Upside()),
        (feedback.signals_are_the_signs_of_the_toy, Talkative()),
        (feedback.signals_have_the_schema, Narrow()),
        (feedback.signals_keep_the_order, Backwards()),
        (feedback.signals_name_the_prediction, Nameless()),
        (feedback.what_is_not_a_number_says_nothing, Credulous()),
        (feedback.what_is_not_a_number_says_nothing, Talkative()),
        (feedback.weight_follows_the_rule, Weightless()),
        (feedback.no_events_no_signals, Noisy()),
    ],
)
def test_a_promise_catches_its_bug(
    promise: Callable[[Feedback, Path], None], kind: Feedback, tmp_path: Path
) -> None:
    with pytest.raises(PluginError) as caught:
        promise(kind, tmp_path)
    assert caught.value.code == "check.broken"
