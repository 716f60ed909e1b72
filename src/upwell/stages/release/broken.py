"""What the gate does where the version that serves no longer loads."""

from __future__ import annotations

from collections.abc import Iterator

from upwell.records import Json, Report
from upwell.settings import GateSettings
from upwell.stages.release.reasons import Reason, numbers_of, reason


def broken(report: Report, settings: GateSettings) -> Iterator[Reason]:
    """Hold, unless ``replace_broken`` lets a challenger take the place of what no longer loads.

    It then needs all that it needs otherwise where the champion's answers are still known (a
    note), and else what the first version needs (promote).
    """
    told = numbers_of(report.guards.get("broken"))
    if not told:
        return
    numbers: dict[str, Json] = {name: told.get(name) for name in ("champion", "problem")}
    if not settings.replace_broken:
        yield reason("broken", "hold", None, None, **numbers)
    elif report.champion is not None:
        yield reason("broken", "note", None, None, **numbers)
    else:
        main = report.metrics[0]
        numbers |= {"metric": main.name, "value": main.value, "users": main.n}
        yield reason("broken", "promote", None, None, **numbers)


def is_replaced(report: Report, settings: GateSettings, champion: str | None) -> bool:
    """Whether the challenger is judged as if nothing served: ``champion`` is what is broken."""
    told = numbers_of(report.guards.get("broken"))
    known = report.champion is not None
    return settings.replace_broken and not known and told.get("champion", "") == champion
