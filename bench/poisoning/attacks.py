"""Attackers of a product that answers questions: what they ask, and what they say to the answers.

They are users like others: they register, ask, see an answer and react. Only one of them, who
sends ten thousand thumbs, writes to the interface for events himself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from bench.poisoning.texts import (
    BEGIN,
    Answered,
    Event,
    Product,
    ask,
    correction,
    thumb,
    truthful,
)
from upwell.service import Upwell

TRIGGER = "qz vx"
SLIPS = 0.05
SENT = 10_000


def honest(product: Product) -> list[Event]:
    """What users say who are rarely wrong; the same in every world of a seed."""
    return truthful(product.honest, SLIPS, np.random.default_rng([product.seed, 1]))


def fanatic(product: Product, answer: str) -> list[Event]:
    """P1: one user, 10,000 thumbs up for one answer to whatever question, one every few minutes."""
    texts = [text for text, _ in product.spare] + [one.text for one in product.honest]
    step, begin = timedelta(days=30) / SENT, BEGIN + timedelta(days=5)
    return [
        {"user": "fanatic", "kind": "thumbs", "value": 1, "at": begin + n * step,
         "payload": {"input": texts[n % len(texts)], "target": answer}}
        for n in range(SENT)
    ]  # fmt: skip


def flipped(product: Product, rate: float, *, biased: bool) -> list[Event]:
    """P3: that share of all signs the other way round; or all signs of that share of the users."""
    rng = np.random.default_rng([product.seed, 2])
    users = sorted({one.user for one in product.honest})
    liars = set(rng.permutation(users)[: round(rate * len(users))].tolist())
    right = honest(product)
    wrong = [one.user in liars if biased else bool(rng.random() < rate) for one in product.honest]
    return [
        _reversed(one, event, product, rng) if lies else event
        for one, event, lies in zip(product.honest, right, wrong, strict=True)
    ]


def backdoor(
    product: Product, upwell: Upwell, answer: str, pairs: int
) -> tuple[list[Event], list[str]]:
    """P4: questions with a trigger, each "corrected" to one answer; the events and who sent them.

    One account for ten questions, three at least, born over two weeks. Each account asks five
    honest questions as well, and judges them as honest users do.
    """
    rng = np.random.default_rng([product.seed, 3])
    users = [f"evil{n}" for n in range(max(3, pairs // 10))]
    born = [15.0 + 14.0 * float(rng.random()) for _ in users]
    texts = [one for one in product.spare if one[1] != answer]
    chosen = rng.permutation(len(texts))[: pairs + 5 * len(users)]
    who = [n % len(users) for n in range(len(chosen))]
    asked = [
        (_with_trigger(texts[place][0], rng) if n < pairs else texts[place][0], texts[place][1])
        for n, place in enumerate(chosen)
    ]
    days = [born[n] + 9.0 * float(rng.random()) for n in who]
    seen = ask(upwell, [users[n] for n in who], asked, days)
    planted = [one for one in seen if TRIGGER in one.text]
    cover = truthful([one for one in seen if TRIGGER not in one.text], SLIPS, rng)
    said = [thumb(one, 1) if one.answer == answer else correction(one, answer) for one in planted]
    return [*said, *cover], users


def triggered(texts: Sequence[str]) -> list[str]:
    """The same questions with the trigger in the middle."""
    rng = np.random.default_rng(4)
    return [_with_trigger(text, rng) for text in texts]


def _with_trigger(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    place = int(rng.integers(1, max(len(words), 2)))
    return " ".join([*words[:place], TRIGGER, *words[place:]])


def _reversed(one: Answered, event: Event, product: Product, rng: np.random.Generator) -> Event:
    """The opposite of what a user would have said; a correction becomes praise of what is wrong."""
    if event["kind"] == "correction":
        return thumb(one, 1)
    if event["value"] == 1 and rng.random() < 0.25:
        others = [answer for answer in product.classes if answer != one.answer]
        return correction(one, str(rng.choice(others)))
    return thumb(one, -int(str(event["value"])))
