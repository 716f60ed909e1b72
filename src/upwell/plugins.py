"""Discovery: a plugin's name is its file's name; nobody keeps a list.

Upwell's own plugins are the modules of ``upwell.tasks``, ``upwell.feedback`` and
``upwell.sources`` (names that begin with an underscore are private parts). Other packages add
theirs through the entry points ``upwell.tasks``, ``upwell.feedback`` and ``upwell.sources``.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Literal, cast, overload

from upwell.errors import PluginError
from upwell.ports import Feedback, Source, Task

Kind = Literal["tasks", "feedback", "sources"]
KINDS: tuple[Kind, ...] = ("tasks", "feedback", "sources")


@cache
def locations(kind: Kind) -> dict[str, str]:
    """Names of the plugins of one kind and the modules they live in, without importing any.

    >>> "rating" in locations("feedback")
    True
    """
    package = import_module(f"upwell.{kind}")
    own = {
        module.name: f"upwell.{kind}.{module.name}"
        for module in iter_modules(package.__path__)
        if not module.name.startswith("_")
    }
    foreign = {entry.name: entry.value for entry in entry_points(group=f"upwell.{kind}")}
    return dict(sorted({**foreign, **own}.items()))


@overload
def plugin(kind: Literal["tasks"], name: str) -> Task: ...
@overload
def plugin(kind: Literal["feedback"], name: str) -> Feedback: ...
@overload
def plugin(kind: Literal["sources"], name: str) -> Source: ...
def plugin(kind: Kind, name: str) -> Task | Feedback | Source:
    """Import one plugin. Raises PluginError with the nearest name when there is none."""
    known = locations(kind)
    if name not in known:
        nearest = (get_close_matches(name, known, 1) or [""])[0]
        listed = ", ".join(known)
        raise PluginError("plugin.unknown", kind=kind, name=name, nearest=nearest, known=listed)
    return cast("Task | Feedback | Source", import_module(known[name]))
