"""What an answer knows of its user, kept ready: a request waits for no drain and no scan.

A user's profile is made of their own events, found by index in the journal, and taken on from
there with each event that came since. It is read at each request, so an answer knows every event
that any process acknowledged before. Whatever changes what is known of many (newer facts about
items, an exclusion, an erasure, rows whose time is over) drops the profiles that it could touch;
they are made anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any

import pyarrow as pa

from upwell import rows
from upwell.plugins import plugin
from upwell.records import Prediction
from upwell.stages.behaviour.online import UserState
from upwell.stages.clean.signals import signals
from upwell.stages.dataset.online import Reading, Told
from upwell.stages.protect.consent import allows
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.stages.protect.redact.steps import redaction
from upwell.store import lookups
from upwell.store.exclusions import Exclusions
from upwell.store.project import Project
from upwell.tables import as_text, micros, to_records
from upwell.wiring.facts import Catalogue, all_count
from upwell.wiring.profile import Happened, Profile, asking_rows
from upwell.wiring.ready import Ready
from upwell.wiring.turns import drain

ROWS = 500_000
"""Rows of all profiles together that are kept: some 100 MB."""


class Known:
    """Profiles of the users of one project; safe among threads."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._hidden = rows.pseudonyms(project)
        self._fresh = Profile(UserState(project.settings.behaviour.half_life_days))
        self._kept = Ready[Profile](ROWS, lambda profile: profile.size)
        self._catalogue = Catalogue(project.journal, self._protect, self._counts)
        self._renewing = Lock()
        self._marks: lookups.Marks | None = None
        self._out_users: Collection[str] = ()
        self._out_sources: Collection[str] = ()

    def who(self, users: Sequence[str], personalize: bool, now: datetime) -> list[str]:
        """Each user as whom they are answered; '' is somebody nobody knows.

        That is everyone where it is asked for, and who does not allow ``serve`` where answers
        know who asks. Nothing of such a user is read, and nothing is kept.
        """
        if self._reading.about != "answer":
            self._renew()
        if not personalize:
            return [""] * len(users)
        if self._reading.about == "answer":
            return list(users)
        asked = [user for user in dict.fromkeys(users) if user]
        allowed = self._allowed(asked, now)
        return [user if user in allowed else "" for user in users]

    def groups(self, users: Sequence[str], now: datetime) -> dict[str, str]:
        """The group of each user who allows ``serve``, as facts told it just before ``now``.

        '' where none did.
        """
        self._renew()
        allowed = self._allowed(users, now)
        found = self._profiles([user for user in users if user in allowed], now)
        return {user: profile.group for user, profile in found.items()}

    def _allowed(self, asked: Sequence[str], now: datetime) -> set[str]:
        """Who of them may be known to answers; nothing is kept of the others."""
        given = lookups.consents_of(self._project.journal, asked)
        allowed = {
            user for user in asked
            if self._hidden.of(user) not in self._out_users and allows(given[user], "serve", now)
        }  # fmt: skip
        self.forget(user for user in asked if user not in allowed)
        return allowed

    def asking(self, users: Sequence[str], now: datetime) -> pa.Table:
        """A row for each of those whom ``who`` gave, as ``rows.asking`` makes it of the lake."""
        if any(users) and self._project.settings.trust.maturity_days:
            return self._by_the_log(users, now)
        known = self._profiles([user for user in dict.fromkeys(users) if user], now)
        return self._rows([(user, known.get(user, self._fresh)) for user in users], now)

    def _by_the_log(self, users: Sequence[str], now: datetime) -> pa.Table:
        """What silence says changes with time alone, and only the whole log tells it."""
        drain(self._project)
        asked = [user for user in dict.fromkeys(users) if user]
        nobody = self._rows([("", self._fresh)], now)
        found = rows.asking(self._project, asked, now)
        # Casting a view of a list would lose what it looks at.
        plain = {name: found[name].to_pylist() for name in nobody.column_names}
        whole = pa.concat_tables([nobody, pa.table(plain, nobody.schema)])
        place = {user: place for place, user in enumerate(["", *asked])}
        return whole.take(pa.array([place[user] for user in users], pa.int64()))

    def questions(self, users: Sequence[str], inputs: Sequence[str], now: datetime) -> pa.Table:
        """A row for each input, asked by the user beside it (whom ``who`` gave), in order.

        Where values are asked for it knows the history and behaviour of its user.
        """
        if self._reading.about != "value":
            return rows.questions(self._project, users, inputs, now)
        found = self.asking(users, now)
        place = found.schema.get_field_index("input")
        return found.set_column(place, found.schema.field(place), pa.array(inputs, pa.string()))

    def titles(self, items: Sequence[str]) -> list[str]:
        """What to call each of these items, as last asked for: its latest title, else itself."""
        facts = self._catalogue.of(items)
        return [facts[item].title or item for item in items]

    def hidden(self, items: Sequence[str]) -> set[str]:
        """Which of these items their latest facts, as last asked for, say must not be shown."""
        return {item for item, facts in self._catalogue.of(items).items() if facts.hidden}

    def forget(self, users: Iterable[str]) -> None:
        """Keep nothing of these users."""
        held = [user for user in users if user in self._kept]
        if held:
            self._kept.drop(held)

    def _renew(self) -> None:
        """Drop what newer facts about items, exclusions or erasures could have changed."""
        found = lookups.marks(self._project.journal)
        with self._renewing:
            before = self._marks
            if before is None or found.left_out != before.left_out:
                excluded = Exclusions(self._project.journal)
                self._out_users = frozenset(excluded.names("user"))
                self._out_sources = frozenset(excluded.names("source"))
                self._catalogue.drop(None)
                self._kept.drop_where(lambda _: True)
            elif found.facts > before.facts:
                newer = lookups.facts_after(self._project.journal, before.facts)
                self._catalogue.drop(newer.items if newer else None)
                # An act counts for the category that its item had then, as facts tell it now.
                since = micros(newer.earliest) if newer else 0
                self._kept.drop_where(lambda profile: profile.latest >= since)
            self._marks = found

    def _profiles(self, users: Sequence[str], now: datetime) -> dict[str, Profile]:
        """Each user as known just before ``now``."""
        era, moment = self._kept.era, micros(now)
        held = {user: self._kept.get(user) or self._fresh for user in users}
        # What is asked about an earlier moment must not know what came after it.
        held = {user: one if one.is_before(moment) else self._fresh for user, one in held.items()}
        new = self._happened({user: one.seq for user, one in held.items()})
        late = [
            user for user, told in new.items()
            if any(one.at < moment and held[user].is_late(one) for one in told)
        ]  # fmt: skip
        held |= dict.fromkeys(late, self._fresh)
        new |= self._happened(dict.fromkeys(late, 0))
        new = {user: told for user in users if (told := [*held[user].ahead, *new[user]])}
        items = {one.item for told in new.values() for one in told if one.item}
        facts, longest = self._catalogue.of(items), self._project.settings.behaviour.history
        for user, told in new.items():
            due = [one for one in told if one.at < moment]
            ahead = [one for one in told if one.at >= moment]
            held[user] = held[user].after(due, ahead, facts, longest)
            if all(one.is_settled for one in told):
                self._kept.put(user, held[user], era)
        return held

    def _happened(self, after: Mapping[str, int]) -> dict[str, list[Happened]]:
        """What each user did since the event ``after``, as far as it counts."""
        found: dict[str, list[Happened]] = {user: [] for user in after}
        table = lookups.events_of(self._project.journal, after) if after else None
        if not table:
            return found
        named = table["user"]
        table = self._protect(table)
        counted = self._counts(table)
        table, named = table.filter(counted), named.filter(counted)
        said = signals(table, self._project.settings.feedback)
        signs = dict(zip(*_lists(said, "seq", "sign"), strict=True))
        rights = dict(zip(*_lists(said, "seq", "correction"), strict=True))
        shown = self._shown(table)
        columns = _lists(table, "seq", "prediction", "kind", "source", "item", "value", "payload")
        owners, times = named.to_pylist(), table["at"].cast(pa.int64()).to_pylist()
        for user, at, cells in zip(owners, times, zip(*columns, strict=True), strict=True):
            seq, about, kind, source, item, value, payload = cells
            right = rights.get(seq)
            event = Told(kind, source, item, value, payload, signs.get(seq, 0), right)
            found[user].append(self._one(event, at, seq, about, shown))
        return found

    def _one(
        self, told: Told, at: int, seq: int, about: str | None, shown: Mapping[str, Prediction]
    ) -> Happened:
        named = shown.get(about or "")
        is_settled = named is not None or not (about and self._reading.about == "value")
        made = self._reading.rows(told, named)
        return Happened(
            at, seq, told.kind, told.value, told.item, made, self._group(told), is_settled
        )

    def _shown(self, events: pa.Table) -> Mapping[str, Prediction]:
        """The answers that events name, where their rows need them."""
        ids = events["prediction"].drop_null().unique().to_pylist()
        if not ids or self._reading.about != "value":
            return {}
        named = lookups.predictions_named(self._project.journal, ids)
        found = to_records(Prediction, self._protect(named)) if len(named) else []
        return {one.id: one for one in found}

    def _group(self, told: Told) -> str:
        """The group that a fact about the user tells; '' for none."""
        name = self._project.settings.behaviour.group
        if not name or told.kind != "user":
            return ""
        said = as_text(json.loads(told.payload).get(name))
        return "" if said is None else f"{name}={said}"

    def _rows(self, asked: Sequence[tuple[str, Profile]], now: datetime) -> pa.Table:
        """The rows that ask for these users, as their profiles know them."""
        hidden = [(self._hidden.of(user), profile) for user, profile in asked]
        return asking_rows(hidden, self._reading.task, self._reading.about, now)

    def _protect(self, table: pa.Table) -> pa.Table:
        return self._protection.protect(table)

    def _counts(self, table: pa.Table) -> pa.Array:
        return all_count(table, self._out_users, self._out_sources)

    @cached_property
    def _protection(self) -> Pseudonyms:
        # A history holds items and answers, in which only what rules can check is replaced: the
        # model tier, which takes its time, has no say in them.
        rules = self._project.settings.protect.model_copy(update={"model": ""})
        key, folder = self._project.key, self._project.folder
        return rows.pseudonyms(self._project, redaction(rules, key, folder))

    @cached_property
    def _reading(self) -> Reading:
        settings, task = self._project.settings, self._project.settings.project.task
        about = plugin("tasks", task).ABOUT
        return Reading(task, about, settings.data.label_sources, rows.scales(self._project))


def _lists(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]
