"""How a model learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from upwell.settings.section import Count, Positive, Section, Share


class TuneSettings(Section):
    """How a model learns. ``label_share`` is λ; ``auto`` follows the effective counts."""

    base: str = "minilm"
    tuning: Literal["auto", "full", "lora", "qlora", "head"] = "auto"
    """Which weights learn: all, low-rank adapters, these beside weights of four bits (``qlora``,
    for chat), or a head on the frozen base."""
    rank: Count = 8
    """Rank of the adapters."""
    group_adapters: bool = False
    """Whether users' groups (``behaviour.group``) get adapters of their own, where that pays. Off
    unless it is asked for: not every fact about users should decide what they are told."""
    group_rows: Count = 200
    """Learned rows of a group, from which on an adapter is tried."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """Layers of the base, from the bottom (embeddings first), that do not learn."""
    objective: Literal[
        "bounded", "likelihood", "unlikelihood", "positives", "ips", "snips",
        "kto", "apo_zero", "dpo", "npo", "textbook",
    ] = "bounded"  # fmt: skip
    q: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    flip_rate: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.05
    beta: Positive = 0.1
    """Sharpness of the losses that stand on a reference model."""
    clip: Positive = 20.0
    """Largest importance weight of the losses that stand on propensities."""
    asked: Annotated[float, Field(ge=0.0)] = 0.0
    """What the words of a conversation count for beside the reply's, where ``positives`` teach a
    model that talks: what users write stays as probable as it was."""
    imitated: Annotated[float, Field(ge=0.0)] = 0.0
    """What the liked row of a pair counts for as a label, beside the pair, where `dpo` learns."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    label_share: Literal["auto"] | Annotated[float, Field(ge=0.0, le=1.0)] = "auto"
    label_share_grid: tuple[float, ...] = ()
    epochs: Count = 4
    patience: Count = 2
    batch_rows: Count = 2400
    learning_rate: Positive = 0.004
    warmup: Share = 0.05
    """Share of all steps over which the learning rate rises; then it falls as a cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    average: Share = 0.98
    """Decay of the moving average of the weights that is judged and kept; 0 turns it off."""
    accumulate: Count = 1
    """Batches per step."""
    rdrop: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the divergence between two passes with different dropout."""
    adversarial: Annotated[float, Field(ge=0.0)] = 0.0
    """Length of the worst-case step (FGM) on the embeddings."""
    mixup: Annotated[float, Field(ge=0.0)] = 0.0
    """Mixes pooled features of rows in twos, by shares from Beta(mixup, mixup); 0 turns it off."""
    blend: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = ()
    """Shares of the learned weights, the rest from the start, tried at the end (WiSE-FT)."""
    compile: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 1
    """CPU threads of one process, 0 for all. More than one pays for large models on idle machines
    alone: where other work runs too, threads that wait for each other can cost tenfold."""
    seed: int = 0

    def filled(self, suited: Mapping[str, object]) -> Self:
        """With what is ``suited`` where nobody set anything."""
        free = {name: value for name, value in suited.items() if name not in self.model_fields_set}
        return self.model_copy(update=free)
