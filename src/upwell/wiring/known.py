"""What an answer knows of its user, kept ready: a request waits for no drain and no scan.

A user's profile is made of their own events, found by index in the journal, and taken on from
there with each event that came since. It is read at each request, so an answer knows every event
that any process acknowledged before. Whatever changes what is known of many (newer facts about
items, an exclusion, an erasure, rows whose time is over) drops the profiles that it could touch;
they are made anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from threading import Lock

import pyarrow as pa

from upwell import rows
from upwell.plugins import plugin
from upwell.records import Event, Prediction, Signal
from upwell.stages.behaviour.online import UserState
from upwell.stages.clean.signals import signals
from upwell.stages.dataset.online import Reading
from upwell.stages.protect.consent import allows
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.stages.protect.redact.steps import redaction
from upwell.store import lookups
from upwell.store.exclusions import Exclusions
from upwell.store.project import Project
from upwell.tables import as_text, micros, to_records
from upwell.wiring.facts import Catalogue, all_count
from upwell.wiring.profile import Act, Profile, asking_rows
from upwell.wiring.ready import Ready
from upwell.wiring.turns import drain

ROWS = 500_000
"""Rows of all profiles together that are kept: some 100 MB."""


class Known:
    """Profiles of the users of one project; safe among threads."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._hidden = Pseudonyms(project.key)
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
        allowed = {user: self._allows(user, now) for user in dict.fromkeys(users)}
        self.forget(user for user, is_allowed in allowed.items() if not is_allowed)
        return [user if allowed[user] else "" for user in users]

    def asking(self, users: Sequence[str], now: datetime) -> pa.Table:
        """A row for each of those whom ``who`` gave, as ``rows.asking`` makes it of the lake."""
        if any(users) and self._project.settings.trust.maturity_days:
            return self._by_the_log(users, now)
        known = {user: self._profile(user, now) for user in dict.fromkeys(users)}
        return self._rows([(user, known[user]) for user in users], now)

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

    def _allows(self, user: str, now: datetime) -> bool:
        if not user or self._hidden.of(user) in self._out_users:
            return False
        return allows(lookups.consents_of(self._project.journal, user), "serve", now)

    def _profile(self, user: str, now: datetime) -> Profile:
        """The user as known just before ``now``."""
        if not user:
            return self._fresh
        era = self._kept.era
        held = self._kept.get(user) or self._fresh
        if held.latest >= micros(now):
            held = self._fresh
        acts = [*held.ahead, *self._acts(user, held.seq)]
        if any(act.event.at < now and held.is_late(act) for act in acts):
            held, acts = self._fresh, self._acts(user, 0)
        if not acts:
            return held
        due = [act for act in acts if act.event.at < now]
        ahead = [act for act in acts if act.event.at >= now]
        facts = self._catalogue.of({act.event.item for act in due if act.event.item})
        seq = max(held.seq, *(act.seq for act in acts))
        longest = self._project.settings.behaviour.history
        found = held.up_to(seq).after(due, ahead, facts, longest)
        if all(act.is_settled for act in acts):
            self._kept.put(user, found, era)
        return found

    def _acts(self, user: str, after: int) -> list[Act]:
        """What the user did since ``after``, as far as it counts."""
        table = lookups.events_of(self._project.journal, user, after)
        if not len(table):
            return []
        table = self._protect(table)
        table = table.filter(self._counts(table))
        said = signals(table, self._project.settings.feedback)
        by_seq = dict(zip(said["seq"].to_pylist(), to_records(Signal, said), strict=True))
        events = to_records(Event, table)
        shown = self._shown({event.prediction for event in events if event.prediction})
        told = zip(events, table["seq"].to_pylist(), strict=True)
        return [self._act(event, seq, by_seq.get(seq), shown) for event, seq in told]

    def _act(
        self, event: Event, seq: int, signal: Signal | None, shown: Mapping[str, Prediction]
    ) -> Act:
        named = shown.get(event.prediction or "")
        is_settled = named is not None or not (event.prediction and self._reading.about == "value")
        made = self._reading.rows(event, signal, named)
        return Act(event, seq, made, self._group(event), is_settled)

    def _shown(self, ids: Collection[str]) -> Mapping[str, Prediction]:
        """The answers that events name, where their rows need them."""
        if not ids or self._reading.about != "value":
            return {}
        named = lookups.predictions_named(self._project.journal, sorted(ids))
        found = to_records(Prediction, self._protect(named)) if len(named) else []
        return {one.id: one for one in found}

    def _group(self, event: Event) -> str:
        """The group that a fact about the user tells; '' for none."""
        name = self._project.settings.behaviour.group
        told = as_text(event.payload.get(name)) if name and event.kind == "user" else None
        return "" if told is None else f"{name}={told}"

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
        return Pseudonyms(key, redaction(rules, key, folder))

    @cached_property
    def _reading(self) -> Reading:
        settings, task = self._project.settings, self._project.settings.project.task
        about = plugin("tasks", task).ABOUT
        return Reading(task, about, settings.data.label_sources, rows.scales(self._project))
