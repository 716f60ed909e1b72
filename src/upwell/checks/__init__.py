"""Public promises of each kind of plugin; they run on every plugin by discovery.

A promise is a public function of ``checks/<kind>.py``: it takes the plugin and an empty folder
to write into, and raises PluginError ``check.broken`` when the plugin does not keep it. Its
sentence stands in the word catalogues under ``check.<kind>.<promise>``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import getmembers, isfunction
from pathlib import Path
from tempfile import TemporaryDirectory

from upwell.errors import UpwellError
from upwell.plugins import Kind, plugin
from upwell.ports import Feedback, Source, Task
from upwell.words import say

Promise = Callable[[Task | Feedback | Source, Path], None]


@dataclass(frozen=True, slots=True)
class Result:
    """Whether one plugin keeps one promise, and what was found where it does not."""

    kind: Kind
    plugin: str
    promise: str
    kept: bool
    found: str = ""

    def sentence(self, lang: str | None = None) -> str:
        """What is promised, in words."""
        return say(f"check.{self.kind}.{self.promise}", lang)


def promises(kind: Kind) -> list[Promise]:
    """The promises of one kind of plugin, in order of name.

    >>> [promise.__name__ for promise in promises("sources")][0]
    'batches_are_events'
    """
    module = import_module(f"upwell.checks.{kind}")
    return [
        function
        for name, function in getmembers(module, isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]


def check(kind: Kind, name: str) -> list[Result]:
    """Try every promise on one plugin. Raises PluginError when there is no such plugin."""
    found = plugin(kind, name)
    return [_tried(kind, name, found, promise) for promise in promises(kind)]


def _tried(kind: Kind, name: str, found: Task | Feedback | Source, promise: Promise) -> Result:
    with TemporaryDirectory() as folder:
        try:
            promise(found, Path(folder))
        except UpwellError as error:
            told = error.details.get("found", f"{error.code} {error.details}")
            return Result(kind, name, promise.__name__, kept=False, found=str(told))
        except Exception as error:  # A foreign plugin may raise anything; the next one still runs.
            told = f"{type(error).__name__}: {error}"
            return Result(kind, name, promise.__name__, kept=False, found=told)
    return Result(kind, name, promise.__name__, kept=True)
