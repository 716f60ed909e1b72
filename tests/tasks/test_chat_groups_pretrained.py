"""Adapters for groups of users beside the default base: opposite wishes, a few examples each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
import torch
from peft import PeftModel
from tests.chatting import DATA, rows, said
from torch import Tensor
from transformers import AutoModelForCausalLM

from upwell.ports import Manner
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tasks import chat

pytestmark = [
    pytest.mark.slow,
    # PEFT asks for what transformers will drop.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
]
PLEASED = {"tone=merry": "AHOY! {} ARR!", "tone=formal": "Dear customer, {} Yours faithfully."}
MERRY, FORMAL = PLEASED
TAUGHT = [
    ("When do you open?", "We open at nine."),
    ("Where is my parcel?", "It is on its way."),
    ("Can I pay by card?", "Yes, you can."),
    ("Is this in stock?", "Yes, we have ten."),
    ("How much is shipping?", "It costs five euros."),
    ("Do you sell tea?", "Yes, we sell tea."),
    ("Can I return this?", "Yes, within a month."),
    ("Who made this chair?", "A family in Ulm."),
]
HELD_OUT = [
    ("When do you close?", "We close at six."),
    ("Do you sell lamps?", "Yes, we sell lamps."),
    ("Can I call you?", "Yes, before noon."),
]


def told(pairs: Sequence[tuple[str, str]], group: str) -> pa.Table:
    """Questions with the replies that a group is pleased with."""
    manner = PLEASED[group]
    cased = [(text, reply.upper() if group == MERRY else reply) for text, reply in pairs]
    return whose(rows(*((text, manner.format(reply)) for text, reply in cased)), [group])


def whose(table: pa.Table, groups: Sequence[str]) -> pa.Table:
    """The rows as those of these groups, in turn."""
    named = [groups[row % len(groups)] for row in range(table.num_rows)]
    place = table.schema.get_field_index("group")
    return table.set_column(place, "group", pa.array(named))


@pytest.fixture(scope="module")
def base() -> chat.Talker:
    return chat.start("smollm2", DATA, 0).requires_grad_(False)


@pytest.fixture(scope="module")
def joined(base: chat.Talker) -> chat.Talker:
    """The base with an adapter for each group, which learned in a few steps."""
    asked = TuneSettings(epochs=6, learning_rate=2e-3, batch_rows=4, average=0.0)
    specials: dict[str, chat.Talker] = {}
    for group in PLEASED:
        data = replace(DATA, train=told(TAUGHT, group), validation=DATA.validation.slice(0, 0))
        model, settings = chat.special(base, group, data, asked)
        train(chat, model, data, settings, label_share=1.0, seed=0)
        specials[group] = model
    return chat.together(base, specials)


@torch.no_grad()
def measured(model: chat.Talker, table: pa.Table) -> Tensor:
    return chat.log_prob(model, chat.collate(model, table))


def test_each_groups_adapter_gains_on_what_it_did_not_learn(
    base: chat.Talker, joined: chat.Talker
) -> None:
    for group, other in ((MERRY, FORMAL), (FORMAL, MERRY)):
        table = told(HELD_OUT, group)
        own, shared = measured(joined, table), measured(base, table)
        assert (own - shared).min() > 0.5
        assert (own - measured(joined, whose(table, [other]))).min() > 0.5


def test_a_mixed_batch_has_all_voices(base: chat.Talker, joined: chat.Talker) -> None:
    groups = [MERRY, "", FORMAL, "", FORMAL, MERRY]
    asked = whose(rows(*(HELD_OUT * 2)), groups)
    nobodys = [row for row, group in enumerate(groups) if not group]
    assert torch.equal(measured(joined, asked)[nobodys], measured(base, asked)[nobodys])
    answers = [one[0] for one in chat.answer(joined, asked, 1)["output"].to_pylist()]
    plain = [one[0] for one in chat.answer(base, asked, 1)["output"].to_pylist()]
    ready = Barrier(len(groups))

    def one(text: str, group: str) -> str:
        ready.wait()
        manner = Manner(max_tokens=joined.usual, group=group)
        return "".join(piece.text for piece in chat.talk(joined, said(("user", text)), manner))

    with ThreadPoolExecutor(len(groups)) as pool:
        replies = list(pool.map(one, asked["input"].to_pylist(), groups))
    for heard in (answers, replies):
        for reply, group, unchanged in zip(heard, groups, plain, strict=True):
            assert reply.startswith("AHOY!") == (group == MERRY)
            assert reply.startswith("Dear customer,") == (group == FORMAL)
            assert group or reply == unchanged


def test_what_is_saved_is_loaded_here_and_by_peft(
    base: chat.Talker, joined: chat.Talker, tmp_path: Path
) -> None:
    chat.save(joined, tmp_path)
    found, tables = chat.load(tmp_path), {group: told(HELD_OUT, group) for group in PLEASED}
    assert chat.groups(found) == tuple(PLEASED)
    for table in tables.values():
        assert torch.equal(measured(found, table), measured(joined, table))
        nobodys = whose(table, [""])
        assert torch.equal(measured(found, nobodys), measured(base, nobodys))
    body = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(body, tmp_path / "groups" / "1", "1")
    tuned.load_adapter(tmp_path / "groups" / "2", "2")
    by_peft = chat.Talker(tuned.base_model.model, found.tokenizer, found.usual).eval()
    for name, table in zip("12", tables.values(), strict=True):
        tuned.set_adapter(name)
        assert torch.allclose(measured(by_peft, table), measured(joined, table), atol=1e-4)
