"""What groups have to learn from and whom they are judged by."""

from __future__ import annotations

import pyarrow as pa

from upwell.stages.tune import groups
from upwell.stages.tune.groups import parts
from upwell.tables import Dataset


def rows(group: str, inputs: int, users: int = 2, weight: float = 1.0) -> pa.Table:
    pairs = [(f"{group} {n}", f"{group}-{user}") for n in range(inputs) for user in range(users)]
    return pa.table({
        "input": [text for text, _ in pairs], "user": [user for _, user in pairs],
        "group": [group] * len(pairs), "weight": [weight] * len(pairs),
    })  # fmt: skip


def dataset(*tables: pa.Table) -> Dataset:
    none = tables[0].slice(0, 0)
    return Dataset(pa.concat_tables(tables), none, none, none)


def test_an_input_teaches_or_chooses_and_others_judge() -> None:
    held_out = pa.concat_tables([rows("a", 3, users=4), rows("b", 2, users=1)])
    data = dataset(rows("a", 40), rows("b", 50), rows("", 90), rows("a", 30, weight=0.0))
    found = {part.group: part for part in parts(data, held_out)}
    assert [*found] == ["b", "a"]
    assert {group: (part.rows, part.users) for group, part in found.items()} == {
        "a": (80, 4), "b": (100, 1),
    }  # fmt: skip
    for group, part in found.items():
        taught, chosen, judged = part.data.train, part.data.validation, part.data.test
        assert taught.num_rows + chosen.num_rows == part.rows
        assert 0 < chosen.num_rows < taught.num_rows
        assert not {*taught["input"].to_pylist()} & {*chosen["input"].to_pylist()}
        assert all({*one["group"].to_pylist()} == {group} for one in (taught, chosen, judged))
        assert 0.0 not in taught["weight"].to_pylist()


def test_one_input_alone_teaches() -> None:
    for name in "abcdefgh":
        (part,) = parts(dataset(rows(name, 1)), rows(name, 1))
        assert (part.data.train.num_rows, part.data.validation.num_rows) == (2, 0)


def test_the_largest_groups_come_first_and_the_rest_not_at_all() -> None:
    many = [rows(f"g{n}", n + 1) for n in range(groups.MOST + 3)]
    found = [part.group for part in parts(dataset(*many), rows("g1", 1))]
    assert found == [f"g{n}" for n in reversed(range(3, groups.MOST + 3))]
