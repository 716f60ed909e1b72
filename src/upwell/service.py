"""The online verbs: capture what users do, keep their consent, answer them, tell the status."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from upwell.errors import StageError
from upwell.plugins import plugin
from upwell.records import BadRow, Consent, Event, Json, Prediction, Receipt
from upwell.settings import ProjectSettings
from upwell.stages.collect.intake import rows_to_table, sort_out
from upwell.stages.serve import told
from upwell.stages.serve.live import Asking, Live
from upwell.stages.serve.withheld import Withholding
from upwell.store.project import Project
from upwell.tables import canonical_json, micros, to_records, to_table
from upwell.wiring.chat import Chats, Reply, Spoken
from upwell.wiring.known import Known
from upwell.wiring.serving import Requests, answers, place

LONGEST_INPUT = 1 << 20
"""Characters of an input: as many as an event's payload may have."""
_BATCH = 1024
"""Inputs answered together: bounds the memory of large requests."""


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

    @cached_property
    def _known(self) -> Known:
        """What answers know of who asks."""
        return Known(self.project)

    @cached_property
    def _live(self) -> Live:
        """What answers; the task, and torch with it, is imported when something is asked."""
        task = plugin("tasks", self.project.settings.project.task)
        return Live(Withholding(task, self._known.hidden) if task.ABOUT == "item" else task)

    @cached_property
    def chats(self) -> Chats:
        """The conversations that the models that serve hold."""
        return Chats(self.project, self._live, self._known)

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
        size = len(sorted_out.events) + len(sorted_out.bad)
        taken = np.delete(np.arange(size), sorted_out.bad_at)
        refused = (*sorted_out.bad_at.tolist(), *taken[list(receipt.refused_at)].tolist())
        again = tuple(taken[list(receipt.duplicates_at)].tolist())
        return Receipt(receipt.accepted, receipt.duplicates, bad, refused, again)

    def consent(
        self,
        users: Sequence[str],
        purposes: Sequence[str],
        since: datetime | None = None,
        ids: Sequence[str] = (),
    ) -> int:
        """Record what users allow from ``since`` on; no purposes is a withdrawal.

        A retry with the same ``ids``, one a user, changes nothing. Returns how many were new.
        """
        begins = since or datetime.now(UTC)
        named = ids or [new_id(begins) for _ in users]
        rows = [
            Consent(name, user, tuple(purposes), begins)
            for name, user in zip(named, users, strict=True)
        ]
        return self.project.journal.add_consents(to_table(Consent, rows))

    def warm(self) -> bool:
        """Load what serves, so that the first answer is as fast as the next; whether there is one.

        A base that talks serves from now on, where nothing does yet. Whatever loading raises goes
        through.
        """
        task, now = self.project.settings.project.task, datetime.now(UTC)
        # To look at the task that every project has by default would bring torch for nothing.
        if task != ProjectSettings().task and self.chats.upstream is None:
            self.chats.adopt(now)
        champion = self.project.ledger.champion(task)
        if champion is not None:
            place(self.project, self._live, champion)
            if plugin("tasks", task).ABOUT == "item":
                # What a model makes when it is first asked, it makes for nobody now.
                asked = self._known.asking([""], now)
                asking = Asking(1, 0.0, np.random.default_rng(0))
                self._answers([""], asked, asking, now)
        return champion is not None

    def recommend(
        self, user: str, k: int, *, personalize: bool = True, now: datetime | None = None
    ) -> pa.Table:
        """The ``k`` items to show, best first: item, title, score, reason, and how it was chosen.

        An item whose latest fact says ``hidden`` is none of them, whoever asks. Columns
        ``propensity``, ``prediction`` and ``model`` are the same in every row. The answer is
        recorded before it is given. With ``personalize=False``, and for a user who does not allow
        ``serve``, nothing that is known of the user is read: all get the same. Raises StageError
        ``serve.no_champion``, or ``serve.other_verb`` where the task answers inputs.
        """
        return self.recommend_many([user], k, personalize=personalize, now=now)[0]

    def recommend_many(
        self,
        users: Sequence[str],
        k: int,
        *,
        personalize: bool = True,
        now: datetime | None = None,
    ) -> list[pa.Table]:
        """What ``recommend`` gives each of these users, made and recorded together."""
        at = now or datetime.now(UTC)
        self._refuse_unless("item")
        settings = self.project.settings
        who = self._known.who(users, personalize, at)
        asking = Asking(k, settings.serve.explore, np.random.default_rng(secrets.randbits(64)))
        asked = self._known.asking(who, at)
        found = self._answers(who, asked, asking, at)
        records = [
            Prediction(
                new_id(at), user, settings.project.task, answer["model"], at, {},
                told.recorded(answer, "item", bool(asker)), answer["propensity"],
                policy=answer["policy"],
            )
            for user, asker, answer in zip(users, who, found, strict=True)
        ]  # fmt: skip
        self.project.journal.append_predictions(to_table(Prediction, records))
        return [
            told.items(answer, self._known.titles(answer["output"]), record)
            for answer, record in zip(found, records, strict=True)
        ]

    def predict(
        self,
        user: str,
        input: Json,
        k: int = 1,
        *,
        personalize: bool = True,
        now: datetime | None = None,
    ) -> pa.Table:
        """The ``k`` most probable answers to an input, best first: a row each.

        Columns ``answer``, ``probability`` and ``reason``, and, the same in every row,
        ``propensity``, ``prediction`` and ``model``. See ``predict_many``.
        """
        found = self.predict_many([input], [user], k, personalize=personalize, now=now)
        row = found.to_pylist()[0]
        size = len(row["answer"])
        same = {name: [row[name]] * size for name in ("propensity", "prediction", "model")}
        lists = {name: found[name].combine_chunks().flatten() for name in told.LISTS}
        return pa.table({**lists, **same})

    def predict_many(
        self,
        inputs: Sequence[Json],
        users: Sequence[str],
        k: int = 1,
        *,
        personalize: bool = True,
        now: datetime | None = None,
    ) -> pa.Table:
        """Answers to many inputs, each asked by the user beside it: a row an input.

        An input is a text, or a JSON object where the task reads structure; for a task about
        values it is an item. Columns ``answer``, ``probability`` and ``reason`` are lists; then
        ``propensity``, ``prediction`` and ``model``. The answer '' (with the reason why) is given
        where the input is blank or no answer is as probable as ``serve.abstain``. ``personalize``
        is that of ``recommend``; of who asks, tasks about answers read the group alone, and that
        only where a version has an adapter for it.

        Every answer is recorded before it is given; feedback names its ``prediction``. A base that
        talks serves from now on, where nothing does yet. Raises StageError ``serve.no_champion``,
        ``serve.too_long``, or ``serve.other_verb`` where the task recommends items, and what
        ``Chats.adopt`` raises.
        """
        at = now or datetime.now(UTC)
        self._refuse_unless("answer", "value")
        texts = [one if isinstance(one, str) else canonical_json(one) for one in inputs]
        for text in texts:
            if len(text) > LONGEST_INPUT:
                raise StageError("serve.too_long", size=len(text), longest=LONGEST_INPUT)
        if self._live.version is None and self.chats.upstream is None:
            self.chats.adopt(at)
        who = self._known.who(users, personalize, at)
        parts = [slice(at, at + _BATCH) for at in range(0, max(len(texts), 1), _BATCH)]
        found = [self._answered(texts[part], users[part], who[part], k, at) for part in parts]
        return pa.concat_tables(found)

    def chat(self, spoken: Spoken, *, now: datetime | None = None) -> Reply:
        """The reply to a conversation, begun (see ``Chats.reply``); whoever reads it records it."""
        at = now or datetime.now(UTC)
        return self.chats.reply(spoken, new_id(at), at)

    def _answers(
        self, users: Sequence[str], inputs: pa.Table, asking: Asking, at: datetime
    ) -> list[dict[str, Any]]:
        """What the versions that serve say, a record for each row."""
        asked = Requests(self.project, self._live, self._known, users, inputs, asking, at)
        said: list[dict[str, Any]] = answers(asked).to_pylist()
        return said

    def _answered(
        self, texts: Sequence[str], users: Sequence[str], who: Sequence[str], k: int, at: datetime
    ) -> pa.Table:
        """Answers to a batch, recorded; a blank input is not shown to the model."""
        task, serve = self.project.settings.project.task, self.project.settings.serve
        asked = [place for place, text in enumerate(texts) if text.strip()]
        askers = [who[place] for place in asked]
        questions = self._known.questions(askers, [texts[place] for place in asked], at)
        rng = np.random.default_rng(secrets.randbits(64))
        asking = Asking(k, serve.explore, rng, serve.abstain)
        said = self._answers(askers, questions, asking, at)
        blank = {**told.BLANK, "model": self._live.version}
        found = dict(zip(asked, said, strict=True))
        given = [found.get(place, blank) for place in range(len(texts))]
        records = [
            Prediction(
                new_id(at), user, task, answer["model"], at, text,
                told.recorded(answer, "answer", bool(asker)), answer["propensity"],
                policy=answer["policy"],
            )
            for user, asker, text, answer in zip(users, who, texts, given, strict=True)
        ]  # fmt: skip
        self.project.journal.append_predictions(to_table(Prediction, records))
        return told.given(given, blank, records, serve.abstain)

    def _refuse_unless(self, *abouts: str) -> None:
        """Raise StageError where another verb answers what the task is about."""
        task = self.project.settings.project.task
        if plugin("tasks", task).ABOUT not in abouts:
            verb = "predict" if "item" in abouts else "recommend"
            raise StageError("serve.other_verb", task=task, verb=verb)

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
