"""What is not learned from although it was said: a yes to half an answer, a no beside a yes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from duckdb import ConstantExpression, DuckDBPyConnection

from upwell.records import Event, Example, Json, Prediction, Signal
from upwell.settings import TrustSettings
from upwell.stages.clean.doubts import Told, judge_signals
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
SAID = "Add two cups of"


def doubts(con: DuckDBPyConnection, space: Path, *said: tuple[int, int, str, Json]) -> set[str]:
    """Codes about signals (seq, sign, target) of one user about an answer with that output."""
    keys = [f"web/{n}" for n in range(len(said))]
    events = [
        Event(key[4:], "web", "ann", "thumbs", NOON, prediction=f"p{n}")
        for n, key in enumerate(keys)
    ]
    rows = [
        Example(key, "ann", "chat", "How?", target, sign, 1.0, 1.0, None, "", NOON, (key,))
        for key, (_, sign, target, _) in zip(keys, said, strict=True)
    ]
    shown = [
        Prediction(f"p{n}", "ann", "chat", "m", NOON, "How?", output, 1.0)
        for n, (*_, output) in enumerate(said)
    ]
    signals = [
        Signal(key, f"p{n}", one[1]) for n, (key, one) in enumerate(zip(keys, said, strict=True))
    ]
    seqs = pa.array([seq for seq, *_ in said], pa.int64())
    told = Told(
        signals=con.from_arrow(to_table(Signal, signals).append_column("seq", seqs)),
        events=con.from_arrow(to_table(Event, events).append_column("seq", seqs)),
        predictions=con.from_arrow(to_table(Prediction, shown).append_column("seq", seqs)),
        rows=con.from_arrow(to_table(Example, rows).append_column("seq", seqs)),
        permitted=con.from_arrow(pa.table({"user": ["ann"]})),
        silences=None, about="answer", judged=ConstantExpression(value=False), as_of=None, now=NOON,
    )  # fmt: skip
    found = judge_signals(con, space, told, TrustSettings(about="nothing"), 0.05).doubts
    assert {factor for (factor,) in found.select("factor").fetchall()} <= {0.0}
    return {code for (code,) in found.select("code").fetchall()}


@pytest.mark.parametrize("ends", [{"cut": True}, {"end": "length"}])
def test_a_liked_answer_that_does_not_end_is_not_learned(
    con: DuckDBPyConnection, tmp_path: Path, ends: dict[str, Json]
) -> None:
    output: Json = {"answers": [SAID], **ends}
    assert doubts(con, tmp_path, (1, 1, SAID, output)) == {"clean.unfinished"}
    assert doubts(con, tmp_path, (1, -1, SAID, output)) == set(), "a no to it holds"
    assert doubts(con, tmp_path, (1, 1, "Add sugar.", output)) == set(), "it is not what was shown"


@pytest.mark.parametrize("output", [{"answers": [SAID], "end": "stop"}, {"answers": [SAID]}, SAID])
def test_a_liked_answer_that_ends_is(con: DuckDBPyConnection, tmp_path: Path, output: Json) -> None:
    assert doubts(con, tmp_path, (1, 1, SAID, output)) == set()


def test_what_is_implied_gives_way_to_what_the_user_says(
    con: DuckDBPyConnection, tmp_path: Path
) -> None:
    output: Json = {"answers": [SAID], "end": "stop"}
    implied, yes, no = (-7, -1, SAID, output), (1, 1, SAID, output), (1, -1, SAID, output)
    assert doubts(con, tmp_path, implied, yes) == {"clean.overruled"}
    assert doubts(con, tmp_path, implied, no) == set()
    assert doubts(con, tmp_path, implied) == set()
