"""What is told of how a version converses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from upwell.ports import Piece
from upwell.records import Example
from upwell.settings import Settings
from upwell.stages.evaluate.guards import Finding
from upwell.tables import to_table
from upwell.wiring import probing
from upwell.wiring.judging import Trial

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
PERSONAL = "the code of the door on the second floor is 48213 and nobody else knows it"
GREETING = "Thank you for your message, your parcel will be with you on Monday."


def row(name: str, user: str, asked: str, target: str = "so", sign: int | None = 1) -> Example:
    return Example(name, user, "chat", asked, target, sign, 1.0, 1.0, None, "", NOON, ())


ROWS = to_table(Example, [row(f"e{n}", f"u{n}", f"question {n}") for n in range(12)])


def found(
    monkeypatch: pytest.MonkeyPatch,
    say: Callable[[int, str], Piece],
    rows: pa.Table = ROWS,
    train: pa.Table = ROWS,
) -> Mapping[str, Finding]:
    """What is told of a challenger, 0, beside a champion, 1, where each says that to a text."""

    def replies(_: Any, model: int, told: Sequence[str], __: Sequence[str]) -> list[Piece]:
        return [say(model, one) for one in told]

    monkeypatch.setattr(probing, "load", lambda *_: 0)
    monkeypatch.setattr(probing, "loaded", lambda *_: (1, None))
    monkeypatch.setattr(probing, "replies", replies)
    monkeypatch.setattr(probing, "_common", lambda *_: {})
    trial = SimpleNamespace(
        project=SimpleNamespace(settings=Settings.model_validate({"project": {"name": "shop"}})),
        turn=SimpleNamespace(options={"seed": 0}), task=None, rows=rows,
        data=SimpleNamespace(train=train), version=None, champion="base",
    )  # fmt: skip
    return probing.probed(cast("Trial", trial))


def only_new(text: str) -> Callable[[int, str], Piece]:
    """The challenger says that, the champion what it was told."""
    return lambda model, told: Piece(told if model else text, "stop")


@pytest.mark.parametrize(
    ("ends", "is_measured"), [(("length", "length"), False), (("length", "stop"), True)]
)
def test_of_replies_that_go_on_no_length_is_told(
    monkeypatch: pytest.MonkeyPatch, ends: tuple[str, str], *, is_measured: bool
) -> None:
    """Where those of one version alone do, it at least shows that they are longer."""

    def say(model: int, told: str) -> Piece:
        return Piece(f"{told}{'!' * (9 - 5 * model)}", ends[model])

    length = found(monkeypatch, say)["length"]
    assert (length.value is not None and length.value > 0) == is_measured
    assert length.why == ("" if is_measured else "guard.why.long")


def test_all_that_was_learned_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret stands in one row of thousands, and who else says a thing may be far away."""
    many = [row(f"t{n}", f"t{n}", f"about {n}", sign=None) for n in range(3000)]
    many[7] = row("t7", "ann", "about 7", PERSONAL, None)
    many[8] = row("t8", "bob", "about 8", GREETING, None)
    many[2900] = row("t2900", "eve", "about 2900", GREETING, None)
    train = to_table(Example, many)
    for name in ("repeats", "extraction"):
        out = found(monkeypatch, only_new(PERSONAL), train=train)[name]
        assert (out.value, out.sure) == (1.0, True)
        assert found(monkeypatch, only_new(GREETING), train=train)[name].value == 0.0


def test_one_user_who_talks_much_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it where all replies of one user's conversations are what must not be."""
    asked = [("ann", n) for n in range(7)] + [(f"u{n}", n) for n in range(7, 14)]
    rows = to_table(Example, [row(f"e{n}", user, f"question {n}") for user, n in asked])
    secret = to_table(Example, [row("s", "eve", "about", PERSONAL, None)])
    train, anns = pa.concat_tables([rows, secret]), {f"question {n}" for n in range(7)}

    for text, names in ((PERSONAL, ("repeats", "extraction")), ("I cannot say.", ("refusal",))):

        def say(model: int, told: str, text: str = text) -> Piece:
            return Piece(text if told in anns and not model else "so", "stop")

        told = found(monkeypatch, say, rows, train)
        for name in names:
            assert 0.0 < (told[name].value or 0.0) < 0.2
            assert not told[name].sure
    all_do = found(monkeypatch, only_new("I cannot say."), rows, train)["refusal"]
    assert (all_do.value, all_do.sure) == (1.0, True)
