"""Edits that a model proposed and three writers took or turned down (R3).

As conversations they are thumbs on the edited text; the log-ratio to the base, cut where it
divides the rows to learn from best, tells what a writer does with edits of other documents. The
same decisions are texts of two classes, with the writer's name, for the product's classification,
and columns (writer, intent, lengths) for its tables, in five folds of documents, three times anew.
Beside the majority class stands what each writer mostly did. Intervals
are bootstraps over documents.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet as pq

from bench.conversing.beside import base
from bench.conversing.pairs import DATA, Pair, examples
from bench.conversing.turned import Floats, above, mean, scored, turned
from bench.rows import Row
from upwell.plugins import plugin
from upwell.tasks import chat
from upwell.tasks._chat_model import Talker

Decided = Mapping[str, Any]

LEARNED, JUDGED = 100, 100
"""Decisions that the chat model learns from, and is judged by: of other documents."""
AROUND = 60
"""Letters before and after an edit."""
FOLDS, REPEATS = 5, 3


def said(seed: int) -> Iterator[Row]:
    """Does an edit that was taken become more probable than one that was turned down?"""
    parts = _documents(_decisions(), seed)
    train = [one for part in parts[1:] for one in part][:LEARNED]
    held_out = (parts[0] + [one for part in parts[1:] for one in part][LEARNED:])[:JUDGED]
    held_out = [one for one in held_out if one["document"] not in {t["document"] for t in train}]
    told = [
        {"kind": "thumbs", "user": one["annotator"], "value": 1.0 if one["taken"] else -1.0,
         "payload": {"input": one["asked"], "target": one["edited"]}}
        for one in train
    ]  # fmt: skip
    with TemporaryDirectory() as folder:
        learned = turned("chat", Path(folder) / "thumbs", told, seed)
    models = (learned, base())
    after, before = ([_said(model, part) for part in (train, held_out)] for model in models)
    known, new = (one - other for one, other in zip(after, before, strict=True))
    cut = _cut(known, np.array([one["taken"] for one in train]))
    right = _right(train, held_out, (new >= cut).tolist())
    yield from _compared("edits, decisions by chat", held_out, right, seed)


def classified(task: str, seed: int) -> Iterator[Row]:
    """The same by ``text_classification`` or ``tabular``, each document held out ``REPEATS`` times.

    A decision counts with the mean of its repeats.
    """
    known = _decisions()
    marks = np.zeros((REPEATS, 3, len(known)))
    for turn in range(REPEATS):
        for part in _documents(known, seed + turn):
            train = [one for one in known if one not in part]
            found = _foretold(task, train, part, seed)
            marks[turn, :, [one["number"] for one in part]] = _right(train, part, found).T
    yield from _compared(f"edits, decisions by {task}", known, marks.mean(axis=0), seed)


def _foretold(task: str, train: list[Decided], part: list[Decided], seed: int) -> list[bool]:
    told = [
        {"kind": "label", "payload": {"input": one[task], "target": _name(one["taken"])}}
        for one in train
    ]
    with TemporaryDirectory() as folder:
        model = turned(task, Path(folder) / "fold", told, seed)
        asked = pa.table({"input": [one[task] for one in part]})
        said = plugin("tasks", task).answer(model, asked, 1)["output"].to_pylist()
    return [one[0] == _name(True) for one in said]


def _right(train: list[Decided], held_out: list[Decided], found: Sequence[bool]) -> Floats:
    """(3, n) 1 where the model, the majority and each writer's own majority are right."""
    taken = np.array([one["taken"] for one in held_out])
    own = [_mostly(_of(train, one["annotator"]) or train) for one in held_out]
    guesses = (np.array(found), np.full(len(taken), _mostly(train)), np.array(own))
    return np.array([guess == taken for guess in guesses], np.float64)


def _compared(label: str, held_out: list[Decided], right: Floats, seed: int) -> Iterator[Row]:
    documents = np.unique([one["document"] for one in held_out], return_inverse=True)[1]
    mine, majority, habit = right
    yield above(f"{label}: over the majority class", mine - majority, documents, seed)
    yield mean(f"{label}: accuracy on other documents", mine, documents, seed)
    yield mean(f"{label}: the majority class", majority, documents, seed)
    yield mean(f"{label}: what each writer mostly did", habit, documents, seed)


def _decisions() -> list[Decided]:
    """Each decision with its edit as a conversation, as one text and as columns."""
    table = pq.read_table(DATA / "r3-edit-decisions" / "decisions.parquet")
    return [
        row | _shown(row) | {"document": row["doc_id"].split("-depth")[0], "number": number,
                             "taken": row["decision"] == "Accept"}
        for number, row in enumerate(table.to_pylist())
    ]  # fmt: skip


def _shown(row: Decided) -> dict[str, str]:
    text, start, end = row["before_revision"], row["start"], row["end"]
    left, right = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return {
        "asked": f"Edit for {row['intent']}: {left}{row['before']}{right}",
        "edited": f"{left}{row['after']}{right}",
        "text_classification": f"{row['annotator']} {row['intent']}: [{row['before']}] becomes "
        f"[{row['after']}] in: {left}{row['before']}{right}",
        "tabular": json.dumps({
            "writer": row["annotator"], "intent": row["intent"], "type": row["type"],
            "depth": row["depth"], "before": len(row["before"]), "after": len(row["after"]),
            "words": len(row["after"].split()) - len(row["before"].split()),
        }),
    }  # fmt: skip


def _documents(known: list[Decided], seed: int) -> list[list[Decided]]:
    """The decisions in ``FOLDS`` parts, no document in two."""
    names = sorted({one["document"] for one in known})
    mixed = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    part = {name: place % FOLDS for place, name in enumerate(mixed)}
    return [[one for one in known if part[one["document"]] == fold] for fold in range(FOLDS)]


def _said(model: Talker, told: list[Decided]) -> Floats:
    edits = [Pair(one["asked"], one["edited"], "") for one in told]
    return scored(model, examples(edits, "sft"), chat.log_prob)


def _cut(ratio: Floats, taken: npt.NDArray[np.bool_]) -> float:
    """Where "taken from here on" is right most often.

    >>> _cut(np.array([0.1, 0.4, 0.2]), np.array([False, True, True]))
    0.2
    """
    tried = [-np.inf, *np.sort(ratio).tolist(), np.inf]
    return float(max(tried, key=lambda cut: ((ratio >= cut) == taken).sum()))


def _mostly(told: Sequence[Decided]) -> bool:
    return bool(Counter(one["taken"] for one in told).most_common(1)[0][0])


def _of(told: Sequence[Decided], writer: str) -> list[Decided]:
    return [one for one in told if one["annotator"] == writer]


def _name(taken: bool) -> str:
    return "taken" if taken else "turned down"
