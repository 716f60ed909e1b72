"""What guards ask of models that converse, fetched for the pure functions that judge it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.conversation import Messages, listed
from upwell.ports import Manner, Model, Piece, Specialising
from upwell.records import NOBODY, Example
from upwell.stages.evaluate import conduct, forgetting, probes
from upwell.stages.evaluate.columns import owners_of
from upwell.stages.evaluate.common_ground import DISPUTED, KNOWN, opinions
from upwell.stages.evaluate.guards import Finding, unmeasured
from upwell.stages.evaluate.marks import Judged
from upwell.tables import to_table
from upwell.wiring import verdicts
from upwell.wiring.judging import Trial
from upwell.wiring.learning import load, loaded
from upwell.wiring.turns import seed_of

Floats = npt.NDArray[np.float64]

OF_REPLIES = ("length", "refusal", "repeats", "extraction", "judged")
NAMES = (*OF_REPLIES, "flattery", "forgetting_general")
ASKED, FEWEST = 16, 8
"""Conversations that both versions are asked; with fewer, nothing is said of replies."""
LONGEST = 48
"""Tokens of a reply that are looked at."""
MOST_CUT = 0.5
"""Share of the replies of both versions that go on beyond, from which on nothing is said of their
length."""
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def probed(trial: Trial) -> dict[str, Finding]:
    """How the challenger converses beside the champion: with its users, and asked what any is."""
    if trial.champion is None:
        return dict.fromkeys(NAMES, unmeasured("no_champion"))
    before = loaded(trial.project, trial.task, trial.champion)[0]
    if before is None:
        return dict.fromkeys(NAMES, unmeasured("champion_broken"))
    mine = load(trial.project, trial.task, trial.version)
    return _replies(trial, mine, before) | _common(trial, mine, before)


def _replies(trial: Trial, mine: Model, before: Model) -> dict[str, Finding]:
    """What both say in the same conversations, held out and learned from."""
    rng = np.random.default_rng([seed_of(trial.turn), 11])
    rows = _sampled(trial.rows, rng)
    if rows.num_rows < FEWEST:
        few = unmeasured("few", rows=rows.num_rows, minimum=FEWEST)
        return dict.fromkeys(OF_REPLIES, few)
    settings, told = trial.project.settings.guards, rows["input"].to_pylist()
    sure, owners, held_out = settings.confidence, owners_of(rows), rows.num_rows
    known = _sampled(_personal(forgetting.sample(trial.data.train, settings.rows, False, rng)), rng)
    asked = pa.concat_tables([one.select(["input", "group"]) for one in (rows, known)])
    spoken = [_replied(trial.task, model, asked) for model in (mine, before)]
    texts = [[one.text for one in said[:held_out]] for said in spoken]
    cut = [np.mean([one.end == "length" for one in said[:held_out]]) for said in spoken]
    judged = [
        Judged("", rows, pa.table({"output": [[text] for text in one]}), rows.select([]))
        for one in texts
    ]
    users, theirs = pa.chunked_array([owners]), pa.chunked_array([owners_of(known)])
    declined = np.stack([probes.refuses(one) for one in texts])
    out = _repeated(spoken, asked["input"].to_pylist(), trial.data.train)
    return {
        "extraction": probes.risen(out[:, held_out:], theirs, sure, rng) if known.num_rows
        else unmeasured("nobodys"),
        "length": unmeasured("long", tokens=LONGEST) if min(cut) > MOST_CUT
        else conduct.length(judged[0], judged[1], users, sure, rng),
        "refusal": probes.risen(declined, users, sure, rng),
        "repeats": probes.risen(out[:, :held_out], users, sure, rng),
        "judged": verdicts.judged(settings, [_messages(one) for one in told], texts, owners),
    }  # fmt: skip


def _repeated(spoken: Sequence[Sequence[Piece]], asked: list[str], learned: pa.Table) -> Floats:
    """(v, n) whose replies repeat a user: one look at what was learned is enough for all."""
    texts = [one.text for said in spoken for one in said]
    return probes.repeats(texts, asked * len(spoken), learned).reshape(len(spoken), -1)


def _common(trial: Trial, mine: Model, before: Model) -> dict[str, Finding]:
    """What any model is asked: whether it follows opinions, and what it has forgotten.

    Of users' groups that have adapters of their own, and all others, what the worst one says.
    """
    kinds = ["", *(trial.task.groups(mine) if isinstance(trial.task, Specialising) else ())]
    found = [_asked_as(kind, trial, mine, before) for kind in kinds]
    return {name: max((one[name] for one in found), key=_worse) for name in found[0]}


def _worse(one: Finding) -> tuple[bool, float]:
    return one.sure, one.value or 0.0


def _asked_as(kind: str, trial: Trial, mine: Model, before: Model) -> dict[str, Finding]:
    sure, rng = trial.project.settings.guards.confidence, np.random.default_rng(12)
    views = _rows([(text, reply) for text, reply, _, _ in opinions()], trial, kind)
    known = _rows(KNOWN, trial, kind)
    shape = (len(DISPUTED), 2, 2)
    follow = [
        probes.follows(forgetting.likelihood(trial.task, model, views).reshape(shape))
        for model in (mine, before)
    ]
    likely = [forgetting.likelihood(trial.task, model, known) for model in (mine, before)]
    owners = pa.chunked_array([known["id"].combine_chunks()])
    return {
        "flattery": probes.flattery(follow[0], follow[1], sure),
        "forgetting_general": forgetting.forgotten(likely[0], likely[1], owners, sure, rng),
    }


def _sampled(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """A few of the conversations, each of them once."""
    _, first = np.unique(rows["input"].to_numpy(zero_copy_only=False), return_index=True)
    return rows.take(pa.array(np.sort(rng.permutation(first)[:ASKED])))


def _personal(rows: pa.Table) -> pa.Table:
    """Rows that are somebody's and from which is learned what to say."""
    somebodys = pc.invert(pc.starts_with(rows["user"], NOBODY))
    liked = pc.greater_equal(rows["sign"].fill_null(1), 0)
    return rows.filter(pc.and_(somebodys, pc.and_(liked, pc.greater(rows["weight"], 0.0))))


def _replied(task: Any, model: Model, rows: pa.Table) -> list[Piece]:
    """What ``model`` replies in each row's conversation, spoken to as its group is."""
    return replies(task, model, rows["input"].to_pylist(), rows["group"].to_pylist())


def replies(
    task: Any, model: Model, told: Sequence[str], groups: Sequence[str] = ()
) -> list[Piece]:
    """The beginning of the reply to each conversation, and why it ends there.

    All are made side by side. ``groups`` are those of who asks; without them nobody has one.
    """
    streams = [
        task.talk(model, _messages(one), Manner(LONGEST, group=group))
        for one, group in zip(told, groups or [""] * len(told), strict=True)
    ]
    found = [Piece("")] * len(streams)
    for pieces in zip_longest(*streams, fillvalue=Piece("")):
        found = [
            Piece(one.text + more.text, more.end or one.end)
            for one, more in zip(found, pieces, strict=True)
        ]
    return found


def _messages(text: str) -> Messages:
    return listed(text) or [{"role": "user", "content": text}]


def _rows(told: Sequence[tuple[str, str]], trial: Trial, kind: str) -> pa.Table:
    """Labels: inputs with the replies to them, that are nobody's, asked as that group's."""
    task = trial.project.settings.project.task
    made = [
        Example(
            f"{n}", f"{NOBODY}{n}", task, text, reply, None, 1.0, 1.0, None, kind, _LONG_AGO, ()
        )
        for n, (text, reply) in enumerate(told)
    ]
    return to_table(Example, made)
