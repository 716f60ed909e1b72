"""Columns become numbers: by kind, robustly, and the same for the same cell in every company."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.errors import PluginError
from upwell.tasks._columns import FARTHEST, days, encode, learn, number, parse, restored

CELL = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())
)
ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), CELL), min_size=1, max_size=12)


def kinds(rows: list[dict[str, object]]) -> dict[str, str]:
    return {column.name: column.kind for column in learn(rows)}


@given(ROWS, ROWS)
def test_any_cells_become_finite_numbers(
    known: list[dict[str, object]], new: list[dict[str, object]]
) -> None:
    columns = learn(known)
    found = encode(columns, new)
    assert found.shape == (len(new), sum(len(column.places()) for column in columns))
    assert np.isfinite(found).all()
    assert np.abs(found).max(initial=0.0) <= FARTHEST
    assert np.array_equal(encode(columns, new[:1])[0], found[0])


def test_the_kind_of_a_column_is_told_by_its_values() -> None:
    rows: list[dict[str, object]] = [
        {
            "number": n / 3,
            "as_text": str(n),
            "day": f"2024-01-{n % 28 + 1:02}",
            "job": ("cook", "smith")[n % 2],
            "note": f"free words about {n} and {n * 7919 % 997}",
            "flag": n % 3 == 0,
            "mixed": n if n % 2 else f"n/a {n % 4}",
            "constant": 7,
            "nothing": None,
        }
        for n in range(300)
    ]
    assert kinds(rows) == {
        "as_text": "number", "day": "date", "flag": "number", "job": "category",
        "mixed": "text", "note": "text", "number": "number",
    }  # fmt: skip


def test_a_few_words_among_numbers_are_missing_numbers() -> None:
    rows: list[dict[str, object]] = [{"age": n} for n in range(99)]
    rows.append({"age": "unknown"})
    (column,) = learn(rows)
    assert column.kind == "number"
    assert encode([column], [{"age": "unknown"}])[0, 0] == 0.0


def test_far_values_are_pulled_in() -> None:
    rows: list[dict[str, object]] = [{"income": float(n % 100)} for n in range(1000)]
    rows[0]["income"] = 1e300
    columns = learn(rows)
    top = encode(columns, [{"income": 99.0}, {"income": 1e300}, {"income": math.inf}])
    assert np.array_equal(top[1], top[2])
    assert np.abs(top[0] - top[1]).max() < 0.1


def test_unseen_categories_share_a_place_and_missing_ones_have_theirs() -> None:
    columns = learn([{"job": "cook"}, {"job": "smith"}, {}])
    found = encode(columns, [{"job": "poet"}, {"job": "x" * 100_000}, {}, {"job": ""}])
    assert columns[0].places() == ["job=cook", "job=smith", "job=other", "job=missing"]
    assert found.tolist() == [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_pieces_of_a_number_add_up_along_its_quantiles() -> None:
    columns = learn([{"x": n} for n in range(800)])
    width = len(columns[0].edges) - 1
    found = encode(columns, [{"x": n} for n in (0, 200, 400, 800)])[:, 1:]
    assert width == 16
    assert found.sum(axis=1) == pytest.approx([0, 4, 8, 16], abs=0.2)


def test_a_number_that_is_mostly_zero_still_has_pieces() -> None:
    columns = learn([{"gain": n if n % 10 == 0 else 0} for n in range(800)])
    assert len(columns[0].edges) > 8


def test_dates_are_days() -> None:
    assert days(["1970-01-02", "1970-01-03T12:00:00+00:00"]).tolist() == [1.0, 2.5]
    assert np.isnan(days(["2024-13-45", 2024, None, "soon"])).all()


@pytest.mark.parametrize("cell", ["", "abc", None, [1], {"a": 1}, "1e", 10**400])
def test_what_is_no_number_is_missing(cell: object) -> None:
    assert math.isnan(number(cell))


@pytest.mark.parametrize(
    "text", ["", "12", "[1]", "{", "null", '{"a":1},{"a":2}', "[" * 100_000, None]
)
def test_an_input_that_is_no_object_is_refused_with_its_row(text: str | None) -> None:
    with pytest.raises(PluginError) as caught:
        parse(['{"a":1}', text])
    assert caught.value.code == "tabular.not_columns"
    assert caught.value.details["row"] == 1


def test_what_was_learned_is_json() -> None:
    for column in learn([{"x": n, "job": ("cook", "smith")[n % 2]} for n in range(800)]):
        assert restored(json.loads(json.dumps(asdict(column)))) == column
