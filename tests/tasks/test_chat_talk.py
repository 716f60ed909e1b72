"""Replies piece by piece: what is said, where it stops, and how it is drawn."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from tests.chatting import DATA, MODEL, rows, said

from upwell.ports import Manner, Piece
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset
from upwell.tasks import chat


@pytest.fixture(scope="module")
def taught() -> chat.Talker:
    model = chat.start("", DATA, 1)
    settings = chat.adapt(model, DATA, TuneSettings())
    train(chat, model, DATA, settings, label_share=0.5, seed=0)
    return model


def test_pieces_are_the_answer(taught: chat.Talker) -> None:
    (answer,) = chat.answer(taught, rows(("512: price please", "x")), 1)["output"].to_pylist()
    pieces = list(chat.talk(taught, said(("user", "512: price please")), Manner()))
    assert "".join(piece.text for piece in pieces) == answer[0] == "ten euros"
    assert [piece.end for piece in pieces] == [""] * (len(pieces) - 1) + ["stop"]
    last, told = pieces[-1], rows(("512: price please", "ten euros"))
    with torch.no_grad():
        known = float(chat.sums(taught, chat.collate(taught, told))[0])
    assert last.log_prob == pytest.approx(known, abs=1e-3)
    assert last.completion == len("ten euros") + 1
    assert all(one.log_prob >= other.log_prob for one, other in pairwise(pieces))


@pytest.mark.parametrize("stop", ["eur", "euros", "n e", "os", "t"])
def test_no_part_of_a_stop_string_is_said(taught: chat.Talker, stop: str) -> None:
    pieces = list(chat.talk(taught, said(("user", "512: price please")), Manner(stop=("zz", stop))))
    assert "".join(piece.text for piece in pieces) == "ten euros".partition(stop)[0]
    assert pieces[-1].end == "stop"


def test_what_only_looked_like_a_stop_string_is_said(taught: chat.Talker) -> None:
    pieces = list(chat.talk(taught, said(("user", "512: price please")), Manner(stop=("euros!",))))
    assert "".join(piece.text for piece in pieces) == "ten euros"


def test_the_most_tokens_end_a_reply(taught: chat.Talker) -> None:
    pieces = list(chat.talk(taught, said(("user", "512: price please")), Manner(max_tokens=3)))
    assert "".join(piece.text for piece in pieces) == "ten"
    assert pieces[-1].end == "length"
    assert pieces[-1].completion == 3


def test_characters_of_several_bytes_come_whole() -> None:
    model = chat.start("", DATA, 0)
    data = Dataset(
        rows(*[("hi", "你好，世界")] * 8), DATA.validation.slice(0, 0), DATA.test, DATA.items
    )
    settings = chat.adapt(model, data, TuneSettings(epochs=60))
    train(chat, model, data, settings, label_share=1.0, seed=0)
    pieces = list(chat.talk(model, said(("user", "hi")), Manner()))
    assert [piece.text for piece in pieces if piece.text] == list("你好，世界")


def drawn(model: chat.Talker, seed: int, top_p: float = 1.0) -> tuple[str, Piece]:
    manner = Manner(temperature=1.0, seed=seed, max_tokens=12, top_p=top_p)
    pieces = list(chat.talk(model, said(("user", "512: price please")), manner))
    return "".join(piece.text for piece in pieces), pieces[-1]


def test_a_seed_draws_the_same_reply() -> None:
    assert drawn(MODEL, 1) == drawn(MODEL, 1)
    assert len({drawn(MODEL, seed)[0] for seed in range(5)}) == 5


def test_a_drawn_reply_knows_its_chance() -> None:
    """One token: the chances with which each was drawn are those of how often it is."""
    found: dict[str, float] = {}
    for seed in range(30):
        manner = Manner(temperature=0.5, seed=seed, max_tokens=1, top_p=0.2)
        pieces = list(chat.talk(MODEL, said(("user", "open?")), manner))
        found["".join(piece.text for piece in pieces)] = math.exp(pieces[-1].log_prob)
    assert len(found) > 1
    assert sum(found.values()) <= 1 + 1e-9
    assert drawn(MODEL, 0, top_p=1e-6)[1].log_prob == 0.0


def test_no_reply_is_blank() -> None:
    model = chat.start("", DATA, 0)
    data = Dataset(rows(*[("hi", "   ")] * 8), DATA.validation.slice(0, 0), DATA.test, DATA.items)
    settings = chat.adapt(model, data, TuneSettings(epochs=30))
    train(chat, model, data, settings, label_share=1.0, seed=0)
    (answers,) = chat.answer(model, rows(("hi", "x")), 3)["output"].to_pylist()
    assert all(answer.strip() for answer in answers)
    assert "".join(p.text for p in chat.talk(model, said(("user", "hi")), Manner())).strip()
