"""The ``upwell.toml`` of a new project: every setting with its default, made from the settings.

Settings stand commented out at their defaults, so that a project follows better defaults until
it chooses its own, and the file can never name a setting that does not exist. What the task
chooses by itself has no default to show: one that was set would take its place.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from upwell.settings import FeedbackRule, Section, Settings

_HEAD = (
    "# Settings of this Upwell project. A line that begins with '# ' and a name shows a default;",
    "# remove the '# ' to choose another value. One that begins with '#: ' shows none; to choose",
    "# one, write its name, '=' and a value. UPWELL_TUNE__EPOCHS=5 sets epochs in [tune].",
)
_BY_TASK = "is chosen by the task where it is not set"


Chosen: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Values other than the defaults: table → setting → value."""
Free: TypeAlias = Mapping[str, Collection[str]]
"""Settings that the task chooses where they are not set, by table."""
_NONE: Free = {}


def template(name: str, chosen: Chosen | None = None, free: Free = _NONE) -> str:
    """The text of ``upwell.toml`` for a project called ``name``, with the ``chosen`` values set.

    No value is shown of what is ``free``.

    >>> print(template("shop").splitlines()[6])
    name = "shop"
    """
    lines = list(_HEAD)
    values = {**(chosen or {}), "project": {"name": name, **(chosen or {}).get("project", {})}}
    for key, field in Settings.model_fields.items():
        section = field.default
        if isinstance(section, Section):
            lines += [
                "",
                *_comment(type(section)),
                f"[{key}]",
                *_values(section, values.get(key, {}), free.get(key, ())),
            ]
        else:
            lines += ["", *_comment(FeedbackRule), f"# [{key}.rating]", *_rule(free.get(key, ()))]
    return "\n".join(lines) + "\n"


def _comment(section: type[Section]) -> list[str]:
    return [f"# {line.strip()}" for line in (section.__doc__ or "").splitlines() if line.strip()]


def _values(section: Section, chosen: Mapping[str, Any], free: Collection[str]) -> list[str]:
    return [
        f"{entry} = {_toml(chosen[entry])}"
        if entry in chosen
        else _default(entry, getattr(section, entry), free)
        for entry in type(section).model_fields
    ]


def _rule(free: Collection[str]) -> list[str]:
    example = FeedbackRule(reads="rating", good=4.0, bad=2.0)
    return [_default(entry, getattr(example, entry), free) for entry in FeedbackRule.model_fields]


def _default(entry: str, value: Any, free: Collection[str]) -> str:
    if entry in free:
        return f"#: {entry} {_BY_TASK}"
    return f"#: {entry} is not set" if value is None else f"# {entry} = {_toml(value)}"


def _toml(value: Any) -> str:
    """A setting as TOML; JSON writes text, numbers, booleans and lists the same way."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
