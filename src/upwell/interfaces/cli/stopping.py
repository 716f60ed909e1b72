"""Something that runs for ever, and the two ways to stop it: when it suits, or at once."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from upwell.interfaces.cli.here import Here
from upwell.interfaces.cli.progress import Bars

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """A context in which SIGTERM and SIGINT ask to stop; call it with a turn's progress.

    The first signal stops a turn at the next thing it tells, which is always after something was
    kept; the second stops it where it stands. A turn that is stopped goes on another time.
    Leaving the context by a stop is no error.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self._wanted = False
        # A signal comes between any two steps of a lock, which it would then wait for in vain.
        self._told, self._tell = os.pipe()
        self._bars: Bars | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        # Only the main thread is told of signals; elsewhere the caller has another way to stop.
        with suppress(ValueError):
            self._before = {one: signal.signal(one, self._signalled) for one in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.pause()
        for one, handler in self._before.items():
            signal.signal(one, handler)
        os.close(self._told)
        os.close(self._tell)
        return kind is KeyboardInterrupt and self._wanted

    def __call__(self, stage: str, share: float, details: Mapping[str, object]) -> None:
        """Show how far a turn has come. Raises KeyboardInterrupt where a stop was asked for."""
        if self._bars is None:
            self._bars = Bars(self._here).__enter__()
        self._bars(stage, share, details)
        if self._wanted:
            raise KeyboardInterrupt

    def pause(self) -> None:
        """Put the bars of a turn away."""
        if self._bars is not None:
            self._bars.__exit__(None, None, None)
            self._bars = None

    def asked(self, seconds: float) -> bool:
        """Wait, unless a stop is asked for meanwhile or was before."""
        return bool(select.select([self._told], [], [], seconds)[0])

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._wanted:
            raise KeyboardInterrupt
        self._wanted = True
        os.write(self._tell, b".")
