"""``upwell.toml`` and ``UPWELL_*``: environment over file over defaults, checked strictly.

``UPWELL_TUNE__EPOCHS=5`` sets ``epochs`` in ``[tune]``. An unknown or wrong key is refused with
its line and the nearest valid key.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from upwell.errors import SettingsError

FILE = "upwell.toml"
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of ``upwell.toml``: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectSettings(Section):
    """What is learned."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "upwell"
    task: str = "recommend"


class DataSettings(Section):
    """Where data lie. Relative paths are relative to the folder of ``upwell.toml``."""

    journal: str = "sqlite:///data/journal.db"
    folder: Path = Path("data")
    label_sources: tuple[str, ...] = ()
    """Sources whose events are labels (D); events of every other source are feedback (F)."""


class FeedbackRule(Section):
    """How one kind of event becomes a signal: value ≥ ``good`` is +1, value ≤ ``bad`` is −1.

    A value below ``low`` or above ``high`` is out of scale and says nothing.
    """

    reads: str = ""
    """The feedback plugin; empty: the one named like the kind of event."""
    good: float | None = None
    bad: float | None = None
    low: float | None = None
    high: float | None = None
    weight: Positive = 1.0


class BehaviourSettings(Section):
    """Point-in-time features of users."""

    half_life_days: Positive = 7.0
    history: Count = 1000
    """Events of a user that an answer knows of, the latest ones."""
    attribution_days: Positive = 7.0
    group: str = ""
    """Column of the facts about users that slices are made by; empty: no slices."""


class TrustSettings(Section):
    """How far each signal is believed. Whatever is doubted keeps its reason."""

    about: Literal["answers", "everything", "nothing"] = "answers"
    """What is doubted: signals about answers, those about items as well, or none at all."""
    per_second: Count = 5
    per_minute: Count = 60
    """Signals of one user that a hand can give; more within that time do not count."""
    identical: Count = 100
    """Signals of one sign from a user who knows no other, beyond which they share this weight."""
    cap: Count = 500
    """Signals of one user that count in a turn, spread evenly over time."""
    reliability: Literal["off", "estimate"] = "estimate"
    """Whether users' own reliability is estimated, where answers were served with scores."""
    position: Literal["off", "estimate"] = "off"
    """Whether a yes to an item counts more the less its place in the list is looked at."""
    selection: Literal["off", "estimate"] = "off"
    """Whether a signal counts more the less such answers get any."""
    maturity_days: dict[str, Positive] = {}
    """Kinds of outcome and the days after which their absence is a no: { purchase = 14 }."""


class AugmentSettings(Section):
    """Variants of the texts of scarce answers, to learn from alone."""

    below: Annotated[int, Field(ge=0)] = 0
    """Answers with fewer rows get variants up to this number; 0 makes none."""
    change: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Share of the words that a variant swaps or leaves out."""
    seed: int = 0


class SplitSettings(Section):
    """How rows are divided. The frozen test begins at ``frozen_from``, else at its share."""

    frozen_from: AwareDatetime | None = None
    frozen_until: AwareDatetime | None = None
    test_share: Share = 0.1
    validation_share: Share = 0.1
    disjoint: Literal["auto", "time", "users", "inputs"] = "auto"
    """What no two parts share. ``auto``: inputs for tasks about answers unless ``frozen_from`` is
    set, else time. Whatever it is, no answer is learned to an input that the test asks."""
    seed: int = 0
    """Decides what is in which part where parts are disjoint in users or inputs."""


class TuneSettings(Section):
    """How a model learns. ``label_share`` is λ; ``auto`` follows the effective counts."""

    base: str = "minilm"
    tuning: Literal["auto", "full", "lora", "head"] = "auto"
    """Which weights learn: all, low-rank adapters, or a head on the frozen base."""
    rank: Count = 8
    """Rank of the adapters."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """Layers of the base, from the bottom (embeddings first), that do not learn."""
    objective: Literal[
        "bounded", "likelihood", "unlikelihood", "positives", "ips", "snips",
        "kto", "apo_zero", "dpo", "npo", "textbook",
    ] = "bounded"  # fmt: skip
    q: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    flip_rate: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.05
    beta: Positive = 0.1
    """Sharpness of the losses that stand on a reference model."""
    clip: Positive = 20.0
    """Largest importance weight of the losses that stand on propensities."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    label_share: Literal["auto"] | Annotated[float, Field(ge=0.0, le=1.0)] = "auto"
    label_share_grid: tuple[float, ...] = ()
    epochs: Count = 4
    patience: Count = 2
    batch_rows: Count = 2400
    learning_rate: Positive = 0.004
    warmup: Share = 0.05
    """Share of all steps over which the learning rate rises; then it falls as a cosine."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    average: Share = 0.98
    """Decay of the moving average of the weights that is judged and kept; 0 turns it off."""
    accumulate: Count = 1
    """Batches per step."""
    rdrop: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the divergence between two passes with different dropout."""
    adversarial: Annotated[float, Field(ge=0.0)] = 0.0
    """Length of the worst-case step (FGM) on the embeddings."""
    mixup: Annotated[float, Field(ge=0.0)] = 0.0
    """Mixes pooled features of rows in twos, by shares from Beta(mixup, mixup); 0 turns it off."""
    blend: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = ()
    """Shares of the learned weights, the rest from the start, tried at the end (WiSE-FT)."""
    compile: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    threads: Annotated[int, Field(ge=0)] = 1
    """CPU threads of one process, 0 for all. More than one pays for large models on idle machines
    alone: where other work runs too, threads that wait for each other can cost tenfold."""
    seed: int = 0


class GateSettings(Section):
    """When a challenger may serve: lower bound of its gain above −margin, slices likewise."""

    margin: Annotated[float, Field(ge=0.0)] = 0.002
    slice_margin: Annotated[float, Field(ge=0.0)] = 0.02
    slice_minimum: Count = 50
    user_minimum: Count = 10
    """Fewer judged users than this decide nothing: an interval over them would not hold."""
    rows_per_user: Count = 20
    """Judged rows of one user at most, spread evenly over time: more say little more about them."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    resamples: Count = 2000


class ServeSettings(Section):
    """How answers are given. ``explore`` is the share of answers chosen at random."""

    k: Count = 10
    explore: Share = 0.0
    abstain: Share = 0.0
    """Answers less probable than this are not given; says "not sure" instead."""


class Settings(BaseSettings):
    """Everything that can be set, with defaults that work."""

    model_config = SettingsConfigDict(
        env_prefix="UPWELL_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    project: ProjectSettings = ProjectSettings()
    data: DataSettings = DataSettings()
    feedback: dict[str, FeedbackRule] = {}
    behaviour: BehaviourSettings = BehaviourSettings()
    trust: TrustSettings = TrustSettings()
    split: SplitSettings = SplitSettings()
    augment: AugmentSettings = AugmentSettings()
    tune: TuneSettings = TuneSettings()
    gate: GateSettings = GateSettings()
    serve: ServeSettings = ServeSettings()

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
        raise _teach(path, text, first["loc"], first["type"], first["msg"]) from None


def _teach(path: Path, text: str, loc: tuple[Any, ...], kind: str, problem: str) -> SettingsError:
    """The error for a key that is unknown or whose value is wrong."""
    names = [str(part) for part in loc]
    line = _line_of(text, names)
    if kind == "extra_forbidden":
        known = _known_keys(names[:-1])
        nearest = (get_close_matches(names[-1], known, 1, 0.4) or [", ".join(known)])[0]
        return SettingsError(
            "settings.unknown_key", file=path, line=line, key=names[-1], nearest=nearest
        )
    key = ".".join(names)
    return SettingsError("settings.bad_value", file=path, line=line, key=key, problem=problem)


def _known_keys(parents: list[str]) -> list[str]:
    model: Any = Settings
    for parent in parents:
        annotation = model.model_fields[parent].annotation if model is not FeedbackRule else None
        model = FeedbackRule if parent == "feedback" else annotation or FeedbackRule
        if parent == "feedback":
            break
    return list(model.model_fields)


def _line_of(text: str, names: list[str]) -> int:
    """Line (from 1) where a key is set: its own line, else its table's, else 1 (environment)."""
    table: list[str] = []
    best = 1
    for number, row in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\]]+)\]", row)
        if header:
            table = [part.strip(" \"'") for part in header.group(1).split(".")]
            if names[: len(table)] == table:
                best = number
            continue
        key = re.match(r"\s*([\w\"'.-]+)\s*=", row)
        if key:
            full = table + [part.strip(" \"'") for part in key.group(1).split(".")]
            if names[: len(full)] == full:
                return number
    return best
