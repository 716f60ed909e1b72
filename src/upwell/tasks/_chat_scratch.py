"""A tiny language model that nothing is loaded for: letters in, letters out, random weights."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTEXT = 1024
_MARKS = {"pad_token": "<|pad|>", "bos_token": "<|start|>", "eos_token": "<|end|>"}
_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|start|>' + message['role'][0] + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>a' }}{% endif %}"
)


def scratch(seed: int) -> tuple[Any, Any]:
    """Body and tokenizer: two layers of width 64 over the 256 bytes, weights from ``seed``."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbered = {piece: number for number, piece in enumerate([*_MARKS.values(), *letters])}
    pieces = Tokenizer(models.BPE(numbered, []))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=pieces, model_max_length=CONTEXT, **_MARKS)
    tokenizer.chat_template = _TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=128, max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config), tokenizer
