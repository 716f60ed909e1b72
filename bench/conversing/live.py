"""Learning from live talk: a student asks, a teacher likes or mends, turns learn from it.

The teacher wants one thing throughout and never says what. After 24 and after 36 interactions a
turn learns from all of them; its version is put to serve by hand (one user is no proof for the
gate), asked what nobody asked before, and taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from bench import protocol
from bench.conversing import teacher
from bench.conversing.pairs import Pair, examples, known
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
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def rows(preferences: Sequence[str], seed: int) -> Iterator[Row]:
    """What each teacher's student gains, what is forgotten, and whether a rollback undoes it."""
    questions, frozen = _material(seed)
    for name in preferences:
        with TemporaryDirectory() as folder:
            yield from _taught(name, questions, frozen, Path(folder) / "talk", seed)


def _taught(
    name: str, questions: list[str], frozen: list[Pair], folder: Path, seed: int
) -> Iterator[Row]:
    settings: Chosen = {
        "project": {"task": "chat"}, "split": {"test_share": 0.1},
        "tune": {"threads": 0, "seed": seed},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, "talk", settings)))
    wiring.adopt(upwell.project, _DAY)
    base = _model(upwell, wiring.BASE)
    asked, new = questions[: STEPS[-1]], questions[STEPS[-1] :][:ASKED]
    replies, before = _replies(base, asked), _scores(name, _replies(base, new))
    known_by_heart = _loss(base, frozen)
    upwell.consent(["student"], PURPOSES, since=_DAY - timedelta(days=1))
    done = 0
    for step in STEPS:
        upwell.capture(
            _event(name, number, asked[number], replies[number]) for number in range(done, step)
        )
        done = step
        decision = loop.turn(upwell.project, now=_DAY + timedelta(days=step), seed=seed)
        model = _model(upwell, decision.model)
        gain = protocol.paired_interval(_scores(name, _replies(model, new)), before, seed)
        yield Row(
            f"live, {name}: gain after {step} interactions", gain.gain, gain.low, gain.high,
            "lower end above 0", gain.low > 0,
        )  # fmt: skip
        lost = _loss(model, frozen) - known_by_heart
        yield Row(f"live, {name}: forgotten after {step}, nats a token", lost,
                  target=f"≤ {FORGETTING:g}", holds=lost <= FORGETTING)  # fmt: skip
    yield _rolled_back(name, upwell, decision.model)


def _rolled_back(name: str, upwell: Upwell, version: str) -> Row:
    folder = str(upwell.project.folder)
    with redirect_stdout(StringIO()):
        run(["promote", version, "--force", "--json", "--project", folder])
        served = upwell.predict("Hello!", user="student", k=1)["model"][0].as_py()
        run(["rollback", "--json", "--project", folder])
        again = upwell.predict("Hello!", user="student", k=1)["model"][0].as_py()
    right = (served, again) == (version, wiring.BASE)
    return Row(f"live, {name}: a rollback serves the base again", float(right), target="1",
               holds=right)  # fmt: skip


def _material(seed: int) -> tuple[list[str], list[Pair]]:
    pairs = known()
    rng = np.random.default_rng(seed)
    mixed = [pairs[place] for place in rng.permutation(len(pairs))]
    questions = list(dict.fromkeys(pair.asked for pair in mixed if len(pair.asked) < 160))
    frozen = [pair for pair in mixed if pair.asked not in set(questions[: STEPS[-1] + ASKED])]
    return questions, frozen[:KEPT]


def _event(name: str, number: int, asked: str, reply: str) -> dict[str, object]:
    payload = {"input": asked, "target": reply}
    event = {"id": f"talk-{number}", "user": "student", "at": _DAY + timedelta(minutes=number)}
    if teacher.PREFERENCES[name](reply) >= teacher.ENOUGH:
        return {**event, "kind": "thumbs", "value": 1.0, "payload": payload}
    payload["correction"] = teacher.mended(name, reply)
    return {**event, "kind": "correction", "payload": payload}


def _model(upwell: Upwell, version: str) -> Talker:
    project = upwell.project
    task = plugin("tasks", "chat")
    found: Talker = wiring.load(project, task, project.ledger.version(version))
    found.usual = 64
    return found


def _replies(model: Talker, asked: list[str]) -> list[str]:
    answers = chat.answer(model, pa.table({"input": asked}), 1)["output"].to_pylist()
    return [shown[0] for shown in answers]


def _scores(name: str, replies: list[str]) -> Floats:
    return np.array([teacher.PREFERENCES[name](reply) for reply in replies], np.float64)


def _loss(model: Talker, frozen: list[Pair]) -> float:
    """Nats a token of answers that have nothing to do with the talk."""
    with torch.inference_mode():
        batch = chat.collate(model, examples(frozen, "sft"))
        return float(-chat.log_prob(model, batch).mean())
