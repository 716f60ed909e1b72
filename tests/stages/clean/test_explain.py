"""Every event of a user has its fate, and whatever does not count has a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from upwell.records import Doubt, Event, Example
from upwell.stages.clean.explain import Fate, fates
from upwell.tables import schema, to_table
from upwell.words import catalogue

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
EVENTS = [
    Event(str(n), "web", "ann", kind, NOON + timedelta(hours=n), prediction="p", value=value)
    for n, (kind, value) in enumerate(
        [("thumbs", 1.0), ("thumbs", -1.0), ("thumbs", 0.5), ("view", None), ("user", None),
         ("thumbs", 1.0)]
    )
]  # fmt: skip
NONE = schema(Example).empty_table()


def row(key: str, sign: int | None, weight: float) -> Example:
    return Example(key, "ann", "t", "q", "a", sign, weight, 0.8, None, "", NOON, (key,))


def told(
    doubts: list[Doubt],
    rows: list[Example],
    is_permitted: bool = True,
    as_of: datetime | None = None,
) -> dict[str, Fate]:
    parts = {"train": to_table(Example, rows), "test": NONE}
    table = to_table(Doubt, doubts)
    found = fates(to_table(Event, EVENTS), table, parts, {}, is_permitted=is_permitted, as_of=as_of)
    return {one.event: one for one in found}


def codes(found: dict[str, Fate]) -> dict[str, list[str]]:
    return {key: [doubt.code for doubt in one.doubts] for key, one in found.items()}


def test_each_event_is_used_dropped_or_silent() -> None:
    doubts = [Doubt("web/1", "ann", "clean.cap", 0.0, {"n": 2, "limit": 1}),
              Doubt("web/0", "ann", "clean.rate", 0.5, {"n": 2, "limit": 1})]  # fmt: skip
    found = told(
        doubts, [row("web/0", 1, 0.5), row("web/1", -1, 0.0)], as_of=NOON + timedelta(hours=5)
    )
    assert list(found) == ["web/5", "web/3", "web/2", "web/1", "web/0"]
    assert {key: one.outcome for key, one in found.items()} == {
        "web/0": "used", "web/1": "dropped",
        **dict.fromkeys(("web/2", "web/3", "web/5"), "silent"),
    }  # fmt: skip
    assert codes(found) == {
        "web/0": ["clean.rate"], "web/1": ["clean.cap"], "web/2": ["clean.neutral"],
        "web/3": ["clean.no_rule"], "web/5": ["clean.not_yet"],
    }  # fmt: skip
    used = found["web/0"]
    assert (used.part, used.sign, used.weight, used.reliability) == ("train", 1, 0.5, 0.8)
    assert used.about == "a"


@pytest.mark.parametrize(("is_permitted", "code"), [(True, "no_row"), (False, "no_consent")])
def test_what_became_no_row_says_why(is_permitted: bool, code: str) -> None:
    found = told([], [], is_permitted)
    assert codes(found)["web/0"] == [f"clean.{code}"]
    assert {one.outcome for one in found.values()} == {"silent"}


def test_corrections_and_variants_hide_nothing_and_silence_is_told() -> None:
    right, other = row("web/0#correction", 1, 1.0), row("web/0#augment-1", 1, 1.0)
    rows = [row("web/0", -1, 0.25), *(
        Example(one.id, "ann", "t", "q", "b", 1, 1.0, 1.0, None, "", NOON, ("web/0",))
        for one in (right, other)
    )]  # fmt: skip
    silent = row("upwell/p/purchase", -1, 0.25)
    waiting = Doubt("upwell/r/purchase", "ann", "clean.not_mature", 0.0, {"awaited": "purchase"})
    found = told([waiting], [*rows, silent])
    assert (found["web/0"].about, found["web/0"].weight) == ("a", 0.25)
    assert (found["upwell/p/purchase"].kind, found["upwell/p/purchase"].outcome) == (
        "silence", "used",
    )  # fmt: skip
    assert found["upwell/r/purchase"].outcome == "silent"
    assert "web/0#correction" not in found


def test_nobody_has_no_fates_and_every_reason_is_a_sentence() -> None:
    events = schema(Event).empty_table()
    doubts = schema(Doubt).empty_table()
    parts: dict[str, pa.Table] = {"train": NONE}
    assert fates(events, doubts, parts, {}, is_permitted=True, as_of=None) == []
    for lang in ("en", "zh"):
        assert {"clean.no_row", "clean.no_consent", "clean.not_yet"} <= catalogue(lang).keys()
