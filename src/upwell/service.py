"""The online verbs: capture what users do, keep their consent, answer them, tell the status."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from upwell import rows, wiring
from upwell.plugins import plugin
from upwell.records import BadRow, Consent, Event, Json, Prediction, Receipt
from upwell.stages.collect.intake import rows_to_table, sort_out
from upwell.stages.serve.live import Live
from upwell.store.project import Project
from upwell.tables import micros, to_records, to_table


def new_id(now: datetime) -> str:
    """A UUIDv7 (RFC 9562): ids made later sort later.

    >>> new_id(datetime(2024, 1, 1, tzinfo=UTC))[:14]
    '018cc251-f400-'
    """
    bits = (micros(now) // 1000 << 80) | 7 << 76 | secrets.randbits(76)
    bits = bits & ~(3 << 62) | 2 << 62
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Upwell:
    """A project in service. Every verb is safe to repeat with the same ids."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._live: Live | None = None

    def capture(
        self,
        events: pa.Table | pa.RecordBatch | Iterable[Mapping[str, object] | Event],
        *,
        source: str = "app",
        now: datetime | None = None,
    ) -> Receipt:
        """Take in events; what the receipt counts as accepted is on disk.

        A (source, id) that is known is kept once. A row that cannot be accepted, or that says
        something else under a known id, is kept as a bad row with its reason.
        """
        received = now or datetime.now(UTC)
        arrow = isinstance(events, pa.Table | pa.RecordBatch)
        sorted_out = sort_out(events if arrow else rows_to_table(events), source, received)
        self.project.journal.keep_bad_rows(sorted_out.bad)
        receipt = self.project.journal.append_events(sorted_out.events, received)
        bad = (*to_records(BadRow, sorted_out.bad), *receipt.refused)
        return Receipt(receipt.accepted, receipt.duplicates, bad)

    def consent(
        self, users: Sequence[str], purposes: Sequence[str], since: datetime | None = None
    ) -> None:
        """Record what users allow from ``since`` on; no purposes is a withdrawal."""
        begins = since or datetime.now(UTC)
        rows = [Consent(new_id(begins), user, tuple(purposes), begins) for user in users]
        self.project.journal.add_consents(to_table(Consent, rows))

    def recommend(self, user: str, k: int, *, now: datetime | None = None) -> pa.Table:
        """The ``k`` items to show, best first: item, title, score, reason, and how it was chosen.

        Columns ``propensity``, ``prediction`` and ``model`` are the same in every row. The answer
        is recorded before it is given. Raises StageError ``serve.no_champion``.
        """
        at = now or datetime.now(UTC)
        settings = self.project.settings
        wiring.drain(self.project)
        version, answers = self._champion().answer(
            rows.asking(self.project, user, at),
            k,
            settings.serve.explore,
            np.random.default_rng(secrets.randbits(64)),
        )
        answer = answers.to_pylist()[0]
        prediction = Prediction(
            new_id(at), user, settings.project.task, version, at, {},
            {"items": answer["output"]}, answer["propensity"],
        )  # fmt: skip
        self.project.journal.append_predictions(to_table(Prediction, [prediction]))
        titles = rows.texts(self.project, answer["output"])
        size = len(answer["output"])
        return pa.table(
            {
                "item": answer["output"],
                "title": [titles.get(item, item) for item in answer["output"]],
                "score": answer["score"],
                "reason": answer["reason"],
                "propensity": [prediction.propensity] * size,
                "prediction": [prediction.id] * size,
                "model": [version] * size,
            }
        )

    def _champion(self) -> Live:
        """The serving model, swapped in when the alias has moved."""
        task = self.project.settings.project.task
        self._live = self._live or Live(plugin("tasks", task))
        champion = self.project.ledger.champion(task)
        if champion and champion.id != self._live.version:
            folder = self.project.models.verified(champion.path, champion.digest)
            self._live.serve(champion.id, folder)
        return self._live

    def status(self) -> Mapping[str, Json]:
        """Where the loop stands: counts of intake, what serves, the last turn and its decision."""
        ledger, task = self.project.ledger, self.project.settings.project.task
        champion, turns = ledger.champion(task), ledger.turns(task)
        decisions = ledger.decisions(task)
        unfinished = ledger.unfinished_turn(task)
        return {
            "task": task,
            "events": dict(self.project.journal.counts()),
            "champion": champion.id if champion else None,
            "turns": len(turns),
            "unfinished": unfinished.id if unfinished else None,
            "last": decisions[-1].act if decisions else None,
            "in_lake": self.project.lake.watermark(),
        }
