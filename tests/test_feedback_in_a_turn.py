"""Bad feedback in a turn: what is dropped has its reason, and a command tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import compute as pc

from upwell import loop, wiring
from upwell.interfaces.cli.main import run
from upwell.records import PURPOSES, Json, Prediction
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project
from upwell.tables import to_table

DAY_ONE = datetime(2024, 1, 1, 9, 0, 7, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=60)
Printed = pytest.CaptureFixture[str]


def answer(printed: Printed, *arguments: str, code: int = 0) -> dict[str, object]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


def project_of(folder: Path, task: str, **tables: Mapping[str, object]) -> Project:
    return open_project(create_project(folder, "shop", {"project": {"task": task}, **tables}))


def thumb(
    n: int, user: str, value: int, at: datetime, text: str = "", **more: object
) -> dict[str, object]:
    payload = {"payload": {"input": text, "target": "card"}} if text else {}
    return {"id": str(n), "user": user, "kind": "thumbs", "value": value, "at": at, **payload,
            **more}  # fmt: skip


def labelled(count: int) -> list[dict[str, object]]:
    return [
        {"id": f"label-{n}", "user": f"u{n % 9}", "kind": "label", "at": DAY_ONE,
         "payload": {"input": f"where is number {n}", "target": ("card", "pin")[n % 2]}}
        for n in range(count)
    ]  # fmt: skip


def frozen(project: Project, as_of: datetime | None = None, now: datetime = NOW) -> str:
    """Take a turn as far as its snapshot; returns its id."""
    turn = wiring.begin(project, as_of, 0, now)
    for name, stage in (("collect", wiring.collect), ("dataset", wiring.freeze)):
        wiring.once(project, turn, loop.quiet, name, stage)
    project.ledger.close_turn(turn.id, now)
    return turn.id


def rows_of(project: Project, turn: str) -> dict[str, tuple[int | None, float]]:
    """Sign and weight of every row that is learned from, by its id."""
    made = project.ledger.stage_result(turn, "dataset")
    assert made is not None
    data = project.snapshots.read(made["snapshot"])
    return {
        row["id"]: (row["sign"], row["weight"])
        for part in (data.train, data.validation)
        for row in part.to_pylist()
    }


@pytest.fixture
def troubled(tmp_path: Path) -> Project:
    """Labels and thumbs on answers: honest ones, and every kind of trouble."""
    project = project_of(tmp_path / "shop", "text_classification", trust={"cap": 6})
    texts = [f"where is number {n}" for n in range(60)]
    minute = timedelta(minutes=7)
    honest = [
        thumb(n, f"u{n % 9}", 1 if n % 3 else -1, DAY_ONE + n * minute, texts[n]) for n in range(45)
    ]
    clash = [thumb(100, "ann", 1, DAY_ONE, texts[0]), thumb(101, "ann", -1, DAY_ONE, texts[0])]
    turned = [thumb(110, "bob", 1, DAY_ONE, texts[1]),
              thumb(111, "bob", -1, DAY_ONE + minute, texts[1])]  # fmt: skip
    again = [thumb(120 + n, "cat", 1, DAY_ONE + n * minute, texts[2]) for n in range(3)]
    lost = [thumb(130, "dan", 1, DAY_ONE, prediction="never given")]
    alone = [thumb(200 + n, "eve", -1, DAY_ONE + n * minute, texts[n]) for n in range(40)]
    upwell = Upwell(project)
    upwell.capture([*labelled(60), *honest, *clash, *turned, *again, *lost, *alone], now=NOW)
    users = [f"u{n}" for n in range(9)] + ["ann", "bob", "cat", "dan", "eve"]
    upwell.consent(users, PURPOSES, since=DAY_ONE)
    return project


def test_every_trouble_has_its_reason_and_the_rest_counts(
    troubled: Project, capsys: Printed
) -> None:
    turn = frozen(troubled)
    place = ("-p", str(troubled.folder))
    told = answer(capsys, "feedback", "reasons", *place)
    reasons = told["reasons"]
    assert isinstance(reasons, list)
    counts = {row["code"]: row["signals"] for row in reasons}
    judged = {"clean.contradiction": 2, "clean.changed_mind": 1, "clean.duplicate": 2,
              "clean.unknown_prediction": 1}  # fmt: skip
    assert judged.items() <= counts.items()
    made = troubled.ledger.stage_result(turn, "dataset")
    assert made is not None
    assert made["doubts"] == counts
    assert counts["clean.cap"] in range(20, 35)
    honest = [entry for key, entry in rows_of(troubled, turn).items() if key in HONEST]
    assert honest
    assert {weight for _, weight in honest} == {1.0}


HONEST = {f"app/{n}" for n in range(45)}


@pytest.mark.parametrize(
    ("user", "codes", "used"),
    [
        ("ann", ["clean.contradiction"] * 2, 0),
        ("bob", ["clean.changed_mind"], 1),
        ("cat", ["clean.duplicate"] * 2, 1),
        ("dan", ["clean.unknown_prediction"], 0),
    ],
)
def test_a_users_feedback_is_explained(
    troubled: Project, capsys: Printed, user: str, codes: list[str], used: int
) -> None:
    frozen(troubled)
    place = ("-p", str(troubled.folder))
    told = answer(capsys, "feedback", "explain", user, *place)
    fates = told["fates"]
    assert isinstance(fates, list)
    assert [doubt["code"] for fate in fates for doubt in fate["doubts"]] == codes
    assert told["used"] == used
    assert run(["feedback", "explain", user, *place, "--lang", "zh"]) == 0
    said = capsys.readouterr().out
    assert codes[0] in said
    assert answer(capsys, "feedback", "explain", user, *place, "--lang", "zh") != told


def test_wrong_questions_about_feedback_have_their_codes(
    troubled: Project, capsys: Printed
) -> None:
    place = ("-p", str(troubled.folder))
    for arguments, code in (
        (("explain",), "cli.feedback_what"),
        (("praise", "ann"), "cli.feedback_what"),
        (("reasons",), "cli.no_turn"),
    ):
        error = answer(capsys, "feedback", *arguments, *place, code=2)["error"]
        assert isinstance(error, dict)
        assert error["code"] == code
    frozen(troubled)
    error = answer(capsys, "feedback", "explain", "nobody", *place, code=2)["error"]
    assert isinstance(error, dict)
    assert error["code"] == "cli.no_user"


def test_a_user_without_consent_is_told_so(troubled: Project, capsys: Printed) -> None:
    Upwell(troubled).consent(["bob"], (), since=DAY_ONE + timedelta(days=1))
    frozen(troubled)
    told = answer(capsys, "feedback", "explain", "bob", "-p", str(troubled.folder))
    fates = told["fates"]
    assert isinstance(fates, list)
    assert {doubt["code"] for fate in fates for doubt in fate["doubts"]} == {"clean.no_consent"}
    assert (told["used"], told["silent"]) == (0, 2)


def test_the_frozen_test_stays_when_more_feedback_comes(tmp_path: Path) -> None:
    span = {"frozen_from": DAY_ONE + timedelta(days=2), "frozen_until": DAY_ONE + timedelta(days=3)}
    project = project_of(tmp_path / "shop", "text_classification", trust={"cap": 6}, split=span)
    upwell = Upwell(project)

    def gives(first: int, day: int) -> None:
        at = DAY_ONE + timedelta(days=day)
        upwell.capture(
            [thumb(n, "eve", 1 if n % 2 else -1, at + timedelta(minutes=n), f"number {n}")
             for n in range(first, first + 20)], now=NOW,
        )  # fmt: skip

    upwell.consent(["eve"], PURPOSES, since=DAY_ONE)
    gives(0, 0)
    gives(100, 2)
    first = project.ledger.stage_result(frozen(project), "dataset")
    gives(200, 4)
    again = project.ledger.stage_result(frozen(project), "dataset")
    assert first is not None
    assert again is not None
    assert first["test"] == again["test"]
    assert first["snapshot"] != again["snapshot"]
    assert first["doubts"] == {"clean.cap": 14 + 14}
    assert again["doubts"] == {"clean.cap": 14 + 34}


def shown(project: Project, *outputs: Json) -> None:
    rows = [
        Prediction(f"p{n}", f"u{n % 9}", "text_classification", "m", DAY_ONE + timedelta(hours=n),
                   f"where is number {n}", output, 1.0)
        for n, output in enumerate(outputs)
    ]  # fmt: skip
    project.journal.append_predictions(to_table(Prediction, rows))


def test_a_late_purchase_turns_a_no_into_a_yes(tmp_path: Path, capsys: Printed) -> None:
    project = project_of(
        tmp_path / "shop", "text_classification",
        trust={"maturity_days": {"purchase": 14.0}}, split={"test_share": 0.2},
    )  # fmt: skip
    upwell = Upwell(project)
    upwell.capture(labelled(60), now=NOW)
    upwell.consent([f"u{n}" for n in range(9)], PURPOSES, since=DAY_ONE)
    output: Json = {"answers": ["card"], "scores": [0.9]}
    shown(project, *[output] * 20)
    wiring.drain(project)
    early, late = DAY_ONE + timedelta(days=5), DAY_ONE + timedelta(days=30)

    waiting = frozen(project, as_of=early, now=early)
    assert not [key for key in rows_of(project, waiting) if key.startswith("upwell/")]
    reasons = answer(capsys, "feedback", "reasons", "-p", str(project.folder))["reasons"]
    assert reasons == [{"code": "clean.not_mature", "signals": 20, "users": 9}]

    silent = rows_of(project, frozen(project, as_of=late, now=late))
    nos = {key: entry for key, entry in silent.items() if key.startswith("upwell/")}
    assert len(nos) >= 10
    assert set(nos.values()) == {(-1, 0.25)}

    key = sorted(nos)[0]
    prediction = key.split("/")[1]
    bought = {"id": "late", "user": f"u{int(prediction[1:]) % 9}", "kind": "purchase",
              "at": late + timedelta(days=1), "prediction": prediction}  # fmt: skip
    upwell.capture([bought], now=NOW)
    after = rows_of(project, frozen(project))
    assert key not in after
    assert after["app/late"] == (1, 1.0)
    assert set(nos) - set(after) == {key}


def test_variants_of_scarce_answers_are_learned_from_alone(tmp_path: Path) -> None:
    project = project_of(
        tmp_path / "shop", "text_classification", augment={"below": 40}, split={"test_share": 0.2}
    )
    upwell = Upwell(project)
    upwell.capture(labelled(60), now=NOW)
    upwell.consent([f"u{n}" for n in range(9)], PURPOSES, since=DAY_ONE)
    made = project.ledger.stage_result(frozen(project), "dataset")
    assert made is not None
    data = project.snapshots.read(made["snapshot"])
    learned = {key for (key,) in data.train.filter(
        pc.invert(pc.match_substring(data.train["id"], "#"))
    )["sources"].to_pylist()}  # fmt: skip
    variants = data.train.filter(pc.match_substring(data.train["id"], "#augment-"))
    assert variants.num_rows > 20
    assert {key for (key,) in variants["sources"].to_pylist()} <= learned
    for part in (data.validation, data.test):
        assert not [key for key in part["id"].to_pylist() if "#" in key]
        assert not learned & {key for (key,) in part["sources"].to_pylist()}
