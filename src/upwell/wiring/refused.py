"""Bad rows: shown without personal data, and tried again once what was wrong is mended.

The journal keeps a refused row as it came, as it keeps an accepted one: only so can it be tried
again, and told to whom it is about. Whatever shows one shows it redacted, under a pseudonym.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from upwell.rows import pseudonyms
from upwell.stages.collect.intake import rows_to_table, sort_out
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.stages.protect.redact.columns import Redaction
from upwell.store.project import Project
from upwell.store.refused import CONFLICT, Chosen, forget, last, read
from upwell.tables import canonical_json

Row: TypeAlias = "dict[str, Any]"
Mend: TypeAlias = Callable[[Row], Row]
_PAGE = 2_000


@dataclass(slots=True)
class Replayed:
    """What became of the rows that were tried again; each is in one of the last four counts.

    ``conflicts`` are known under their id with another body, and stay among the bad rows.
    """

    tried: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    left: int = 0


def shown(project: Project, bad: pa.Table) -> pa.Table:
    """Bad rows as they may be shown: ``reason`` and ``raw`` redacted."""
    for name in ("reason", "raw"):
        texts = redacted(project, bad[name].to_pylist())
        place = bad.schema.get_field_index(name)
        bad = bad.set_column(place, bad.schema.field(place), pa.array(texts, pa.string()))
    return bad


def redacted(project: Project, texts: Sequence[str]) -> list[str]:
    """Texts, or rows as JSON, without the personal data that is looked for.

    Whatever ``[protect]`` says of the lake, this is done; kinds that are off there are off here.
    """
    redact = Redaction(project.key, project.settings.protect.off)
    hidden = pseudonyms(project)
    told = [canonical_json({"told": _named(hidden, text)}) for text in texts]
    made = redact(pa.table({"payload": pa.array(told, pa.string())}))["payload"].to_pylist()
    return [_plain(json.loads(text)["told"]) for text in made]


def _named(hidden: Pseudonyms, text: str) -> object:
    """A row with its user under the pseudonym that the lake knows; other text as it is."""
    row = _row(text)
    if row is None:
        return text
    user = row.get("user")
    return {**row, "user": hidden.of(str(user))} if user else row


def _plain(told: object) -> str:
    return told if isinstance(told, str) else canonical_json(told)


def replay(
    project: Project, mend: Mend, now: datetime, chosen: Chosen, *, as_received: bool = False
) -> Replayed:
    """Try bad rows again, each as ``mend`` makes it; what is accepted is a bad row no more.

    An event counts once however often it is tried, and a row that is still wrong stays as it was.
    With ``as_received`` a row without a time happened when it was received. Killed anywhere, it can
    be run again.
    """
    found, after, end = Replayed(), 0, last(project.journal)
    while len(page := read(project.journal, chosen, after, _PAGE)) and after < end:
        after = page["seq"][-1].as_py()
        # A conflict has nothing to mend, and those that come up meanwhile are not tried twice.
        rows = [row for row in page.to_pylist() if row["code"] != CONFLICT and row["seq"] <= end]
        _try(project, [_given(row, mend, as_received) for row in rows], rows, now, found)
    return found


def fixable(
    project: Project, mend: Mend, now: datetime, chosen: Chosen, *, as_received: bool = False
) -> Replayed:
    """What ``replay`` would try and leave; nothing is stored, so all others count as accepted."""
    found, after = Replayed(), 0
    while len(page := read(project.journal, chosen, after, _PAGE)):
        after = page["seq"][-1].as_py()
        rows = [row for row in page.to_pylist() if row["code"] != CONFLICT]
        given = [_given(row, mend, as_received) for row in rows]
        left = len(sort_out(rows_to_table(given), "import", now).bad)
        found.tried += len(rows)
        found.left += left
        found.accepted += len(rows) - left
    return found


def _try(
    project: Project, given: list[Row], kept: list[Row], now: datetime, found: Replayed
) -> None:
    sorted_out = sort_out(rows_to_table(given), "import", now)
    receipt = project.journal.append_events(sorted_out.events, now)
    good = np.delete(np.arange(len(given)), sorted_out.bad_at)
    forget(project.journal, [kept[place]["seq"] for place in good.tolist()])
    found.tried += len(given)
    found.accepted += receipt.accepted
    found.duplicates += receipt.duplicates
    found.conflicts += len(receipt.refused)
    found.left += len(sorted_out.bad)


def _given(bad: Mapping[str, Any], mend: Mend, as_received: bool) -> Row:
    """The row that was refused, as it is tried again; what is no row stays none."""
    row = _row(bad["raw"])
    if row is None:
        return {"unreadable": bad["raw"]}
    row = mend(row)
    row["source"] = row.get("source") or bad["source"]
    if as_received and row.get("at") is None:
        row["at"] = bad["at"]
    return row


def _row(text: str) -> Row | None:
    """The object that a text holds; none that UTF-8 could not."""
    try:
        found = json.loads(text)
        canonical_json(found).encode()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
