"""What is replaced before anything reaches the lake."""

from __future__ import annotations

from typing import Literal, TypeAlias

from upwell.settings.section import Section

Kind: TypeAlias = Literal[
    "secret", "email", "resident_id", "iban", "card", "company_id", "permit", "passport",
    "ssn", "licence", "plate", "ip", "chat", "phone", "account", "address", "name",
    "link", "date", "age", "group", "title", "organisation", "place",
]  # fmt: skip


class ProtectSettings(Section):
    """Personal data in texts: replaced by surrogates before they reach the lake."""

    redact: bool = True
    """Whether they are."""
    off: tuple[Kind, ...] = ("link", "date", "age", "group", "title", "organisation", "place")
    """Kinds that stay. Those of the default tell about somebody and not who, and texts are about
    little else; organisations and places are told by a model alone."""
    model: str = ""
    """Folder of a token classifier (Hugging Face's layout) that finds more than rules do."""
