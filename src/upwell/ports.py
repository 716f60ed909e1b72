"""The small Protocols a plugin fulfils. A plugin is a module; its name is its file's name.

All rows travel as Arrow tables with the schemas of ``tables.py``. Promises common to every
plugin of a kind live in ``checks/`` and run on each by discovery.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

from upwell.settings import FeedbackRule, TuneSettings
from upwell.tables import Dataset

if TYPE_CHECKING:
    from torch import Tensor, nn

Model: TypeAlias = "nn.Module"
Batch: TypeAlias = "Mapping[str, Tensor]"
Pieces: TypeAlias = "Iterator[Piece]"


class Task(Protocol):
    """Says how probable a row's target is; every objective is a function of that."""

    METRIC: str
    """The column of ``mark`` that decides whether a challenger is better (larger is better)."""

    BATCH_BY: Literal["row", "user"]
    """What stays together in a batch: nothing, or all rows of a user, in order, context too."""

    ABOUT: Literal["item", "answer", "value"]
    """What a row is about. ``item``: an item somebody did something with (the target; no input).
    ``answer``: an answer (the target) to an input. ``value``: the number (the target) that
    somebody gave an item (the input)."""

    def toy(self, seed: int) -> Dataset:
        """The smallest honest example: learnable in seconds on a CPU."""
        ...

    def start(self, base: str, data: Dataset, seed: int) -> Model:
        """A new model for these data (labels, catalogue) on the pre-trained ``base``.

        An empty base means from scratch, with nothing to download; every task knows it.
        """
        ...

    def load(self, folder: Path) -> Model:
        """The model that ``save`` wrote."""
        ...

    def save(self, model: Any, folder: Path) -> None:
        """Write ``config.json`` and safetensors files; never pickle."""
        ...

    def collate(self, model: Any, rows: pa.Table) -> Batch:
        """Rows with the Example schema (and ``history`` where the task uses it) to tensors."""
        ...

    def log_prob(self, model: Any, batch: Any) -> Tensor:
        """(n,) natural logarithms ≤ 0: of the target, or of 'the user accepts what was shown'."""
        ...

    def answer(self, model: Any, inputs: pa.Table, k: int) -> pa.Table:
        """The ``k`` best outputs per input row with their probabilities.

        Columns ``output`` (list of text), ``score`` (list of float) and ``reason`` (list of
        text: a key of the word catalogue, a tab, and its detail), aligned with ``inputs``.
        """
        ...

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        """Per-row marks, one float column a metric (larger is better), aligned with ``rows``."""
        ...


@runtime_checkable
class Baselined(Protocol):
    """What a task may offer besides: answers that need no learning, the bar to clear."""

    def baselines(self, data: Dataset, rows: pa.Table, k: int) -> Mapping[str, pa.Table]:
        """Answers to ``rows`` by name of the baseline, each with the columns of ``answer``.

        They stand on ``data.train`` (popularity, say, and popularity of late) and on what was
        known before each row. No baseline is called ``champion``.
        """
        ...


@runtime_checkable
class Judging(Protocol):
    """What a task may offer besides: marks that need no answers, of what users disliked too.

    Where many answers would be right, one that differs from the target is not wrong. Such a task
    is judged by how probable what users liked and disliked is to a model.
    """

    def judge(self, model: Any, rows: pa.Table) -> pa.Table:
        """Per-row marks with the columns of ``mark``, of rows with labels, +1 and −1.

        A row's mark depends on the model and on that row, and on the others by how many they are
        alone: it is compared with another model's mark of the same row, by users.
        """
        ...


@runtime_checkable
class Adaptable(Protocol):
    """What a task may offer besides: shaping its model to the data before training."""

    def adapt(self, model: Any, data: Dataset, settings: TuneSettings) -> TuneSettings:
        """Freeze layers or add adapters, in place, as ``settings`` say or the data suggest.

        Returns ``settings`` with what nobody set (``model_fields_set``) filled in for this model.
        """
        ...


@runtime_checkable
class Choosing(Protocol):
    """What an adaptable task offers besides: which settings it chooses where nobody set them.

    A new project's ``upwell.toml`` shows no default of these, for none would be used.
    """

    CHOOSES: Collection[str]
    """Names of ``[tune]`` that ``adapt``, or ``special``, may fill in."""


@runtime_checkable
class Specialising(Protocol):
    """What a task may offer besides: one shared model with a small adapter for a group of users.

    The adapter of a row's ``group`` has its say in ``log_prob``, ``judge``, ``answer`` and
    ``talk``; rows of other groups, and of none, get what the shared model gives, in the same batch.
    """

    def special(
        self, model: Any, group: str, data: Dataset, settings: TuneSettings
    ) -> tuple[Model, TuneSettings]:
        """A model of the very weights of ``model``, which do not learn, with an adapter that does.

        It begins as no change. ``data`` are the group's rows, and ``settings`` are returned with
        what nobody set (``model_fields_set``) filled in.
        """
        ...

    def together(self, model: Any, specials: Mapping[str, Any]) -> Model:
        """The shared model with the adapters of ``special`` models, by group; ``save`` keeps them.

        The order of ``specials`` is kept. Nothing of it learns.
        """
        ...

    def groups(self, model: Any) -> Sequence[str]:
        """The groups that have an adapter."""
        ...


@runtime_checkable
class Discerning(Protocol):
    """What a task may offer besides: telling rows that it could never learn from."""

    def readable(self, rows: pa.Table) -> pa.Array:
        """(n,) booleans: whose input and target (``rows`` of Examples) the task can read.

        The others are left out of a turn, which tells how many; without this capability one
        malformed row that a user sent would stop every turn.
        """
        ...


@runtime_checkable
class Correcting(Protocol):
    """What a task about answers may offer besides: saying what a correction teaches."""

    def corrected(self, shown: str, right: str) -> str:
        """The target to learn where a user made ``right`` of the answer ``shown``.

        It says that ``right`` is right, and may say how much each part of it counts. Without this
        capability ``right`` itself is learned. Rows that judge always hold ``right``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How to go on with a conversation. ``temperature`` 0 takes the likeliest token each time.

    ``group`` is that of who asks, where the model has an adapter for it.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a reply as it comes; the last one says why it ends: ``stop`` or ``length``.

    ``prompt`` and ``completion`` are the tokens of the conversation and of the reply so far,
    ``log_prob`` the natural logarithm of the probability of the reply so far.
    """

    text: str
    end: str = ""
    prompt: int = 0
    completion: int = 0
    log_prob: float = 0.0


@runtime_checkable
class Talking(Protocol):
    """What a task about answers may offer besides: replies in conversation, piece by piece."""

    def talk(self, model: Any, messages: Sequence[Mapping[str, str]], manner: Manner) -> Pieces:
        """The reply to ``messages`` (``role`` and ``content``), at least one piece.

        Raises StageError where the model cannot take them: ``chat.empty``, ``chat.too_long``,
        ``chat.role``.
        """
        ...


class Feedback(Protocol):
    """Turns one kind of event into signals."""

    DEFAULT: FeedbackRule
    """The rule that holds when ``upwell.toml`` says nothing about this kind of event."""

    def toy(self) -> pa.Table:
        """Events of this kind, with a column ``sign`` that each must get (null: says nothing)."""
        ...

    def signals(self, events: pa.Table, rule: FeedbackRule) -> pa.Table:
        """Rows with the Signal schema, for those events that say something, in order."""
        ...


class Source(Protocol):
    """Reads data that lie elsewhere as events."""

    def toy(self, folder: Path) -> tuple[str, int]:
        """Write a tiny example into ``folder``; returns its location and its number of events."""
        ...

    def read(self, location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        """Batches with the Event schema. ``mapping`` renames columns: Event field → column."""
        ...


@runtime_checkable
class Recognised(Protocol):
    """What a source may offer besides: what its files are known by, where nobody said a format."""

    READS: Collection[str]
    """Endings of files that it reads."""
    KNOWN_BY: Collection[frozenset[str]]
    """Columns that stand together in no other format, in most cases."""
