"""A tiny chat model with random weights, and rows for it."""

from __future__ import annotations

import pyarrow as pa

from upwell.tasks import chat
from upwell.tasks._chat_rows import Messages

DATA = chat.toy(0)
MODEL = chat.start("", DATA, 0)


def said(*told: tuple[str, str]) -> Messages:
    """Messages of role and content."""
    return [{"role": role, "content": content} for role, content in told]


def rows(*pairs: tuple[str, str]) -> pa.Table:
    """Labels: inputs with the replies to them."""
    one = DATA.train.slice(0, 1).to_pylist()[0]
    made = [one | {"input": text, "target": reply, "sign": None} for text, reply in pairs]
    return pa.Table.from_pylist(made, schema=DATA.train.schema)
