"""What is replaced before anything reaches the lake."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from upwell.settings.section import Section

Kind: TypeAlias = Literal[
    "secret", "email", "resident_id", "iban", "card", "company_id", "permit", "passport",
    "ssn", "licence", "plate", "ip", "chat", "phone", "account", "address", "name",
    "link", "date", "age", "group", "title", "organisation", "place",
]  # fmt: skip
Days: TypeAlias = Annotated[float, Field(ge=0.0)]


class ProtectSettings(Section):
    """Personal data in texts: replaced by surrogates before they reach the lake."""

    redact: bool = True
    """Whether they are."""
    off: tuple[Kind, ...] = ("link", "date", "age", "group", "title", "organisation", "place")
    """Kinds that stay. Those of the default tell about somebody and not who, and texts are about
    little else; places, and organisations without a legal form, are told by a model alone."""
    model: str = ""
    """A token classifier that finds more than rules do: a folder that Upwell's tagging or
    transformers wrote, or the hub's id of one that was downloaded."""


class RetentionSettings(Section):
    """How long what users did is kept and learned from, in days; 0 is for ever."""

    days: Days = 0.0
    """After these, users' events and answers are removed from everything, snapshots too."""
    train_days: Days = 0.0
    """Events older than these are not learned from any more."""
    analyse_days: Days = 0.0
    """Events older than these do not count in trials and logged estimates any more."""
