"""Markup made of escaped parts: text that users wrote can never become a tag or an attribute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TypeAlias

Value: TypeAlias = "str | float | None"


class Markup(str):
    """Text that is already markup; every other text is escaped when it becomes a child."""

    __slots__ = ()


def tag(name: str, attributes: Mapping[str, Value] | None = None, *children: str) -> Markup:
    """One element. Attributes that are None are left out; numbers keep two decimals.

    >>> tag("p", {"class": "note", "id": None}, "1 < 2 ", tag("b", {}, "yes"))
    '<p class="note">1 &lt; 2 <b>yes</b></p>'
    """
    written = "".join(
        f' {key}="{escape(_plain(value), quote=True)}"'
        for key, value in (attributes or {}).items()
        if value is not None
    )
    inside = join(children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def join(children: Iterable[str]) -> Markup:
    """Children in order, those that are not markup escaped."""
    parts = (child if isinstance(child, Markup) else escape(child) for child in children)
    return Markup("".join(parts))


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
