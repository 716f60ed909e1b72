"""Consent: what is not allowed when a snapshot is built is in none, and a withdrawal is heeded.

Ten thousand random histories are read by the rule that every turn reads them by, and by another
one that follows the words. Some of them go through a real project: in snapshots frozen at random
moments stands nobody who does not allow training then. Last, users whose answers differ from a
stranger's withdraw, and are timed until they get a stranger's.

    python -m bench.consents [--histories 10000] [--looks 25] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from bench.consenting.histories import DAYS, allowed, day, histories
from bench.rows import Row, publish
from upwell import loop, wiring
from upwell.records import PURPOSES, Consent
from upwell.service import Upwell
from upwell.stages.protect.consent import permitted
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import Project, create_project, open_project
from upwell.tables import to_table
from upwell.wiring.turns import end, kept

HISTORIES, LOOKS = 10_000, 25
USERS, FREEZES, ITEMS, ACTS = 60, 10, 24, 12
"""Of the real project: users with a history of their own, snapshots, items, events of a user."""
LEAVERS, SOON, PATIENCE = 20, 60.0, 120.0
"""Users who withdraw; the seconds within which that must hold, and after which nobody waits."""


def main() -> None:
    """Read, freeze, withdraw; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=HISTORIES)
    parser.add_argument("--looks", type=int, default=LOOKS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    read = by_rule(given.histories, given.looks, given.seed)
    with TemporaryDirectory() as name:
        frozen = by_snapshots(Path(name) / "frozen", USERS, FREEZES, given.seed)
        left = by_serving(Path(name) / "left", USERS, LEAVERS, given.seed)
    n = f"{given.histories:,} histories"
    publish("consents", [
        _none(f"leaks in {n}", read.leaks),
        _none(f"wrongly withheld in {n}", read.withheld),
        Row(f"permitted in {n}, share", read.permitted / read.asked),
        Row("snapshots frozen at random moments", float(frozen.snapshots)),
        Row("rows in them", float(frozen.rows)),
        _none("rows of users who did not allow it then", frozen.leaks),
        _none("users who allowed it and are missing", frozen.withheld),
        Row("users answered as themselves, then withdrawn", float(left.known)),
        _none("of them still known after 60 s", left.still_known),
        Row("slowest withdrawal until it holds, s", left.slowest, target=f"≤ {SOON:g}",
            holds=left.slowest <= SOON),
    ])  # fmt: skip


def _none(name: str, count: int) -> Row:
    return Row(name, float(count), target="0", holds=count == 0)


@dataclass(slots=True)
class Read:
    """How often the rule permitted, and where it differed from the words."""

    asked: int = 0
    permitted: int = 0
    leaks: int = 0
    withheld: int = 0


def by_rule(users: int, looks: int, seed: int) -> Read:
    """Every history at random moments: the rule over all at once, the words over each alone."""
    consents = histories(users, seed)
    table, found = to_table(Consent, consents), Read()
    said = _by_user(consents)
    rng = np.random.default_rng(seed + 1)
    for number in range(looks):
        purpose = PURPOSES[number % len(PURPOSES)]
        now = day(int(rng.integers(-1, DAYS + 1))) + timedelta(hours=int(rng.choice([0, 12])))
        ours = set(permitted(table, purpose, now).to_pylist())
        theirs = {user for user, history in said.items() if allowed(history, purpose, now)}
        found.asked += users
        found.permitted += len(ours)
        found.leaks += len(ours - theirs)
        found.withheld += len(theirs - ours)
    return found


def _by_user(consents: Sequence[Consent]) -> Mapping[str, list[Consent]]:
    said: dict[str, list[Consent]] = defaultdict(list)
    for one in consents:
        said[one.user].append(one)
    return said


@dataclass(slots=True)
class Frozen:
    """Snapshots and their rows; those that should not, and users who should, be there."""

    snapshots: int = 0
    rows: int = 0
    leaks: int = 0
    withheld: int = 0


def by_snapshots(folder: Path, users: int, freezes: int, seed: int) -> Frozen:
    """Users with histories of their own act before, between and after what they say."""
    upwell, consents = _shop(folder, users, seed), histories(users, seed)
    project, said, found = upwell.project, _by_user(consents), Frozen()
    project.journal.add_consents(to_table(Consent, consents))
    hidden = {Pseudonyms(project.key).of(f"user{n}"): f"user{n}" for n in range(users)}
    moments = np.sort(np.random.default_rng(seed + 2).integers(DAYS // 4, DAYS + 1, freezes))
    for number, moment in enumerate(moments):
        now = day(int(moment))
        upwell.capture([_act(f"new-{number}", "user0", number, now)], now=now)
        sources, inside = _frozen(project, number, now)
        may = {user for user in hidden.values() if allowed(said.get(user, []), "train", now)}
        found.snapshots += 1
        found.rows += len(inside)
        found.leaks += sum(hidden[user] not in may for user in inside)
        found.leaks += sum(_owner(source) not in may for source in sources)
        found.withheld += len(may - {hidden[user] for user in inside})
    return found


def _frozen(project: Project, seed: int, now: datetime) -> tuple[list[str], list[str]]:
    """A snapshot of now: the events that its rows are made of, and the users of its rows."""
    turn = wiring.begin(project, None, seed, now)
    wiring.once(project, turn, loop.quiet, "dataset", wiring.freeze)
    data = project.snapshots.read(str(kept(project, turn, "dataset")["snapshot"]))
    end(project, turn, now)
    parts = (data.train, data.validation, data.test)
    sources = [one for part in parts for row in part["sources"].to_pylist() for one in row]
    return sources, [user for part in parts for user in part["user"].to_pylist()]


def _owner(source: str) -> str:
    """Whose event it was, which its id says."""
    name = source.rpartition("/")[2]
    return "user0" if name.startswith("new-") else name.partition("-")[0]


@dataclass(slots=True)
class Left:
    """Users who got answers of their own, those who still did, and how long it took at most."""

    known: int = 0
    still_known: int = 0
    slowest: float = 0.0


def by_serving(folder: Path, users: int, leavers: int, seed: int) -> Left:
    """Withdrawals under way: how long until a user is answered as somebody nobody knows."""
    upwell, found = _shop(folder, users, seed), Left()
    everyone = [f"user{n}" for n in range(users)]
    upwell.consent(everyone, PURPOSES, since=day(0))
    loop.turn(upwell.project, now=day(DAYS))
    for user in everyone:
        if found.known == leavers:
            break
        if _answer(upwell, user) == _answer(upwell, "stranger"):
            continue
        found.known += 1
        began = perf_counter()
        upwell.consent([user], (), since=datetime.now(UTC))
        while _answer(upwell, user) != _answer(upwell, "stranger"):
            if perf_counter() - began > PATIENCE:
                found.still_known += 1
                break
        seconds = perf_counter() - began
        found.still_known += SOON < seconds <= PATIENCE
        found.slowest = max(found.slowest, seconds)
    return found


def _answer(upwell: Upwell, user: str) -> list[tuple[str, float]]:
    found = upwell.recommend(user, ITEMS)
    return list(zip(found["item"].to_pylist(), found["score"].to_pylist(), strict=True))


def _shop(folder: Path, users: int, seed: int) -> Upwell:
    """A project whose users like one half of the items or the other, all the time."""
    tables: dict[str, dict[str, object]] = {
        "tune": {"base": "", "epochs": 1},
        "gate": {"resamples": 100},
        "trust": {"about": "nothing"},
        "split": {"test_share": 0.2, "validation_share": 0.1},
    }
    upwell = Upwell(open_project(create_project(folder, "shop", tables, bytes(range(32)))))
    rng = np.random.default_rng(seed + 3)
    acts: list[dict[str, object]] = [
        _act(f"user{n}-{act}", f"user{n}", int(rng.integers(0, ITEMS // 2)) * 2 + n % 2,
             day(0) + timedelta(minutes=int(rng.integers(0, DAYS * 1440))))
        for n in range(users) for act in range(ACTS)
    ]  # fmt: skip
    acts.sort(key=lambda act: str(act["at"]))
    upwell.capture(acts, now=day(DAYS))
    return upwell


def _act(name: str, user: str, item: int, at: datetime) -> dict[str, object]:
    return {"id": name, "user": user, "kind": "rating", "value": 5.0, "item": f"i{item % ITEMS}",
            "at": at}  # fmt: skip


if __name__ == "__main__":
    main()
