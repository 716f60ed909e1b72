"""Conversations and replies packed: each conversation is read once, hardly a place stays empty.

Rows with the same conversation share it: their replies stand behind it one after the other, and
none sees another. Several conversations stand side by side in one line and do not see each other
either. A reply that two lines down would cost a conversation again costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace

import torch
from torch import Tensor

IGNORED = -100
ATTENTION = 1e-3
"""What a place in a line costs each token that looks at it, beside all else a token costs."""


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation and the reply to it, in tokens; ``group`` is the number of an adapter.

    ``replies`` are the places in the conversation of what was replied in it before.
    """

    prompt: Sequence[int]
    reply: Sequence[int]
    group: int = 0
    replies: Collection[int] = ()


def packed(
    rows: Sequence[Row], fill: int, *, together: bool, asked: bool = False
) -> dict[str, Tensor]:
    """What ``Talker`` reads: r lines of W places, and of n rows the t places of their replies.

    ``ids`` (r, W) tokens, ``place`` (r, W) where each stands in its own text, ``text`` (r, W) the
    conversation it belongs to, −1 for fill, ``reply`` (r, W) 0 in a conversation, else the reply's
    number; ``target`` (n, t) the replies' tokens, ``IGNORED`` behind them, and ``source`` (n, t)
    after which place of all lines each token comes. Where rows have groups, ``group`` (r, W) is
    each place's. With ``asked`` there are ``asked`` and ``heard`` (n, p), like ``target`` and
    ``source``, of the conversations' tokens but their first and those of ``replies``. Without
    ``together`` each row has a line of its own.

    >>> said = packed([Row([1, 2], [3, 4]), Row([1, 2], [5])], 0, together=True)
    >>> said["ids"].tolist(), said["place"].tolist(), said["source"].tolist()
    ([[1, 2, 3]], [[0, 1, 2]], [[1, 2], [1, 0]])
    """
    texts = _shared(rows) if together else [[row] for row in range(len(rows))]
    size = [
        len(rows[of[0]].prompt) + sum(max(len(rows[row].reply) - 1, 0) for row in of)
        for of in texts
    ]
    lines = _lines(size) if together else [[text] for text in range(len(texts))]
    width = max((sum(size[text] for text in line) for line in lines), default=1)
    last = max((len(row.reply) for row in rows), default=1)
    found = {name: torch.full((len(lines), width), fill) for name in ("ids", "place", "reply")}
    found["place"].zero_(), found["reply"].zero_()
    found["text"] = torch.full((len(lines), width), -1)
    if any(row.group for row in rows):
        found["group"] = torch.zeros((len(lines), width), dtype=torch.long)
    longest = max((len(row.prompt) for row in rows), default=1)
    scored = [("target", "source", last), *([("asked", "heard", longest)] if asked else [])]
    for words, places, most in scored:
        found[words] = torch.full((len(rows), most), IGNORED)
        found[places] = torch.zeros((len(rows), most), dtype=torch.long)
    for number, line in enumerate(lines):
        at = 0
        for text in line:
            at = _written(found, rows, texts[text], number, at, text)
    return found


def _written(
    found: Mapping[str, Tensor], rows: Sequence[Row], of: Sequence[int], line: int, at: int,
    text: int,
) -> int:  # fmt: skip
    """Write a conversation and its replies into a line from ``at`` on; where it ends."""
    prompt = rows[of[0]].prompt
    width, end = found["ids"].shape[1], at + len(prompt)
    found["ids"][line, at:end] = torch.tensor(prompt)
    found["place"][line, at:end] = torch.arange(len(prompt))
    begun = at
    for number, row in enumerate(of, start=1):
        # What comes after the last token is nobody's question, so that it need not be read.
        reply = rows[row].reply
        start, end = end, end + len(reply) - 1
        found["ids"][line, start:end] = torch.tensor(reply[:-1])
        found["place"][line, start:end] = torch.arange(len(reply) - 1) + len(prompt)
        found["reply"][line, start:end] = number
        found["target"][row, : len(reply)] = torch.tensor(reply)
        first = torch.tensor([begun + len(prompt) - 1])
        found["source"][row, : len(reply)] = line * width + torch.cat(
            [first, torch.arange(start, end)]
        )
        if "asked" in found:
            heard = torch.arange(begun, begun + len(prompt) - 1)
            found["asked"][row, : len(heard)] = torch.tensor(
                [IGNORED if at in rows[row].replies else word
                 for at, word in enumerate(prompt[1:], start=1)]
            )  # fmt: skip
            found["heard"][row, : len(heard)] = line * width + heard
    found["text"][line, begun:end] = text
    if rows[of[0]].group:
        found["group"][line, begun:end] = rows[of[0]].group
    return end


def sees(batch: Mapping[str, Tensor]) -> Tensor:
    """(r, 1, W, W) booleans: a token sees what stands before it in its own text, and itself."""
    text, reply = batch["text"], batch["reply"]
    same = text[:, :, None] == text[:, None, :]
    own = (reply[:, None, :] == 0) | (reply[:, None, :] == reply[:, :, None])
    return (same & own).tril()[:, None]


def _shared(rows: Sequence[Row]) -> list[list[int]]:
    """The rows of each conversation that one group has, in order."""
    found = dict[tuple[int, ...], list[int]]()
    for number, row in enumerate(rows):
        found.setdefault((row.group, *row.prompt), []).append(number)
    return list(found.values())


def _lines(size: Sequence[int]) -> list[list[int]]:
    """Texts in lines of like widths: as many lines as cost least to read.

    >>> _lines([50, 20, 31]), _lines([9, 1])
    ([[0], [2, 1]], [[0, 1]])
    """
    order = sorted(range(len(size)), key=lambda text: -size[text])
    best, least = list[list[int]](), float("inf")
    for count in range(1, len(order) + 1):
        lines, load = [list[int]() for _ in range(count)], [(0, line) for line in range(count)]
        for text in order:
            width, shortest = load[0]
            lines[shortest].append(text)
            heapreplace(load, (width + size[text], shortest))
        widest = max(load)[0]
        cost = count * widest * (1 + ATTENTION * widest)
        if cost < least:
            best, least = lines, cost
    return best
