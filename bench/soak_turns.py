"""Turns that are killed, versions that flip under load, and models that were tampered with.

A project learns from real loans (German credit): 500 labels, then corrections of 300 answers. Its
second turn runs in a process of its own which gets SIGKILL at a random moment, 50 times on fresh
copies, while another process asks what serves. Each turn then goes on, and must end as the
undisturbed one did: the same snapshot, model and decision, and the same numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rows import Row, publish
from bench.soaking.flips import Flipped, flip, tampered
from bench.soaking.kills import BEGIN, ENDED, Seen, kill_turns
from bench.soaking.loans import STAGES, begun
from upwell.store.project import open_project

KILLS, FLIPS = 50, 100
CLOSE, SOON = 1e-6, 1.0


def main() -> None:
    """Kill, flip and tamper; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=KILLS)
    kills = parser.parse_args().kills
    with TemporaryDirectory() as name:
        folder = Path(name)
        seen = kill_turns(begun(folder / "begun"), folder, kills)
        flipped = flip(folder / "undisturbed", FLIPS)
        damaged = tampered(open_project(folder / "undisturbed"))
    publish(
        "soak-turns",
        [*_kills(seen), *_flips(flipped), _none("tampered models that were let serve", *damaged)],
    )


def _none(name: str, count: int, of: int) -> Row:
    return Row(f"{name}, of {of:,}", float(count), target="0", holds=count == 0)


def _kills(seen: Seen) -> list[Row]:
    kills, apart = seen.moments.total(), seen.apart
    during = [name for name in (BEGIN, *STAGES, ENDED) if seen.moments[name]]
    return [
        Row("seconds of an undisturbed turn", seen.seconds),
        Row("turns killed", float(kills), target=f"{KILLS}", holds=kills == KILLS),
        *(Row(f"killed in {name}", float(seen.moments[name])) for name in during),
        _none("turns that did not go on", seen.wrong["did not go on"], kills),
        _none("other snapshot, model or decision", seen.wrong["another outcome"], kills),
        Row("most that a number differed", apart, target=f"≤ {CLOSE:g}", holds=apart <= CLOSE),
        _none("half-written folders in sight", seen.wrong["half-written"], kills),
        _none("files left over in the end", seen.wrong["left over"], kills),
        _none("questions unanswered meanwhile", seen.wrong["unanswered"], seen.asked),
        _none("answers of another version", seen.wrong["another version"], seen.asked),
    ]


def _flips(found: Flipped) -> list[Row]:
    slowest = max(found.rollbacks)
    return [
        Row("flips under load", float(found.flips), target=f"{FLIPS}", holds=found.flips == FLIPS),
        _none("questions failed during flips", found.failed, found.answers),
        _none("answers not of exactly one version", found.mixed, found.answers),
        Row("slowest rollback until it answers, s", slowest, target=f"≤ {SOON:g}",
            holds=slowest <= SOON),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
