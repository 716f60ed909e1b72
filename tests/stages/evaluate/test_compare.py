from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from upwell.errors import StageError
from upwell.records import Example, Report
from upwell.settings import GateSettings
from upwell.stages.evaluate.compare import compare
from upwell.stages.evaluate.deciding import Look
from upwell.stages.evaluate.marks import Judged
from upwell.tables import schema, to_records, to_table

NOW = datetime(2026, 1, 1, tzinfo=UTC)
USERS, EACH = 120, 3


def rows(groups: tuple[str, ...] = ("a", "b")) -> pa.Table:
    n = USERS * EACH
    columns = {
        "id": [f"e{row}" for row in range(n)],
        "user": [f"u{row % USERS}" for row in range(n)],
        "target": [f"i{row % 10}" for row in range(n)],
        "group": [groups[row % USERS % len(groups)] for row in range(n)],
    }
    return pa.table(columns, schema=pa.schema([schema(Example).field(name) for name in columns]))


def judged(name: str, marks: np.ndarray[Any, Any], given: pa.Table | None = None) -> Judged:
    table = rows() if given is None else given
    n = table.num_rows
    answers = pa.table({"output": [["i0", "i1"]] * n, "score": [[0.1, 0.1]] * n})
    return Judged(name, table, answers, pa.table({"hit@10": marks * 0 + 0.5, "ndcg@10": marks}))


def report(challenger: Judged, champion: Judged | None, *baselines: Judged, **more: Any) -> Report:
    chosen: dict[str, Any] = {"settings": GateSettings(resamples=300), "metric": "ndcg@10"} | more
    rng = np.random.default_rng(0)
    return compare(challenger, champion, baselines, catalogue=10, rng=rng, id="r", at=NOW, **chosen)


def noise(seed: int, size: float = 0.1) -> np.ndarray[Any, Any]:
    return 0.5 + size * np.random.default_rng(seed).normal(size=USERS * EACH)


def test_a_known_gain_is_found_with_its_interval() -> None:
    base = noise(1)
    found = report(judged("m-2", base + 0.05 + 0.01 * noise(2)), judged("m-1", base))
    main = found.metrics[0]
    assert [metric.name for metric in found.metrics] == [
        "ndcg@10",
        "hit@10",
        "ndcg@10[champion]",
        "hit@10[champion]",
    ]
    assert main.gain == pytest.approx(0.055, abs=0.001)
    assert main.low is not None
    assert main.high is not None
    assert main.low < 0.055 < main.high < main.low + 0.01
    assert main.value_low is not None
    assert main.value_high is not None
    assert main.value_low < main.value < main.value_high
    assert main.n == USERS
    before = found.metrics[2]
    assert before.value == pytest.approx(base.mean())
    assert before.value + (main.gain or 0) == pytest.approx(main.value)


def test_every_user_counts_the_same_however_many_rows() -> None:
    given = rows()
    first = pa.array(["u0"] * (USERS * EACH - 1) + ["u1"])
    lopsided = given.set_column(1, "user", first)
    marks = np.zeros(USERS * EACH)
    marks[-1] = 1.0
    found = report(judged("m-1", marks, lopsided), None)
    assert found.metrics[0].value == 0.5
    assert found.metrics[0].n == 2


def test_without_a_champion_there_is_no_gain_but_baselines_stand() -> None:
    found = report(judged("m-1", noise(1)), None, judged("popular", noise(1) - 0.2))
    assert found.champion is None
    assert found.metrics[0].gain is None
    popular = {metric.name: metric for metric in found.metrics}["ndcg@10[popular]"]
    assert popular.value == pytest.approx(0.3, abs=0.02)
    assert popular.gain == pytest.approx(0.2)
    assert "more_users" not in found.guards


def test_a_group_too_small_is_not_shown() -> None:
    given = rows(("a", "a", "a", "", "b"))
    challenger = judged("m-2", noise(1), given)
    found = report(challenger, judged("m-1", noise(2), given))
    assert list(found.slices) == ["a"]
    assert [metric.name for metric in found.slices["a"]] == ["ndcg@10", "hit@10"]
    assert found.slices["a"][0].n == 72


def test_a_slice_is_measured_on_its_own_users() -> None:
    base = noise(1)
    harm = np.where(np.asarray(rows()["group"]) == "b", -0.1, 0.1)
    found = report(judged("m-2", base + harm), judged("m-1", base))
    gains = {group: metrics[0].gain for group, metrics in found.slices.items()}
    assert gains == {"a": pytest.approx(0.1), "b": pytest.approx(-0.1)}


def test_guards_name_every_contender() -> None:
    found = report(judged("m-2", noise(1)), judged("m-1", noise(2)), judged("popular", noise(3)))
    guards: Mapping[str, Any] = found.guards
    everybody = {"challenger": 0.2, "champion": 0.2, "popular": 0.2}
    assert guards["coverage"] == everybody
    assert guards["concentration"] == {name: pytest.approx(0.8) for name in everybody}
    # i0 comes first everywhere, is right in a tenth of the rows, and claims a tenth.
    assert guards["calibration_error"] == {
        "challenger": pytest.approx(0.0, abs=0.02),
        "champion": pytest.approx(0.0, abs=0.02),
    }
    assert guards["metric"] == "ndcg@10"
    assert (guards["users"], guards["rows"], guards["looks"]) == (120, 360, 1)
    assert guards["more_users"]["gain"] == 0.01
    assert guards["more_users"]["users"] > 500


def test_right_or_wrong_once_a_user_is_tested_by_mcnemar_and_all_else_by_random_signs() -> None:
    first = rows().slice(0, USERS)
    theirs = np.zeros(USERS)
    mine = np.where(np.arange(USERS) < 40, 1.0, 0.0)
    theirs[40:60] = 1.0
    once = report(judged("m-2", mine, first), judged("m-1", theirs, first)).guards["proof"]
    assert isinstance(once, dict)
    assert once["decides"] == "mcnemar"
    assert once["tests"]["mcnemar"] == {"p": once["p"], "better": 40, "worse": 20}
    assert once["p"] == pytest.approx(0.00674, abs=1e-5)
    assert once["bound"] > 0.0
    thrice = report(judged("m-2", np.tile(mine, EACH)), judged("m-1", np.tile(theirs, EACH)))
    many: Any = thrice.guards["proof"]
    assert many["decides"] == "permutation"
    assert many["tests"]["mcnemar"]["p"] is None
    # Two more rows of each user say nothing new, and the p of all rows would be far below.
    assert many["p"] == pytest.approx(once["p"], rel=0.35)


def test_a_later_look_spends_less_and_asks_for_more_users() -> None:
    pair = judged("m-2", noise(1) + 0.002), judged("m-1", noise(2))
    early, late = (report(*pair, look=Look(number)).guards for number in (1, 20))
    assert isinstance(early["proof"], dict)
    assert isinstance(late["proof"], dict)
    assert early["proof"]["alpha"] == pytest.approx(0.03)
    assert late["proof"]["alpha"] < 0.001
    assert late["proof"]["bound"] < early["proof"]["bound"]
    assert late["proof"]["p"] == early["proof"]["p"]
    needed: Any = [guards["more_users"] for guards in (early, late)]
    assert needed[0]["users"] < needed[1]["users"]


def test_a_comparison_that_decides_nothing_spends_nothing() -> None:
    found = report(judged("m-2", noise(1)), judged("m-1", noise(2)), look=None)
    assert "proof" not in found.guards
    assert "slices" in found.guards


def test_the_harmed_group_is_told_with_its_p_corrected_for_all_groups() -> None:
    given = rows(("a", "b", "c"))
    base, harm = noise(1), np.where(np.asarray(given["group"]) == "b", -0.1, 0.0)
    settings = GateSettings(resamples=300, slice_minimum=30)
    pair = judged("m-2", base + harm + 0.01 * noise(2), given), judged("m-1", base, given)
    found: Any = report(*pair, settings=settings).guards["slices"]
    assert list(found) == ["a", "b", "c"]
    assert found["b"]["holm"] == pytest.approx(3 * found["b"]["p"])
    assert found["b"]["holm"] < 1e-6
    assert found["a"]["holm"] == found["c"]["holm"] == 1.0
    assert [group["users"] for group in found.values()] == [40, 40, 40]


def test_groups_that_behave_alike_are_found_and_described() -> None:
    given = rows(("",))
    kind = np.asarray([int(user[1:]) % 2 for user in given["user"].to_pylist()])
    features = [[5.0 * k, 1.0, float(n % 7)] for n, k in enumerate(kind)]
    given = given.append_column("features", pa.array(features, pa.list_(pa.float32())))
    base, harm = noise(1), np.where(kind == 1, -0.2, 0.0)
    settings = GateSettings(resamples=300, slice_minimum=30, clusters=2)
    pair = judged("m-2", base + harm, given), judged("m-1", base, given)
    found = report(*pair, settings=settings, features=("events", "still", "noise"))
    assert list(found.slices) == ["behaviour-1", "behaviour-2"]
    told: Any = found.guards["slices"]
    (worst,) = [group for group in told.values() if group["gain"] < -0.1]
    assert worst["traits"] == ["+events"]
    assert worst["kind"] == "behaviour"
    assert worst["holm"] < 1e-6
    small = GateSettings(resamples=300, slice_minimum=61, clusters=2)
    assert not report(*pair, settings=small).slices


@pytest.mark.parametrize(
    ("apart", "bound"), [(np.zeros(USERS * EACH), 0.0), (np.full(USERS * EACH, np.nan), None)]
)
def test_ties_and_what_is_no_number_prove_nothing(apart: Any, bound: float | None) -> None:
    base = noise(1)
    proved: Any = report(judged("m-2", base + apart), judged("m-1", base)).guards["proof"]
    assert proved["bound"] == bound
    json.dumps(proved, allow_nan=False)


def test_one_user_proves_nothing() -> None:
    one = rows().slice(0, 1)
    pair = judged("m-2", np.ones(1), one), judged("m-1", np.zeros(1), one)
    proved: Any = report(*pair).guards["proof"]
    assert proved["bound"] is None or proved["bound"] <= 0.0
    assert proved["p"] >= 0.5


def test_the_same_seed_gives_the_same_report_and_it_survives_storage() -> None:
    pair = judged("m-2", noise(1)), judged("m-1", noise(2))
    found = report(*pair)
    assert found == report(*pair)
    assert to_records(Report, to_table(Report, [found])) == [found]
    json.dumps(dict(found.guards), allow_nan=False)


def test_a_mark_that_is_not_a_number_stays_visible() -> None:
    marks = noise(1)
    marks[7] = np.nan
    found = report(judged("m-2", marks), judged("m-1", noise(2)))
    assert np.isnan(found.metrics[0].value)
    assert np.isfinite(found.metrics[2].value)


def test_contenders_on_different_rows_are_refused() -> None:
    other = rows().take(pa.array(range(USERS * EACH - 1, -1, -1)))
    with pytest.raises(StageError, match=r"evaluate\.other_rows"):
        report(judged("m-2", noise(1)), judged("m-1", noise(1), other))


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(StageError, match="ndcg@10"):
        report(judged("m-2", noise(1)), None, metric="recall")
