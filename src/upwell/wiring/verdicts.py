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
    judge = Upstream(settings.judge, settings.judge_key_env, SECONDS)
    try:
        found = [
            _settled(judge, settings.judge_model, *one) for one in zip(told, *both, strict=True)
        ]
    except UpwellError as error:
        return unmeasured("judge_failed", host=judge.host, code=error.code)
    return verdicts.judged(found, owners, settings.confidence)


def _settled(judge: Upstream, model: str, told: Messages, mine: str, before: str) -> int | None:
    """Whether what served (+1) or the challenger (−1) is preferred in either order."""
    if before == mine:
        return 0
    one, swapped = (
        verdicts.verdict(_answer(judge, model, told, first, second))
        for first, second in ((before, mine), (mine, before))
    )
    return verdicts.settled(one, swapped)


def _answer(judge: Upstream, model: str, told: Messages, first: str, second: str) -> str:
    """What it says; empty where that is no text, as it is where it calls for a tool."""
    try:
        _, pieces = judge.talk(verdicts.request(model, told, first, second), is_stream=False)
        return "".join(piece.text for piece in pieces)
    except StageError as error:
        if error.code != "upstream.garbage":
            raise
        return ""
