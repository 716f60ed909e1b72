"""The online verbs: what is accepted is receipted, what is refused has a reason, consent holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell import loop
from upwell.errors import StageError, StoreError
from upwell.records import PURPOSES
from upwell.service import Upwell, new_id
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import create_project, open_project
from upwell.tables import micros

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FROZEN, NOW = DAY_ONE + timedelta(days=100), DAY_ONE + timedelta(days=122)
Shop = Callable[..., Upwell]
Row = dict[str, object]


@pytest.fixture
def upwell(database: str, tmp_path: Path) -> Iterator[Upwell]:
    """An empty project in service, its journal on either database."""
    upwell = Upwell(open_project(create_project(tmp_path / "shop", "shop")))
    yield upwell
    upwell.project.journal.close()


def rated(id: str, **others: object) -> Row:
    return {"id": id, "user": "ann", "kind": "rating", "item": "i1", "value": 4.0,
            "at": DAY_ONE, **others}  # fmt: skip


def test_every_row_is_in_exactly_one_count(upwell: Upwell) -> None:
    rows = [
        rated("1"),
        rated("2", at="2024-01-01T00:00:00+08:00"),
        rated("1"),
        rated("3", at="2024-01-01T00:00:00"),
        rated("4", value=float("nan")),
        rated("5", user=""),
        rated("6", kind="No Name"),
        rated("1", value=5.0),
    ]
    receipt = upwell.capture(rows, source="web", now=NOW)
    codes = [bad.code for bad in receipt.refused]
    assert (receipt.accepted, receipt.duplicates) == (2, 1)
    assert codes == [
        "record.naive_time", "record.not_finite", "record.missing", "record.bad_name",
        "event.conflict",
    ]  # fmt: skip
    assert receipt.accepted + receipt.duplicates + len(receipt.refused) == len(rows)
    assert all(bad.reason and bad.raw and bad.source == "web" for bad in receipt.refused)
    assert upwell.project.journal.counts()["bad_rows"] == 5


def test_sending_again_changes_nothing(upwell: Upwell) -> None:
    rows = [rated(str(number)) for number in range(5)]
    assert upwell.capture(rows, now=NOW).accepted == 5
    again = upwell.capture(rows, now=NOW + timedelta(hours=1))
    assert (again.accepted, again.duplicates, again.refused) == (0, 5, ())
    assert upwell.capture(rows, source="another", now=NOW).accepted == 5


def test_the_first_body_of_an_id_holds(upwell: Upwell) -> None:
    upwell.capture([rated("1")], now=NOW)
    receipt = upwell.capture([rated("1", value=1.0)], now=NOW)
    assert [bad.code for bad in receipt.refused] == ["event.conflict"]
    assert "1" in receipt.refused[0].raw
    assert upwell.project.journal.events_after(0, 10)["value"].to_pylist() == [4.0]
    assert upwell.project.journal.bad_rows(1)["code"].to_pylist() == ["event.conflict"]


def test_records_batches_and_tables_are_the_same_to_intake(upwell: Upwell) -> None:
    rows = [rated(str(number)) for number in range(3)]
    table = pa.Table.from_pylist(rows)
    assert upwell.capture(rows, now=NOW).accepted == 3
    for arrow in (table, table.to_batches()[0]):
        receipt = upwell.capture(arrow, now=NOW)
        assert (receipt.accepted, receipt.duplicates, receipt.refused) == (0, 3, ())
    assert upwell.capture([], now=NOW).accepted == 0


def test_a_column_that_no_event_has_is_named_with_the_nearest(upwell: Upwell) -> None:
    with pytest.raises(StageError) as refused:
        upwell.capture(pa.Table.from_pylist([{**rated("1"), "iten": "i1"}]), now=NOW)
    assert refused.value.code == "collect.unknown_column"
    assert "'item'" in str(refused.value)
    assert upwell.project.journal.counts()["events"] == 0


def test_nobody_answers_before_the_first_turn(upwell: Upwell) -> None:
    for _ in range(2):
        with pytest.raises(StageError) as refused:
            upwell.recommend("ann", 3, now=NOW)
        assert refused.value.code == "serve.no_champion"
        upwell.capture([rated("1")], now=NOW)
    assert upwell.project.journal.counts()["predictions"] == 0


def test_status_tells_where_the_loop_stands(upwell: Upwell) -> None:
    upwell.capture([rated("1"), rated("2", at="never")], now=NOW)
    upwell.consent(["ann"], PURPOSES)
    assert upwell.status() == {
        "task": "recommend",
        "events": {"events": 1, "predictions": 0, "consents": 1, "bad_rows": 1},
        "champion": None, "turns": 0, "unfinished": None, "last": None, "in_lake": 0,
    }  # fmt: skip


def test_a_withdrawn_consent_holds_from_the_next_snapshot_on(shop: Shop, tmp_path: Path) -> None:
    upwell = shop(tmp_path / "shop")
    leaver, project = "u10.0@shop.example", upwell.project
    hidden = Pseudonyms(project.key).of(leaver)
    loop.turn(project, now=NOW, as_of=FROZEN)
    upwell.consent([leaver], (), since=NOW + timedelta(hours=1))
    loop.turn(project, now=NOW + timedelta(hours=2), as_of=FROZEN)
    held = []
    for version in project.ledger.versions("recommend"):
        data = project.snapshots.read(version.snapshot)
        parts = (data.train, data.validation, data.test)
        held.append([hidden in part["user"].to_pylist() for part in parts])
    assert held[0][0]
    assert held[0][2]
    assert held[1] == [False, False, False]


def test_a_consent_given_later_does_not_count_yet(shop: Shop, tmp_path: Path) -> None:
    upwell = shop(tmp_path / "shop")
    shy, project = "u00.0@shop.example", upwell.project
    upwell.consent([shy], ("train",), since=NOW + timedelta(days=1))
    loop.turn(project, now=NOW, as_of=FROZEN)
    data = project.snapshots.read(project.ledger.versions("recommend")[0].snapshot)
    assert Pseudonyms(project.key).of(shy) not in data.train["user"].to_pylist()


def test_a_model_that_is_not_as_it_was_written_does_not_serve(shop: Shop, tmp_path: Path) -> None:
    upwell = shop(tmp_path / "shop", tune={"epochs": 1})
    loop.turn(upwell.project, now=NOW, as_of=FROZEN)
    weights = upwell.project.folder / "data" / "models" / "recommend-0" / "model.safetensors"
    whole = weights.read_bytes()
    for spoiled in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        weights.write_bytes(spoiled)
        with pytest.raises(StoreError) as refused:
            upwell.recommend("ann", 3, now=NOW)
        assert refused.value.code == "model.damaged"
        assert "model.safetensors" in str(refused.value)
    assert upwell.project.journal.counts()["predictions"] == 0
    weights.write_bytes(whole)
    assert upwell.recommend("ann", 3, now=NOW).num_rows == 3


moments = st.datetimes(datetime(1971, 1, 1), datetime(2198, 1, 1), timezones=st.just(UTC))


@given(moments)
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(moment: datetime) -> None:
    made = UUID(new_id(moment))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == micros(moment) // 1000


@given(moments, st.timedeltas(timedelta(milliseconds=1), timedelta(days=365)))
def test_later_ids_sort_later(moment: datetime, gap: timedelta) -> None:
    assert new_id(moment) < new_id(moment + gap)


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id(NOW) for _ in range(1000)}) == 1000
