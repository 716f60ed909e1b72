"""Ratings on each user's own scale: whoever gives five stars to all says little by another five.

A value becomes its distance from the user's own mean, which few ratings draw only so far away from
the middle of the scale: (Σ value + K·middle) / (n + K).
"""

from __future__ import annotations

from collections.abc import Mapping

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.settings import FeedbackRule
from upwell.stages.clean.signals import rule_of

K = 10
"""Ratings that the middle of the scale counts as."""
FAR = 0.5
"""Distance from the mean that says something, where the rule does not say which."""
FAR_OFF = 1e300

_CENTRED = """
WITH scales AS (
    SELECT unnest($kinds) AS kind, unnest($least::DOUBLE[]) AS least,
        unnest($most::DOUBLE[]) AS most, unnest($middle::DOUBLE[]) AS middle
), rated AS (
    SELECT seq, "user", e.kind, value, middle, least FROM events AS e JOIN scales AS s
        ON s.kind = e.kind WHERE isfinite(value) AND value BETWEEN least AND most
), centred AS (
    SELECT seq, value - (sum(value) OVER own + $k * coalesce(middle, avg(value) OVER same))
        / (count(*) OVER own + $k) AS distance
    FROM rated
    WINDOW own AS (PARTITION BY "user", kind), same AS (PARTITION BY kind)
)
SELECT events.* REPLACE (if(scales.kind IS NULL, value, distance) AS value)
FROM events LEFT JOIN scales ON scales.kind = events.kind LEFT JOIN centred USING (seq)
"""


def own_kinds(rules: Mapping[str, FeedbackRule], is_talk: bool) -> dict[str, FeedbackRule]:
    """The whole rules of the kinds of event that are measured from the user's own mean.

    >>> rules = {"stars": FeedbackRule(reads="rating", around="user"), "click": FeedbackRule()}
    >>> sorted(own_kinds(rules, False)), sorted(own_kinds({}, True))
    (['stars'], ['rating'])
    """
    asked = {"rating": FeedbackRule()} | dict(rules)
    found = {}
    for kind, rule in asked.items():
        is_usual = (rule.reads or kind) == "rating" and rule.good is None and rule.bad is None
        usual = "user" if is_talk and is_usual else "scale"
        whole = rule_of(kind, rules)
        if whole and (usual if rule.around == "auto" else rule.around) == "user":
            found[kind] = whole[1]
    return found


def on_own_scale(
    con: DuckDBPyConnection,
    events: DuckDBPyRelation,
    rules: Mapping[str, FeedbackRule],
    is_talk: bool,
) -> tuple[DuckDBPyRelation, Mapping[str, FeedbackRule]]:
    """The events, values of ``own_kinds`` as distances from their users' means, and the rules.

    In the rules ``good`` and ``bad`` are distances then; what is out of scale has no value.
    """
    own = own_kinds(rules, is_talk)
    if not own:
        return events, rules
    changed = dict(rules)
    for kind in own:
        told = rules.get(kind, FeedbackRule())
        bounds = {
            "good": FAR if told.good is None else told.good,
            "bad": -FAR if told.bad is None else told.bad,
            "low": None, "high": None,
        }  # fmt: skip
        changed[kind] = told.model_copy(update=bounds)
    scales = {
        "kinds": list(own),
        "least": [-FAR_OFF if rule.low is None else rule.low for rule in own.values()],
        "most": [FAR_OFF if rule.high is None else rule.high for rule in own.values()],
        "middle": [_middle(rule) for rule in own.values()],
    }
    return con.sql(_CENTRED, params={"k": K, **scales}), changed


def _middle(rule: FeedbackRule) -> float | None:
    return None if rule.low is None or rule.high is None else (rule.low + rule.high) / 2
