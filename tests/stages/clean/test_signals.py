from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.errors import PluginError, StageError
from upwell.plugins import locations, plugin
from upwell.records import Event, Signal
from upwell.settings import FeedbackRule
from upwell.stages.clean.signals import ignored, signals
from upwell.tables import schema, to_table
from upwell.words import catalogue

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
KINDS = ("rating", "click", "dwell", "thumbs", "skip", "view", "item", "user")


def event(n: int, kind: str, value: float | None = None, item: str | None = "i") -> Event:
    return Event(str(n), "web", "ann", kind, NOON + timedelta(seconds=n), item=item, value=value)


def signs(events: list[Event], rules: dict[str, FeedbackRule]) -> dict[str, int]:
    said = signals(to_table(Event, events), rules)
    return dict(zip(said["event"].to_pylist(), said["sign"].to_pylist(), strict=True))


def codes(events: list[Event], rules: dict[str, FeedbackRule]) -> dict[str, str]:
    table = to_table(Event, events)
    found = ignored(table, signals(table, rules), rules)
    return dict(zip(found["event"].to_pylist(), found["code"].to_pylist(), strict=True))


def test_a_rating_out_of_scale_says_nothing_and_is_reported() -> None:
    events = [event(n, "rating", value) for n, value in enumerate((5.0, 3.0, 1.0, 11.0, None))]
    assert signs(events, {}) == {"web/0": 1, "web/2": -1}
    assert codes(events, {}) == {
        "web/1": "clean.neutral",
        "web/3": "clean.out_of_scale",
        "web/4": "clean.no_value",
    }


def test_negative_dwell_is_reported() -> None:
    assert codes([event(0, "dwell", -1.0)], {}) == {"web/0": "clean.out_of_scale"}


def test_every_reason_is_a_sentence() -> None:
    events = [
        event(0, "view"),
        event(1, "click", item=None),
        event(2, "correction"),
        event(3, "rating", 9.0),
    ]
    found = set(codes(events, {}).values())
    assert found == {
        "clean.no_rule",
        "clean.about_nothing",
        "clean.says_nothing",
        "clean.out_of_scale",
    }
    assert found <= catalogue("en").keys() & catalogue("zh").keys()


def test_facts_are_neither_signals_nor_ignored() -> None:
    facts = [event(0, "item"), event(1, "user")]
    assert signs(facts, {}) == {}
    assert codes(facts, {}) == {}


def test_a_rule_reads_another_plugin_over_its_default() -> None:
    rules = {"watch": FeedbackRule(reads="dwell", good=60.0)}
    events = [event(n, "watch", value) for n, value in enumerate((60.0, 30.0, 2.0))]
    assert signs(events, rules) == {"web/0": 1, "web/2": -1}


def test_a_weight_is_the_rules() -> None:
    said = signals(to_table(Event, [event(0, "click")]), {"click": FeedbackRule(weight=0.25)})
    assert said["weight"].to_pylist() == [0.25]


def test_an_unknown_plugin_is_named() -> None:
    with pytest.raises(PluginError, match="dwell"):
        signs([event(0, "watch", 1.0)], {"watch": FeedbackRule(reads="dwel")})


@pytest.mark.parametrize(
    "rule", [FeedbackRule(good=8.0), FeedbackRule(bad=4.0), FeedbackRule(good=1.0, bad=2.0)]
)
def test_a_rule_that_contradicts_itself_is_refused(rule: FeedbackRule) -> None:
    with pytest.raises(StageError, match=r"clean\.bad_rule"):
        signs([event(0, "rating", 3.0)], {"rating": rule})


def test_a_scale_of_ones_own() -> None:
    rule = FeedbackRule(good=8.0, bad=4.0, low=1.0, high=10.0)
    events = [event(n, "rating", value) for n, value in enumerate((9.0, 4.0, 6.0, 11.0))]
    assert signs(events, {"rating": rule}) == {"web/0": 1, "web/1": -1}


def test_seq_is_handed_on() -> None:
    table = to_table(Event, [event(n, kind) for n, kind in enumerate(("skip", "view", "click"))])
    said = signals(table.append_column("seq", pa.array([7, 8, 9])), {})
    assert said.select(["seq", "sign"]).to_pylist() == [
        {"seq": 7, "sign": -1},
        {"seq": 9, "sign": 1},
    ]


def test_nothing_gives_nothing() -> None:
    empty = schema(Event).empty_table()
    assert signals(empty, {}).schema == schema(Signal)
    assert ignored(empty, signals(empty, {}), {}).num_rows == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.one_of(st.none(), st.floats(-9, 99))), max_size=40
    )
)
@settings(deadline=None, max_examples=40)
def test_every_event_is_heard_or_has_a_reason(drawn: list[tuple[str, float | None]]) -> None:
    events = [event(n, kind, value) for n, (kind, value) in enumerate(drawn)]
    table = to_table(Event, events)
    said = signals(table, {})
    heard, silent = said["event"].to_pylist(), codes(events, {})
    facts = [f"web/{one.id}" for one in events if one.kind in ("item", "user")]
    assert sorted([*heard, *silent, *facts]) == sorted(f"web/{one.id}" for one in events)
    assert heard == sorted(heard, key=lambda key: int(key.removeprefix("web/")))
    parts = [signals(table.slice(start, 7), {}) for start in range(0, len(table), 7)]
    assert not parts or pa.concat_tables(parts).equals(said)


def test_every_kind_of_feedback_runs_here() -> None:
    for kind in locations("feedback"):
        toy = plugin("feedback", kind).toy()
        said = signals(toy, {})
        assert said["sign"].to_pylist() == [sign for sign in toy["sign"].to_pylist() if sign]
