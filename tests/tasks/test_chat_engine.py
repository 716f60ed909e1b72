"""Many replies by one model at once: each is what it would be alone, and none waits for another."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from tests.chatting import MODEL, said
from transformers import DynamicCache

from upwell.ports import Manner, Piece
from upwell.tasks import _chat_engine, _chat_kept, chat
from upwell.tasks._chat_choose import Chooser, choose
from upwell.tasks._chat_engine import engine_of
from upwell.tasks._chat_kept import Memory
from upwell.tasks._chat_reply import Words

ASKED = ["hi", "512: price please", "open?", "what is it that you sell " * 6, "a", "when? " * 3]


def talk(text: str, **manner: Any) -> Iterator[Piece]:
    return chat.talk(MODEL, said(("user", text)), Manner(**{"max_tokens": 24, **manner}))


def whole(pieces: Iterator[Piece]) -> tuple[str, int]:
    found = list(pieces)
    return "".join(piece.text for piece in found), found[-1].completion


@pytest.fixture(autouse=True)
def idle() -> Iterator[None]:
    gc.collect()
    yield
    assert engine_of(MODEL).held == 0


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of what the model reads, as it reads."""
    seen: list[tuple[int, ...]] = []
    real = _chat_kept.forward

    def watched(model: chat.Talker, ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(tuple(ids.shape))
        return real(model, ids, *rest)

    monkeypatch.setattr(_chat_engine, "forward", watched)
    monkeypatch.setattr(_chat_kept, "forward", watched)
    return seen


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_together_is_alone(temperature: float) -> None:
    manners = [{"temperature": temperature, "seed": seed, "max_tokens": 10 + 3 * seed}
               for seed in range(len(ASKED))]  # fmt: skip
    alone = [whole(talk(text, **way)) for text, way in zip(ASKED, manners, strict=True)]
    ready = Barrier(len(ASKED))

    def asked(place: int) -> tuple[str, int]:
        ready.wait()
        return whole(talk(ASKED[place], **manners[place]))

    with ThreadPoolExecutor(len(ASKED)) as crew:
        for _ in range(3):
            assert list(crew.map(asked, range(len(ASKED)))) == alone


def test_rows_that_join_remember_each_its_own() -> None:
    def memory(text: str) -> Memory:
        ids = torch.tensor([MODEL.tokenizer(text)["input_ids"]])
        place, cache = torch.arange(ids.shape[1])[None], DynamicCache()
        _chat_kept.forward(MODEL, ids, cache, None, place)
        return Memory(cache, ids.shape[1])

    texts, tokens = ("ten euros", "at the river, nine to five"), (5, 7)
    with torch.inference_mode():
        alone = [memory(text).next(MODEL, [one]) for text, one in zip(texts, tokens, strict=True)]
        assert not torch.allclose(alone[0], alone[1], atol=1e-3)
        both, joins = map(memory, texts)
        both.join(joins)
        torch.testing.assert_close(both.next(MODEL, tokens), torch.cat(alone), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 3])
def test_marks_are_never_said(count: int) -> None:
    logits = torch.zeros(2, len(MODEL.tokenizer))
    logits[:, MODEL.marks], logits[:, 9] = 9.0, 1.0
    both = [Chooser(Manner(temperature=0.0), torch.Generator(), count=count) for _ in range(2)]
    said = choose(MODEL, logits.clone(), both)
    assert not {one.last for one in both} & {*MODEL.marks}
    assert said == pytest.approx([float(logits[0].log_softmax(dim=0)[both[0].last])] * 2, abs=1e-5)


def test_replies_share_their_steps(widths: list[tuple[int, ...]]) -> None:
    streams = [talk(text, stop=()) for text in ASKED[:4]]
    for stream in streams:
        next(stream)
    for stream in streams:
        list(stream)
    assert max(rows for rows, _ in widths) == 4
    steps = [rows for rows, read in widths if read == 1]
    assert len(steps) < sum(steps) / 2


def test_a_first_token_waits_for_no_second(widths: list[tuple[int, ...]]) -> None:
    others = talk("hi")
    next(others)
    engine = engine_of(MODEL)
    for _ in range(2):
        seat = engine.join([7, 8, 9], Manner(), 5)
        engine.take(MODEL, seat)
        assert widths[-1] == (1, 3)
        engine.leave(seat)
        list(others)


def test_who_reads_slowly_keeps_nobody_waiting(widths: list[tuple[int, ...]]) -> None:
    alone = whole(talk("open?")), whole(talk("hi"))
    slow, quick = talk("open?"), talk("hi")
    first = next(slow)
    assert whole(quick) == alone[1]
    del widths[:]
    rest = list(slow)
    assert (first.text + "".join(piece.text for piece in rest), rest[-1].completion) == alone[0]
    assert len(widths) <= 1, "what was made meanwhile is there"


def test_who_goes_away_leaves_its_place(widths: list[tuple[int, ...]]) -> None:
    alone = whole(talk("hi"))
    stays = talk("hi")
    goes: Any = talk(ASKED[3])
    first = next(stays)
    next(goes)
    goes.close()
    assert engine_of(MODEL).held == 1
    del widths[:]
    rest = list(stays)
    assert first.text + "".join(piece.text for piece in rest) == alone[0]
    assert {rows for rows, _ in widths} <= {1}


def test_an_error_in_a_step_is_everybodys_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = whole(talk("hi"))
    streams = [talk("hi"), talk("open?")]
    for stream in streams:
        next(stream)
    with monkeypatch.context() as broken:
        broken.setattr(_chat_kept.Memory, "next", lambda *_: 1 / 0)
        for stream in streams:
            with pytest.raises(ZeroDivisionError):
                list(stream)
    assert whole(talk("hi")) == alone


def test_an_error_in_a_prompt_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = whole(talk("hi"))
    stays, fails = talk("hi"), talk("open?")
    first = next(stays)
    with monkeypatch.context() as broken:
        broken.setattr(_chat_engine, "forward", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            next(fails)
    assert first.text + "".join(piece.text for piece in stays) == alone[0]


@pytest.mark.parametrize(("name", "value"), [("ROWS", 2), ("MEMORY", 1)])
def test_more_than_there_is_room_for_wait_in_order(
    name: str, value: int, monkeypatch: pytest.MonkeyPatch, widths: list[tuple[int, ...]]
) -> None:
    alone = [whole(talk(text)) for text in ASKED]
    monkeypatch.setattr(_chat_engine, name, value)
    del widths[:]
    with ThreadPoolExecutor(len(ASKED)) as crew:
        assert list(crew.map(lambda text: whole(talk(text)), ASKED)) == alone
    assert max(rows for rows, _ in widths) <= {"ROWS": 2, "MEMORY": 1}[name]


def test_a_long_prompt_is_read_in_parts(
    monkeypatch: pytest.MonkeyPatch, widths: list[tuple[int, ...]]
) -> None:
    alone, other = whole(talk(ASKED[3])), whole(talk("hi"))
    monkeypatch.setattr(_chat_engine, "READ", 16)
    speaks, reads = talk("hi"), talk(ASKED[3])
    first = next(speaks)
    del widths[:]
    assert whole(reads) == alone
    assert max(read for _, read in widths) == 16
    assert first.text + "".join(piece.text for piece in speaks) == other[0]
    prompts = [place for place, (_, read) in enumerate(widths) if read == 16]
    assert widths[prompts[0] + 1] == (1, 1), "who speaks already goes on meanwhile"


def test_copies_and_saved_models_hold_no_conversation(tmp_path: Path) -> None:
    stream = talk("hi")
    first = next(stream)
    other = copy.deepcopy(MODEL)
    assert engine_of(other) is not engine_of(MODEL)
    assert engine_of(other).held == 0
    chat.save(MODEL, tmp_path / "saved")
    assert chat.load(tmp_path / "saved").usual == MODEL.usual
    assert first.text + "".join(piece.text for piece in stream) == whole(talk("hi"))[0]


def test_a_text_is_known_token_by_token() -> None:
    text = "ten euros 你好，世界 👩‍👩‍👧 and more " * 4
    tokens, words = MODEL.tokenizer(text)["input_ids"], Words(MODEL)
    for count, token in enumerate(tokens, 1):
        assert words.add(token) == MODEL.text(tokens[:count])
