"""Errors that teach: what happened, how things stand now, what to do next, a stable code.

Each class owns a family of codes; each code owns three sentences in the word catalogues
(``error.<code>.what``, ``.now``, ``.next``). A code never changes its meaning.
"""

from __future__ import annotations

from upwell.words import say


class UpwellError(Exception):
    """An error meant for the user.

    ``code`` is stable and documented; ``details`` fill the sentences of the catalogue.

    >>> try:
    ...     raise PluginError("plugin.unknown", kind="tasks", name="tg", nearest="tag", known="tag")
    ... except UpwellError as error:
    ...     print(error.code, "|", error.explain("en")[0])
    plugin.unknown | There is no plugin 'tg' among tasks; the nearest is 'tag'.
    """

    def __init__(self, code: str, /, **details: object) -> None:
        self.code = code
        self.details = details
        super().__init__(code)

    def explain(self, lang: str | None = None) -> tuple[str, str, str]:
        """What happened, how things stand now, what to do next."""
        return (
            say(f"error.{self.code}.what", lang, **self.details),
            say(f"error.{self.code}.now", lang, **self.details),
            say(f"error.{self.code}.next", lang, **self.details),
        )

    def __str__(self) -> str:
        return f"[{self.code}] " + " ".join(self.explain())


class SettingsError(UpwellError):
    """``upwell.toml`` or the environment says something Upwell cannot follow."""


class RecordError(UpwellError):
    """A record breaks its own promises (validated once, at birth)."""


class SourceError(UpwellError):
    """An import's data are missing, truncated, altered or of an unknown shape."""


class StoreError(UpwellError):
    """The journal, the lake or a model folder cannot do what was asked."""


class StageError(UpwellError):
    """A stage of a turn cannot go on."""


class PluginError(UpwellError):
    """A plugin is unknown or breaks a promise."""


class InterfaceError(UpwellError):
    """What was asked of the command line cannot be understood or was cut short."""
