"""Redaction of tables: which parts of JSON are read, and which stay whatever they hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from upwell.records import Event, Prediction
from upwell.settings import ProtectSettings
from upwell.stages.protect.redact.columns import Redaction
from upwell.stages.protect.redact.keys import kind_of
from upwell.tables import canonical_json, schema, to_table

AT = datetime(2024, 1, 1, tzinfo=UTC)
STEP = Redaction(bytes(32), ProtectSettings().off)
MAIL = "ann.lee@example.org"


def redacted(payload: Any, kind: str = "click") -> Any:
    rows = to_table(Event, [Event("1", "web", "u", kind, AT, payload, item="ann@shop.example")])
    made = STEP(rows)
    assert made.schema == rows.schema
    assert made.drop_columns(["payload"]).equals(rows.drop_columns(["payload"]))
    return json.loads(made["payload"][0].as_py())


def test_texts_are_redacted_and_keys_and_numbers_stay() -> None:
    payload = {MAIL: f"write to {MAIL}", "n": 13800138000, "deep": [{"text": MAIL}], "flag": True}
    made = redacted(payload)
    assert set(made) == set(payload)
    assert (made["n"], made["flag"]) == (13800138000, True)
    assert MAIL not in json.dumps([made["deep"], made[MAIL]])


def test_ids_that_the_loop_joins_on_stay() -> None:
    payload = {"items": ["13800138000", MAIL], "item": MAIL, "prediction": MAIL, "category": MAIL}
    assert redacted(payload) == payload


def test_answers_keep_names_and_lose_what_rules_can_check() -> None:
    made = redacted(
        {"target": "Anna Smith", "correction": f"Anna Smith {MAIL}", "input": "I am Anna Smith"}
    )
    assert made["target"] == "Anna Smith"
    assert made["correction"].startswith("Anna Smith ")
    assert MAIL not in made["correction"]
    assert "Anna" not in made["input"]


def test_spans_still_say_where_they_are() -> None:
    text = "I am Anna Smith from Paris"
    target = canonical_json({"spans": [[5, 15, "PER"]]})
    made = redacted({"input": text, "target": target}, "label")
    assert made["target"] == target
    assert made["input"][:5] + made["input"][15:] == "I am  from Paris"


def test_facts_about_items_keep_the_names_in_them() -> None:
    made = redacted({"title": "Dr. Anna Smith", "seller": MAIL}, "item")
    assert made["title"] == "Dr. Anna Smith"
    assert made["seller"] != MAIL


def test_a_key_that_says_what_its_value_is_is_believed() -> None:
    made = redacted(
        {"phone": 13800138000, "收货人": "某甲乙丙", "id_card": "x1", "wechat": "letmein"}
    )
    assert made["phone"] == "0" * 5 + made["phone"][5:]
    assert made["wechat"] != "letmein"
    assert redacted(made) == made


def test_predictions_are_redacted_alike() -> None:
    rows = to_table(
        Prediction,
        [
            Prediction(
                "1",
                "u",
                "tagging",
                "m",
                AT,
                {"input": f"mail {MAIL}"},
                {"output": "Anna Smith"},
                1.0,
            )
        ],
    )
    made = STEP(rows)
    assert MAIL not in made["input"][0].as_py()
    assert made["output"].equals(rows["output"])


def test_rows_without_text_are_untouched() -> None:
    rows = to_table(Event, [Event(str(n), "web", "u", "click", AT, item=str(n)) for n in range(9)])
    assert STEP(rows).equals(rows)
    empty = schema(Event).empty_table()
    assert STEP(empty).equals(empty)
    assert STEP(pa.table({"user": ["u"]})).column_names == ["user"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers()
    | st.text(max_size=30) | st.just(f"to {MAIL} 4111 1111 1111 1111"),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
@example({"": {"SSN": 1.0, "n": 1.0}})
def test_json_stays_json_of_the_same_shape_and_again_changes_nothing(payload: Any) -> None:
    text = json.dumps(payload, sort_keys=True)
    rows = pa.table({"payload": [text]})
    once = STEP(rows)
    assert _shape(json.loads(once["payload"][0].as_py())) == _shape(json.loads(text))
    assert STEP(once).equals(once)


def _shape(value: Any) -> Any:
    """The same for a value and its surrogate: numbers, but those that a key names, stay."""
    if isinstance(value, dict):
        return {
            key: _shape(str(one) if kind_of(key) and type(one) in (int, float) else one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return len(value) if isinstance(value, str) else value
