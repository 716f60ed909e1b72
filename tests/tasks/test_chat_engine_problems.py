"""What goes wrong with one reply: it ends alone, and the others are what they would have been."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.chatting import MODEL, said
from transformers import DynamicCache

from upwell.ports import Manner, Piece
from upwell.tasks import _chat_choose, _chat_kept, chat
from upwell.tasks._chat_choose import Chooser, choose
from upwell.tasks._chat_engine import engine_of
from upwell.tasks._chat_kept import Memory

TINY = [5e-324, 1e-310, 2.6e-308, 1e-300]


def talk(text: str, **manner: Any) -> Iterator[Piece]:
    return chat.talk(MODEL, said(("user", text)), Manner(**{"max_tokens": 24, **manner}))


def whole(pieces: Iterator[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def memory(text: str) -> Memory:
    ids = torch.tensor([MODEL.tokenizer(text)["input_ids"]])
    place, cache = torch.arange(ids.shape[1])[None], DynamicCache()
    _chat_kept.forward(MODEL, ids, cache, None, place)
    return Memory(cache, ids.shape[1])


def held(one: Memory) -> list[torch.Tensor]:
    return [one.mask, *(part for layer in one._layers for part in (layer.keys, layer.values))]


@pytest.fixture(autouse=True)
def idle() -> Iterator[None]:
    yield
    assert engine_of(MODEL).held == 0


@pytest.mark.parametrize("temperature", TINY)
def test_the_smallest_temperatures_take_the_likeliest(temperature: float) -> None:
    assert whole(talk("hi", temperature=temperature)) == whole(talk("hi"))


@pytest.mark.parametrize("temperature", TINY)
def test_they_do_where_others_are_as_likely_and_some_cannot_be(temperature: float) -> None:
    logits = torch.full((1, len(MODEL.tokenizer)), -torch.inf)
    logits[0, [9, 11, 12]] = torch.tensor([-700.0, -700.0, -900.0])
    one = Chooser(Manner(temperature=temperature), torch.Generator().manual_seed(1), count=1)
    assert choose(MODEL, logits, [one]) == pytest.approx([torch.tensor(0.5).log().item()])
    assert one.last in {9, 11}


def test_who_cannot_choose_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = whole(talk("hi"))
    real = _chat_choose.nucleus

    def broken(chances: torch.Tensor, top_p: float) -> torch.Tensor:
        return real(chances, top_p) if top_p == 1.0 else chances * torch.nan

    stays, fails = talk("hi"), talk("open?", temperature=1.0, top_p=0.5)
    first = [next(stays), next(fails)][0].text
    monkeypatch.setattr(_chat_choose, "nucleus", broken)
    assert first + whole(stays) == alone
    with pytest.raises(RuntimeError, match="probability"):
        list(fails)


def test_who_finds_no_room_to_join_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = whole(talk("hi"))
    stays = talk("hi")
    first = next(stays).text
    engine = engine_of(MODEL)
    fails = engine.join([7, 8, 9], Manner(), 5)
    with monkeypatch.context() as full:
        full.setattr(Memory, "join", lambda *_: 1 / 0)
        assert first + whole(stays) == alone
    assert engine.take(MODEL, fails) is not None, "its first token was made before"
    with pytest.raises(ZeroDivisionError):
        engine.take(MODEL, fails)
    engine.leave(fails)


@pytest.mark.parametrize("change", ["join", "keep"])
def test_a_memory_whose_change_fails_is_as_it_was(change: str) -> None:
    with torch.inference_mode():
        both, more = memory("ten euros"), memory("at the river")
        both.join(memory("nine to five"))
        before = [part.clone() for part in held(both)]
        last: Any = both._layers[-1]
        values, last.values = last.values, None
        with pytest.raises((AttributeError, TypeError)):
            both.join(more) if change == "join" else both.keep([1])
        last.values = values
        torch.testing.assert_close(held(both), before)
