"""Questions of many requests, answered together (see ``gathered``): a model reads them as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from upwell.interfaces.http.gathered import Gathered
from upwell.records import Json
from upwell.service import Upwell

MOST = 16
"""Questions answered together: more would make the first wait for the last."""
LONG = 32
"""Characters of an input that weigh as much as another question."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one user asks, for the ``k`` best answers, known to the model or not.

    Without an ``input`` it is what to recommend.
    """

    user: str
    input: Json
    k: int
    personalize: bool

    @property
    def kind(self) -> object:
        """Questions of one kind can be answered together."""
        return self.input is None, self.k, self.personalize

    @property
    def weight(self) -> int:
        """How many short questions it takes as long as."""
        return 1 + (len(self.input) // LONG if isinstance(self.input, str) else 0)


_Lane: TypeAlias = "Gathered[Question, list[Mapping[str, Any]]]"


@dataclass(slots=True)
class Questions:
    """Answers questions for one event loop. At most ``waiting`` of a kind wait."""

    upwell: Upwell
    waiting: int
    _short: _Lane = field(init=False)
    _long: _Lane = field(init=False)

    def __post_init__(self) -> None:
        # One thread each: a second one would halve the groups, and a group costs less than its
        # parts. Long inputs go beside the others, which would wait for them.
        self._short, self._long = (
            Gathered(
                self._answer, self.waiting, MOST,
                weigh=lambda one: one.weight, alike=lambda one: one.kind, threads=1,
            )
            for _ in range(2)
        )  # fmt: skip

    @property
    def length(self) -> int:
        """Questions that wait."""
        return self._short.length + self._long.length

    async def ask(self, question: Question) -> list[Mapping[str, Any]]:
        """The answers to a question, best first, as ``Upwell`` gives them: a row each."""
        lane = self._long if question.weight > MOST else self._short
        return await lane.do(question)

    def _answer(self, asked: list[Question]) -> list[list[Mapping[str, Any]]]:
        first, users = asked[0], [one.user for one in asked]
        if first.input is None:
            lists = self.upwell.recommend_many(users, first.k, personalize=first.personalize)
            return [found.to_pylist() for found in lists]
        inputs = [one.input for one in asked]
        found = self.upwell.predict_many(inputs, users, first.k, personalize=first.personalize)
        return [_rows(row) for row in found.to_pylist()]


def _rows(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A row for each answer to one question."""
    lists = ("answer", "probability", "reason")
    same = {name: value for name, value in found.items() if name not in lists}
    rows = zip(*(found[name] for name in lists), strict=True)
    return [{**same, **dict(zip(lists, row, strict=True))} for row in rows]
