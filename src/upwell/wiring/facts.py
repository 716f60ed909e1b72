"""What is known of items, kept ready for requests: titles, categories over time, who is hidden."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import compute as pc

from upwell.stages.behaviour.online import category
from upwell.store.journal import Journal
from upwell.store.lookups import facts_of
from upwell.tables import as_text
from upwell.wiring.ready import Ready

_TRUE = pa.scalar(True, pa.bool_())
ITEMS = 100_000
"""Items whose facts are kept."""


@dataclass(frozen=True, slots=True)
class Facts:
    """An item's latest title ('' without one), and since when (µs) it was in which category.

    It is ``hidden`` where the latest fact says so with a plain true.
    """

    title: str = ""
    since: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    hidden: bool = False

    def category(self, at: int) -> str:
        """The category that the item was known to have at a moment; '' without one.

        >>> Facts("", (10, 20), ("a", "b")).category(15)
        'a'
        """
        place = bisect_right(self.since, at)
        return self.categories[place - 1] if place else ""


class Catalogue:
    """Facts about items from the journal, as ``protect`` lets them out.

    ``counts`` tells which of those rows count: an array of booleans for a table of them.
    """

    def __init__(
        self,
        journal: Journal,
        protect: Callable[[pa.Table], pa.Table],
        counts: Callable[[pa.Table], pa.Array],
    ) -> None:
        self._journal, self._protect, self._counts = journal, protect, counts
        self._kept = Ready[Facts](ITEMS)

    def of(self, items: Iterable[str]) -> dict[str, Facts]:
        """The facts about each of these items."""
        era = self._kept.era
        asked = {item: self._kept.get(item) for item in items}
        missing = [item for item, facts in asked.items() if facts is None]
        made = self._read(missing) if missing else {}
        for item, facts in made.items():
            self._kept.put(item, facts, era)
        return {item: facts or made[item] for item, facts in asked.items()}

    def drop(self, items: Collection[str] | None) -> None:
        """Read the facts about these items (None: about all) anew when they are asked for."""
        if items is None:
            self._kept.drop_where(lambda _: True)
        else:
            self._kept.drop(items)

    def _read(self, items: list[str]) -> dict[str, Facts]:
        rows = facts_of(self._journal, items)
        if len(rows):
            rows = self._protect(rows)
            rows = rows.filter(self._counts(rows))
        told: dict[str, list[tuple[int, int, str]]] = {item: [] for item in items}
        titles: dict[str, str] = {}
        latest: dict[str, tuple[int, int, bool]] = {}
        columns = (rows["item"], rows["at"].cast(pa.int64()), rows["seq"], rows["payload"])
        for item, at, seq, text in zip(*(column.to_pylist() for column in columns), strict=True):
            payload = json.loads(text)
            titles[item] = as_text(payload.get("title")) or titles.get(item, "")
            fact = (at, seq, payload.get("hidden") is True)
            latest[item] = max(latest.get(item, fact), fact)
            named = category(payload)
            if named:
                told[item].append((at, seq, named))
        return {
            item: Facts(
                titles.get(item, ""),
                tuple(at for at, _, _ in sorted(told[item])),
                tuple(named for _, _, named in sorted(told[item])),
                item in latest and latest[item][2],
            )
            for item in items
        }


def all_count(rows: pa.Table, users: Collection[str], sources: Collection[str]) -> pa.Array:
    """Which rows are of nobody that was left out: neither these ``users`` nor these ``sources``."""
    if not users and not sources:
        return pa.repeat(_TRUE, len(rows))
    out = [
        pc.is_in(rows[name].combine_chunks(), pa.array(sorted(names), pa.string()))
        for name, names in (("user", users), ("source", sources))
    ]
    return pc.invert(pc.or_(*out))
