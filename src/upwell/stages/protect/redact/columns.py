"""Redaction of tables on their way to the lake: text inside JSON columns, nothing else.

Keys, numbers, ids and the shape of the JSON stay. What is an answer (``target``, ``correction``,
``output``) or a fact about an item may carry names that are no users' (a label, a film), so only
what rules can check is replaced there; labels are the same in events and in predictions after it.
A value under a key that says what it is (``phone``, ``id_card``) is replaced as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import compute as pc

from upwell.stages.protect.redact.keys import ANSWERS, is_kept, kind_of
from upwell.stages.protect.redact.redactor import Detect, Redactor
from upwell.tables import canonical_json

COLUMNS = ("payload", "input", "output")
UNCHECKED = ("name", "address", "link", "date", "age", "group", "title", "organisation", "place")
"""Kinds that no check digit and no form tells for sure."""
_ITEM, _NOTHING = pa.scalar("item", pa.string()), pa.scalar(None, pa.string())
_SPANS = '{"spans"'
_WORTH = r'[0-9@]|:\s*"[^"]{4}|^"|\["[^"]{4}'
"""RE2: what a JSON text has that can hold personal data at all."""


class Redaction:
    """A step of protection: ``payload``, ``input`` and ``output`` as they may be kept."""

    def __init__(self, key: bytes, off: tuple[str, ...], detect: Detect | None = None) -> None:
        self._whole = Redactor(key, off, detect)
        self._checked = Redactor(key, (*off, *UNCHECKED))

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows, in the same order, with surrogates for personal data."""
        facts = pc.equal(rows["kind"], _ITEM) if "kind" in rows.column_names else None
        for name in COLUMNS:
            if name in rows.column_names:
                place = rows.schema.get_field_index(name)
                made = self._column(name, rows[name], facts)
                rows = rows.set_column(place, rows.schema.field(place), made)
        return rows

    def _column(
        self, name: str, column: pa.ChunkedArray, facts: pa.ChunkedArray | None
    ) -> pa.ChunkedArray:
        if facts is None or not pc.any(facts).as_py():
            return self._texts(name == "output", column)
        told = self._texts(True, pc.if_else(facts, column, _NOTHING))
        return pc.if_else(facts, told, self._texts(False, pc.if_else(facts, _NOTHING, column)))

    def _texts(self, answers: bool, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Each different text once: most payloads are like another one."""
        coded = column.combine_chunks().dictionary_encode()
        texts = coded.dictionary
        worth = pc.indices_nonzero(pc.match_substring_regex(texts, _WORTH))
        made = texts.to_pylist()
        chosen = worth.to_pylist()
        for place, text in zip(
            chosen, self._redacted(answers, [made[n] for n in chosen]), strict=True
        ):
            made[place] = text
        return pa.chunked_array([pa.array(made, column.type).take(coded.indices)])

    def _redacted(self, answers: bool, texts: list[str]) -> Iterator[str]:
        values = [json.loads(text) for text in texts]
        free: dict[str, str] = {}
        checked: dict[str, str] = {}
        for value in values:
            _gather(value, answers, free, checked)
        free.update(zip(free, self._whole.redact(list(free)), strict=True))
        checked.update(zip(checked, self._checked.redact(list(checked)), strict=True))
        for text, value in zip(texts, values, strict=True):
            made = self._rebuilt(value, answers, free, checked)
            yield text if made == value else _written(made)

    def _rebuilt(
        self, value: Any, answers: bool, free: Mapping[str, str], checked: Mapping[str, str]
    ) -> Any:
        if isinstance(value, str):
            return (checked if answers else free).get(value, value)
        if isinstance(value, list):
            return [self._rebuilt(one, answers, free, checked) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: one if is_kept(key)
            else self._keyed(kind_of(key), one) if _is_keyed(key, one)
            else self._rebuilt(one, answers or key in ANSWERS, free, checked)
            for key, one in value.items()
        }  # fmt: skip

    def _keyed(self, kind: str, value: Any) -> Any:
        """A value under a key that names its kind; a number becomes text, for its zeros' sake."""
        made = self._whole.one(kind, str(value))
        return value if made == str(value) else made


def _gather(value: Any, answers: bool, free: dict[str, str], checked: dict[str, str]) -> None:
    """The texts that are to be read, each once."""
    if isinstance(value, str):
        if not value.startswith(_SPANS):
            (checked if answers else free).setdefault(value, value)
    elif isinstance(value, list):
        for one in value:
            _gather(one, answers, free, checked)
    elif isinstance(value, dict):
        for key, one in value.items():
            if not is_kept(key) and not _is_keyed(key, one):
                _gather(one, answers or key in ANSWERS, free, checked)


def _is_keyed(key: str, value: Any) -> bool:
    whole = isinstance(value, str | int | float) and not isinstance(value, bool)
    return whole and bool(kind_of(key))


def _written(value: Any) -> str:
    """Canonical JSON; half a surrogate pair, which UTF-8 cannot hold, stays escaped."""
    text = canonical_json(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text
