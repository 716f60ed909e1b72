from __future__ import annotations

import pytest

from upwell.feedback import correction, dwell, rating, thumbs
from upwell.settings import FeedbackRule


def test_thumbs_where_zero_means_taken_back() -> None:
    rule = thumbs.DEFAULT.model_copy(update={"bad": -1.0})
    assert thumbs.signals(thumbs.toy(), rule)["sign"].to_pylist() == [1, -1]


def test_a_rule_may_say_yes_only() -> None:
    said = dwell.signals(dwell.toy(), FeedbackRule(good=10.0))
    assert said["sign"].to_pylist() == [1, 1, 1]


def test_a_rule_without_thresholds_says_nothing() -> None:
    assert rating.signals(rating.toy(), FeedbackRule()).num_rows == 0


@pytest.mark.parametrize("bound", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_says_nothing(bound: float) -> None:
    toy = rating.toy()
    place = toy.schema.names.index("value")
    broken = toy.set_column(place, toy.field("value"), [[bound] * len(toy)])
    assert rating.signals(broken, rating.DEFAULT).num_rows == 0


def test_a_correction_keeps_its_text() -> None:
    said = correction.signals(correction.toy(), correction.DEFAULT)
    assert said["correction"].to_pylist() == ["Paris", "4.5"]
    assert said["sign"].to_pylist() == [-1, -1]
