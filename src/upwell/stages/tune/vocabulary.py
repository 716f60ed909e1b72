"""Of a large embedding, only the vectors of words that occur take part in learning.

The others have no gradient, and nothing but decay would ever move them. Leaving them out gives the
same weights for a fraction of the optimizer's time and memory: a text of a few thousand different
words learns a tenth of what an encoder knows, or less.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as look_up

from upwell.ports import Batch, Model
from upwell.stages.tune.batches import Batches

LEAST = 1 << 20
"""Embeddings with fewer numbers than this learn as a whole."""


def input_embeddings(model: Model) -> nn.Module | None:
    """What turns tokens into vectors, found as in ``transformers``: ``get_input_embeddings()``."""
    for part in model.modules():
        found = getattr(part, "get_input_embeddings", None)
        embeddings = found() if callable(found) else None
        if isinstance(embeddings, nn.Module):
            return embeddings
    return None


class Vocabulary(nn.Module):
    """The vectors ``used`` of an embedding as weights of their own, in its place.

    Until ``give_back``, the embedding's own weights stay as they are and do not learn.
    """

    def __init__(self, name: str, embedding: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        self.name = name
        # In a list, so that the embedding does not count as a part of this one.
        self.of = [embedding]
        self.used = used
        self.weight = nn.Parameter(embedding.weight.detach()[used])
        self.place = torch.full((embedding.num_embeddings,), -1, device=used.device)
        self.place[used] = torch.arange(len(used), device=used.device)
        embedding.weight.requires_grad_(False)
        self.hook = embedding.register_forward_hook(self._found, prepend=True)

    def give_back(self) -> None:
        """Write the vectors into the embedding, which is then as before."""
        self.hook.remove()
        with torch.no_grad():
            self.of[0].weight[self.used] = self.weight
        self.of[0].weight.requires_grad_(True)

    def _found(self, module: nn.Module, ids: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        place = self.place[ids[0]]
        learned = look_up(place.clamp(min=0), self.weight)
        return torch.where((place >= 0).unsqueeze(-1), learned, vectors)


def vocabulary(scorer: nn.Module, model: Model, batches: Batches) -> Vocabulary | None:
    """The vectors of the words of ``batches``, where they are fewer than half of a large embedding.

    None where the embedding does not learn, is also used otherwise (as the output's weights), or
    is not given the tokens as they are in the batch.
    """
    embedding = input_embeddings(model)
    if not isinstance(embedding, nn.Embedding) or not _alone(model, embedding):
        return None
    keys = _keys(scorer, embedding, batches[0].inputs)
    if not keys:
        return None
    occurs = torch.zeros(embedding.num_embeddings, dtype=torch.bool, device=batches.device)
    for number in range(len(batches)):
        for key in keys:
            occurs[batches[number].inputs[key]] = True
    if embedding.padding_idx is not None:
        occurs[embedding.padding_idx] = False
    (used,) = occurs.nonzero(as_tuple=True)
    if 2 * len(used) > embedding.num_embeddings:
        return None
    name = next(n for n, p in model.named_parameters() if p is embedding.weight)
    return Vocabulary(name, embedding, used)


def _alone(model: Model, embedding: nn.Embedding) -> bool:
    """Whether the embedding is large, learns, and no other part has its weights."""
    weights = model.named_parameters(remove_duplicate=False)
    owners = sum(weight is embedding.weight for _, weight in weights)
    plain = embedding.max_norm is None and not embedding.sparse
    large = embedding.weight.numel() >= LEAST
    return large and plain and embedding.weight.requires_grad and owners == 1


def _keys(scorer: nn.Module, embedding: nn.Embedding, inputs: Batch) -> set[str]:
    """Names of the tensors of a batch that the embedding is given; none if it is given others."""
    given: list[Tensor] = []
    hook = embedding.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    scorer.eval()
    with torch.no_grad():
        scorer(inputs)
    hook.remove()
    keys = [
        {n for n, t in inputs.items() if (t.data_ptr(), t.numel()) == (g.data_ptr(), g.numel())}
        for g in given
    ]
    return set().union(*keys) if all(keys) else set()
