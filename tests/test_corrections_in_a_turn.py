"""Corrected spans in a turn: what users changed is learned, and the test asks for what is right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest

from upwell import loop
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project
from upwell.tables import Dataset
from upwell.tasks import tagging

NOW = datetime(2024, 6, 1, tzinfo=UTC)
USERS = [f"u{n}" for n in range(9)]
PEOPLE = ("Anna", "Ben", "Chen", "Dora", "Emil", "Fay")
FIRMS = ("Acme", "Bolt", "Corp", "Dyne", "Ergo")
QUIET = ("{0} likes tea .", "We met {0} in May .", "So {0} left early .", "It was {0} again .")
LOUD = ("{0} works for {1} .", "At {1} we met {0} .", "{1} pays {0} well .", "Now {0} left {1} .")


def spans(text: str, **labels: tuple[str, ...]) -> str:
    """The target that names every name of each label in the text."""
    found = [(name, label) for label, names in labels.items() for name in names if name in text]
    at = [(text.index(name), text.index(name) + len(name), label) for name, label in found]
    return tagging.write(at)


def right(text: str) -> str:
    return spans(text, PER=PEOPLE, ORG=FIRMS)


def taught(folder: Path) -> tuple[Upwell, dict[str, str]]:
    """Labels know people alone; users agree to what is right and put firms in.

    Also what was shown for each text that has a firm. The model is sure and wrong of every firm,
    which must not make liars of the users who tell it so.
    """
    tables: dict[str, dict[str, object]] = {
        "project": {"task": "tagging"}, "tune": {"base": ""}, "gate": {"resamples": 100},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, "tags", tables)))
    upwell.consent(USERS, PURPOSES, since=NOW)
    quiet = [form.format(person) for form, person in product(QUIET, PEOPLE)]
    payloads = [{"input": text, "target": json.loads(right(text))} for text in quiet]
    upwell.capture(
        [{"id": f"label-{n}", "kind": "label", "at": NOW, "payload": payload}
         for n, payload in enumerate(payloads)],
        now=NOW,
    )  # fmt: skip
    loop.turn(upwell.project, now=NOW)
    loud = [form.format(*names) for form, *names in product(LOUD, PEOPLE, FIRMS)]
    asked = loud + 2 * quiet
    users = [USERS[n % len(USERS)] for n in range(len(asked))]
    found = upwell.predict_many(asked, users, now=NOW)
    shown = [answers[0] for answers in found["answer"].to_pylist()]
    names = found["prediction"].to_pylist()
    upwell.capture(
        [said(n, user, text, answer) | {"prediction": name}
         for n, (user, text, answer, name) in enumerate(
             zip(users, asked, shown, names, strict=True))],
        now=NOW + timedelta(days=1),
    )  # fmt: skip
    loop.turn(upwell.project, now=NOW + timedelta(days=2))
    return upwell, dict(zip(loud, shown[: len(loud)], strict=True))


def said(n: int, user: str, text: str, answer: str) -> dict[str, object]:
    """A user's thumb up where the answer is right, else their correction."""
    event = {"id": str(n), "user": user, "at": NOW + timedelta(minutes=7 * n)}
    if json.loads(answer) == json.loads(right(text)):
        return event | {"kind": "thumbs", "value": 1}
    return event | {"kind": "correction", "payload": {"correction": json.loads(right(text))}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Upwell, dict[str, str]]:
    return taught(tmp_path_factory.mktemp("tags") / "people")


def data(upwell: Upwell) -> Dataset:
    version = upwell.project.ledger.versions("tagging")[-1]
    return upwell.project.snapshots.read(version.snapshot)


def corrections(rows: pa.Table, of: Mapping[str, str]) -> dict[str, str]:
    """The targets of the corrections of texts ``of``, by text."""
    return {
        row["input"]: row["target"]
        for row in rows.to_pylist()
        if row["id"].endswith("#correction") and row["input"] in of
    }


def test_rows_learned_from_weigh_what_was_changed(world: tuple[Upwell, dict[str, str]]) -> None:
    upwell, shown = world
    found = corrections(data(upwell).train, shown)
    assert len(found) > 60
    for text, target in found.items():
        assert target == tagging.corrected(shown[text], right(text))
        told = json.loads(target)
        firms = [span for span in told["spans"] if span[2] == "ORG"]
        assert told["rest"] == tagging.UNCHANGED
        assert [span[3] for span in firms] == [1.0]


def test_rows_that_judge_hold_the_right_answer(world: tuple[Upwell, dict[str, str]]) -> None:
    upwell, shown = world
    for part in (data(upwell).validation, data(upwell).test):
        judged = corrections(part, shown)
        assert judged
        assert all(json.loads(judged[text]) == json.loads(right(text)) for text in judged)


def test_what_users_put_right_is_learned(world: tuple[Upwell, dict[str, str]]) -> None:
    upwell, shown = world
    project = upwell.project
    version = project.ledger.versions("tagging")[-1]
    model = tagging.load(project.models.verified(version.path, version.digest))
    texts = sorted(corrections(data(upwell).test, shown))
    found = tagging.answer(model, pa.table({"input": texts}), 1)["output"].to_pylist()
    wanted = [right(text) for text in texts]
    assert tagging.strict_f1(wanted, [shown[text] for text in texts]).recall <= 0.5
    assert tagging.strict_f1(wanted, [outputs[0] for outputs in found]).f1 > 0.9
