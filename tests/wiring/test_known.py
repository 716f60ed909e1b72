"""What serving keeps of users is what the whole lake tells of them, whatever happened before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell import rows, wiring
from upwell.records import PURPOSES, Json, Prediction
from upwell.service import Upwell
from upwell.stages.behaviour.features import FEATURES
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store import lookups
from upwell.store.exclusions import Exclusions
from upwell.store.journal import Journal
from upwell.store.project import Project, create_project, open_project
from upwell.tables import to_table
from upwell.wiring.erasing import finish_begun, forget
from upwell.wiring.known import Known

START = datetime(2026, 1, 1, tzinfo=UTC)
USERS = ("ann", "bob", "cid")
ITEMS = ("i1", "i2", "i3")
Drawn = tuple[int, str, str, str | None, float | None, int]

PAYLOADS: Sequence[Mapping[str, object]] = (
    {},
    {"correction": "i2"},
    {"correction": "4.5", "comment": "write to bob@shop.example"},
    {"title": "A", "genres": ["Drama", "War"]},
    {"title": "B", "genres": "Comedy|War"},
    {"title": None, "category": "Horror", "city": "Ulm"},
    {"genres": [None], "city": 7},
    {"genres": [], "category": "", "city": None},
    {"category": 5, "input": "i3", "target": "2.0"},
    {"genres": {"a": 1}, "city": {"b": [1]}},
)
KINDS = ("click", "rating", "correction", "thumbs", "dwell", "purchase", "skip", "item", "user",
         "label", "ask", "visit")  # fmt: skip
events = st.tuples(
    st.one_of(st.integers(0, 5), st.integers(0, 10**6), st.just(2 * 10**6)),
    st.sampled_from(KINDS),
    st.sampled_from(USERS),
    st.sampled_from((None, *ITEMS)),
    st.sampled_from((None, -1.0, 1.0, 3.0, 4.5, 1e12)),
    st.integers(0, 10**6),
)


def opened(folder: Path, task: str) -> Project:
    chosen: Mapping[str, Mapping[str, object]] = {
        "project": {"task": task}, "data": {"label_sources": ["labels"]},
        "behaviour": {"group": "city", "history": 6},
    }  # fmt: skip
    return open_project(create_project(folder / task, task, chosen, bytes(32)))


def event(drawn: Drawn, number: int) -> dict[str, Any]:
    at, kind, user, item, value, chance = drawn
    return {
        "id": f"e{number}", "user": user, "kind": kind, "at": START + timedelta(seconds=at),
        "item": "i1" if kind == "item" and item is None else item, "value": value,
        "source": ("app", "labels", "bots")[chance % 3],
        "payload": PAYLOADS[chance // 3 % len(PAYLOADS)],
        "prediction": (None, None, "p1", "p2")[chance // 100 % 4],
    }  # fmt: skip


def shown(id: str, task: str) -> Prediction:
    output: Json = {"answers": ["3.5", "3.0"], "scores": [0.5, 0.4]}
    return Prediction(id, "ann", task, "m", START, "i2", output, 1.0)


def same(project: Project, now: datetime, *known: Known) -> None:
    """The rows that each has kept equal those of the lake."""
    wiring.drain(project)
    expected = rows.asking(project, USERS, now)
    for one in known:
        found = one.asking(one.who(USERS, True, now), now)
        features = [np.array(table["features"].to_pylist()) for table in (found, expected)]
        assert features[0].shape == (len(USERS), len(FEATURES))
        assert np.allclose(features[0], features[1], rtol=1e-6, atol=1e-6)
        names = [name for name in found.column_names if name != "features"]
        assert found.select(names).to_pylist() == expected.select(names).to_pylist()


steps = st.lists(
    st.one_of(
        st.lists(events, min_size=1, max_size=8),
        st.sampled_from(["deny", "allow", "exclude", "purge", "shown", "back"]),
    ),
    min_size=2,
    max_size=5,
)


@pytest.mark.parametrize("task", ["recommend", "rating"])
@given(steps)
@settings(max_examples=10, deadline=None)
def test_the_rows_that_are_kept_are_those_of_the_lake(
    task: str, steps: list[list[Drawn] | str]
) -> None:
    with TemporaryDirectory() as folder:
        live_through(opened(Path(folder), task), steps)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["recommend", "rating"])
@given(steps)
@settings(max_examples=40, deadline=None)
def test_they_are_in_many_more_lives(task: str, steps: list[list[Drawn] | str]) -> None:
    with TemporaryDirectory() as folder:
        live_through(opened(Path(folder), task), steps)


def test_a_group_told_later_is_not_known_before(tmp_path: Path) -> None:
    told: list[Drawn] = [(0, "click", "ann", None, None, 0), (3, "user", "ann", None, None, 27)]
    live_through(opened(tmp_path, "recommend"), [told, "back"])


def live_through(project: Project, steps: list[list[Drawn] | str]) -> None:
    """Two processes keep rows of users to whom the steps happen."""
    elsewhere = open_project(project.folder)
    upwell, other = Upwell(project), Known(elsewhere)
    known, now = Known(project), START + timedelta(seconds=10**6)
    upwell.consent(USERS, PURPOSES, since=START)
    for number, step in enumerate(steps):
        now += timedelta(seconds=3 * 10**5)
        at = now - timedelta(seconds=1)
        if not isinstance(step, str):
            upwell.capture(
                [event(one, 100 * number + place) for place, one in enumerate(step)], now=now
            )
        elif step in ("deny", "allow"):
            upwell.consent(["bob"], PURPOSES if step == "allow" else ("train",), since=at)
        elif step == "exclude":
            Exclusions(project.journal).add("source", "bots", at, "")
        elif step == "purge":
            hidden = Pseudonyms(project.key).of("cid")
            Exclusions(project.journal).add("user", hidden, at, "")
        elif step == "shown":
            told = [shown("p1", project.settings.project.task), shown("p2", "another")]
            project.journal.append_predictions(to_table(Prediction, told))
        else:
            same(project, START + timedelta(seconds=3), known)
        same(project, now, known, other)
    project.journal.close()
    elsewhere.journal.close()


@pytest.fixture
def upwell(tmp_path: Path) -> Upwell:
    upwell = Upwell(opened(tmp_path, "recommend"))
    upwell.consent(USERS, PURPOSES, since=START)
    return upwell


NOW = START + timedelta(days=2)
Read = list[tuple[str, int]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Whose events were read from the journal, and after which one of them."""
    found: Read = []
    real = lookups.events_of

    def watched(journal: Journal, after: Mapping[str, int]) -> pa.Table:
        found.extend(after.items())
        return real(journal, after)

    monkeypatch.setattr(lookups, "events_of", watched)
    return found


def clicked(id: str, user: str = "ann", item: str = "i1", **more: object) -> dict[str, object]:
    return {"id": id, "user": user, "kind": "click", "item": item,
            "at": START + timedelta(days=1, seconds=int(id)), **more}  # fmt: skip


def history(known: Known, user: str, now: datetime = NOW) -> list[str]:
    asked = known.asking(known.who([user], True, now), now)
    found: list[str] = asked["history"].to_pylist()[0]
    return found


def test_only_what_is_new_is_read_and_nothing_is_drained(upwell: Upwell, read: Read) -> None:
    known = Known(upwell.project)
    upwell.capture([clicked("1"), clicked("2", item="i2"), clicked("3", "bob")], now=NOW)
    assert history(known, "ann") == history(known, "ann") == ["i1", "i2"]
    upwell.capture([clicked("4", item="i3")], now=NOW)
    assert history(known, "ann") == ["i1", "i2", "i3"]
    assert read == [("ann", 0), ("ann", 2), ("ann", 2)]
    assert history(known, "ann") == ["i1", "i2", "i3"]
    assert read[-1] == ("ann", 4)
    assert upwell.project.lake.watermark() == 0


def test_what_came_late_is_put_in_its_place(upwell: Upwell, read: Read) -> None:
    known = Known(upwell.project)
    upwell.capture([clicked("5")], now=NOW)
    assert history(known, "ann") == ["i1"]
    upwell.capture([clicked("4", item="i2")], now=NOW)
    assert history(known, "ann") == ["i2", "i1"]
    assert [after for _, after in read] == [0, 1, 0]


def test_who_is_forgotten_or_withdraws_is_kept_no_longer(upwell: Upwell, read: Read) -> None:
    known = Known(upwell.project)
    upwell.capture([clicked("1"), clicked("2", "bob")], now=NOW)
    for user in ("ann", "bob"):
        assert history(known, user) == ["i1"]
    known.forget(["ann", "nobody"])
    assert history(known, "ann") == ["i1"]
    assert read[-1] == ("ann", 0)
    upwell.consent(["bob"], ("train",), since=NOW)
    later = NOW + timedelta(seconds=1)
    assert history(known, "bob", later) == []
    upwell.consent(["bob"], PURPOSES, since=later)
    assert history(known, "bob", later) == ["i1"]
    assert read[-1] == ("bob", 0)


def test_an_erasure_in_another_process_drops_what_is_kept(upwell: Upwell) -> None:
    known = Known(upwell.project)
    upwell.capture([clicked("1"), clicked("2", "bob")], now=NOW)
    assert history(known, "ann") == ["i1"]
    elsewhere = open_project(upwell.project.folder)
    forget(elsewhere, "ann", id="e1", now=NOW)
    Upwell(elsewhere).consent(["ann"], PURPOSES, since=NOW + timedelta(seconds=1))
    assert history(known, "ann", NOW + timedelta(seconds=2)) == []
    assert history(known, "bob", NOW + timedelta(seconds=2)) == ["i1"]


def test_what_is_past_its_time_is_known_no_longer(tmp_path: Path) -> None:
    chosen = {"retention": {"days": 30.0}}
    project = open_project(create_project(tmp_path / "short", "short", chosen))
    upwell, known = Upwell(project), Known(project)
    upwell.consent(["ann"], PURPOSES, since=START)
    late = START + timedelta(days=20)
    upwell.capture([clicked("1"), {**clicked("2", item="i2"), "at": late}], now=late)
    assert history(known, "ann", late + timedelta(days=1)) == ["i1", "i2"]
    then = START + timedelta(days=40)
    assert finish_begun(open_project(project.folder), then, is_due=True)
    assert history(known, "ann", then) == ["i2"]


def test_titles_are_the_latest_that_are_told(upwell: Upwell) -> None:
    known = Known(upwell.project)
    fact = {"kind": "item", "user": "", "item": "i1", "at": START}
    upwell.capture([{**fact, "id": "1", "payload": {"title": "Old"}}], now=NOW)
    known.who(["ann"], True, NOW)
    assert known.titles(["i1", "i2"]) == ["Old", "i2"]
    upwell.capture([{**fact, "id": "2", "payload": {"title": "New"}}], now=NOW)
    upwell.capture([{**fact, "id": "3", "payload": {"title": None}}], now=NOW)
    known.who(["ann"], True, NOW)
    assert known.titles(["i1", "i2"]) == ["New", "i2"]


def test_items_are_hidden_as_their_latest_facts_say(upwell: Upwell) -> None:
    known, items = Known(upwell.project), ["i1", "i2", "i3"]
    fact = {"kind": "item", "user": "", "item": "i1"}
    told = [
        ({"hidden": True}, 0), ({"title": "A"}, 2), ({"hidden": True}, 1), ({"hidden": True}, 3),
        ({"hidden": "yes"}, 4), ({"hidden": True}, 5), ({"deleted": True}, 6),
    ]  # fmt: skip
    for number, (payload, days) in enumerate(told):
        at = START + timedelta(days=days)
        upwell.capture([{**fact, "id": f"f{number}", "at": at, "payload": payload}], now=at)
        known.who(["ann"], True, NOW)
        expected = {"i1"} if number in (0, 3, 5) else set()
        assert known.hidden(items) == expected, number
    Exclusions(upwell.project.journal).add("source", "spam", NOW, "")
    bad = {**fact, "id": "bad", "item": "i2", "source": "spam", "at": NOW, "payload": told[0][0]}
    upwell.capture([bad], now=NOW)
    known.who(["ann"], True, NOW)
    assert known.hidden(items) == set()


def test_where_silence_counts_the_whole_log_is_asked(tmp_path: Path) -> None:
    chosen = {"trust": {"maturity_days": {"purchase": 1.0}}}
    project = open_project(create_project(tmp_path / "slow", "slow", chosen))
    upwell = Upwell(project)
    upwell.consent(["ann"], PURPOSES, since=START)
    shown_then = Prediction("p", "ann", "recommend", "m", START, {}, {"items": ["i2"]}, 1.0)
    project.journal.append_predictions(to_table(Prediction, [shown_then]))
    upwell.capture([clicked("1")], now=NOW)
    known = Known(project)
    found = known.asking(["ann", ""], NOW)
    assert found["history"].to_pylist() == [["i2", "i1"], []]
    assert found["user"].to_pylist() == [Pseudonyms(project.key).of("ann"), ""]
