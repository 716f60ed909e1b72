"""Texts said otherwise: translated into another language and back (Sennrich et al. 2016).

The two models are any pair of sequence-to-sequence models in Hugging Face layout, for example one
from English to Chinese and one back. They write what they find most probable (beam search, no
sampling), so equal texts have equal variants.
"""

from __future__ import annotations

from collections.abc import Sequence

from upwell.errors import StageError

_BATCH = 32
_BEAMS = 4
_LONGEST = 256
"""Tokens of a text; what lies beyond has no variant that says the same."""


def back_translated(texts: Sequence[str], there: str, back: str) -> list[str]:
    """Each text through the model ``there`` and then ``back``: folders, or Hugging Face ids.

    Raises StageError ``dataset.no_translator`` where a model cannot be read.
    """
    return _translated(_translated(texts, there), back)


def _translated(texts: Sequence[str], model_name: str) -> list[str]:
    # Only projects that have such models need torch and transformers to make a snapshot.
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name)
        model = AutoModelForSeq2SeqLM.from_pretrained(model_name).eval()
    except (OSError, ValueError) as error:
        problem = str(error).partition("\n")[0]
        raise StageError("dataset.no_translator", model=model_name, problem=problem) from error
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = [""] * len(texts)
    for start in range(0, len(order), _BATCH):
        places = order[start : start + _BATCH]
        asked = tokenizer(
            [texts[place] for place in places], padding=True, truncation=True,
            max_length=_LONGEST, return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            said = model.generate(
                input_ids=asked["input_ids"], attention_mask=asked["attention_mask"],
                num_beams=_BEAMS, do_sample=False, max_new_tokens=_LONGEST,
            )  # fmt: skip
        for place, text in zip(
            places, tokenizer.batch_decode(said, skip_special_tokens=True), strict=True
        ):
            found[place] = text.strip()
    return found
