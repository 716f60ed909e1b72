"""Feedback poisoning: attacks through intake and a whole turn, with and without defence.

Each part is one promise of TRUST: P1 one user who never stops, P2 sybils, P3 flipped signs, P4 a
backdoor, P6 slow drift, P7 the purge after discovery. What was learned is judged, not what the gate
then let serve, so that cleaning alone has to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from sys import argv
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bench.poisoning import attacks, drift, items
from bench.poisoning.texts import NOW, OFF, TASK, Learned, Product
from bench.rows import Row, publish, render
from upwell import loop
from upwell.records import Json
from upwell.wiring.purge import purge, tainted
from upwell.wiring.switch import switch

SEED = 0
RATES = (0.1, 0.2, 0.3)
PAIRS = (10, 50, 250)
SHARES = (0.01, 0.02, 0.05)
STEPS, DRIFTS = (0.001, 0.002, 0.003, 0.005), range(5)


def fanatics(folder: Path) -> list[Row]:
    """P1 for answers: the share of questions that get the target, and accuracy."""
    product = Product(folder, SEED)
    said = attacks.honest(product)
    clean = product.turn(product.attacked(), said)
    target = _least(product, clean)
    events = [*said, *attacks.fanatic(product, target)]
    held, bare = (product.turn(product.attacked(), events, trust) for trust in (None, OFF))
    rise, fall = held.share_of(target) - clean.share_of(target), clean.accuracy() - held.accuracy()
    return [
        _false_doubts(clean, len(said)),
        _at_most("P1 answers: 10,000 thumbs, target's share, rise", rise, 0.01),
        _at_most("P1 answers: 10,000 thumbs, accuracy lost", fall, 0.005),
        Row("P1 answers: undefended, target's share, rise",
            bare.share_of(target) - clean.share_of(target)),
        Row("P1 answers: undefended, accuracy lost", clean.accuracy() - bare.accuracy()),
    ]  # fmt: skip


def flips(folder: Path) -> list[Row]:
    """P3: accuracy lost to wrong signs, with and without defence."""
    product = Product(folder, SEED)
    clean = product.turn(product.attacked(), attacks.honest(product)).accuracy()
    found = []
    for biased, name in ((False, "of all signs"), (True, "of users, always")):
        lost: dict[bool, list[float]] = {True: [], False: []}
        for rate in RATES:
            events = attacks.flipped(product, rate, biased=biased)
            for defended, trust in ((True, None), (False, OFF)):
                learned = product.turn(product.attacked(), events, trust)
                lost[defended].append(clean - learned.accuracy())
                word = "defended" if defended else "undefended"
                found.append(Row(f"P3: {rate:.0%} {name}, {word}, accuracy lost",
                                 lost[defended][-1]))  # fmt: skip
        mine, bare = (float(np.mean(lost[defended])) for defended in (True, False))
        target = "at most half of the undefended"
        row = f"P3: wrong {name}, mean accuracy lost"
        found.append(Row(row, mine, None, None, target, mine <= bare / 2))
    return found


def backdoors(folder: Path) -> list[Row]:
    """P4 and P7: how often a trigger works, who was found, and what a purge leaves of it."""
    product = Product(folder, SEED)
    said = attacks.honest(product)
    clean = product.turn(product.attacked(), said)
    target = _least(product, clean)
    found = [Row("P4: trigger works without attack", _success(clean, target))]
    for pairs in PAIRS:
        upwell = product.attacked()
        sent, users = attacks.backdoor(product, upwell, target, pairs)
        held = product.turn(upwell, [*said, *sent])
        named = items.doubted_by(held.project, held.version, users, ("clean.trigger",))
        found += [
            _at_most(f"P4: {pairs} pairs, trigger works", _success(held, target), 0.05),
            Row(f"P4: {pairs} pairs, share of attackers named", len(named) / len(users)),
        ]
    upwell = product.attacked()
    sent, users = attacks.backdoor(product, upwell, target, PAIRS[-1])
    bare = product.turn(upwell, [*said, *sent], OFF)
    found.append(Row(f"P4: {PAIRS[-1]} pairs, undefended", _success(bare, target)))
    return found + _purged(product, bare, users, target)


def _purged(product: Product, bare: Learned, users: Sequence[str], target: str) -> list[Row]:
    """P7 on the version that was poisoned without defence, and serves."""
    project = bare.project
    reason: Mapping[str, Json] = {"key": "release.by_hand"}
    switch(project, "promote", bare.version, reason, id="by hand", now=NOW)
    reached: set[str] = set()
    for user in users:
        reached |= set(purge(project, "user", user, "backdoor", NOW).tainted)
    versions = project.ledger.versions(TASK)
    held = {one.id for one in versions if one.id == bare.version}
    decision = loop.turn(project, now=NOW, seed=product.seed)
    after = Learned(project, decision.model, product.world)
    champion = project.ledger.champion(TASK)
    is_up = champion is not None and champion.id == after.version not in tainted(project)
    exact = len(reached & held) / len(held) if reached <= held else 0.0
    return [
        Row("P7: share of the affected versions listed, and no other", exact, None, None, "1",
            exact == 1.0),
        Row("P7: clean version serves after one turn", float(is_up), None, None, "1", is_up),
        _at_most("P7: trigger works after the purge", _success(after, target), 0.05),
    ]  # fmt: skip


def films(folder: Path) -> list[Row]:
    """P1 and P2 for items: how many users are shown the pushed film, and who was found."""
    world = items.Films(folder, SEED)
    clean = world.turn([])
    wrongly = len(clean.doubted) / len(world.users)
    one = world.turn(items.fanatic(world))
    found = [
        _at_most("items: honest users in a crowd's doubt", wrongly, 0.05),
        _at_most("P1 items: 10,000 ratings, exposure, rise", one.exposure - clean.exposure, 0.01),
        _at_most("P1 items: 10,000 ratings, ndcg lost", clean.quality - one.quality, 0.005),
    ]
    for share in SHARES:
        attack = items.sybils(world, share)
        liars = {str(event["user"]) for event in attack}
        held = world.turn(attack)
        name = f"P2 items: {share:.0%} sybils"
        found.append(_at_most(f"{name}, exposure, rise", held.exposure - clean.exposure, 0.02))
        if share == SHARES[-1]:
            bare = world.turn(attack, OFF)
            recall = len(held.doubted & liars) / len(liars)
            precision = len(held.doubted & liars) / max(len(held.doubted), 1)
            found += [
                Row(f"{name}, found", recall, None, None, "at least 0.9", recall >= 0.9),
                Row(f"{name}, of those found are sybils", precision, None, None, "at least 0.8",
                    precision >= 0.8),
                Row(f"{name}, undefended, exposure, rise", bare.exposure - clean.exposure),
            ]  # fmt: skip
    return found


def drifts(_: Path) -> list[Row]:
    """P6: true accuracy lost over twenty turns of small steps."""
    found = []
    gates: tuple[tuple[drift.Gate, str], ...] = (
        ("anchored", "only the long comparison"), ("open", "no gate"),
    )  # fmt: skip
    for step in STEPS:
        name = f"P6: {drift.TURNS} turns that lose {step:.1%} each"
        worst = max(drift.lost(step, seed, "gated") for seed in DRIFTS)
        found.append(_at_most(f"{name}, lost at worst", worst, 0.02))
        for gate, word in gates:
            lost = [drift.lost(step, seed, gate) for seed in DRIFTS]
            found.append(Row(f"{name}, {word}", float(np.mean(lost)), min(lost), max(lost)))
    return found


PARTS: Mapping[str, Callable[[Path], list[Row]]] = {
    "fanatics": fanatics, "films": films, "flips": flips, "backdoors": backdoors, "drifts": drifts,
}  # fmt: skip


def main(names: Iterable[str] = ()) -> None:
    """Run the named parts, or all of them; only all together are published."""
    torch.set_num_threads(1)
    chosen, rows = list(names) or list(PARTS), []
    for name in chosen:
        with TemporaryDirectory() as folder:
            rows += PARTS[name](Path(folder))
        print(f"{name}: done", flush=True)
    if chosen == list(PARTS):
        publish("poison", rows)
    else:
        print(render(rows))


def _least(product: Product, clean: Learned) -> str:
    """The answer that is given least: the one that an attack shows most in."""
    return min(product.classes, key=lambda answer: (clean.share_of(answer), answer))


def _success(learned: Learned, target: str) -> float:
    """Of the test's other questions, the share that a trigger turns into the target."""
    pairs = zip(learned.judged_texts, learned.said, learned.truth, strict=True)
    asked = [text for text, said, truth in pairs if target not in (said, truth)]
    return float(np.mean([one == target for one in learned.answers(attacks.triggered(asked))]))


def _false_doubts(clean: Learned, events: int) -> Row:
    """The share of honest users' signals that some check of poisoning doubts."""
    made = clean.project.ledger.stage_result(clean.version, "dataset") or {}
    codes = ("clean.pushed", "clean.surge", "clean.ring", "clean.trigger")
    wrong = sum(made["doubts"].get(code, 0) for code in codes) / events
    return _at_most("answers: honest signals doubted as poison", wrong, 0.01)


def _at_most(name: str, value: float, limit: float) -> Row:
    return Row(name, value, None, None, f"at most {limit:g}", value <= limit)


if __name__ == "__main__":
    main(argv[1:])
