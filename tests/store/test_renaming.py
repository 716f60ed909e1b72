"""What is stored of users can be renamed, on either database; one alone may have a project open."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection
from tests.store.conftest import Make

from upwell.errors import StoreError
from upwell.store import renaming
from upwell.store.erasures import Erasures
from upwell.store.exclusions import Exclusions
from upwell.store.journal import Journal
from upwell.store.lake import connect
from upwell.store.lease import Lease
from upwell.store.tombstones import Tombstones
from upwell.store.veil import FILE, NEXT, Change, Veil, key_in, put_in_force, veil_named

NOW = datetime(2024, 5, 1, tzinfo=UTC)
KEY, FIRST, SECOND = (bytes([n]) * 32 for n in (1, 2, 3))
NAME = "00112233445566778899aabbccddeeff"


@pytest.fixture
def con(tmp_path: Path) -> DuckDBPyConnection:
    return connect(tmp_path / "spill")


def test_a_layer_comes_off_and_goes_on() -> None:
    one, two, none = Veil(FIRST), Veil(SECOND), Veil()
    blocks = [bytes([n]) * 16 for n in range(200)]
    assert len({one.over(block) for block in blocks}) == len(blocks)
    assert [one.off(one.over(block)) for block in blocks] == blocks
    assert Change(one, two).block(one.over(blocks[7])) == two.over(blocks[7])
    assert len({veil.sealing(KEY) for veil in (none, one, two)}) == 3
    assert Change(two, none).name(Change(none, two).name(NAME)) == NAME
    assert [Change(none, one).name(user) for user in ("", "~label", NAME[:-1], NAME.upper())] == [
        "", "~label", NAME[:-1], NAME.upper(),
    ]  # fmt: skip


def test_what_was_refused_and_excluded_stays_so(journal: Journal, make_events: Make) -> None:
    journal.tombstones = Tombstones(KEY)
    journal.append_events(make_events(0, 5), NOW)
    user = str(make_events(0, 1)["user"][0])
    assert Erasures(journal).begin("one", user, NAME, NOW)
    Exclusions(journal).add("user", NAME, NOW, "spam")
    Exclusions(journal).add("source", "bot", NOW, "spam")
    journal.fact(renaming.VEIL, "")
    change, told = Change(Veil(), Veil(FIRST)), {"rotated": "now"}
    before = renaming.records(journal)
    renaming.commit(journal, change, {}, {}, told)
    journal.tombstones = Tombstones(KEY, Veil(FIRST))
    assert renaming.records(journal) == before
    assert Exclusions(journal).names("user") == [change.name(NAME)]
    assert Exclusions(journal).names("source") == ["bot"]
    assert [one.user for one in Erasures(journal).all()] == [change.name(NAME)]
    assert journal.append_events(make_events(0, 5), NOW).accepted == 0
    assert journal.fact(renaming.VEIL, "") == change.new.fingerprint
    assert journal.fact("rotated", "") == "now"


def test_users_are_found_by_their_first_names(con: DuckDBPyConnection) -> None:
    veil = Veil(FIRST)
    stored = [Change(Veil(), veil).name(NAME), "~label", ""]
    assert renaming.first_name(con, Veil()) is None
    for _ in range(2):
        first = renaming.first_name(con, veil)
        assert first is not None
        found = con.from_arrow(pa.table({"user": stored})).select(first.alias("first"))
        assert found.to_arrow_table()["first"].to_pylist() == [NAME, "~label", ""]


def test_keys_take_each_other_s_place(tmp_path: Path) -> None:
    assert key_in(tmp_path) == b""
    for key in (FIRST, SECOND):
        (tmp_path / NEXT).write_bytes(key)
        put_in_force(tmp_path)
        assert key_in(tmp_path) == key
        assert not (tmp_path / NEXT).exists()
    for key in (b"", FIRST, SECOND):
        veil = veil_named(tmp_path, Veil(key).fingerprint)
        assert veil is not None
        assert veil.over(bytes(16)) == Veil(key).over(bytes(16))
    assert veil_named(tmp_path, Veil(KEY).fingerprint) is None
    (tmp_path / FILE).write_bytes(b"short")
    with pytest.raises(StoreError, match=r"key\.damaged"):
        key_in(tmp_path)


def test_one_alone_or_many_together(tmp_path: Path) -> None:
    one, two = Lease(tmp_path), Lease(tmp_path)
    with pytest.raises(StoreError, match=r"project\.in_use"):
        one.take_alone()
    three = Lease(tmp_path)
    for other in (two, three):
        other.release()
    one.take_alone()
    with pytest.raises(StoreError, match=r"key\.rotating"):
        Lease(tmp_path)
    del one
    assert Lease(tmp_path)
