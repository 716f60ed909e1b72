"""A turn asks another model which replies are better, shows what it says, and never needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import cast

from tests.judging import judging, longer
from tests.test_chat_in_a_turn import NOW, REPLIES, USERS, asked, dataset, taught

from upwell import loop
from upwell.interfaces.cli.main import run
from upwell.records import Json
from upwell.service import Upwell
from upwell.stages.evaluate.verdicts import settled
from upwell.tables import canonical_json
from upwell.tasks._chat_rows import messages
from upwell.wiring.probing import ASKED


def turned(upwell: Upwell, day: int) -> Mapping[str, Json]:
    """What the judge's guard found in a turn on a day's feedback."""
    at = NOW + timedelta(days=day)
    told = [
        canonical_json([{"role": "user", "content": f"{text} today, {day}"}]) for text, _ in asked()
    ]
    users = [USERS[n % len(USERS)] for n in range(len(told))]
    shown = upwell.predict_many(told, users, now=at)["prediction"].to_pylist()
    upwell.capture(
        [{"id": f"c{day}-{n}", "user": users[n], "at": at, "prediction": shown[n],
          "kind": "correction", "payload": {"correction": REPLIES[word]}}
         for n, (_, word) in enumerate(asked())],
        now=at,
    )  # fmt: skip
    assert loop.turn(upwell.project, now=at + timedelta(hours=1)) is not None
    report = upwell.project.ledger.report(upwell.project.ledger.turns("chat")[-1].id)
    assert report is not None
    return cast("Mapping[str, Mapping[str, Json]]", report.guards["watched"])["judged"]


def test_a_judge_is_heard_and_a_turn_does_without_it(tmp_path: Path) -> None:
    with judging(longer) as judge:
        upwell = taught(
            tmp_path, {"base": "", "epochs": 10}, guards={"judge": judge.url, "judge_model": "big"}
        )
        assert not judge.asked
        found = turned(upwell, 2)
        pairs = list(zip(judge.shown()[::2], judge.shown()[1::2], strict=True))
        assert pairs
        assert len(judge.asked) <= 2 * ASKED
        words = [json.loads(longer(data))["better"] for one in pairs for data in one]
        signs = [settled(*two) for two in zip(words[::2], words[1::2], strict=True)]
        assert found["before"] == signs.count(1)
        assert found["after"] == signs.count(-1)
        rows = cast("int", found["rows"])
        assert found["value"] == (signs.count(1) - signs.count(-1)) / rows
        held_out = [messages(one) for one in dataset(upwell).test["input"].to_pylist()]
        assert all(data["conversation"] in held_out for one in pairs for data in one)
        sent = json.dumps(judge.asked)
        assert not any(user in sent for user in dataset(upwell).test["user"].to_pylist())
        judge.status = 503
        failed = turned(upwell, 4)
    assert (failed["value"], failed["why"]) == (None, "guard.why.judge_failed")
    assert (failed["host"], failed["crossed"]) == (judge.url.split("/")[2], False)
    shown_to_people(upwell)


def shown_to_people(upwell: Upwell) -> None:
    assert run(["report", "-p", str(upwell.project.folder)]) == 0
    folder = upwell.project.folder / "report"
    for lang, words in (("en", "did not answer"), ("zh", "没有作答")):
        assert words in (folder / f"report.{lang}.html").read_text(encoding="utf-8")
