"""Who is answered as nobody gets what everybody gets, and nothing of them is read for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_task import VALUE, install

from upwell import loop
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store import lookups
from upwell.store.project import create_project, open_project
from upwell.store.trials import Trials
from upwell.wiring import trials

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FROZEN, NOW = DAY_ONE + timedelta(days=100), DAY_ONE + timedelta(days=122)
Shop = Callable[..., Upwell]
Answer = tuple[tuple[Any, ...], ...]
PAIRS = 1000


@pytest.fixture(scope="module")
def trialled(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Upwell:
    """A shop that explores half of its answers and tries a challenger on half of its users."""
    upwell = shop(
        tmp_path_factory.mktemp("plain") / "shop", tune={"epochs": 1}, serve={"explore": 0.5},
        trial={"mode": "ab", "share": 0.5},
    )  # fmt: skip
    for seed in (0, 1):
        loop.turn(upwell.project, now=NOW + timedelta(hours=seed), as_of=FROZEN, seed=seed)
    project = upwell.project
    champion = project.ledger.champion("recommend")
    assert champion is not None
    if Trials(project.journal).running("recommend") is None:
        other = next(one for one in project.ledger.versions("recommend") if one.id != champion.id)
        trials.start(project, other.id, NOW, id="try")
    return upwell


def users_of(upwell: Upwell, count: int) -> list[str]:
    """Users who did something, and some of whom nothing is known."""
    known = upwell.project.journal.events_after(0, 100_000)["user"].unique().to_pylist()
    found = [str(user) for user in known if user][: count - 5]
    return [*found, *(f"new{number}" for number in range(count - len(found)))]


def answer(upwell: Upwell, user: str, **how: bool) -> Answer:
    """All that a user gets but for the prediction's own id."""
    found = upwell.recommend(user, 5, now=NOW + timedelta(days=1), **how)
    return tuple(tuple(row.values()) for row in found.drop_columns(["prediction"]).to_pylist())


def test_not_personalized_any_two_users_get_the_same(trialled: Upwell) -> None:
    users = users_of(trialled, 46)
    answers = {user: answer(trialled, user, personalize=False) for user in users}
    pairs = list(combinations(users, 2))
    assert len(pairs) >= PAIRS
    assert all(answers[one] == answers[other] for one, other in pairs)
    # The test is alive: personalized answers of the same users differ.
    assert len({answer(trialled, user) for user in users}) > 10


def test_it_is_logged_with_its_propensity_and_says_so(trialled: Upwell) -> None:
    trialled.recommend("somebody", 3, personalize=False, now=NOW + timedelta(days=1))
    kept = trialled.project.journal.predictions_after(0, 100_000).to_pylist()[-1]
    output = json.loads(kept["output"])
    assert (kept["user"], kept["propensity"], kept["policy"]) == ("somebody", 1.0, "greedy")
    assert (output["personalize"], len(output["items"])) == (False, 3)
    assert set(output) == {"personalize", "items"}


def test_leaving_serve_out_of_ones_consent_is_the_standing_choice(trialled: Upwell) -> None:
    at = NOW + timedelta(hours=12)
    users = [user for user in users_of(trialled, 46) if not user.startswith("new")][-8:]
    assert len({answer(trialled, user) for user in users}) > 1
    nobody = answer(trialled, "unheard of", personalize=False)
    trialled.consent(users, ("train", "analyse"), since=at)
    assert {answer(trialled, user) for user in users} == {nobody}
    trialled.consent(users, PURPOSES, since=at + timedelta(minutes=1))
    assert len({answer(trialled, user) for user in users}) > 1


def test_nothing_of_the_user_is_read(trialled: Upwell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something of the user was read")

    for name in ("events_of", "consents_of", "predictions_named"):
        monkeypatch.setattr(lookups, name, refuse)
    user = users_of(trialled, 46)[0]
    assert answer(trialled, user, personalize=False)
    with pytest.raises(AssertionError):
        answer(trialled, user)


def test_values_are_the_same_for_all_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    chosen: Mapping[str, Mapping[str, object]] = {
        "project": {"task": "tiny_value"}, "tune": {"base": "", "epochs": 2},
        "gate": {"resamples": 100},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(tmp_path / "asked", "asked", chosen)))
    upwell.capture(
        [
            {"id": str(n), "user": f"u{n % 9}", "kind": "rating", "item": VALUE.words[n % 6],
             "value": 1.0 + 4.0 * (n % 2), "at": NOW - timedelta(hours=300 - n)}
            for n in range(120)
        ],
        now=NOW,
    )  # fmt: skip
    upwell.consent([f"u{n}" for n in range(1, 9)], PURPOSES, since=NOW - timedelta(days=30))
    loop.turn(upwell.project, now=NOW)
    users = [f"u{n}" for n in range(9)]
    found = upwell.predict_many(["item1"] * 9, users, 2, personalize=False, now=NOW)
    assert len({str(row) for row in found.drop_columns(["prediction"]).to_pylist()}) == 1
    # u0 has allowed nothing and is answered like that, beside eight who are known.
    mixed = upwell.predict_many(["item1"] * 9, users, 2, now=NOW).to_pylist()
    assert {**mixed[0], "prediction": ""} == {**found.to_pylist()[0], "prediction": ""}
