"""A tiny encoder that nothing is loaded for: words of the given texts, random weights."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_NAMES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_WORDS = 4096
_LONGEST = 512


def scratch(seed: int, texts: Sequence[str]) -> tuple[Any, Any]:
    """Body and tokenizer: two layers of width 64, weights from ``seed``, pieces from ``texts``.

    The pieces are the most frequent words and all their letters, and those of English, so that
    other words are spelled. (A trained vocabulary would break ties differently each time.)
    """
    normal, split = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word for text in texts for word, _ in split.pre_tokenize_str(normal.normalize_str(text))
    )
    letters = sorted({*string.printable.lower(), *"".join(words)})
    spelled = [*letters, *(f"##{letter}" for letter in letters)]
    frequent = sorted(words, key=lambda word: (-words[word], word))[:_WORDS]
    vocabulary = dict.fromkeys([*_NAMES.values(), *spelled, *frequent])
    numbered = {piece: number for number, piece in enumerate(vocabulary)}
    pieces = Tokenizer(models.WordPiece(numbered, unk_token=_NAMES["unk_token"]))
    pieces.normalizer, pieces.pre_tokenizer = normal, split
    pieces.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=pieces, model_max_length=_LONGEST, **_NAMES)
    config = BertConfig(
        vocab_size=pieces.get_vocab_size(), hidden_size=64, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=128, max_position_embeddings=_LONGEST,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(config), tokenizer
