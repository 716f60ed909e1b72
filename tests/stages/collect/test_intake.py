from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.errors import RecordError, StageError, UpwellError
from upwell.records import BadRow, Event
from upwell.stages.collect.intake import Sorted, rows_to_table, sort_out
from upwell.tables import TIME, schema, to_records

NOW = datetime(2024, 5, 1, tzinfo=UTC)
GOOD: dict[str, object] = {"id": "1", "user": "u", "kind": "click", "at": "2024-01-01T00:00:00Z"}


def take(*rows: Mapping[str, object] | Event) -> Sorted:
    return sort_out(rows_to_table(rows), "web", NOW)


def codes(*rows: Mapping[str, object] | Event) -> list[tuple[str, str]]:
    return [(bad.code, bad.field) for bad in to_records(BadRow, take(*rows).bad)]


def test_good_rows_become_events() -> None:
    full = {
        **GOOD,
        "source": "app",
        "payload": {"b": 1, "a": [None, "é"]},
        "prediction": "p",
        "item": 7,
        "value": "2.5",
    }
    found = take(GOOD, full)
    at = datetime(2024, 1, 1, tzinfo=UTC)
    assert to_records(Event, found.events) == [
        Event("1", "web", "u", "click", at),
        Event("1", "app", "u", "click", at, {"a": [None, "é"], "b": 1}, "p", "7", 2.5),
    ]
    assert found.events["payload"][1].as_py() == '{"a":[null,"é"],"b":1}'
    assert len(found.bad) == 0


def test_nothing_gives_nothing() -> None:
    found = take()
    assert (found.events.schema, len(found.events)) == (schema(Event), 0)
    assert (found.bad.schema, len(found.bad)) == (schema(BadRow), 0)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"id": None}, "record.missing", "id"),
        ({"id": "  "}, "record.missing", "id"),
        ({"id": "x" * 513}, "record.bad_id", "id"),
        ({"id": "a\x00b"}, "record.bad_id", "id"),
        ({"id": "\udead"}, "collect.bad_text", "id"),
        ({"id": 1.5}, "collect.wrong_type", "id"),
        ({"id": True}, "collect.wrong_type", "id"),
        ({"id": ["1"]}, "collect.wrong_type", "id"),
        ({"source": "Not a name"}, "record.bad_name", "source"),
        ({"kind": None}, "record.missing", "kind"),
        ({"kind": "Click!"}, "record.bad_name", "kind"),
        ({"user": None}, "record.missing", "user"),
        ({"user": ""}, "record.missing", "user"),
        ({"item": ""}, "record.missing", "item"),
        ({"prediction": "\x00"}, "record.bad_id", "prediction"),
        ({"at": None}, "record.missing", "at"),
        ({"at": "2024-01-01T00:00:00"}, "record.naive_time", "at"),
        ({"at": "2024-01-01"}, "record.naive_time", "at"),
        ({"at": datetime(2024, 1, 1)}, "record.naive_time", "at"),
        ({"at": "0000-01-01T00:00:00Z"}, "record.bad_time", "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "record.bad_time", "at"),
        ({"at": "9999-12-31T23:59:59Z"}, "record.bad_time", "at"),
        ({"at": "2024-02-31T00:00:00Z"}, "collect.unreadable_time", "at"),
        ({"at": "yesterday"}, "collect.unreadable_time", "at"),
        ({"at": True}, "collect.wrong_type", "at"),
        ({"at": 0}, "record.bad_time", "at"),
        ({"at": -1}, "record.bad_time", "at"),
        ({"at": 1714521600000}, "collect.milliseconds", "at"),
        ({"at": "1714521600000"}, "collect.milliseconds", "at"),
        ({"at": 10**30}, "record.bad_time", "at"),
        ({"at": math.nan}, "record.not_finite", "at"),
        ({"value": math.nan}, "record.not_finite", "value"),
        ({"value": "-inf"}, "record.not_finite", "value"),
        ({"value": 10**400}, "record.not_finite", "value"),
        ({"value": True}, "collect.wrong_type", "value"),
        ({"value": "many"}, "collect.not_a_number", "value"),
        ({"payload": "{"}, "collect.bad_payload", "payload"),
        ({"payload": "[1]"}, "collect.bad_payload", "payload"),
        ({"payload": [1]}, "collect.bad_payload", "payload"),
        ({"payload": {"x": {1, 2}}}, "collect.bad_payload", "payload"),
        ({"payload": '{"a": "\\udead"}'}, "collect.bad_payload", "payload"),
        ({"payload": {"a": "\udead"}}, "collect.bad_text", "payload"),
        ({"payload": '{"a": NaN}'}, "record.not_finite", "payload"),
        ({"payload": '{"a": 1e999}'}, "record.not_finite", "payload"),
        ({"payload": {"a": math.inf}}, "record.not_finite", "payload"),
        ({"payload": "[" * 100_000}, "collect.bad_payload", "payload"),
        ({"payload": '"' + "x" * (1 << 20) + '"'}, "collect.too_long", "payload"),
        ({"itme": "7"}, "collect.unknown_column", "itme"),
    ],
)
def test_each_bad_row_is_named_and_its_neighbours_are_not_blocked(
    change: dict[str, object], code: str, field: str
) -> None:
    found = take({**GOOD, "id": "0"}, {**GOOD, **change}, {**GOOD, "id": "2"})
    assert found.events["id"].to_pylist() == ["0", "2"]
    (bad,) = to_records(BadRow, found.bad)
    assert (bad.code, bad.field, bad.source, bad.at) == (code, field, "web", NOW)
    assert field in bad.reason
    assert len(bad.reason) < 300
    assert isinstance(json.loads(bad.raw), dict)
    assert len(bad.raw) <= 65_536


def test_words_such_as_nan_in_a_payload_are_words() -> None:
    assert codes({**GOOD, "payload": {"title": "NaN and Infinity"}}) == []


def test_rows_that_are_no_rows() -> None:
    strange = cast("list[Event]", [[1, 2], None, "text", 7])
    assert codes(*strange) == [("collect.not_a_row", "")] * 4


def test_the_first_problem_is_told_once() -> None:
    assert codes({"id": "", "user": None, "kind": "!", "at": 5}) == [("record.missing", "id")]


def test_facts_about_items_need_no_user() -> None:
    found = take({**GOOD, "kind": "item", "user": None, "item": "i"})
    assert found.events["user"].to_pylist() == [""]


@pytest.mark.parametrize(
    "at",
    [
        pa.array([NOW], pa.timestamp("us", "UTC")),
        pa.array([NOW], pa.timestamp("ns", "UTC")),
        pa.array([NOW], pa.timestamp("ms", "+05:00")),
        pa.array([NOW], pa.timestamp("s", "UTC")),
        pa.array([int(NOW.timestamp())]),
        pa.array([int(NOW.timestamp())], pa.uint32()),
        pa.array([NOW.timestamp()]),
        pa.array([Decimal(int(NOW.timestamp()))]),
        pa.array(["2024-05-01T00:00:00Z"]),
        pa.array(["2024-05-01T02:00:00+02:00"], pa.large_string()),
        pa.array(["2024-05-01 00:00:00.000+00:00"], pa.string_view()),
        pa.array(["20240430T200000-0400"]).dictionary_encode(),
        pa.array([" 1714521600.0 "]),
    ],
)
def test_times_come_in_many_ways(at: pa.Array) -> None:
    batch = pa.table({"id": ["1"], "user": ["u"], "kind": ["click"], "at": at})
    assert sort_out(batch, "web", NOW).events["at"].to_pylist() == [NOW]


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (pa.array([NOW.replace(tzinfo=None)]), "record.naive_time"),
        (pa.array([NOW.date()]), "record.naive_time"),
        (pa.array([253_402_300_799], pa.timestamp("s", "UTC")), "record.bad_time"),
        (pa.array([-62_167_219_200], pa.timestamp("s", "UTC")), "record.bad_time"),
        (pa.array([2**62], pa.timestamp("s", "UTC")), "record.bad_time"),
        (pa.array([2**63 - 1], pa.timestamp("ns", "UTC")), "record.bad_time"),
        (pa.array([2**64 - 1], pa.uint64()), "record.bad_time"),
        (pa.array([None], TIME), "record.missing"),
        (pa.array([None]), "record.missing"),
        (pa.array([math.inf]), "record.not_finite"),
        (pa.array([1_714_521_600_000.0]), "collect.milliseconds"),
    ],
)
def test_bad_times_of_typed_columns(at: pa.Array, code: str) -> None:
    batch = pa.record_batch({"id": ["1"], "user": ["u"], "kind": ["click"], "at": at})
    (bad,) = to_records(BadRow, sort_out(batch, "web", NOW).bad)
    assert (bad.code, bad.field) == (code, "at")
    assert json.loads(bad.raw)["id"] == "1"


def test_fractions_of_a_second_are_kept() -> None:
    found = take({**GOOD, "at": 1714521600.25}, {**GOOD, "at": "2024-05-01T00:00:00.123456Z"})
    assert [at.microsecond for at in found.events["at"].to_pylist()] == [250_000, 123_456]


@pytest.mark.parametrize(
    ("columns", "code", "field"),
    [
        ({"itme": ["7"]}, "collect.unknown_column", "itme"),
        ({"at": None}, "collect.missing_column", "at"),
        ({"user": [["u"]]}, "collect.wrong_type", "user"),
        ({"at": [True]}, "collect.wrong_type", "at"),
        ({"value": [True]}, "collect.wrong_type", "value"),
        ({"payload": [[1]]}, "collect.wrong_type", "payload"),
    ],
)
def test_a_whole_column_that_cannot_be_is_an_error(
    columns: dict[str, list[object] | None], code: str, field: str
) -> None:
    wanted = {name: [value] for name, value in GOOD.items()} | columns
    batch = pa.table({name: cells for name, cells in wanted.items() if cells is not None})
    with pytest.raises(StageError) as raised:
        sort_out(batch, "web", NOW)
    assert (raised.value.code, raised.value.details["field"]) == (code, field)
    assert all(
        field in said[0] for said in (raised.value.explain("en"), raised.value.explain("zh"))
    )


def test_an_unknown_column_comes_with_the_nearest() -> None:
    with pytest.raises(StageError, match="the nearest is 'item'"):
        sort_out(pa.table({"itme": ["7"]}), "web", NOW)


def test_a_column_that_comes_twice_is_an_error() -> None:
    batch = pa.Table.from_arrays([pa.array(["1"])] * 4, ["id", "kind", "at", "id"])
    with pytest.raises(StageError) as raised:
        sort_out(batch, "web", NOW)
    assert raised.value.code == "collect.twice"


def test_a_source_must_have_a_name() -> None:
    with pytest.raises(RecordError):
        sort_out(rows_to_table([GOOD]), "My Source", NOW)


def test_payloads_may_be_structures() -> None:
    cells = {name: [value] * 2 for name, value in GOOD.items()}
    batch = pa.table({**cells, "payload": [{"title": "Heat", "year": 1995}, None]})
    found = sort_out(batch, "web", NOW).events["payload"].to_pylist()
    assert found == ['{"title":"Heat","year":1995}', "{}"]


def test_large_batches_are_sorted_out_in_parts() -> None:
    rows = 300_000
    users = pa.array([None if row % 100_000 == 7 else "u" for row in range(rows)])
    batch = pa.table(
        {
            "id": pa.array(range(rows)),
            "user": users,
            "kind": pa.repeat("click", rows),
            "at": pa.repeat(1_714_521_600, rows),
        }
    )
    found = sort_out(batch, "web", NOW)
    assert (len(found.events), len(found.bad)) == (rows - 3, 3)
    assert [json.loads(raw)["id"] for raw in found.bad["raw"].to_pylist()] == [7, 100_007, 200_007]


texts = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "a", "A b", "x" * 513, "\x00", "\u3000"]),
    st.text("ab/, é\x00\u2028", max_size=6),
)
moments = st.one_of(
    st.none(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])),
    st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1)),
)
events = st.fixed_dictionaries(
    {
        "id": texts,
        "source": st.sampled_from(["web", "Web", "", "a.b-c_d"]),
        "user": texts,
        "kind": st.sampled_from(["item", "click", "user", "", "Click"]),
        "at": moments,
        "prediction": texts,
        "item": texts,
        "value": st.one_of(st.none(), st.floats()),
    }
)


def _record(row: dict[str, Any]) -> Event | None:
    """The event that the record itself would accept, if it does."""
    needed = row["id"] is not None and row["at"] is not None
    try:
        return Event(**{**row, "user": row["user"] or ""}) if needed else None
    except UpwellError:
        return None


@given(st.lists(events, max_size=5))
def test_intake_takes_what_a_record_takes(rows: list[dict[str, Any]]) -> None:
    found = take(*rows)
    assert len(found.events) + len(found.bad) == len(rows)
    expected = [event for event in map(_record, rows) if event is not None]
    assert to_records(Event, found.events) == expected
