"""What capture acknowledged is stored, once, whatever happens: kills, power cuts, full disks.

* SIGKILL to the service's process group while clients post over HTTP.
* Power cuts of a simulated disk that loses, tears and reorders what was not synced, beneath the
  project as it is; the same with ``synchronous=NORMAL`` shows that the test can see a loss.
* A full and a failing disk at each of the first writes and syncs, and a real one that fills up.

    python -m bench.soak_capture [--kills N] [--cuts N] [--places N] [--rounds N] [--seed N]
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.rows import Row, publish
from bench.soaking.crashes import CrashSeen, crash
from bench.soaking.cuts import CutSeen, cut_power
from bench.soaking.faults import KINDS, FaultsSeen, plant
from bench.soaking.full import FullSeen, fill

KILLS, CUTS, PLACES, ROUNDS = 200, 1000, 500, 10
CONTROL = 5
"""One cut with the weaker promise for so many with the journal's own."""
SOON = 5.0


def main() -> None:
    """Kill, cut, plant and fill; print the table."""
    given = _given()
    # A service says every failure on its error stream; here thousands are planted.
    logging.disable(logging.CRITICAL)
    with TemporaryDirectory() as name:
        folder = Path(name)
        # First what a machine may refuse to do.
        full = _full(fill(folder, given.rounds, given.seed))
        rows = _crashes(crash(folder, given.kills, given.seed))
        rows += _cuts(cut_power(folder, given.cuts, given.seed))
        rows += _control(cut_power(folder, given.cuts // CONTROL, given.seed, weaken=True))
        rows += _faults(plant(folder, range(1, given.places + 1), given.seed))
    publish("soak-capture", [*rows, *full])


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--places", type=int, default=PLACES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _none(name: str, count: int, of: int | None = None) -> Row:
    named = name if of is None else f"{name}, of {of:,}"
    return Row(named, float(count), target="0", holds=count == 0)


def _all(name: str, count: int, of: int) -> Row:
    return Row(name, float(count), target=f"{of:,}", holds=count == of)


def _soon(name: str, seconds: list[float]) -> list[Row]:
    slowest = max(seconds)
    return [
        Row(f"{name}, s: median", float(np.median(seconds))),
        Row(f"{name}, s: slowest", slowest, target=f"≤ {SOON:g}", holds=slowest <= SOON),
    ]


def _crashes(seen: CrashSeen) -> list[Row]:
    return [
        _all("kills of the service", seen.kills, KILLS),
        _none("kills: acknowledged events lost", seen.lost, seen.acknowledged),
        _none("kills: events stored twice", seen.twice),
        _none("kills: damaged databases", seen.damaged, seen.kills),
        _none("kills: events not stored when sent again", seen.missing),
        Row("kills: requests without an answer, sent again", float(seen.repeated)),
        _none("kills: answers other than stored or try again", seen.strange),
        *_soon("kills: from start until ready", seen.ready),
        Row("kills: from start until ready, CPU s: median", float(np.median(seen.work))),
    ]


def _cuts(seen: CutSeen) -> list[Row]:
    return [
        _all("power cuts", seen.cuts, CUTS),
        *(Row(f"power cuts at {name}", float(n)) for name, n in sorted(seen.moments.items())),
        _none("power cuts: acknowledged events lost", seen.lost, seen.acknowledged),
        _none("power cuts: events stored twice", seen.twice),
        _none("power cuts: damaged databases", seen.damaged, seen.cuts),
    ]


def _control(seen: CutSeen) -> list[Row]:
    return [
        Row("negative control, synchronous=NORMAL: power cuts", float(seen.cuts)),
        Row("negative control: cuts that lost acknowledged events", float(seen.losing),
            target="> 0", holds=seen.losing > 0),
        Row("negative control: acknowledged events lost", float(seen.lost)),
    ]  # fmt: skip


def _faults(seen: FaultsSeen) -> list[Row]:
    wrong = seen.wrong
    return [
        _all("faults (ENOSPC, EIO) at the first writes and syncs", seen.faults,
             PLACES * len(KINDS)),
        Row("faults that kept the project from being opened", float(seen.opening)),
        *(Row(f"faults: answers {status}", float(n)) for status, n in sorted(seen.refused.items())),
        _none("faults: acknowledged events not stored", wrong["lost"], seen.acknowledged),
        _none("faults: events stored twice", wrong["twice"]),
        _none("faults: damaged databases", wrong["damaged"], seen.faults),
        _none("faults: answers other than 202, 503 or 507", wrong["another answer"]),
        _none("faults: not served again when they were gone", wrong["not recovered"]),
    ]  # fmt: skip


def _full(seen: FullSeen) -> list[Row]:
    return [
        _all("full disk: times", len(seen.recovered), ROUNDS),
        Row("full disk: answers 507", float(seen.refused), target="> 0", holds=seen.refused > 0),
        _none("full disk: acknowledged events not stored", seen.lost, seen.acknowledged),
        _none("full disk: events not stored when sent again", seen.missing),
        _none("full disk: events stored twice", seen.twice),
        _none("full disk: damaged databases", seen.damaged),
        _none("full disk: answers other than 202, 503 or 507", seen.strange),
        *_soon("full disk: from free space to stored", seen.recovered),
    ]


if __name__ == "__main__":
    main()
