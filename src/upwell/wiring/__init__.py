"""How each stage of a turn meets the stores: fetch tables, call the pure stage, keep what it made.

``loop.py`` tells the story; this file holds what it must not: where a stage's input lies and
where its output goes. Every function can be repeated: a turn killed at any boundary resumes.
What a stage returns is recorded under the turn's id; it names what was made and how it went.
"""

from __future__ import annotations

from upwell.wiring.adopting import BASE, adopt
from upwell.wiring.data import collect, dataset, freeze
from upwell.wiring.decision import release, taken, verdict
from upwell.wiring.erasing import tidy
from upwell.wiring.learning import load, tune, use_threads
from upwell.wiring.proof import evaluate
from upwell.wiring.turns import Kept, Stage, Tell, alone, begin, drain, kept, once
from upwell.wiring.watch import Round, rounds

__all__ = [
    "BASE", "Kept", "Round", "Stage", "Tell", "adopt", "alone", "begin", "collect", "dataset",
    "drain", "evaluate", "freeze", "kept", "load", "once", "release", "rounds", "taken", "tidy",
    "tune", "use_threads", "verdict",
]  # fmt: skip
