"""Events to signals, each kind of event by its feedback plugin and its rule.

Rules are the ones of ``upwell.toml`` over each plugin's default, key by key. A kind that has
neither a plugin nor a rule says nothing. Every event that could have said something and does not
has a reason, so nothing falls away in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import StageError
from upwell.plugins import locations, plugin
from upwell.ports import Feedback
from upwell.records import Signal
from upwell.settings import FeedbackRule
from upwell.tables import event_keys, schema

FACTS = ("item", "user")
IGNORED = pa.schema([("event", pa.string()), ("kind", pa.string()), ("code", pa.string())])
_ROW = "__row__"


def signals(events: pa.Table, rules: Mapping[str, FeedbackRule]) -> pa.Table:
    """Rows with the Signal schema, at most one an event, in order.

    ``rules`` are the settings' ``feedback``. If ``events`` has a column ``seq``, the signals have
    it too, which makes joining them cheap. Works on any slice of the events alone.

    >>> from upwell.feedback import rating
    >>> signals(rating.toy(), {"rating": FeedbackRule(good=5.0)})["sign"].to_pylist()
    [1, -1, -1]
    """
    said = [_of_kind(events, kind, rules) for kind in _kinds(events)]
    merged = pa.concat_tables([_empty(events), *said])
    return merged.take(pc.sort_indices(merged[_ROW])).drop_columns([_ROW])


def ignored(events: pa.Table, said: pa.Table, rules: Mapping[str, FeedbackRule]) -> pa.Table:
    """``event``, ``kind`` and ``code`` of events that are no facts and gave no signal of ``said``.

    Codes: ``clean.no_rule`` (nobody said what this kind means), ``clean.about_nothing`` (neither
    item, prediction nor input), ``clean.no_value``, ``clean.out_of_scale``, ``clean.neutral``
    (between good and bad) and ``clean.says_nothing`` (its plugin heard nothing in it).
    """
    keys = event_keys(events)
    silent = pc.invert(pc.is_in(keys, said["event"].combine_chunks()))
    silent = pc.and_(silent, pc.invert(pc.is_in(events["kind"], pa.array(FACTS))))
    rest = events.append_column("event", keys).filter(silent)
    found = [IGNORED.empty_table()]
    for kind in pc.unique(rest["kind"]).to_pylist():
        mute = rest.filter(pc.equal(rest["kind"], kind))
        told = mute.select(["event", "kind"]).append_column("code", _codes(mute, kind, rules))
        found.append(told.cast(IGNORED))
    return pa.concat_tables(found)


def rule_of(kind: str, rules: Mapping[str, FeedbackRule]) -> tuple[Feedback, FeedbackRule] | None:
    """The plugin and the whole rule of a kind of event; None if it says nothing.

    Raises PluginError if the rule reads an unknown plugin, StageError if it contradicts itself.
    """
    rule = rules.get(kind)
    if rule is None and kind not in locations("feedback"):
        return None
    reader = plugin("feedback", (rule.reads if rule else "") or kind)
    whole = reader.DEFAULT
    if rule:
        whole = whole.model_copy(update={k: getattr(rule, k) for k in rule.model_fields_set})
    scales: list[tuple[float | None, ...]] = [(whole.low, whole.bad, whole.good, whole.high)]
    if whole.around == "user":
        # Good and bad are distances there, which do not lie on the scale.
        scales = [(whole.low, whole.high), (whole.bad, whole.good)]
    rising = all(_rises(scale) for scale in scales)
    if not rising or (whole.good is not None and whole.good == whole.bad):
        raise StageError(
            "clean.bad_rule", kind=kind,
            low=whole.low, bad=whole.bad, good=whole.good, high=whole.high,
        )  # fmt: skip
    return reader, whole


def _rises(bounds: Sequence[float | None]) -> bool:
    known = [bound for bound in bounds if bound is not None]
    return known == sorted(known)


def _kinds(events: pa.Table) -> list[str]:
    return [kind for kind in pc.unique(events["kind"]).to_pylist() if kind not in FACTS]


def _of_kind(events: pa.Table, kind: str, rules: Mapping[str, FeedbackRule]) -> pa.Table:
    """Signals of the events of one kind, each with the number of its event's row."""
    known = rule_of(kind, rules)
    if known is None:
        return _empty(events)
    reader, rule = known
    named = pc.equal(events["kind"], pa.scalar(kind, pa.string()))
    rows = pc.indices_nonzero(pc.and_(named, _about(events)))
    asked = events.take(rows)
    said = reader.signals(asked, rule)
    place = pc.index_in(said["event"], value_set=event_keys(asked).combine_chunks())
    said = said.append_column(_ROW, rows.take(place.combine_chunks()))
    return said.append_column("seq", asked["seq"].take(place)) if _has_seq(events) else said


def _codes(events: pa.Table, kind: str, rules: Mapping[str, FeedbackRule]) -> pa.Array:
    """Why each of these events of one kind said nothing."""
    known = rule_of(kind, rules)
    if known is None:
        return _constant("clean.no_rule", events)
    rule, value = known[1], events["value"]
    code = _constant("clean.says_nothing", events)
    if rule.good is not None or rule.bad is not None:
        code = pc.if_else(pc.is_valid(value), "clean.neutral", "clean.no_value")
    for bound, beyond in ((rule.low, pc.less), (rule.high, pc.greater)):
        if bound is not None:
            code = pc.if_else(pc.fill_null(beyond(value, bound), False), "clean.out_of_scale", code)
    return pc.if_else(_about(events), code, "clean.about_nothing")


def _about(events: pa.Table) -> pa.ChunkedArray:
    """Which events are about an item, a prediction, or an input that their payload holds."""
    named = pc.or_(pc.is_valid(events["item"]), pc.is_valid(events["prediction"]))
    return pc.or_(named, pc.match_substring(events["payload"], '"input":'))


def _constant(text: str, events: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(text), len(events))


def _has_seq(events: pa.Table) -> bool:
    return "seq" in events.column_names


def _empty(events: pa.Table) -> pa.Table:
    shape = schema(Signal).append(pa.field(_ROW, pa.uint64()))
    seq = pa.field("seq", events.schema.field("seq").type) if _has_seq(events) else None
    return (shape.append(seq) if seq else shape).empty_table()
