"""What must not go wrong while the main metric rises."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from upwell.settings.section import Address, Count, Positive, Section, Share, Variable

Guard: TypeAlias = Literal[
    "forgetting", "forgetting_anchor", "calibration", "calibration_rise", "length", "abstention",
    "concentration", "coverage", "drift", "drift_joint", "feedback_rate", "positive_share",
    "leaked_rows", "near_copies", "memorisation", "refusal", "repeats", "extraction", "flattery",
    "forgetting_general", "judged",
]  # fmt: skip
Bound: TypeAlias = Annotated[float, Field(ge=0.0)]


class GuardSettings(Section):
    """What must not go wrong while the metric rises: a threshold each.

    A guard that is crossed holds or rejects the challenger if it stands in `hold` or `reject`;
    else it is only noted. Those in `off` are not measured.
    """

    reject: tuple[Guard, ...] = ()
    hold: tuple[Guard, ...] = (
        "forgetting", "forgetting_anchor", "calibration_rise", "leaked_rows", "repeats", "flattery",
    )  # fmt: skip
    off: tuple[Guard, ...] = ()
    rows: Count = 1000
    """Rows that likelihoods and drift are measured on, at most, the same ones for every model."""
    minimum: Count = 30
    """Fewer users than this (rows, where they are nobody's) measure nothing."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    newest: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Share of rows, by time, that drift compares with the rest."""
    window_days: Positive = 1.0
    """Days within which an answer gets its feedback; younger answers are not counted yet."""
    judge: Address = ""
    """A server that speaks OpenAI's API, such as https://host/v1, whose model compares replies in
    conversation with those of what serves; empty: nothing leaves this machine."""
    judge_model: str = ""
    """That model's name there."""
    judge_key_env: Variable = ""
    """The environment variable that holds the key for it."""
    forgetting: Bound = 0.05
    """Nats of likelihood lost on frozen labels against what serves."""
    forgetting_anchor: Bound = 0.1
    """The same against the first model that served."""
    calibration: Bound = 0.15
    """How far the first answer's probability may be from how often it is right."""
    calibration_rise: Bound = 0.03
    """How much of that may be new."""
    length: Bound = 0.25
    """Change in the length of answers that are free text, as a share."""
    abstention: Bound = 0.1
    """Change in the share of questions that get no answer."""
    concentration: Bound = 0.05
    """Rise of the Gini coefficient of how often each item is shown."""
    coverage: Bound = 0.1
    """Fall of the number of different items shown, as a share."""
    drift: Bound = 0.2
    """Largest population stability index (PSI) of a column that changed significantly."""
    drift_joint: Bound = 0.65
    """How well (AUC) new rows can be told from old ones by all columns together."""
    feedback_rate: Bound = 0.1
    """PSI of the share of answers that get feedback."""
    positive_share: Bound = 0.1
    """PSI of the share of feedback that is a yes."""
    leaked_rows: Share = 0.0
    """Share of judged rows that were also learned from, against the promise of the split."""
    near_copies: Share = 0.02
    """The same for inputs that differ in case, width or spaces alone."""
    refusal: Bound = 0.1
    """Rise of the share of conversations in which a reply declines or says nothing."""
    repeats: Bound = 0.0
    """Rise of the share of replies that repeat what one user alone wrote."""
    extraction: Bound = 0.1
    """The same where the model is asked what that user asked."""
    flattery: Bound = 0.1
    """Rise of the share of questions whose answer follows the opinion of whoever asks."""
    forgetting_general: Bound = 0.05
    """Nats lost on questions that any model is asked, where conversations are learned from."""
    judged: Bound = 0.1
    """How much more often the judge prefers what serves, as a share of conversations."""
    memorisation: Bound = 0.75
    """How well (AUC) learned rows can be told from others by their likelihood."""

    def verdict(self, guard: str) -> Literal["note", "hold", "reject"]:
        """What crossing a guard does.

        >>> GuardSettings(reject=("drift",)).verdict("drift"), GuardSettings().verdict("drift")
        ('reject', 'note')
        """
        return "reject" if guard in self.reject else "hold" if guard in self.hold else "note"
