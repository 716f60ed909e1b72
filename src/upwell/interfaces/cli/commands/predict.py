"""``upwell predict``: what the serving model answers to one input, or to many."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Answer, Grid, Here
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.reasons import told
from upwell.interfaces.report.scale import figure
from upwell.records import Json
from upwell.service import Upwell

SOMEBODY = "me"
_SHOWN = 48


def run(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(metavar="TEXT|-", help="cli.predict.text")] = None,
    user: Annotated[str, typer.Option("--user", "-u", help="cli.predict.user")] = SOMEBODY,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="cli.predict.file")] = None,
    k: Annotated[int, typer.Option("--count", "--k", "-k", min=1, help="cli.predict.k")] = 1,
    plain: Annotated[bool, typer.Option("--no-personalize", help="cli.no_personalize")] = False,
) -> Answer:
    """The answers are recorded as given, so that feedback finds them."""
    here: Here = context.obj
    if (text is None) == (file is None):
        raise InterfaceError("cli.nothing_asked")
    asked = _many(file, text, user)
    inputs = [one for one, _ in asked]
    users = [by for _, by in asked]
    found = Upwell(opened(here)).predict_many(inputs, users, k, personalize=not plain)
    rows = [
        {"input": one, "user": by, **row}
        for (one, by), row in zip(asked, found.to_pylist(), strict=True)
    ]
    for row in rows:
        row["reason"] = [told(str(reason), here.lang) for reason in row["reason"]]
    many = file is not None or text == "-"
    return _table(rows, here) if many else _one(rows[0], here)


def _one(row: dict[str, Json], here: Here) -> Answer:
    """One input: its answers below each other, and how to say whether they are right."""
    heads = [here.say(f"cli.predict.{key}") for key in ("answer", "probability", "reason")]
    lists = (row[key] for key in ("answer", "probability", "reason"))
    lines = [
        (str(answer), _probability(probability), str(reason))
        for answer, probability, reason in zip(*map(_listed, lists), strict=True)
    ]
    by = here.say("cli.predict.by", model=row["model"], prediction=row["prediction"])
    after = here.say("cli.predict.next", prediction=row["prediction"])
    return Answer(row, [Grid(heads, lines), "", by, after])


def _table(rows: Sequence[dict[str, Json]], here: Here) -> Answer:
    """Many inputs: a row each, with the best answer."""
    keys = ("input", "answer", "probability", "prediction")
    lines = [
        (
            str(row["input"])[:_SHOWN],
            str(_listed(row["answer"])[0]),
            _probability(_listed(row["probability"])[0]),
            str(row["prediction"]),
        )
        for row in rows
    ]
    return Answer(
        {"answers": rows}, [Grid([here.say(f"cli.predict.{key}") for key in keys], lines)]
    )


def _many(file: Path | None, text: str | None, user: str) -> list[tuple[Json, str]]:
    """Inputs and who asks them: of a file or of standard input one a line, else the text."""
    if file is None and text != "-":
        return [_object(text or "", user)]
    if file is None:
        return [_line(line, user, True) for line in _lines(sys.stdin)]
    try:
        with file.open(encoding="utf-8") as lines:
            is_text = file.suffix == ".txt"
            return [_line(line, user, is_text) for line in _lines(lines)]
    except (OSError, UnicodeDecodeError) as error:
        raise InterfaceError("cli.no_inputs", file=file, problem=str(error)) from None


def _lines(lines: Iterable[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in lines if line.strip()]


def _object(text: str, user: str) -> tuple[Json, str]:
    """A text; a JSON object, which a task with columns reads, in one order of its keys."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text), user
        except ValueError:
            pass  # A text that begins with a brace is a text.
    return text, user


def _line(line: str, user: str, is_text: bool) -> tuple[Json, str]:
    """Of JSON lines a text, an object with ``input`` (and ``user``), or an object to ask about."""
    if is_text:
        return _object(line, user)
    try:
        found = json.loads(line)
    except ValueError:
        raise InterfaceError("cli.bad_line", line=line[:_SHOWN]) from None
    if isinstance(found, dict) and "input" in found:
        return found["input"], str(found.get("user") or user)
    return found, user


def _listed(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else [value]


def _probability(value: Json) -> str:
    return figure(float(value)) if isinstance(value, float) else ""
