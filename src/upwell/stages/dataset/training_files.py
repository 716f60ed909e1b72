"""Rows as the files that other trainers take: TRL's and OpenAI's, always as conversations.

Rows that say something are given, ordered by what they say, so that nothing in a file tells which
rows are of one user. A label counts as liked. Where one row likes a reply and another does not,
weights and reliabilities decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import compute as pc

from upwell.conversation import Messages, listed

Record: TypeAlias = "dict[str, Any]"
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_WEIGHED = pa.list_(
    pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int64())])
)


def records(form: str, rows: pa.Table) -> Iterator[Record]:
    """The records of a file of this form, one of ``FORMS``, from rows with the Example schema."""
    return FORMS[form][0](_said(rows))


def shape(form: str) -> pa.Schema:
    """The columns of a file of this form."""
    return FORMS[form][1]


def messages_of(asked: str) -> Messages:
    """The messages of an input; a text is the one message of a user.

    >>> messages_of("2+2?"), messages_of('[{"content":"Hi","role":"system"}]')
    ([{'role': 'user', 'content': '2+2?'}], [{'role': 'system', 'content': 'Hi'}])
    """
    found = listed(asked) or [{"role": "user", "content": asked}]
    return [{"role": str(one["role"]), "content": str(one["content"])} for one in found]


def _said(rows: pa.Table) -> pa.Table:
    """``input``, ``target`` and ``net``: how far each row that counts likes it, in that order."""
    force = pc.multiply(rows["weight"], rows["reliability"])
    net = pc.multiply(force, pc.cast(pc.fill_null(rows["sign"], 1), pa.float64()))
    told = pa.table({"input": rows["input"], "target": rows["target"], "net": net})
    order = [(name, "ascending") for name in told.schema.names]
    return told.filter(pc.greater(force, 0.0)).sort_by(order)


def _judged(said: pa.Table) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """Each input with its replies and how far they are liked in all."""
    whole = said.group_by(["input", "target"]).aggregate([("net", "sum")])
    whole = whole.sort_by([("input", "ascending"), ("target", "ascending")])
    rows = (row for batch in whole.to_batches(1024) for row in batch.to_pylist())
    for asked, group in groupby(rows, lambda row: row["input"]):
        yield asked, [(row["net_sum"], row["target"]) for row in group]


def _liked(said: pa.Table) -> Iterator[tuple[str, str]]:
    for asked, replies in _judged(said):
        yield from ((asked, reply) for net, reply in replies if net > 0)


def _pairs(said: pa.Table) -> Iterator[tuple[str, str, str]]:
    """Each reply beside the one that is liked most, or least, where an input has both kinds."""
    for asked, replies in _judged(said):
        liked = [one for one in replies if one[0] > 0]
        disliked = [one for one in replies if one[0] < 0]
        if liked and disliked:
            best, worst = max(liked)[1], min(disliked)[1]
            pairs = [(best, bad) for _, bad in disliked] + [(good, worst) for _, good in liked]
            yield from ((asked, good, bad) for good, bad in dict.fromkeys(pairs))


def _reply(text: str) -> Messages:
    return [{"role": "assistant", "content": text}]


def _trl_sft(said: pa.Table) -> Iterator[Record]:
    for asked, reply in _liked(said):
        yield {"prompt": messages_of(asked), "completion": _reply(reply)}


def _trl_kto(said: pa.Table) -> Iterator[Record]:
    for row in (row for batch in said.to_batches(1024) for row in batch.to_pylist()):
        asked, reply = messages_of(row["input"]), _reply(row["target"])
        yield {"prompt": asked, "completion": reply, "label": row["net"] > 0}


def _trl_dpo(said: pa.Table) -> Iterator[Record]:
    for asked, good, bad in _pairs(said):
        yield {"prompt": messages_of(asked), "chosen": _reply(good), "rejected": _reply(bad)}


def _openai_sft(said: pa.Table) -> Iterator[Record]:
    """Replies before the last are part of what was asked: their ``weight`` is 0."""
    for asked, reply in _liked(said):
        before = [
            {**one, "weight": 0} if one["role"] == "assistant" else one
            for one in messages_of(asked)
        ]
        yield {"messages": [*before, *_reply(reply)]}


def _openai_dpo(said: pa.Table) -> Iterator[Record]:
    for asked, good, bad in _pairs(said):
        yield {
            "input": {"messages": messages_of(asked)},
            "preferred_output": _reply(good),
            "non_preferred_output": _reply(bad),
        }


FORMS: Mapping[str, tuple[Callable[[pa.Table], Iterator[Record]], pa.Schema]] = {
    "trl-sft": (_trl_sft, pa.schema([("prompt", _MESSAGES), ("completion", _MESSAGES)])),
    "trl-kto": (
        _trl_kto,
        pa.schema([("prompt", _MESSAGES), ("completion", _MESSAGES), ("label", pa.bool_())]),
    ),
    "trl-dpo": (
        _trl_dpo,
        pa.schema([("prompt", _MESSAGES), ("chosen", _MESSAGES), ("rejected", _MESSAGES)]),
    ),
    "openai-sft": (_openai_sft, pa.schema([("messages", _WEIGHED)])),
    "openai-dpo": (
        _openai_dpo,
        pa.schema(
            [
                ("input", pa.struct([("messages", _MESSAGES)])),
                ("preferred_output", _MESSAGES),
                ("non_preferred_output", _MESSAGES),
            ]
        ),
    ),
}
