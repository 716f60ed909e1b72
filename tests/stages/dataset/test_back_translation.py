"""Back-translation: two models in Hugging Face layout, asked in batches, the same every time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from duckdb import DuckDBPyConnection
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import T5Config, T5ForConditionalGeneration

from upwell.errors import StageError
from upwell.records import Example
from upwell.settings import AugmentSettings
from upwell.stages.dataset.augment import augmented
from upwell.stages.dataset.back_translation import back_translated
from upwell.tables import to_table

WORDS = ["<pad>", "</s>", "<unk>", "where", "is", "my", "card", "pin", "lost"]


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A translation model with random weights, which says something else than it is told."""
    folder = tmp_path_factory.mktemp("translator")
    words = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = Whitespace()
    words.save(str(folder / "tokenizer.json"))
    told = dict(zip(("pad_token", "eos_token", "unk_token"), WORDS, strict=False))
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2
    )  # fmt: skip
    config.decoder_start_token_id = 0
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def test_each_text_comes_back_in_its_place_whatever_stands_beside_it(
    translator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random weights never say that a text is over.
    monkeypatch.setattr("upwell.stages.dataset.back_translation._LONGEST", 8)
    texts = ["where is my card", "pin", "lost my pin", "pin"] * 12
    found = back_translated(texts, translator, translator)
    assert len(found) == len(texts)
    assert found == back_translated(texts, translator, translator)
    assert dict(zip(texts, found, strict=True)) == {
        text: back_translated([text], translator, translator)[0] for text in set(texts)
    }
    assert all("<pad>" not in one and "</s>" not in one for one in found)


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StageError) as told:
        back_translated(["pin"], str(tmp_path), str(tmp_path))
    assert told.value.code == "dataset.no_translator"


def test_what_comes_back_is_the_first_variant_of_scarce_answers_alone(
    con: DuckDBPyConnection,
) -> None:
    asked: list[str] = []

    def shouted(texts: object) -> list[str]:
        assert isinstance(texts, list)
        asked.extend(texts)
        return [text if text == "pin" else text.upper() for text in texts]

    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    said = [("my card", "card"), ("pin", "card"), *((f"plenty {n}", "much") for n in range(9))]
    made = to_table(
        Example,
        [
            Example(f"web/{n}", "ann", "t", text, target, None, 1.0, 1.0, None, "", noon,
                    (f"web/{n}",))
            for n, (text, target) in enumerate(said)
        ],
    )  # fmt: skip
    rows = con.from_arrow(made.append_column("seq", pa.array(range(len(said)), pa.int64())))
    found = augmented(con, rows, AugmentSettings(below=4), shouted)
    assert sorted(asked) == ["my card", "pin"]
    assert {row["id"]: row["input"] for row in found.to_pylist()} == {"web/0#augment-1": "MY CARD"}
