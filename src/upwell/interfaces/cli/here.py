"""What every command is told and what every command gives back; standard library alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from upwell.words import say

if TYPE_CHECKING:
    from upwell.records import Json


@dataclass(frozen=True, slots=True)
class Here:
    """Where and how a command runs: the options that hold for all of them.

    ``held`` is what a command has open, to be closed when it ends.
    """

    project: Path | None
    json: bool
    lang: str
    held: ExitStack = field(default_factory=ExitStack)

    def say(self, key: str, /, **details: object) -> str:
        """A sentence in the language that was asked for."""
        return say(key, self.lang, **details)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table in a terminal. Columns whose cells are all numbers stand at the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Line: TypeAlias = "str | Grid"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say: ``document`` for ``--json``, ``lines`` for people."""

    document: Mapping[str, Json]
    lines: Sequence[Line]
    code: int = 0
