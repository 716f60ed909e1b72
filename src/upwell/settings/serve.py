"""How answers are given."""

from __future__ import annotations

from upwell.settings.section import Address, Count, Positive, Section, Share, Variable


class ServeSettings(Section):
    """How answers are given. ``explore`` is the share of answers chosen at random."""

    k: Count = 10
    explore: Share = 0.0
    abstain: Share = 0.0
    """Answers less probable than this are not given; says "not sure" instead."""
    messages: Count = 500
    """Messages that a conversation may have."""
    reply_tokens: Count = 4096
    """Tokens that a reply in conversation may have."""
    reply_seconds: Positive = 300.0
    """Time that a reply may take, waiting included."""
    upstream: Address = ""
    """Another server that speaks OpenAI's API, such as https://host/v1. It answers what names no
    model of this project; empty: nothing leaves this machine."""
    upstream_key_env: Variable = ""
    """The environment variable that holds the key for it."""
    upstream_seconds: Positive = 60.0
    """Time that it may be silent."""
