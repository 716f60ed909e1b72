"""Rows that are as they should be take a quick way, which ends where the careful one does."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.collect import rows as collecting
from upwell.stages.collect.columns import LONGEST_PAYLOAD
from upwell.stages.collect.intake import rows_to_table, sort_out

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, object]
texts = st.one_of(st.sampled_from(["u", "", "\ud800", "a\x00b", "é", "7"]), st.text(max_size=5))
odd = st.sampled_from([None, 7, 2**70, True, 1.5, math.nan, math.inf, [1], b"x"])
payloads = st.one_of(
    st.dictionaries(st.text(max_size=3), st.one_of(texts, odd), max_size=3),
    st.sampled_from(['{"b":1,"a":2}', "[]", "{", "NaN", {"x": "NaN"}]),
)
events = st.fixed_dictionaries(
    {"id": st.one_of(texts, st.integers()), "user": texts, "kind": st.just("click")},
    optional={
        "at": st.sampled_from(["2026-01-01T00:00:00Z", "never", 1_700_000_000, NOW]),
        "value": st.one_of(st.floats(), odd, st.sampled_from([1, 2**60, "3"])),
        "payload": payloads,
        "item": st.one_of(texts, odd),
        "iten": st.just("misspelt"),
    },
)


@given(st.lists(events, min_size=1, max_size=6))
def test_both_ways_end_with_the_same_events_and_bad_rows(rows: list[Row]) -> None:
    quick = sort_out(rows_to_table(rows), "web", NOW)
    with mock.patch.object(collecting, "_quick", return_value=None):
        careful = sort_out(rows_to_table(rows), "web", NOW)
    assert quick.events.to_pylist() == careful.events.to_pylist()
    assert quick.bad.to_pylist() == careful.bad.to_pylist()
    assert quick.bad_at.tolist() == careful.bad_at.tolist()


def test_sound_rows_do_take_the_quick_way() -> None:
    whole: Row = {"id": "1", "user": "u", "kind": "click", "at": "2026-01-01T00:00:00Z",
                  "value": 1, "payload": {"b": 1, "a": None}}  # fmt: skip
    table = rows_to_table([whole])
    assert collecting.is_canonical(table.schema)
    assert sort_out(table, "web", NOW).events["payload"].to_pylist() == ['{"a":null,"b":1}']
    for wrong in ({"note": "x" * LONGEST_PAYLOAD}, {"x": math.nan}):
        told = sort_out(rows_to_table([{**whole, "payload": wrong}]), "web", NOW).bad["code"]
        assert told.to_pylist() in (["collect.too_long"], ["record.not_finite"])
