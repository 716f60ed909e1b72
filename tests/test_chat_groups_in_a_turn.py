"""Markets that want opposite replies: one model, and an adapter for each market where it pays."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy.exc import DatabaseError
from tests.talking import listening

from upwell import loop
from upwell.errors import PluginError, StoreError
from upwell.interfaces.sdk import Client
from upwell.ports import Manner
from upwell.records import PURPOSES, Consent, Decision, ModelVersion
from upwell.service import Upwell
from upwell.stages.evaluate import forgetting
from upwell.stages.release.explain import render
from upwell.store import lookups
from upwell.store.project import create_project, open_project
from upwell.store.trials import Trials
from upwell.tasks import chat
from upwell.wiring import probing, trials
from upwell.wiring.chat import Spoken
from upwell.wiring.judging import trial_of
from upwell.wiring.known import Known

NOW = datetime(2025, 6, 1, tzinfo=UTC)
FORMS = ("{}?", "{} please", "hi, {}", "so {}", "and {}", "say {}", "now {}", "oh {}")
WORDS = ("tea", "milk", "rain")
MARKETS = {"de": 12, "fr": 12, "es": 12, "it": 3}
USERS = {f"{market}{n}": market for market, size in MARKETS.items() for n in range(size)}


def wanted(user: str) -> str:
    """What a user likes to hear: some markets agree on it, one does not."""
    told = {"de": "yes", "fr": "no", "it": "yes"}
    return told.get(USERS[user], "yes" if int(user[2:]) % 2 else "no")


@pytest.fixture(scope="module")
def upwell(tmp_path_factory: pytest.TempPathFactory) -> Upwell:
    """A project after one turn."""
    tables: dict[str, dict[str, object]] = {
        "project": {"task": "chat"}, "behaviour": {"group": "market"},
        "tune": {"base": "", "epochs": 12, "group_adapters": True, "group_rows": 8},
        "gate": {"resamples": 100, "slice_minimum": 6},
        "split": {"validation_share": 0.3, "test_share": 0.2},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("groups")
    found = Upwell(open_project(create_project(folder, "shop", tables, bytes(range(32)))))
    found.consent(list(USERS), PURPOSES, since=NOW)
    facts: list[dict[str, object]] = [
        {"id": user, "kind": "user", "user": user, "at": NOW, "payload": {"market": market}}
        for user, market in USERS.items()
    ]
    asked = [form.format(word) for form, word in product(FORMS, WORDS)]
    labels: list[dict[str, object]] = [
        {"id": f"{user}-{n}", "kind": "label", "user": user, "at": NOW + timedelta(hours=1),
         "payload": {"input": text, "target": wanted(user)}}
        for place, user in enumerate(USERS)
        for n, text in enumerate(asked) if (place + n) % 3 == 0
    ]  # fmt: skip
    found.capture([*facts, *labels], now=NOW + timedelta(hours=2))
    loop.turn(found.project, now=NOW + timedelta(hours=3))
    return found


def recorded(upwell: Upwell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = upwell.project.journal.predictions_after(0, 1000).to_pylist()
    return found


def said(upwell: Upwell, user: str, *, personalize: bool = True) -> tuple[str, str]:
    """What a user hears, and for which group it was said."""
    told = [{"role": "user", "content": "hi, tea"}]
    spoken = Spoken(told, user, manner=Manner(max_tokens=8), personalize=personalize)
    reply = upwell.chat(spoken, now=NOW + timedelta(days=1))
    pieces = list(reply.pieces())
    text = "".join(piece.text for piece in pieces)
    kept = reply.keep(text, pieces[-1])
    (row,) = [row for row in recorded(upwell) if row["id"] == kept.id]
    assert json.loads(row["output"]).get("group", "") == reply.group
    return text, reply.group


def test_adapters_are_kept_where_they_pay(upwell: Upwell) -> None:
    told = upwell.project.ledger.reports("chat")[-1].guards["groups"]
    assert isinstance(told, dict)
    assert {group: one["act"] for group, one in told.items()} == {
        "market=de": "kept", "market=fr": "kept", "market=es": "refused", "market=it": "few",
    }  # fmt: skip
    assert all(told[f"market={market}"]["low"] > 0.05 for market in ("de", "fr"))
    assert told["market=it"]["rows"] >= 8 > told["market=it"]["users"], "few people, not few rows"
    version = upwell.project.ledger.champion("chat")
    assert version is not None
    folder = upwell.project.models.verified(version.path, version.digest)
    assert set(chat.groups(chat.load(folder))) == {"market=de", "market=fr"}
    for lang in ("en", "zh"):
        text = "\n".join(render(upwell.project.ledger.decisions("chat")[0], lang))
        assert all(group in text for group in told)


def test_each_user_hears_their_group(upwell: Upwell) -> None:
    assert said(upwell, "de1") == ("yes", "market=de")
    assert said(upwell, "fr1") == ("no", "market=fr")
    shared = said(upwell, "")
    assert shared[1] == ""
    for user in ("es1", "it1", "somebody"):
        assert said(upwell, user) == shared
    assert said(upwell, "de1", personalize=False) == shared


def test_each_user_is_predicted_as_their_group_is(upwell: Upwell) -> None:
    users = ["de1", "", "fr1", "es1", "fr2", "somebody", "de4", ""]
    at, inputs = NOW + timedelta(days=1), ["hi, tea"] * 7 + [" "]
    found = upwell.predict_many(inputs, users, now=at)
    shared = said(upwell, "")[0]
    assert [one[0] for one in found["answer"].to_pylist()] == [
        "yes", shared, "no", shared, "no", shared, "yes", "",
    ]  # fmt: skip
    kept = {row["id"]: json.loads(row["output"]) for row in recorded(upwell)}
    assert [kept[one].get("group") for one in found["prediction"].to_pylist()] == [
        "market=de", None, "market=fr", None, "market=fr", None, "market=de", None,
    ]  # fmt: skip
    plain = upwell.predict("de1", "hi, tea", personalize=False, now=at)
    assert plain["answer"].to_pylist() == [shared]


def test_clients_that_ask_at_once_are_predicted_so(upwell: Upwell) -> None:
    users = ["de1", "fr1", "de4", "somebody", "fr2", "de5"]
    with listening(upwell) as url, Client(url) as client, ThreadPoolExecutor(len(users)) as pool:
        asked = [pool.submit(client.predict, "chat", "hi, tea", user) for user in users]
        found = [one.result().first for one in asked]
    assert found == ["yes", "no", "yes", said(upwell, "")[0], "no", "yes"]


def test_held_out_rows_are_asked_as_their_group_is(upwell: Upwell) -> None:
    """Where answers are looked at: the same adapters as where likelihoods are."""
    version = upwell.project.ledger.champion("chat")
    assert version is not None
    model = chat.load(upwell.project.models.verified(version.path, version.digest))
    groups = ["market=de", "", "market=fr"]
    found = probing.replies(chat, model, ["hi, tea"] * 3, groups)
    asked = pa.table({"input": ["hi, tea"] * 3, "group": groups})
    answers = chat.answer(model, asked, 1)["output"].to_pylist()
    texts = [one.text for one in found]
    assert texts == [one[0] for one in answers] == ["yes", said(upwell, "")[0], "no"]


def test_what_any_model_is_asked_is_asked_as_every_group_that_has_an_adapter(
    upwell: Upwell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter may flatter, or forget, where the shared weights do not."""
    version, found = upwell.project.ledger.champion("chat"), list[tuple[str, float]]()
    assert version is not None
    real = forgetting.likelihood

    def likelihood(task: Any, model: Any, rows: pa.Table) -> Any:
        (group,) = set(rows["group"].to_pylist())
        found.append((group, float(rows.num_rows)))
        return real(task, model, rows) - (9.0 if model is mine and group == "market=fr" else 0.0)

    monkeypatch.setattr(forgetting, "likelihood", likelihood)
    home = upwell.project.models.verified(version.path, version.digest)
    mine, before = chat.load(home), chat.load(home)
    loaded = iter([mine])
    monkeypatch.setattr(probing, "load", lambda *_: next(loaded))
    monkeypatch.setattr(probing, "loaded", lambda *_: (before, None))
    turn = upwell.project.ledger.turns("chat")[-1]
    trial = replace(trial_of(upwell.project, turn), champion=version)
    told = probing.probed(trial)
    assert {group for group, _ in found} == {"", "market=de", "market=fr"}
    assert told["forgetting_general"].value == pytest.approx(9.0)
    assert told["forgetting_general"].sure


def begin(upwell: Upwell, name: str, at: datetime) -> None:
    """Try the version that serves, by another name, on nearly everyone."""
    champion = upwell.project.ledger.champion("chat")
    assert champion is not None
    upwell.project.ledger.add_version(replace(champion, id=name))
    trials.start(upwell.project, name, at, id=name, mode="ab", share=0.999)


def end(upwell: Upwell, name: str, at: datetime) -> None:
    """End a trial that runs until now."""
    (trial,) = [one for one in Trials(upwell.project.journal).all("chat") if one.id == name]
    assert trial.ended is None
    trials.finish(upwell.project, trial, "stop", {"key": "trial.by_hand"}, at)


FAILURES = (
    StoreError("store.busy", problem="locked"),
    PluginError("plugin.unknown", kind="tasks", name="x", nearest="chat", known="chat"),
    DatabaseError("SELECT", None, RuntimeError("database disk image is malformed")),
)


@pytest.mark.parametrize("tried", [False, True])
@pytest.mark.parametrize("problem", FAILURES, ids=lambda problem: type(problem).__name__)
def test_groups_that_cannot_be_looked_up_end_neither_reply_nor_trial(
    upwell: Upwell,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    problem: Exception,
    tried: bool,
) -> None:
    at, shared = NOW + timedelta(days=1), said(upwell, "")
    name = f"{type(problem).__name__.lower()}{tried:d}"
    if tried:
        begin(upwell, name, at)
    assert said(upwell, "de1") == ("yes", "market=de")

    def fails(*_: object) -> dict[str, list[Consent]]:
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(lookups, "consents_of", fails)
        assert said(upwell, "de1") == shared
        found = upwell.predict_many(["hi, tea"] * 2, ["de1", "fr1"], now=at)
    assert found["answer"].to_pylist() == [[shared[0]]] * 2
    assert {record.name for record in caplog.records} == {"upwell.serving"}
    assert len(caplog.records) == 2
    assert not any("de1" in record.getMessage() for record in caplog.records)
    assert said(upwell, "de1") == ("yes", "market=de")
    if tried:
        assert set(found["model"].to_pylist()) == {name}
        end(upwell, name, at)


def test_a_look_up_that_breaks_is_not_laid_to_a_challengers_charge(
    upwell: Upwell, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = NOW + timedelta(days=1)
    begin(upwell, "other", at)

    def breaks(*_: object) -> dict[str, str]:
        raise LookupError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(Known, "groups", breaks)
        with pytest.raises(LookupError):
            said(upwell, "de1")
        with pytest.raises(LookupError):
            upwell.predict("de1", "hi, tea", now=at)
    end(upwell, "other", at)


def test_who_takes_consent_back_or_moves_is_answered_so(upwell: Upwell) -> None:
    upwell.consent(["de2"], ["train"], since=NOW + timedelta(hours=5))
    assert said(upwell, "de2")[1] == ""
    moved: list[dict[str, object]] = [
        {"id": "moved", "kind": "user", "user": "de3", "at": NOW + timedelta(hours=6),
         "payload": {"market": "fr"}},
    ]  # fmt: skip
    upwell.capture(moved, now=NOW + timedelta(hours=6))
    assert said(upwell, "de3") == ("no", "market=fr")


def test_a_version_without_groups_and_back(upwell: Upwell) -> None:
    project = upwell.project
    version = project.ledger.champion("chat")
    assert version is not None
    path, digest = project.models.write(
        "plain", lambda to: chat.save(chat.start("", chat.toy(0), 0), to)
    )
    plain = ModelVersion("plain", "chat", NOW, None, "none", {}, None, path, digest)
    project.ledger.add_version(plain)
    at = NOW + timedelta(days=1)
    trials.start(project, "plain", at, id="plain", mode="ab", share=0.999)
    found = upwell.predict("de1", "hi, tea", now=at)
    (kept,) = [row for row in recorded(upwell) if row["id"] == found["prediction"][0].as_py()]
    assert (kept["model"], json.loads(kept["output"]).get("group")) == ("plain", None)
    end(upwell, "plain", at)
    project.ledger.decide(Decision("d1", "plain", "chat", NOW, "promote", ()), "plain")
    assert said(upwell, "de1")[1] == ""
    project.ledger.decide(Decision("d2", version.id, "chat", NOW, "rollback", ()), version.id)
    assert said(upwell, "de1") == ("yes", "market=de")
