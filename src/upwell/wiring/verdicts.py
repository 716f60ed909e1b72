"""The judge that the settings name, asked about replies that both versions gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from upwell.conversation import Messages
from upwell.errors import StageError, UpwellError
from upwell.settings import GuardSettings
from upwell.stages.evaluate import verdicts
from upwell.stages.evaluate.guards import Finding, unmeasured
from upwell.wiring.upstream import Upstream

SECONDS = 60.0
"""Time that a judge may be silent."""


def judged(
    settings: GuardSettings,
    told: Sequence[Messages],
    both: Sequence[Sequence[str]],
    owners: npt.NDArray[np.int64],
) -> Finding:
    """What the judge says of replies in (n,) conversations, the challenger's and what serves'.

    Nothing is sent where no judge is named, nor about replies that are the same.
    A judge that fails is asked no more, and ends no turn.
    """
    if not settings.judge or "judged" in settings.off:
        return unmeasured("no_judge")
    judge = _Judge(settings)
    try:
        found = [_settled(judge, *one) for one in zip(told, *both, strict=True)]
    except UpwellError as error:
        return unmeasured("judge_failed", host=judge.upstream.host, code=error.code)
    return verdicts.judged(found, owners, settings.confidence)


class _Judge:
    """A model at a server, asked plainly from where it has refused to be asked otherwise."""

    def __init__(self, settings: GuardSettings) -> None:
        self.upstream = Upstream(settings.judge, settings.judge_key_env, SECONDS)
        self.model, self.is_plain = settings.judge_model, False

    def says(self, told: Messages, first: str, second: str) -> str:
        """Its answer; empty where that is no text, as it is where it calls for a tool."""
        asked = verdicts.request(self.model, told, first, second, plain=self.is_plain)
        try:
            _, pieces = self.upstream.talk(asked, is_stream=False)
            return "".join(piece.text for piece in pieces)
        except StageError as error:
            if error.code == "upstream.garbage":
                return ""
            if error.code != "upstream.refused" or self.is_plain:
                raise
        self.is_plain = True
        return self.says(told, first, second)


def _settled(judge: _Judge, told: Messages, mine: str, before: str) -> int | None:
    """Whether what served (+1) or the challenger (−1) is preferred in either order."""
    if before == mine:
        return 0
    one, swapped = (
        verdicts.verdict(judge.says(told, first, second))
        for first, second in ((before, mine), (mine, before))
    )
    return verdicts.settled(one, swapped)
