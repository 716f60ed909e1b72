"""Replies in conversation: who speaks, piece by piece, and recorded when it is known what was said.

A reply keeps the version that it began with, whatever is promoted meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from threading import Lock

from upwell.errors import StageError
from upwell.plugins import plugin
from upwell.ports import Manner, Piece, Pieces, Talking
from upwell.records import Json, Prediction
from upwell.stages.serve import told
from upwell.stages.serve.live import Live
from upwell.store.lookups import champion_of
from upwell.store.project import Project
from upwell.tables import canonical_json, to_table
from upwell.wiring.adopting import adopt
from upwell.wiring.grouping import groups_of
from upwell.wiring.known import Known
from upwell.wiring.upstream import Upstream
from upwell.wiring.voices import UPSTREAM, Voice, Voices

LONGEST = 1 << 20
"""Characters of a conversation: as many as an event's payload may have."""
_OF_THE_INPUT = ("chat.empty", "chat.too_long", "chat.role", "chat.refused")
"""What no model could answer."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A conversation that asks for a reply: ``messages`` have a ``role`` and ``content`` each.

    ``user`` is who asks ('' is somebody nobody knows), ``model`` a name of ``Voices`` ('' is what
    serves) and ``variant`` says it more closely. ``named`` are those options of ``manner``, by
    their names in OpenAI's API, that were not left to the server. ``beside`` is kept with the
    answer; without ``store`` nothing is kept of what either side said.
    """

    messages: Sequence[Mapping[str, str]]
    user: str = ""
    model: str = ""
    variant: str = ""
    manner: Manner = field(default_factory=Manner)
    named: Mapping[str, Json] = field(default_factory=dict)
    is_stream: bool = False
    personalize: bool = True
    episode: str = ""
    beside: Mapping[str, Json] = field(default_factory=dict)
    store: bool = True


@dataclass(slots=True)
class Reply:
    """A reply that has begun: its pieces are made as they are asked for, ``keep`` records it.

    ``group`` is that of users whose adapter speaks; '' where the shared model does.
    """

    id: str
    at: datetime
    spoken: Spoken
    voice: Voice
    _pieces: Pieces
    _project: Project
    _voices: Voices
    group: str = ""

    def pieces(self) -> Pieces:
        """The pieces, once. A challenger that fails ends its trial; the error goes through."""
        try:
            yield from self._pieces
        except Exception as problem:
            self._voices.fail(self.voice, problem, self.at)
            raise

    @property
    def episode(self) -> str:
        """The conversation that it belongs to: what was given, else one of its own."""
        return self.spoken.episode or self.id

    def keep(self, text: str, last: Piece, *, cut: bool = False) -> Prediction:
        """Record what was said up to ``last``; with ``cut`` there was more to come.

        Its propensity is the probability of the reply given who spoke: 1 where nothing was drawn.
        """
        spoken, is_ours = self.spoken, self.voice.variant != UPSTREAM
        is_drawn = is_ours and spoken.manner.temperature > 0
        chance = min(1.0, math.exp(last.log_prob)) if is_drawn else 1.0
        record = Prediction(
            self.id, spoken.user or f"prediction:{self.id}", self._project.settings.project.task,
            self.voice.version, self.at, self._asked(), self._said(text, last, cut), chance,
            policy=self.voice.policy,
        )  # fmt: skip
        self._project.journal.append_predictions(to_table(Prediction, [record]))
        return record

    def close(self) -> None:
        """Stop, and give back what the reply holds."""
        stop = getattr(self._pieces, "close", None)
        if stop is not None:
            stop()

    def _asked(self) -> str:
        return canonical_json(list(self.spoken.messages)) if self.spoken.store else ""

    def _said(self, text: str, last: Piece, cut: bool) -> dict[str, Json]:
        known = self.voice.variant != UPSTREAM
        mean = math.exp(min(0.0, last.log_prob) / last.completion) if last.completion else 1.0
        # A model may say what no database can hold; users cannot have meant it.
        plain = text.replace("\x00", "\ufffd").encode(errors="replace").decode()
        group = self.group or None
        answer = {"output": [plain], "score": [mean], "trial": self.voice.told, "group": group}
        personal = bool(self.spoken.user) and self.spoken.personalize
        said: dict[str, Json] = dict(told.recorded(answer, "answer", personal))
        if not known:
            said.pop("scores")
        if not self.spoken.store:
            said = {**said, "answers": [], "store": False}
        tokens: Json = {"prompt": last.prompt, "completion": last.completion}
        said |= {"episode": self.episode, "tokens": tokens, **self.spoken.beside}
        return said | ({"cut": True} if cut else {"end": last.end or "stop"})


class Chats:
    """The conversations of one project; safe among threads."""

    def __init__(self, project: Project, live: Live, known: Known) -> None:
        self._project, self._known = project, known
        self.voices = Voices(project, live)
        self._adopting = Lock()
        serve = project.settings.serve
        self.upstream = Upstream.of(serve) if serve.upstream else None

    def reply(self, spoken: Spoken, id: str, at: datetime) -> Reply:
        """The reply to a conversation, begun: its first piece is made already.

        Where nothing serves yet, the base does from now on (see ``adopting``). Raises StageError
        ``serve.not_talking`` where the task holds no conversations, ``serve.too_long``, what
        ``adopt``, ``Voices.of`` and the task's ``talk`` raise, and what goes wrong upstream.
        """
        task = plugin("tasks", self._project.settings.project.task)
        if not isinstance(task, Talking):
            raise StageError("serve.not_talking", task=self._project.settings.project.task)
        size = sum(len(one["content"]) for one in spoken.messages)
        if size > LONGEST:
            raise StageError("serve.too_long", size=size, longest=LONGEST)
        if self.upstream is not None and not spoken.variant and not self.voices.knows(spoken.model):
            return self._upstream(self.upstream, spoken, id, at)
        self.adopt(at)
        who = spoken.user if spoken.personalize else ""
        voice = self.voices.of(spoken.model, spoken.variant, who, at)
        # Outside of what is laid to a challenger's charge.
        group = self._group(voice, who, at)
        try:
            pieces = _spoken(task, voice, spoken, group)
        except Exception as problem:
            if isinstance(problem, StageError) and problem.code in _OF_THE_INPUT:
                raise
            voice = self.voices.fail(voice, problem, at)
            group = self._group(voice, who, at)
            pieces = _spoken(task, voice, spoken, group)
        return Reply(id, at, spoken, voice, pieces, self._project, self.voices, group)

    def _group(self, voice: Voice, who: str, at: datetime) -> str:
        """The group whose adapter speaks; '' where the shared model does."""
        return groups_of(self._project, self._known, [voice.model], [who], at)[0]

    def adopt(self, at: datetime) -> None:
        """Let the base speak where nothing serves yet: whoever starts has nothing to learn from.

        Raises PluginError where it cannot be loaded.
        """
        task = self._project.settings.project.task
        with self._adopting:
            if champion_of(self._project.journal, task) is None:
                adopt(self._project, at)

    def _upstream(self, upstream: Upstream, spoken: Spoken, id: str, at: datetime) -> Reply:
        asked = {"model": spoken.model, "messages": list(spoken.messages), **spoken.named}
        model, pieces = upstream.talk(asked, spoken.is_stream)
        voice = Voice(model, None, UPSTREAM, policy=UPSTREAM)
        return Reply(id, at, spoken, voice, _begun(pieces), self._project, self.voices)


def _spoken(task: Talking, voice: Voice, spoken: Spoken, group: str) -> Pieces:
    """The reply's pieces, begun."""
    manner = replace(spoken.manner, group=group) if group else spoken.manner
    return _begun(task.talk(voice.model, spoken.messages, manner))


def _begun(pieces: Pieces) -> Pieces:
    """The same pieces, the first of which is made now."""
    first = next(pieces, Piece("", "stop"))
    return _Chained(first, pieces)


class _Chained(Iterator[Piece]):
    """A first piece and the rest, which can be closed."""

    def __init__(self, first: Piece, rest: Pieces) -> None:
        self._all, self._rest = chain([first], rest), rest

    def __next__(self) -> Piece:
        return next(self._all)

    def close(self) -> None:
        """Close what makes the rest."""
        stop = getattr(self._rest, "close", None)
        if stop is not None:
            stop()
