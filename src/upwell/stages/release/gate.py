"""The gate: may this challenger serve? A pure function of a Report and the settings.

Checks run in a fixed order and all of them are told, each with its number, its threshold and its
verdict; the strictest verdict is the act (reject over hold over promote; a note decides nothing):

1. ``finite``: every measured number is finite, else reject.
2. ``first``: without a champion the rest has nothing to compare: promote.
3. ``current``: the champion measured against is the one that serves now, else hold.
   ``broken``: it no longer loads → hold, unless ``replace_broken``.
4. ``users``: at least ``user_minimum`` users were judged, else hold.
5. ``better`` (``promote = "better"``): the lower bound of the deciding gain, at the level that this
   look may spend, is above 0, else hold. Or ``gain`` and ``estimate`` (``"not_worse"``): the lower
   bound of the interval is above −margin and the gain itself above 0, else hold. Either rejects
   where the interval's upper bound is below 0.
   ``tainted`` instead of these, where the champion learned from what was purged since: shown to
   lose more than the margin → hold.
   Notes: ``test`` (which test decided), ``missing`` (how many more users would show a gain of
   ``seek``), ``sealed`` (which part of the frozen test decided, and how often each was looked at).
6. ``slices``: no user group of ``slice_minimum`` users or more is shown to lose more than
   ``slice_margin``: the loss beyond it, and its p after Holm's correction ≤ ``slice_alpha`` → hold;
   the interval wholly beyond it → reject. A loss that is not shown is noted. Notes on the groups
   that have an adapter of their own in the challenger, and on those that have none.
7. ``guards``: each guard that was crossed does what its settings say: note, hold or reject.
8. ``ope``: what logs say of the gain: upper bound below 0 → hold.
9. ``cumulative``: against the version that many small steps began at: a loss of the threshold →
   hold; upper bound below 0 → reject. A note where the gain over what serves is shown.
10. ``baseline``: a note for each baseline that the challenger does not beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from upwell.records import Decision, Report
from upwell.settings import GateSettings
from upwell.stages.release.beside import cumulative, guards, off_policy, sealed
from upwell.stages.release.broken import broken, is_replaced
from upwell.stages.release.groups import adapters, slices
from upwell.stages.release.measured import baselines, current, finite, first, shown, users
from upwell.stages.release.reasons import VERDICTS, Reason
from upwell.stages.release.tainted import is_tainted, replaced


def decide(
    report: Report,
    settings: GateSettings,
    *,
    id: str,
    task: str,
    at: datetime,
    champion: str | None,
) -> Decision:
    """The Decision on the report's challenger; ``champion`` is what serves at this moment.

    Each reason has ``key`` (``gate.<check>.<verdict>``, a word key), ``verdict``, ``number``,
    ``threshold`` and what else fills its sentence (see ``release.explain``).
    """
    reasons = tuple(_checks(report, settings, champion))
    act = max((str(reason["verdict"]) for reason in reasons), key=VERDICTS.index)
    return Decision(id=id, model=report.challenger, task=task, at=at, act=act, reasons=reasons)


def _checks(report: Report, settings: GateSettings, champion: str | None) -> Iterator[Reason]:
    yield finite(report)
    if report.champion is None and champion is None:
        yield first(report)
    elif not is_replaced(report, settings, champion):
        yield current(report, champion)
    yield from broken(report, settings)
    if report.champion is not None:
        yield users(report, settings)
        if is_tainted(report):
            yield replaced(report, settings)
        else:
            yield from shown(report, settings)
        yield from sealed(report, settings)
        yield from slices(report, settings)
    yield from adapters(report)
    yield from guards(report)
    yield from off_policy(report)
    yield from cumulative(report)
    yield from baselines(report)
