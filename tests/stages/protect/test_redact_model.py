"""The model tier: any detector as a callable, and a token classifier in a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from upwell.errors import StageError
from upwell.settings import ProtectSettings
from upwell.stages.protect.redact.columns import Redaction
from upwell.stages.protect.redact.model import token_classifier
from upwell.stages.protect.redact.redactor import Redactor
from upwell.stages.protect.redact.steps import redaction
from upwell.tasks import tagging

KEY = bytes(32)
SPECIAL = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A classifier with random weights that says PER to every word, and a tokenizer for it."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ann", "met", "bob"]
    vocabulary = {word: n for n, word in enumerate(words)}
    raw = Tokenizer(WordPiece(vocabulary, unk_token=SPECIAL["unk_token"]))
    raw.pre_tokenizer = BertPreTokenizer()
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=raw, **SPECIAL).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16, id2label={0: "O", 1: "B-PER", 2: "I-PER"},
        label2id={"O": 0, "B-PER": 1, "I-PER": 2},
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([-9.0, 9.0, -9.0]))
    model.save_pretrained(tmp_path)
    return tmp_path


def test_a_model_finds_what_rules_do_not() -> None:
    def detect(texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        return [[(0, 6, "name")] if text.startswith("zyglaf") else [] for text in texts]

    made = Redactor(KEY, (), detect).redact(["zyglaf says hi", "others do not"])
    assert made[0].endswith(" says hi")
    assert made[0][:6] != "zyglaf"
    assert made[1] == "others do not"


def test_check_digits_win_over_a_model() -> None:
    def detect(texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        return [[(0, len(text), "name")] for text in texts]

    found = Redactor(KEY, (), detect).found(["to ann@example.org"])[0]
    assert [one.kind for one in found] == ["email"]


def test_a_classifier_in_a_folder_reads_long_texts_to_their_end(
    folder: Path,
) -> None:
    said = token_classifier(str(folder))(["ann met bob", "", "bob " * 50])
    assert [list(one) for one in said[:2]] == [
        [(0, 3, "name"), (4, 7, "name"), (8, 11, "name")],
        [],
    ]
    assert max(end for _, end, _ in said[2]) == 199


def test_the_settings_name_the_folder(folder: Path) -> None:
    (step,) = redaction(ProtectSettings(model=folder.name), KEY, folder.parent)
    assert isinstance(step, Redaction)
    assert redaction(ProtectSettings(redact=False), KEY, folder) == ()


def test_a_model_that_upwells_tagging_trained_is_read(tmp_path: Path) -> None:
    data = tagging.toy(0)
    model = tagging.start("", data, 0)
    tagging.save(model, tmp_path)
    texts = data.train["input"].to_pylist()[:5]
    told = tagging.answer(model, pa.table({"input": texts}), 1)["output"].to_pylist()
    kinds = {"PER": "name", "LOC": "place"}
    spans = [[(a, b, kinds[label]) for a, b, label in json.loads(one[0])["spans"]] for one in told]
    assert any(spans)
    assert token_classifier(tmp_path.name, tmp_path.parent)(texts) == spans


def test_a_model_for_something_else_is_no_classifier(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"]}))
    with pytest.raises(StageError, match=re.escape(str(folder))):
        token_classifier(str(folder))(["text"])


@pytest.mark.parametrize("name", ["nobody/nothing", "no folder"])
def test_what_was_never_downloaded_is_told_when_it_is_needed(name: str, tmp_path: Path) -> None:
    detect = token_classifier(name, tmp_path)
    with pytest.raises(StageError) as caught:
        detect(["text"])
    assert caught.value.code == "protect.no_model"
    assert name in str(caught.value)
