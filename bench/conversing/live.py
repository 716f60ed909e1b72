"""Learning from live talk: a student asks, a teacher likes or mends, turns learn from it.

A teacher wants one thing throughout and never says what (``teacher``). After 24 and after 36
interactions a turn learns from all of them; its version is asked what nobody asked before, put to
serve by hand (one user is no proof for the gate) and taken back. Forgetting is what
sentences of Wikipedia cost more than before, in nats a token; what other people's answers to other
questions cost stands beside it, without a target: who has learned a tone expects it there, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from bench import protocol
from bench.conversing import teacher
from bench.conversing.pairs import Pair, edits, examples, known
from bench.conversing.teacher import Question
from bench.rows import Row
from upwell import loop, wiring
from upwell.interfaces.cli.main import run
from upwell.plugins import plugin
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project
from upwell.store.template import Chosen
from upwell.tasks import chat
from upwell.tasks._chat_model import Talker

Floats = npt.NDArray[np.float64]

STEPS = (24, 36)
ASKED, KEPT = 24, 40
"""Questions that nobody asked before; texts that must not be forgotten."""
FORGETTING = 0.05
TOKENS = 48
"""Of a reply, at most."""
_LETTERS, _PROSE = 80, 400
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    """What must not be forgotten: prose, and what other people say to other questions."""

    prose: list[str]
    answers: list[Pair]


def rows(preferences: Sequence[str] = tuple(teacher.PREFERENCES), seed: int = 0) -> Iterator[Row]:
    """What each teacher's student gains, what is forgotten, and whether a rollback undoes it."""
    for name in preferences:
        with TemporaryDirectory() as folder:
            yield from _taught(name, Path(folder) / "talk", seed)


def _taught(name: str, folder: Path, seed: int) -> Iterator[Row]:
    settings: Chosen = {"project": {"task": "chat"}, "tune": {"threads": 0, "seed": seed}}
    upwell = Upwell(open_project(create_project(folder, "talk", settings)))
    wiring.adopt(upwell.project, _DAY)
    base, kept = _model(upwell, wiring.BASE), _kept()
    questions = _questions(name, seed)
    asked, new = questions[: STEPS[-1]], questions[STEPS[-1] :][:ASKED]
    replies, before = _replies(base, asked), _scores(name, _replies(base, new))
    cost = _costs(base, kept)
    upwell.consent(["student"], PURPOSES, since=_DAY - timedelta(days=1))
    told = [_event(name, n, *one) for n, one in enumerate(zip(asked, replies, strict=True))]
    done = 0
    for step in STEPS:
        upwell.capture(told[done:step], now=_DAY + timedelta(days=step))
        decision = loop.turn(upwell.project, now=_DAY + timedelta(days=step), seed=seed)
        model, done = _model(upwell, decision.model), step
        gain = protocol.paired_interval(_scores(name, _replies(model, new)), before, seed)
        yield Row(
            f"live, {name}: gain after {step} interactions", gain.gain, gain.low, gain.high,
            "lower end above 0", gain.low > 0,
        )  # fmt: skip
        yield from _forgotten(f"live, {name}: {step}", _costs(model, kept), cost)
    yield Row(f"live, {name}: what the base scores", float(before.mean()))
    yield _rolled_back(name, upwell, decision.model)


def _forgotten(label: str, now: Sequence[float], before: Sequence[float]) -> list[Row]:
    prose, answers = (one - other for one, other in zip(now, before, strict=True))
    return [
        Row(f"{label} forgotten of prose, nats a token", prose, target=f"≤ {FORGETTING:g}",
            holds=prose <= FORGETTING),
        Row(f"{label}, other people's answers, nats a token", answers),
    ]  # fmt: skip


def _rolled_back(name: str, upwell: Upwell, version: str) -> Row:
    folder = str(upwell.project.folder)
    served = list[str]()
    for command in (["promote", version, "--force"], ["rollback"]):
        with redirect_stdout(StringIO()):
            run([*command, "--json", "--project", folder])
        served.append(upwell.predict("student", "Hello!")["model"][0].as_py())
    right = served == [version, wiring.BASE]
    return Row(f"live, {name}: a rollback serves the base again", float(right), target="1",
               holds=right)  # fmt: skip


def _questions(name: str, seed: int) -> list[Question]:
    rng = np.random.default_rng(seed)
    if name == "language":
        found = [
            Question(f"Say it in other words: {edit.source}", edit.translator)
            for edit in edits("dev", _LETTERS)
        ]
    else:
        asked = sorted({pair.asked for pair in known()})
        found = [Question(text) for text in asked if len(text) <= 2 * _LETTERS]
    return [found[place] for place in rng.permutation(len(found))][: STEPS[-1] + ASKED]


def _kept() -> Kept:
    rng = np.random.default_rng(0)
    prose = [edit.source for edit in edits("test", _PROSE)]
    answers = known()
    return Kept(
        [prose[place] for place in rng.permutation(len(prose))[:KEPT]],
        [answers[place] for place in rng.permutation(len(answers))[:KEPT]],
    )


def _event(name: str, number: int, question: Question, reply: str) -> dict[str, object]:
    payload = {"input": question.text, "target": reply}
    event = {"id": f"talk-{number}", "user": "student", "at": _DAY + timedelta(minutes=number)}
    if teacher.PREFERENCES[name](reply) >= teacher.ENOUGH:
        return {**event, "kind": "thumbs", "value": 1.0, "payload": payload}
    payload["correction"] = teacher.mended(name, question, reply)
    return {**event, "kind": "correction", "payload": payload}


def _model(upwell: Upwell, version: str) -> Talker:
    project = upwell.project
    task = plugin("tasks", "chat")
    found = cast("Talker", wiring.load(project, task, project.ledger.version(version)))
    found.usual = TOKENS
    return found


def _replies(model: Talker, asked: Sequence[Question]) -> list[str]:
    inputs = pa.table({"input": [question.text for question in asked]})
    return [shown[0] for shown in chat.answer(model, inputs, 1)["output"].to_pylist()]


def _scores(name: str, replies: list[str]) -> Floats:
    return np.array([teacher.PREFERENCES[name](reply) for reply in replies], np.float64)


@torch.inference_mode()
def _costs(model: Talker, kept: Kept) -> tuple[float, float]:
    """Nats a token of prose, which no question precedes, and of other people's answers."""
    lost, tokens = 0.0, 0
    for text in kept.prose:
        ids = torch.tensor([model.tokenizer(text)["input_ids"]])
        said = model.body(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(dim=1)
        lost -= float(said.gather(1, ids[0, 1:, None]).sum())
        tokens += ids.shape[1] - 1
    told = examples(kept.answers, "sft")
    parts = [chat.collate(model, told.slice(at, 8)) for at in range(0, told.num_rows, 8)]
    return lost / tokens, float(-torch.cat([chat.log_prob(model, part) for part in parts]).mean())
