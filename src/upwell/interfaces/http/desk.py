"""What every route works with: the project in service, its limits, its counters, one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from upwell.interfaces.http.bodies import JSON, Body, read
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.gate import Caller, Gate
from upwell.interfaces.http.given import Bad, Parser, Row, readable
from upwell.interfaces.http.intake import Intake, Kept
from upwell.interfaces.http.limits import Buckets
from upwell.interfaces.http.meters import Meters
from upwell.interfaces.http.pressure import Crew, Memory, Share
from upwell.interfaces.http.questions import Questions
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.access import Access

KEPT_WHOLE = ("http.not_json", "http.not_utf8", "http.too_deep", "http.not_batch", "http.not_otlp")
"""Bodies that cannot be read at all are kept as a bad row when they were meant to be rows."""
TALKERS = 32
"""Replies in conversation that are made at a time: each has a thread that mostly waits."""


@dataclass(slots=True)
class Desk:
    """One process's service of one project."""

    upwell: Upwell
    settings: HttpSettings
    gate: Gate
    intake: Intake
    questions: Questions
    crew: Crew
    talkers: Crew
    memory: Memory
    by_key: Buckets
    by_user: Buckets
    meters: Meters = field(default_factory=Meters)
    specs: tuple[Spec, ...] = ()
    is_stopping: bool = False
    noted: float = -inf
    """When trouble with the stores was last logged."""

    @classmethod
    def of(cls, upwell: Upwell, chosen: HttpSettings | None = None) -> Desk:
        """The service of a project as its settings say, or others that were ``chosen``."""
        settings = chosen or upwell.project.settings.http
        return cls(
            upwell,
            settings,
            Gate(Access(upwell.project.journal), settings),
            Intake(upwell, settings.waiting),
            Questions(upwell, settings.waiting),
            Crew(settings.threads, settings.waiting),
            Crew(TALKERS, settings.waiting),
            Memory(settings.waiting_bytes),
            Buckets(settings.key_per_second),
            Buckets(settings.user_per_second),
        )


@dataclass(slots=True)
class Asked:
    """One request that was let in."""

    desk: Desk
    request: Request
    caller: Caller
    lang: str
    share: Share

    @property
    def parser(self) -> Parser:
        """What reads its body."""
        return Parser(self.desk.settings)

    async def body(self, *accepted: str) -> Body:
        """The body of the request (see ``bodies.read``)."""
        return await read(self.request, accepted or (JSON,), self.desk.settings, self.share)

    async def mapping(self) -> dict[str, object]:
        """The JSON object of a request that may be as large as one event."""
        body = await self.body()
        longest = self.desk.settings.event_bytes
        if len(body.data) > longest:
            raise RequestError("http.too_large", 413, longest=longest)
        return self.parser.mapping(body.text())

    def spend(self, tokens: int, users: Sequence[object]) -> None:
        """Count against the key, and against the user where there is but one.

        A batch of many users is not held up by one of them. Raises RequestError 429.
        """
        self.desk.by_key.take(self.caller.public, tokens)
        first = users[0] if users else None
        if isinstance(first, str | int) and all(user == first for user in users):
            self.desk.by_user.take(str(first), tokens)

    def user_of(self, prediction: str, otherwise: str) -> Callable[[], str]:
        """Looks up, when it is called, who got an answer; ``otherwise`` where none can be."""
        journal = self.desk.upwell.project.journal

        def find() -> str:
            found = journal.prediction(prediction)
            return found.user if found is not None and found.user else otherwise

        return find

    async def keep(self, rows: Sequence[Row]) -> Kept:
        """Store rows as users' events; what is counted as accepted is on disk."""
        self.spend(len(rows), [row.get("user") for row in rows if not isinstance(row, Bad)])
        return self.counted(await self.desk.intake.keep(rows))

    def counted(self, kept: Kept) -> Kept:
        """What became of rows, once it is counted."""
        meters = self.desk.meters
        meters.events["accepted"] += kept.accepted
        meters.events["duplicate"] += kept.duplicates
        meters.events["refused"] += len(kept.refused)
        meters.bad.update(bad.code for bad in kept.refused.values())
        return kept

    async def refuse_whole(self, body: Body, error: RequestError) -> None:
        """Keep a body that cannot be read at all as a bad row."""
        if error.code in KEPT_WHOLE:
            value = str(error.details.get("value", ""))
            await self.keep([Bad(error.code, "", value, readable(body.data))])


Handler: TypeAlias = Callable[[Asked], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Spec:
    """A route: how it is asked, what it needs, who answers, and how it is described.

    ``need`` is a scope, ``CAPTURE`` or ``OPEN``. ``words`` is the key of its sentence. ``body``
    and ``answer`` are JSON schemas (or None), ``query`` names and schemas of parameters.
    """

    method: str
    path: str
    need: str
    run: Handler
    words: str
    body: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accepts: tuple[str, ...] = (JSON,)
    statuses: tuple[int, ...] = (200,)
    gives: tuple[str, ...] = ()
    """Media types that it may answer with besides JSON."""
    speaks: Literal["upwell", "openai", "otlp"] = "upwell"
    """In whose shape errors are told."""
