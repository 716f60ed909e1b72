"""Packed texts are read as each would be alone, and their words scored without keeping them all."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from upwell.tasks import _chat_words, chat
from upwell.tasks._adapters import add
from upwell.tasks._chat_model import Talker
from upwell.tasks._chat_pack import IGNORED, Row, packed, sees


@pytest.fixture
def model() -> Talker:
    """A tiny model with random weights."""
    return chat.start("", chat.toy(0), seed=0)


ROWS = [
    Row([5, 6, 7, 8], [9, 10]), Row([11, 12], [13, 14, 15]), Row([5, 6, 7, 8], [16, 17, 18, 19]),
    Row([20, 21, 22], [23]), Row([5, 6, 7, 8], [9, 10]),
]  # fmt: skip


def test_packed_rows_have_the_probabilities_of_rows_read_alone(model: Talker) -> None:
    assert model.packs
    batch = model.batch(ROWS)
    assert len(batch["ids"]) < len(ROWS)
    found = model(batch)
    for number, row in enumerate(ROWS):
        whole = torch.tensor([[*row.prompt, *row.reply]])
        logits = model.body(input_ids=whole).logits[0, len(row.prompt) - 1 : -1].log_softmax(1)
        alone = logits.gather(1, whole[0, len(row.prompt) :, None])[:, 0]
        torch.testing.assert_close(found[number, : len(row.reply)], alone)
        assert not found[number, len(row.reply) :].any()


def test_what_was_asked_counts_while_a_model_learns_and_not_when_it_is_judged(
    model: Talker,
) -> None:
    rows = [*ROWS, *(Row([first, *range(5, 45)] * 7, [9, 10]) for first in (50, 51))]
    plain = chat.log_prob(model, model.batch(rows))
    model.asked = 0.5
    batch = model.batch(rows)
    assert len(batch["ids"]) > 1, "what was heard is found in later lines too"
    torch.testing.assert_close(chat.log_prob(model, batch), plain)
    torch.testing.assert_close(chat.sums(model.train(), batch), chat.sums(model.eval(), batch))
    added = (chat.log_prob(model.train(), batch) - plain).detach()
    for row, more in zip(rows, added.tolist(), strict=True):
        ids = torch.tensor([row.prompt])
        said = model.body(input_ids=ids).logits[0, :-1].log_softmax(1)
        mean = float(said.gather(1, ids[0, 1:, None]).mean().detach())
        assert more == pytest.approx(0.5 * mean, abs=1e-5)


def test_what_was_replied_before_is_no_word_of_who_asks(model: Talker) -> None:
    """A reply that was disliked stands in the conversation's next turn; nobody liked it there."""
    told = [
        {"role": "user", "content": "open on sunday"}, {"role": "assistant", "content": "never"},
        {"role": "user", "content": "and on monday"},
    ]  # fmt: skip
    model.asked = 0.5
    row = model.row(told, "at nine")
    text = "".join(model.tokenizer.decode([row.prompt[place]]) for place in sorted(row.replies))
    assert text.strip() == "never"
    assert model.row(told[-1:], "at nine").replies == ()
    batch = model.batch([row])
    heard = (batch["asked"] != IGNORED).sum()
    assert heard == len(row.prompt) - 1 - len([*row.replies])
    silent = model.row([told[0], {**told[1], "content": " "}, told[2]], "at nine")
    assert not silent.replies, "an empty reply has no words"


def test_where_replies_cannot_be_told_apart_no_word_of_the_conversation_is_learned(
    model: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [
        {"role": "user", "content": "open?"}, {"role": "assistant", "content": "Never"},
        {"role": "user", "content": "and monday?"},
    ]  # fmt: skip
    model.asked = 0.5
    monkeypatch.setattr(type(model.tokenizer), "is_fast", property(lambda _: False))
    row = model.row(told, "at nine")
    assert len(row.replies) == len(row.prompt)
    assert (model.batch([row])["asked"] == IGNORED).all()
    assert chat.log_prob(model.train(), model.batch([row])).isfinite().all()


def test_a_body_that_cannot_read_packed_rows_gets_a_line_for_each(
    model: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = model(model.batch(ROWS))
    monkeypatch.setattr(model, "_packs", None)
    monkeypatch.setattr(model.body.config, "sliding_window", 64, raising=False)
    assert not model.packs
    batch = model.batch(ROWS)
    assert len(batch["ids"]) == len(ROWS)
    torch.testing.assert_close(model(batch), packs)


def test_whether_a_body_reads_packed_rows_is_seen_by_what_it_answers(
    model: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled = type(model.body).forward

    def twice(*given: object, **named: object) -> object:
        out = scaled(model.body, *given, **named)
        out.logits = out.logits * 2
        return out

    monkeypatch.setattr(model.body, "forward", twice)
    assert not model.packs


def test_a_shared_conversation_stands_in_its_line_once() -> None:
    batch = packed(ROWS, 0, together=True)
    ids = batch["ids"].flatten().tolist()
    assert ids.count(5) == 1
    assert int((batch["text"] >= 0).sum()) == 4 + 1 + 3 + 1 + 2 + 2 + 3
    assert (batch["target"] != IGNORED).sum(1).tolist() == [len(row.reply) for row in ROWS]


def test_no_reply_sees_another_and_no_text_its_neighbour() -> None:
    batch = packed(ROWS, 0, together=True)
    seen = sees(batch)[:, 0]
    text, reply = batch["text"], batch["reply"]
    assert bool(seen.diagonal(dim1=1, dim2=2).all())
    lines, at, other = seen.nonzero(as_tuple=True)
    assert bool((other <= at).all())
    assert bool((text[lines, at] == text[lines, other]).all())
    apart = reply[lines, other]
    assert bool(((apart == 0) | (apart == reply[lines, at])).all())


@pytest.mark.parametrize("bias", [False, True])
def test_scores_and_slopes_are_those_of_cross_entropy(
    bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_chat_words, "AT_ONCE", 4 * 30 * 3)
    torch.manual_seed(0)
    head = nn.Linear(8, 30, bias=bias).requires_grad_(False)
    hidden, target = torch.randn(10, 8, requires_grad=True), torch.randint(30, (10,))
    weight = torch.randn(10)
    found = _chat_words.log_probs(head, hidden, target)
    (slope,) = torch.autograd.grad((weight * found).sum(), hidden)
    wanted = -nn.functional.cross_entropy(head(hidden), target, reduction="none")
    (right,) = torch.autograd.grad((weight * wanted).sum(), hidden)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(slope, right)
    assert _chat_words.log_probs(head, hidden[:0], target[:0]).shape == (0,)


def test_a_head_that_learns_gets_its_slope() -> None:
    head = nn.Linear(8, 30)
    said = _chat_words.log_probs(head, torch.randn(4, 8), torch.arange(4))
    (slope,) = torch.autograd.grad(said.sum(), [head.weight])
    assert bool(slope.any())


def test_adapters_learn_through_packed_rows(model: Talker) -> None:
    add(model, 4)
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    slopes = torch.autograd.grad(model(model.batch(ROWS)).sum(), learned)
    assert any(bool(slope.any()) for slope in slopes)
