"""What stops or accompanies a gain that is shown; and every sentence of the gate, twice."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.stages.release.reports import (
    BETTER,
    BETTER_ONLY,
    NOT_WORSE,
    SHOWN,
    decided,
    harmed,
    keys,
    ndcg,
    proof,
    report,
)

from upwell.records import Decision, Json, Metric, Report
from upwell.settings import GateSettings, GuardSettings
from upwell.stages.evaluate.guards import Finding, unmeasured, watched
from upwell.stages.release.explain import render, sentence
from upwell.tables import to_records, to_table
from upwell.words import LANGUAGES, catalogue

REPLACING = BETTER_ONLY.model_copy(update={"replace_broken": True})
LOST: Mapping[str, Json] = {"broken": {"champion": "m-1", "problem": "model.safetensors"}}
TRIED: Mapping[str, Json] = {"metric": "m", "gain": 0.1, "low": -0.1, "high": 0.2, "holm": 0.1}
ADAPTERS: Mapping[str, Json] = {
    "a=kept": {"act": "kept", "rows": 900, "users": 90, "p": 0.01, **TRIED},
    "a=refused": {"act": "refused", "rows": 900, "users": 90, "p": 0.4, **TRIED},
    "a=few": {"act": "few", "rows": 9, "users": 3, "least_rows": 200, "least_users": 50},
    "a=failed": {"act": "failed", "rows": 900, "users": 90, "why": "tune.not_finite"},
}
SAID: Mapping[str, Json] = {"estimator": "snips", "n": 400, "ess": 210.0}
TOLD: Mapping[str, Json] = {
    "column": "text", "columns": 3, "changed": 1, "old": 90, "new": 10, "before": 0.1,
    "after": 0.2, "plain": 0.1, "by_chance": 0.05, "rows": 40, "judged": 50, "low": 0.1,
    "high": 0.2, "learned": 9, "others": 8, "questions": 24, "p": 0.01, "unread": 2,
}  # fmt: skip
GUARDS = [name for name in GuardSettings.model_fields if f"guard.{name}" in catalogue("en")]


def flips(decides: str, **mcnemar: Json) -> Mapping[str, Json]:
    tests: Mapping[str, Json] = {"permutation": {"users": 60}, "mcnemar": mcnemar}
    return proof(0.002, decides=decides, tests=tests)


def sealed(part: int, *looks: int) -> Mapping[str, Json]:
    return {**proof(0.002, sealed={"part": part, "looks": list(looks)}), "users": 900}


def steps(gain: float, high: float, bound: float = -0.001) -> Mapping[str, Json]:
    ends: Mapping[str, Json] = {"gain": gain, "low": gain - 0.01, "high": high}
    return {**proof(bound), "cumulative": {"anchor": "m-0", "threshold": 0.01, **ends}}


def guarded(verdict: str, crossed: bool = True, **more: Json) -> Mapping[str, Json]:
    entry: Mapping[str, Json] = {"value": 0.5, "threshold": 0.2, "crossed": crossed}
    return {**SHOWN, "watched": {"drift": {**entry, **TOLD, "verdict": verdict, **more}}}


@pytest.mark.parametrize(
    ("guards", "act", "reason"),
    [
        (guarded("note"), "promote", "guards.note"),
        (guarded("hold"), "hold", "guards.hold"),
        (guarded("reject"), "reject", "guards.reject"),
        (guarded("reject", crossed=False), "promote", "guards.promote"),
        (guarded("reject", value=None, why="guard.why.constant"), "promote", "guards.unmeasured"),
        (guarded("what is this?"), "hold", "guards.hold"),
        (steps(-0.0099, 0.01, 0.002), "promote", "cumulative.promote"),
        (steps(-0.01, 0.001, 0.002), "promote", "cumulative.note"),
        (steps(-0.03, -0.001, 0.002), "promote", "cumulative.note"),
        (steps(-0.01, 0.001), "hold", "cumulative.hold"),
        (steps(-0.03, -0.001), "reject", "cumulative.reject"),
        (steps(-0.005, -0.001), "reject", "cumulative.reject"),
        ({**SHOWN, **LOST}, "hold", "broken.hold"),
    ],
)
def test_what_is_measured_beside_the_gain_stops_it(
    guards: Mapping[str, Json], act: str, reason: str
) -> None:
    found = decided(report(BETTER, guards=guards))
    assert found.act == act
    assert reason in keys(found)


@pytest.mark.parametrize(
    ("ope", "act", "reason"),
    [
        ({**SAID, "gain": {"value": -0.01, "low": -0.03, "high": 0.01}}, "promote", "ope.promote"),
        ({**SAID, "gain": {"value": -0.02, "low": -0.03, "high": -0.01}}, "hold", "ope.hold"),
        ({**SAID, "challenger": {"value": 0.6, "low": 0.5, "high": 0.7}}, "promote", "ope.alone"),
        ({"refused": "ope.refused.lists", "numbers": {}}, "promote", "ope.note"),
        (
            {"refused": "ope.refused.few", "numbers": {"rows": 9, "logged": 20, "least": 50}},
            "promote",
            "ope.note",
        ),
    ],
)
def test_logs_that_show_a_loss_hold_and_refusals_are_told(
    ope: Mapping[str, Json], act: str, reason: str
) -> None:
    found = decided(report(BETTER, guards=SHOWN, ope=ope))
    assert found.act == act
    assert reason in keys(found)
    for lang in LANGUAGES:
        assert "{" not in " ".join(render(found, lang))
    if ope.get("numbers"):
        assert "only 9 answers" in render(found, "en")[-1]


def test_a_broken_champion_is_replaced_only_where_the_settings_say_so() -> None:
    """Judged as the first where its answers are lost, as any other where they are known."""
    alone = report(Metric("ndcg@10", 0.3, n=50), champion=None, guards=LOST)
    assert decided(alone).act == "hold"
    replaced = decided(alone, settings=REPLACING)
    assert replaced.act == "promote"
    assert keys(replaced) == ["finite.promote", "broken.promote"]
    assert decided(alone, champion="m-7", settings=REPLACING).act == "hold"
    known = report(BETTER, guards={**LOST, **proof(-0.1)})
    assert decided(known, settings=REPLACING).act == "hold"
    assert "broken.note" in keys(decided(known, settings=REPLACING))


@pytest.mark.parametrize(
    ("guards", "key", "number"),
    [
        (sealed(0, 3, 0), "sealed.note", 3),
        (sealed(1, 20, 21), "sealed.worn", 21),
        (sealed(0, 4), "sealed.whole", 4),
    ],
)
def test_which_part_of_the_frozen_test_decided_is_told(
    guards: Mapping[str, Json], key: str, number: int
) -> None:
    found = decided(report(BETTER, guards=guards))
    (told,) = (one for one in found.reasons if one["check"] == "sealed")
    assert (told["key"], told["number"], told["threshold"]) == (f"gate.{key}", number, 20)
    assert found.act == "promote"


@pytest.mark.parametrize(
    ("guards", "key"),
    [
        (flips("mcnemar", p=0.004, better=40, worse=20), "gate.test.mcnemar"),
        (flips("permutation", p=None, better=40, worse=20), "gate.test.clustered"),
        (flips("permutation"), "gate.test.permutation"),
    ],
)
def test_the_test_that_decided_is_told(guards: Mapping[str, Json], key: str) -> None:
    assert key in [one["key"] for one in decided(report(BETTER, guards=guards)).reasons]


def test_missing_users_are_noted() -> None:
    more: Mapping[str, Json] = {**proof(-0.1), "more_users": {"gain": 0.002, "users": 1200}}
    found = decided(report(ndcg(0.001, -0.01, 0.012), guards=more))
    assert found.act == "hold"
    assert "Note: 1,200 more users would be needed to see a gain of 0.002." in render(found, "en")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_has_its_sentence_whatever_it_found(name: str, lang: str) -> None:
    settings = GuardSettings(hold=(), reject=(), off=())
    for finding in (Finding(0.99, True, TOLD), Finding(0.99, False, TOLD), unmeasured("closed")):
        guards = {**SHOWN, "watched": dict(watched({name: finding}, settings))}
        told = render(decided(report(BETTER, guards=guards)), lang)
        assert "{" not in told[-1]
        assert len(told[-1]) > 10


@pytest.mark.parametrize("lang", LANGUAGES)
def test_why_a_guard_measured_nothing_has_its_sentence(lang: str) -> None:
    numbers: dict[str, Json] = {
        "rows": 3, "unread": 2, "minimum": 30, "days": 1.0, "code": "store.broken", "host": "h",
        "tokens": 48,
    }  # fmt: skip
    for key in catalogue(lang):
        if key.startswith("guard.why."):
            told = {"key": "gate.guards.unmeasured", "guard": "drift", "says": key, **numbers}
            assert catalogue(lang)[key].format(**numbers) in sentence(told, lang)


WORLDS: list[tuple[Report, GateSettings]] = [
    (report(BETTER, slices={"f": ndcg(-0.03, -0.04, -0.021)}, guards=harmed(0.01)), BETTER_ONLY),
    (report(BETTER, slices={"f": ndcg(-0.03, -0.04, 0.01)}, guards=harmed(0.01)), BETTER_ONLY),
    (report(BETTER, slices={"f": ndcg(-0.03, -0.04, 0.01)}, guards=harmed(0.9)), NOT_WORSE),
    (report(ndcg(0.0, -0.01, 0.01, n=3), guards=proof(-0.01)), BETTER_ONLY),
    (report(ndcg(0.0, -0.01, 0.01), guards=proof(None, p=None, tests={})), BETTER_ONLY),
    (report(ndcg(-0.1, -0.2, -0.05), guards=proof(-0.2)), BETTER_ONLY),
    (report(ndcg(-0.1, -0.2, -0.05), ndcg(-0.1, -0.2, 0.0, name="ndcg@10[popular]")), NOT_WORSE),
    (report(ndcg(0.1, -0.2, 0.3)), NOT_WORSE),
    (report(ndcg(float("nan"), float("nan"), float("nan")), champion="m-0"), BETTER_ONLY),
    (report(Metric("ndcg@10", 0.3, n=5), champion=None), BETTER_ONLY),
    (report(Metric("ndcg@10", 0.3, n=5), champion=None, guards=LOST), REPLACING),
    (report(BETTER, guards={**SHOWN, **LOST}), REPLACING),
    (report(BETTER, guards=flips("mcnemar", better=40, worse=20)), BETTER_ONLY),
    (report(BETTER, guards=flips("permutation", better=40, worse=20)), BETTER_ONLY),
    *(
        (report(BETTER, guards=sealed(*one)), BETTER_ONLY)
        for one in ((0, 1), (0, 1, 0), (1, 9, 99))
    ),
    *((report(BETTER, guards=steps(*one)), BETTER_ONLY) for one in ((0.0, 0.1), (-0.1, 0.1))),
    (report(BETTER, guards=steps(-0.1, -0.01)), BETTER_ONLY),
    (report(BETTER, guards=steps(-0.1, -0.01, 0.002)), BETTER_ONLY),
    (report(BETTER, guards={**SHOWN, **LOST}), BETTER_ONLY),
    (report(BETTER, guards={"tainted": {"champion": "m-1", "rows": 8}}), BETTER_ONLY),
    (report(ndcg(-0.1, -0.2, -0.05), guards={"tainted": {"champion": "m-1"}}), BETTER_ONLY),
    (report(BETTER, guards={**SHOWN, "groups": ADAPTERS}), BETTER_ONLY),
]


def test_groups_adapters_are_told_and_decide_nothing() -> None:
    found = decided(report(BETTER, guards={**SHOWN, "groups": ADAPTERS}))
    told = {one["group"]: one for one in found.reasons if one["check"] == "adapters"}
    assert [*told] == [*ADAPTERS]
    assert {one["verdict"] for one in told.values()} == {"note"}
    assert found.act == "promote"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("champion", [None, "m-1"])
def test_every_reason_has_its_sentence_even_after_storage(
    world: tuple[Report, GateSettings], champion: str | None, lang: str
) -> None:
    decision = decided(world[0], champion, world[1])
    (kept,) = to_records(Decision, to_table(Decision, [decision]))
    sentences = render(kept, lang)
    assert len(sentences) == 1 + len(decision.reasons)
    assert sentences == render(decision, lang)
    assert "{" not in " ".join(sentences)


def test_every_word_of_the_gate_is_used_by_some_report() -> None:
    """So that no sentence stays which nothing says any more."""
    said = {key for found, settings in WORLDS for champion in (None, "m-1")
            for key in keys(decided(found, champion, settings))}  # fmt: skip
    said |= {"ope.promote", "ope.hold", "ope.note", "ope.alone", "missing.note"}
    said |= {f"guards.{word}" for word in ("promote", "note", "hold", "reject", "unmeasured")}
    words = {key.removeprefix("gate.") for key in catalogue("en") if key.startswith("gate.")}
    apart = ("check.", "column.", "verdict.")
    assert {word for word in words if not word.startswith(apart)} == said
