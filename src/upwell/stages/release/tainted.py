"""What the gate does where the version that serves learned from rows that were purged since."""

from __future__ import annotations

from upwell.records import Json, Report
from upwell.settings import GateSettings
from upwell.stages.release.reasons import Reason, bounds, numbers_of, reason


def is_tainted(report: Report) -> bool:
    """Whether the champion that was measured against holds what an attack left in it."""
    champion = numbers_of(report.guards.get("tainted")).get("champion")
    return champion is not None and champion == report.champion


def replaced(report: Report, settings: GateSettings) -> Reason:
    """The clean challenger serves unless it is shown to lose more than ``margin``, else hold.

    Of two versions the one that is known to be poisoned has to prove that it should stay: what is
    measured on the frozen part tells little of what an attack has put beside it.
    """
    told, main = numbers_of(report.guards.get("tainted")), report.metrics[0]
    gain, low, high = bounds(main)
    verdict = "promote" if high >= -settings.margin else "hold"
    numbers: dict[str, Json] = {"gain": gain, "low": low, "high": high, "margin": settings.margin}
    numbers |= {"champion": told.get("champion"), "metric": main.name}
    return reason("tainted", verdict, high, -settings.margin, **numbers)
