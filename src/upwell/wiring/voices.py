"""Who speaks in a conversation: the champion, a trial's challenger, or a version that is named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from upwell.errors import StageError, StoreError
from upwell.ports import Model
from upwell.records import Json, ModelVersion
from upwell.stages.serve.live import Live, Serving
from upwell.store.erasures import Erasures
from upwell.store.lookups import champion_of
from upwell.store.project import Project
from upwell.store.trials import Trial, Trials
from upwell.wiring.serving import end_failed, place, split_of

CHAMPION, CHALLENGER, VERSION, UPSTREAM = "champion", "challenger", "version", "upstream"


@dataclass(frozen=True, slots=True)
class Voice:
    """A model version that speaks, loaded, and how it came to.

    ``share`` is the probability with which it, and no other version, was to speak to this user.
    """

    version: str
    model: Model | None
    variant: str
    share: float = 1.0
    policy: str = "greedy"
    trial: Trial | None = None
    chance: float = 0.0

    @property
    def told(self) -> dict[str, Json] | None:
        """What is kept of the trial, as other answers keep it; None outside of one."""
        return {"id": self.trial.id, "chance": self.chance} if self.trial else None


@dataclass(frozen=True, slots=True)
class Named:
    """A name under which a model can be asked for."""

    name: str
    since: datetime


class Voices:
    """The models of a project that can be asked, by name.

    The project's own name is what serves: during a trial each user meets their version of it.
    ``NAME@champion``, ``NAME@challenger`` and a version's id name one, and no trial is asked. A
    version that learned from somebody who was forgotten has no name once another serves.
    """

    def __init__(self, project: Project, live: Live) -> None:
        self._project, self._live = project, live
        self._name, self._task = project.settings.project.name, project.settings.project.task

    def names(self) -> list[Named]:
        """Every name that answers now, the most general first."""
        champion = champion_of(self._project.journal, self._task)
        gone = self._gone(champion)
        versions = [one for one in self._project.ledger.versions(self._task) if one.id not in gone]
        made = {version.id: version.at for version in versions}
        trial = self._trial(champion)
        found = []
        if champion in made:
            since = made[champion]
            found = [Named(self._name, since), Named(f"{self._name}@{CHAMPION}", since)]
        if trial is not None and trial.challenger in made:
            found.append(Named(f"{self._name}@{CHALLENGER}", made[trial.challenger]))
        return [*found, *(Named(version.id, version.at) for version in reversed(versions))]

    def knows(self, name: str) -> bool:
        """Whether a name is this project's, whether or not something answers to it now."""
        ours = (self._name, f"{self._name}@{CHAMPION}", f"{self._name}@{CHALLENGER}")
        champion = champion_of(self._project.journal, self._task)
        return name in ours or self._version(name, champion) is not None

    def of(self, name: str, variant: str, user: str, at: datetime) -> Voice:
        """Who speaks to a user ('' is somebody nobody knows), loaded.

        ``variant`` is ``champion``, ``challenger`` or a version, and says it more closely than
        ``name``. Raises StageError ``serve.no_model``, ``serve.no_champion``; StoreError where a
        folder is damaged.
        """
        alias, champion = self._alias(name, variant), champion_of(self._project.journal, self._task)
        trial = self._trial(champion)
        if alias in ("", CHAMPION):
            if champion is None:
                raise StageError("serve.no_champion")
            if alias == "" and user and trial is not None:
                return self._tried(trial, champion, user, at)
            return self._champion(champion)
        if alias == CHALLENGER and trial is not None:
            alias = trial.challenger
        version = self._version(alias, champion)
        if version is None:
            raise self._unknown(variant or name)
        how = CHALLENGER if trial and trial.challenger == version.id else VERSION
        how = CHAMPION if version.id == champion else how
        return Voice(version.id, self._taken(version).model, how)

    def fail(self, voice: Voice, problem: Exception, at: datetime) -> Voice:
        """The champion instead of a challenger that failed, which ends its trial.

        Where nothing was tried the problem is raised again.
        """
        if voice.trial is None or voice.variant != CHALLENGER:
            raise problem
        end_failed(self._project, voice.trial, problem, at)
        return self._champion(voice.trial.champion)

    def _tried(self, trial: Trial, champion: str, user: str, at: datetime) -> Voice:
        split = split_of(self._project, trial, [user], at)
        chance = float(split.chance[0])
        if not split.chosen[0]:
            one = self._champion(champion)
            return Voice(champion, one.model, CHAMPION, 1.0 - chance, trial.mode, trial, chance)
        try:
            other = self._taken(self._project.ledger.version(trial.challenger))
        except Exception as problem:
            return self.fail(Voice("", None, CHALLENGER, trial=trial), problem, at)
        return Voice(other.version, other.model, CHALLENGER, chance, trial.mode, trial, chance)

    def _champion(self, champion: str) -> Voice:
        version = self._project.ledger.version(champion)
        place(self._project, self._live, version)
        return Voice(champion, self._taken(version).model, CHAMPION)

    def _taken(self, version: ModelVersion) -> Serving:
        models = self._project.models
        return self._live.held(version.id) or self._live.taken(
            version.id, models.verified(version.path, version.digest)
        )

    def _trial(self, champion: str | None) -> Trial | None:
        """The trial that runs beside what serves."""
        trial = Trials(self._project.journal).running(self._task)
        return trial if trial is not None and trial.champion == champion else None

    def _alias(self, name: str, variant: str) -> str:
        """'' for what serves, ``champion``, ``challenger``, or a version's id."""
        if variant:
            return variant
        whole, _, alias = name.partition("@")
        if whole != self._name or alias not in ("", CHAMPION, CHALLENGER):
            return name
        return alias

    def _version(self, name: str, champion: str | None) -> ModelVersion | None:
        try:
            found = self._project.ledger.version(name)
        except StoreError as error:
            if error.code != "ledger.no_version":
                raise
            return None
        is_known = found.task == self._task and found.id not in self._gone(champion)
        return found if is_known else None

    def _gone(self, champion: str | None) -> set[str]:
        """Versions that learned from somebody who was forgotten, the champion apart.

        They are let go here, for it may be another process that removed their folders.
        """
        gone = {one.version for one in Erasures(self._project.journal).reached()} - {champion}
        self._live.drop(gone)
        return gone

    def _unknown(self, name: str) -> StageError:
        known = ", ".join(one.name for one in self.names()[:10])
        return StageError("serve.no_model", name=ascii(name[:80])[1:-1], known=known or "–")
