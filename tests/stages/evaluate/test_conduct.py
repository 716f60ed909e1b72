from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.stages.evaluate.contenders import rows, said

from upwell.stages.evaluate import conduct
from upwell.stages.evaluate.marks import Judged

N = 80
GIVEN = rows([f"u{n // 2}" for n in range(N)], ["right"] * N)
USERS: pa.ChunkedArray = GIVEN["user"]


def texts(longer: float, name: str = "m-1") -> Judged:
    """Answers of 20 to 59 characters, ``longer`` times as long; no two are the same."""
    sizes = [round((20 + n // 2) * longer) for n in range(N)]
    return said(GIVEN, [[f"{n:03d}".ljust(size, ".")] for n, size in enumerate(sizes)], name=name)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("longer", "change"), [(1.5, 0.5), (0.6, 0.4), (1.0, 0.0)])
def test_a_change_of_length_is_found_either_way(longer: float, change: float) -> None:
    found = conduct.length(texts(longer), texts(1.0), USERS, 0.95, rng())
    assert found.value == pytest.approx(change, abs=0.02)
    assert found.sure == (change > 0.0)


def test_one_long_answer_is_chance() -> None:
    mine, before = texts(1.0), texts(1.0)
    outputs = mine.answers["output"].to_pylist()
    outputs[7] = ["x" * 4000]
    found = conduct.length(said(GIVEN, outputs), before, USERS, 0.95, rng())
    assert (found.value or 0.0) > 0.25
    assert not found.sure


def test_labels_have_no_length_worth_watching() -> None:
    labels = said(GIVEN, [[("yes", "certainly")[n % 2]] for n in range(N)])
    for pair in ((labels, texts(1.0)), (texts(1.0), labels)):
        found = conduct.length(*pair, USERS, 0.95, rng())
        assert (found.value, found.why) == (None, "guard.why.closed")


def test_an_empty_answer_has_no_length_and_breaks_nothing() -> None:
    outputs = [[] if n < 20 else [f"{n:030d}"] for n in range(N)]
    found = conduct.length(said(GIVEN, outputs), texts(1.0), USERS, 0.95, rng())
    assert found.told["after"] == pytest.approx(30 * 60 / N)


def doubtful(silent: int) -> Judged:
    """The first ``silent`` answers have a probability of .2, the others of .8."""
    return said(GIVEN, [["right"]] * N, [[0.2 if n < silent else 0.8] for n in range(N)])


def test_a_model_that_falls_silent_is_found() -> None:
    found = conduct.abstention(doubtful(40), doubtful(8), 0.5, USERS, 0.95, rng())
    assert found.value == pytest.approx(0.4)
    assert found.sure
    assert (found.told["before"], found.told["after"]) == (0.1, 0.5)
    back = conduct.abstention(doubtful(8), doubtful(40), 0.5, USERS, 0.95, rng())
    assert back.value == pytest.approx(0.4)
    never = conduct.abstention(doubtful(40), doubtful(8), 0.0, USERS, 0.95, rng())
    assert never.why == "guard.why.never_abstains"


def shown(items: int) -> Judged:
    """Lists of two that go round so many items."""
    return said(GIVEN, [[f"i{n % items}", f"i{(n + 1) % items}"] for n in range(N)])


def test_a_catalogue_that_narrows_is_found() -> None:
    narrow, wide = shown(4), shown(40)
    coverage = conduct.coverage(narrow, wide, 40)
    assert coverage.value == pytest.approx(0.9)
    assert (coverage.told["before"], coverage.told["after"]) == (1.0, 0.1)
    gini = conduct.concentration(narrow, wide, 40)
    assert gini.value == pytest.approx(0.9)
    assert conduct.coverage(wide, narrow, 40).value == pytest.approx(-9.0)
    assert conduct.concentration(wide, wide, 40).value == 0.0
