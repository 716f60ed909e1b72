from __future__ import annotations

import pyarrow as pa

from upwell.stages.protect.pseudonyms import Pseudonyms

KEY = b"k" * 32


def test_users_are_hidden_and_the_rest_is_untouched() -> None:
    chunks = pa.chunked_array([["ann", "bob", ""], ["ann"]])
    rows = pa.table({"id": [1, 2, 3, 4], "user": chunks, "item": list("abcd")})
    hidden = Pseudonyms(KEY).protect(rows)
    users = hidden["user"].to_pylist()
    assert users == [Pseudonyms(KEY).of(user) for user in ("ann", "bob", "", "ann")]
    assert users[2] == ""
    assert hidden.drop(["user"]).equals(rows.drop(["user"]))
    assert hidden.schema.names == rows.schema.names
    assert all(len(user) == 32 for user in users if user)


def test_pseudonyms_are_stable_and_of_one_key() -> None:
    assert Pseudonyms(KEY).of("ann") == Pseudonyms(KEY).of("ann")
    assert Pseudonyms(KEY).of("ann") != Pseudonyms(b"x" * 32).of("ann")
    names = [f"user {number}" for number in range(10_000)]
    assert len({Pseudonyms(KEY).of(name) for name in names}) == len(names)


def test_other_steps_of_protection_run_first() -> None:
    def shout(rows: pa.Table) -> pa.Table:
        return rows.set_column(0, "user", pa.array([str(u).upper() for u in rows["user"]]))

    protected = Pseudonyms(KEY, steps=[shout]).protect(pa.table({"user": ["ann"]}))
    assert protected["user"].to_pylist() == [Pseudonyms(KEY).of("ANN")]


def test_an_empty_table_stays_empty() -> None:
    empty = pa.table({"user": pa.array([], pa.string())})
    assert Pseudonyms(KEY).protect(empty).equals(empty)
