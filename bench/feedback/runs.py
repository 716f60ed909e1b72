"""Every method in one world, all noises and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import torch

from bench.feedback.methods import METHODS, NOTHING, ORACLE, RELIABLE
from bench.feedback.simulate import Bench
from bench.feedback.users import NOISES
from bench.feedback.worlds import world

SEEDS = (0, 1, 2, 3, 4)
TURNS = 5
PER_TURN = 900
"""Requests of a turn."""
LONG = (RELIABLE, ORACLE)
"""Methods that go on for five turns."""
NOISELESS = (NOTHING, ORACLE)
"""Methods that no sign reaches: run once, the same in every noise."""


@dataclass(frozen=True, slots=True)
class Run:
    """One method in one world, noise and seed after ``turns`` turns."""

    world: str
    seed: int
    noise: str
    turns: int
    method: str
    accuracy: float
    seconds: float
    diverged: bool


def runs(name: str, seed: int) -> list[Run]:
    """All methods in a world for one seed."""
    torch.set_num_threads(1)
    bench = Bench(world(name, seed), seed)
    found = []
    for turns, methods in ((1, tuple(METHODS)), (TURNS, LONG)):
        for method in methods:
            noises = ("clean",) if method in NOISELESS else tuple(NOISES)
            for noise in noises:
                learned = bench.run(METHODS[method], noise, turns, PER_TURN)
                told = (learned.accuracy, learned.seconds, learned.diverged)
                same = NOISES if method in NOISELESS else (noise,)
                found += [Run(name, seed, one, turns, method, *told) for one in same]
    return found


def of_world(name: str) -> list[Run]:
    """A world's runs, one seed after the other: texts are read once."""
    began, found = perf_counter(), []
    for seed in SEEDS:
        found += runs(name, seed)
        print(f"{name}: seed {seed} after {perf_counter() - began:.0f} s", flush=True)
    return found
