"""``upwell.toml`` and ``UPWELL_*`` as one object: environment over file over defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from upwell.errors import SettingsError
from upwell.settings.data import (
    AugmentSettings,
    BehaviourSettings,
    DataSettings,
    FeedbackRule,
    ProjectSettings,
    SplitSettings,
    TrustSettings,
)
from upwell.settings.gate import GateSettings
from upwell.settings.guards import GuardSettings
from upwell.settings.http import HttpSettings
from upwell.settings.protect import ProtectSettings, RetentionSettings
from upwell.settings.serve import ServeSettings
from upwell.settings.teach import teach
from upwell.settings.trial import TrialSettings
from upwell.settings.tune import TuneSettings
from upwell.settings.watch import WatchSettings

FILE = "upwell.toml"


class Settings(BaseSettings):
    """Everything that can be set, with defaults that work."""

    model_config = SettingsConfigDict(
        env_prefix="UPWELL_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    project: ProjectSettings = ProjectSettings()
    data: DataSettings = DataSettings()
    protect: ProtectSettings = ProtectSettings()
    retention: RetentionSettings = RetentionSettings()
    feedback: dict[str, FeedbackRule] = {}
    behaviour: BehaviourSettings = BehaviourSettings()
    trust: TrustSettings = TrustSettings()
    split: SplitSettings = SplitSettings()
    augment: AugmentSettings = AugmentSettings()
    tune: TuneSettings = TuneSettings()
    gate: GateSettings = GateSettings()
    guards: GuardSettings = GuardSettings()
    serve: ServeSettings = ServeSettings()
    http: HttpSettings = HttpSettings()
    trial: TrialSettings = TrialSettings()
    watch: WatchSettings = WatchSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; only ``UPWELL_SECTION__KEY`` is a setting.

        ``UPWELL_DATA``, ``UPWELL_LANG`` and the like say where things lie, not what is set.
        """
        nested = EnvSettingsSource(settings_cls)
        nested.env_vars = {name: text for name, text in nested.env_vars.items() if "__" in name}
        return nested, init_settings


def load(folder: Path) -> Settings:
    """Settings of the project in ``folder``. Raises SettingsError naming line and nearest key."""
    path = folder / FILE
    if not path.is_file():
        raise SettingsError("settings.no_project", folder=folder, file=FILE)
    text = path.read_text(encoding="utf-8")
    try:
        return Settings(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("settings.not_toml", file=path, problem=str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise teach(Settings, path, text, first["loc"], first["type"], first["msg"]) from None
