"""Adapters for groups of users beside one model: each row its own, and nobody else changed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
import torch
from peft import PeftModel
from tests.chatting import DATA, MODEL, rows, said
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from upwell.ports import Manner, Specialising
from upwell.settings import TuneSettings
from upwell.tasks import chat

# PEFT asks for what transformers will drop.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
GROUPS = ("de", "fr")
ASKED = [("hi", "yes"), ("hi", "no"), ("what?", "yes"), ("hi", "yes"), ("so what?", "no")]
WHOSE = ["", "de", "fr", "fr", "nobody's"]


def special(group: str, seed: int, model: chat.Talker = MODEL) -> chat.Talker:
    """A model whose adapter says something, as if it had learned."""
    found, _ = chat.special(model, group, DATA, TuneSettings(rank=4))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.requires_grad:
                weight.normal_(0.0, 0.1)
    return found


@pytest.fixture(scope="module")
def specials() -> dict[str, chat.Talker]:
    return {group: special(group, seed) for seed, group in enumerate(GROUPS)}


@pytest.fixture(scope="module")
def joined(specials: dict[str, chat.Talker]) -> chat.Talker:
    return chat.together(MODEL, specials)


def asked(whose: Sequence[str]) -> pa.Table:
    found = rows(*ASKED)
    place = found.schema.get_field_index("group")
    return found.set_column(place, "group", pa.array(whose))


@torch.no_grad()
def measured(model: chat.Talker, whose: Sequence[str]) -> Tensor:
    return chat.log_prob(model, chat.collate(model, asked(whose)))


def replies(model: chat.Talker, whose: Sequence[str]) -> list[str]:
    """What is said to each, who all ask at once."""
    ready = Barrier(len(whose))

    def one(group: str) -> str:
        ready.wait()
        told = said(("user", "hi"))
        pieces = chat.talk(model, told, Manner(max_tokens=16, group=group))
        return "".join(piece.text for piece in pieces)

    with ThreadPoolExecutor(len(whose)) as pool:
        return list(pool.map(one, whose))


def test_an_adapter_begins_as_no_change_and_alone_learns() -> None:
    before = {name: weight.clone() for name, weight in MODEL.state_dict().items()}
    found, settings = chat.special(MODEL, "de", DATA, TuneSettings(rank=4, epochs=7))
    assert isinstance(chat, Specialising)
    assert (settings.tuning, settings.epochs, settings.learning_rate) == ("lora", 7, 0.003)
    assert torch.equal(measured(found, ["de"] * 5), measured(MODEL, [""] * 5))
    learning = {name for name, weight in found.named_parameters() if weight.requires_grad}
    assert {name.rpartition(".")[2] for name in learning} == {"down", "up"}
    probable = chat.log_prob(found, chat.collate(found, asked(["de"] * 5)))
    torch.autograd.backward(probable.sum())
    assert all(w.grad is None for n, w in found.named_parameters() if n not in learning)
    assert all(torch.equal(before[n], weight) for n, weight in MODEL.state_dict().items())
    assert MODEL.groups == ()


@pytest.mark.parametrize("packs", [True, False])
def test_rows_of_one_batch_have_their_own(
    specials: dict[str, chat.Talker], joined: chat.Talker, packs: bool
) -> None:
    joined._packs = packs
    found = measured(joined, WHOSE)
    alone = {"": measured(MODEL, [""] * 5), "nobody's": measured(MODEL, [""] * 5)}
    alone |= {group: measured(one, [group] * 5) for group, one in specials.items()}
    wanted = torch.stack([alone[group][row] for row, group in enumerate(WHOSE)])
    assert torch.allclose(found, wanted, atol=1e-5)
    assert (found - alone[""]).abs()[[1, 2, 3]].min() > 1e-3
    joined._packs = None


def test_replies_made_together_have_their_own(
    specials: dict[str, chat.Talker], joined: chat.Talker
) -> None:
    alone = {"": replies(MODEL, [""])[0]}
    alone |= {group: replies(one, [group])[0] for group, one in specials.items()}
    assert len(set(alone.values())) == 3
    whose = ["de", "", "fr", "de", "nobody's", "fr"]
    assert replies(joined, whose) == [alone.get(group, alone[""]) for group in whose]


def test_answers_to_many_at_once_have_their_own(
    specials: dict[str, chat.Talker], joined: chat.Talker
) -> None:
    """More rows than are made at once, and answers that turn from the likeliest one."""
    whose, texts = WHOSE * 4, [text for text, _ in ASKED] * 4
    inputs = pa.table({"input": texts, "group": whose})
    speaks = {"": MODEL, "nobody's": MODEL, **specials}
    alone = {group: chat.answer(model, as_of(inputs, group), 3) for group, model in speaks.items()}
    found = chat.answer(joined, inputs, 3)
    for row, group in enumerate(whose):
        assert found["output"][row] == alone[group]["output"][row]
        apart = zip(found["score"][row].as_py(), alone[group]["score"][row].as_py(), strict=True)
        assert all(abs(one - other) <= 1e-4 for one, other in apart)
    said = {group: alone[group]["output"][0].as_py()[0] for group in ("", *GROUPS)}
    assert len({*said.values()}) == 3
    plain = inputs.select(["input"])
    assert chat.answer(joined, plain, 3).equals(chat.answer(MODEL, plain, 3)), "nobody's group told"


def as_of(inputs: pa.Table, group: str) -> pa.Table:
    """The same inputs, all of a group."""
    return pa.table({"input": inputs["input"], "group": [group] * inputs.num_rows})


def test_what_is_saved_is_loaded_and_stands_without_upwell(
    joined: chat.Talker, tmp_path: Path
) -> None:
    chat.save(joined, tmp_path)
    found = chat.load(tmp_path)
    assert chat.groups(found) == GROUPS
    assert not any(weight.requires_grad for weight in found.parameters())
    assert torch.equal(measured(found, WHOSE), measured(joined, WHOSE))
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.safetensors")}
    assert names == {"model.safetensors", *(f"groups/{n}/adapter_model.safetensors" for n in "12")}
    body = AutoModelForCausalLM.from_pretrained(tmp_path)
    plain = chat.Talker(body, found.tokenizer, 16).eval()
    assert torch.equal(measured(plain, [""] * 5), measured(MODEL, [""] * 5))
    tuned = PeftModel.from_pretrained(body, tmp_path / "groups" / "2").eval()
    by_peft = chat.Talker(tuned.base_model.model, found.tokenizer, 16).eval()
    assert torch.allclose(measured(by_peft, [""] * 5), measured(joined, ["fr"] * 5), atol=1e-5)


def test_a_groups_name_is_no_path(tmp_path: Path) -> None:
    name = "market=../../../escaped\n"
    chat.save(chat.together(MODEL, {name: special(name, 3)}), tmp_path / "in")
    assert chat.groups(chat.load(tmp_path / "in")) == (name,)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in" / "groups").iterdir()] == ["1"]


def test_layers_whose_weights_lie_the_other_way_round(tmp_path: Path) -> None:
    config = GPT2Config(
        vocab_size=len(MODEL.tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=256
    )
    model = chat.Talker(GPT2LMHeadModel(config), MODEL.tokenizer, 16).eval()
    found = chat.together(model, {"de": special("de", 1, model)})
    assert (measured(found, ["de"] * 5) - measured(model, [""] * 5)).abs().min() > 1e-4
    chat.save(found, tmp_path)
    assert torch.equal(measured(chat.load(tmp_path), WHOSE), measured(found, WHOSE))
    tuned = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path), tmp_path / "groups" / "1"
    ).eval()
    by_peft = chat.Talker(tuned.base_model.model, MODEL.tokenizer, 16).eval()
    assert torch.allclose(measured(by_peft, [""] * 5), measured(found, ["de"] * 5), atol=1e-5)
