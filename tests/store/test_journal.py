from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from upwell.errors import StoreError
from upwell.records import BadRow, Consent, Event, Prediction
from upwell.store.erasures import Erasures
from upwell.store.journal import Journal
from upwell.tables import schema, to_records, to_table

Make = Callable[..., pa.Table]


def test_what_went_in_comes_out_in_order(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    events = make_events(0, 20)
    receipt = journal.append_events(events, now)
    assert (receipt.accepted, receipt.duplicates, receipt.refused) == (20, 0, ())
    stored = journal.events_after(0, 100)
    assert stored.select(schema(Event).names).equals(events)
    seqs = stored["seq"].to_pylist()
    assert seqs == sorted(set(seqs))
    assert seqs[0] > 0
    assert journal.events_after(seqs[4], 3)["id"].to_pylist() == ["e5", "e6", "e7"]


def test_the_same_event_is_kept_once_for_ever(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    journal.append_events(make_events(0, 10), now)
    again = journal.append_events(make_events(5, 15), now + timedelta(days=900))
    assert (again.accepted, again.duplicates) == (5, 5)
    assert journal.counts()["events"] == 15


def test_another_body_under_a_known_id_is_refused_and_kept(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    journal.append_events(make_events(0, 3), now)
    receipt = journal.append_events(make_events(2, 5, value=9.0), now)
    assert (receipt.accepted, receipt.duplicates) == (2, 0)
    (bad,) = receipt.refused
    assert (bad.code, bad.source, bad.field) == ("event.conflict", "web", "id")
    assert '"value":9.0' in bad.raw
    assert to_records(BadRow, journal.bad_rows(10)) == [bad]
    assert journal.events_after(0, 9)["value"].to_pylist() == [1.0, 1.0, 1.0, 9.0, 9.0]


def test_duplicates_and_conflicts_within_one_batch(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    batch = pa.concat_tables([make_events(0, 2), make_events(0, 1), make_events(1, 2, value=2.0)])
    receipt = journal.append_events(batch, now)
    assert (receipt.accepted, receipt.duplicates, len(receipt.refused)) == (2, 1, 1)
    assert journal.events_after(0, 9)["value"].to_pylist() == [1.0, 1.0]


def test_the_same_id_from_two_sources_is_two_events(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    web = make_events(0, 1)
    place = web.schema.get_field_index("source")
    app = web.set_column(place, web.schema.field("source"), [["app"]])
    assert journal.append_events(pa.concat_tables([web, app]), now).accepted == 2


def test_bodies_that_differ_only_in_where_a_cell_ends_differ(
    journal: Journal, now: datetime
) -> None:
    one = Event("1", "web", "u,", "click", now, item="i")
    two = Event("1", "web", "u", "click", now, item=",i")
    journal.append_events(to_table(Event, [one]), now)
    assert len(journal.append_events(to_table(Event, [two]), now).refused) == 1


def test_many_threads_lose_and_repeat_nothing(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    parts = [make_events(start, start + 10) for start in range(0, 300, 5)]
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda part: journal.append_events(part, now), parts))
    assert sum(receipt.accepted for receipt in receipts) == 305
    assert sum(receipt.duplicates for receipt in receipts) == 600 - 305
    assert sorted(journal.events_after(0, 999)["id"].to_pylist()) == sorted(
        f"e{number}" for number in range(305)
    )


def test_nothing_to_append(journal: Journal, now: datetime) -> None:
    receipt = journal.append_events(schema(Event).empty_table(), now)
    assert (receipt.accepted, receipt.duplicates) == (0, 0)
    assert len(journal.events_after(0, 1)) == 0
    assert journal.events_after(0, 1).schema.names == [*schema(Event).names, "seq"]


def test_consents_predictions_and_bad_rows_are_kept(journal: Journal, now: datetime) -> None:
    consents = [Consent("c1", "u", ("train", "serve"), now), Consent("c2", "u", (), now, now)]
    table = to_table(Consent, consents)
    assert (journal.add_consents(table), journal.add_consents(table)) == (2, 0)
    assert to_records(Consent, journal.consents()) == consents
    shown = Prediction("p", "u", "recommend", "m1", now, {"k": 2}, ["a", "b"], 0.5)
    kept = to_table(Prediction, [shown])
    assert (journal.append_predictions(kept), journal.append_predictions(kept)) == (1, 0)
    assert to_records(Prediction, journal.predictions_after(0, 9)) == [shown]
    bad = [BadRow("web", "record.missing", "id", "why", f"raw {n}", now) for n in range(3)]
    journal.keep_bad_rows(to_table(BadRow, bad))
    assert to_records(BadRow, journal.bad_rows(2)) == [bad[2], bad[1]]
    assert journal.counts() == {"events": 0, "predictions": 1, "consents": 2, "bad_rows": 3}


def test_a_fact_keeps_its_first_value(journal: Journal) -> None:
    assert journal.fact("key", "one") == "one"
    assert journal.fact("key", "two") == "one"


def test_sqlite_promises_what_the_journal_does(tmp_path: Path) -> None:
    journal = Journal.open("sqlite:///data/journal.db", tmp_path)
    with journal.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30000,
    }
    path = tmp_path / "data" / "journal.db"
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    journal.close()


def _fail_inserts(journal: Journal, problem: str) -> Callable[[], None]:
    def fail(_: Connection, __: object, statement: str, *___: object) -> None:
        if statement.startswith("INSERT INTO events"):
            raise OperationalError(statement, None, sqlite3.OperationalError(problem))

    event.listen(journal.engine, "before_cursor_execute", fail)
    return lambda: event.remove(journal.engine, "before_cursor_execute", fail)


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ("database or disk is full", "store.disk_full"),
        ("database is locked", "store.busy"),
        ("disk I/O error", "store.unusable"),
    ],
)
def test_what_cannot_be_stored_is_not_acknowledged(
    journal: Journal, make_events: Make, now: datetime, problem: str, code: str
) -> None:
    repair = _fail_inserts(journal, problem)
    with pytest.raises(StoreError) as raised:
        journal.append_events(make_events(0, 3), now)
    assert raised.value.code == code
    assert raised.value.explain("zh") != raised.value.explain("en")
    repair()
    assert journal.counts()["events"] == 0
    assert journal.append_events(make_events(0, 3), now).accepted == 3


def test_a_really_full_database_loses_nothing_acknowledged(
    tmp_path: Path, make_events: Make, now: datetime
) -> None:
    journal = Journal.open("sqlite:///journal.db", tmp_path)

    def small(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 8}")

    journal.append_events(make_events(0, 5), now)
    journal.close()
    event.listen(journal.engine, "connect", small)
    with pytest.raises(StoreError) as raised:
        journal.append_events(make_events(5, 2000), now)
    assert raised.value.code == "store.disk_full"
    assert journal.counts()["events"] == 5
    journal.close()


@pytest.mark.parametrize("url", ["nonsense", "oracle9://x/y", "sqlite+nodriver:///x"])
def test_a_bad_address_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        Journal.open(url, tmp_path)
    assert raised.value.code == "store.bad_url"


def test_a_reply_in_progress_does_not_survive_the_erasure_of_who_asked(
    journal: Journal, make_events: Make, now: datetime
) -> None:
    def said(id: str, user: str, at: datetime) -> Prediction:
        return Prediction(id, user, "talker", "m1", at, "[]", {}, 1.0)

    journal.append_events(make_events(0, 7), now)
    Erasures(journal).begin("e", "u1", "hidden", now)
    later = now + timedelta(seconds=1)
    told = [said("begun", "u1", now), said("other", "u2", now), said("new", "u1", later)]
    assert journal.append_predictions(to_table(Prediction, told)) == 2
    assert journal.predictions_after(0, 9)["id"].to_pylist() == ["other", "new"]
    assert journal.append_predictions(to_table(Prediction, told[:1])) == 0
