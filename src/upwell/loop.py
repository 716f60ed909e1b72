"""One turn of the loop, stage by stage: the table of contents of the product.

 users ─▶ collect ─▶ protect ─▶ clean ─▶ behaviour ─▶ dataset
   ▲                                                     │
 serve ◀── release ◀── evaluate ◀── tune ◀───────────────┘

Every stage keeps what it made under the turn's id, so a turn that is killed anywhere goes on
from there and ends with the same snapshot and the same numbers. The champion serves throughout;
its alias moves last, in one transaction. One turn of a project runs at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial

from upwell import wiring
from upwell.records import Decision
from upwell.store.project import Project


def quiet(stage: str, done: float, details: Mapping[str, object]) -> None:
    """Progress for those who need none."""


def turn(
    project: Project,
    *,
    now: datetime,
    as_of: datetime | None = None,
    seed: int = 0,
    dry_run: bool = False,
    progress: wiring.Tell = quiet,
) -> Decision:
    """Learn from what is new, prove it on the frozen part, and serve it only if it is better.

    ``as_of`` replays the past: the turn knows only what happened before that moment. An
    unfinished turn is finished first, as it was begun. With ``dry_run`` the gate's decision is
    told but not taken; the next turn goes on from there.
    """
    with wiring.alone(project, now):  # a second one is refused; what a killed one left is swept
        wiring.tidy(project, now)  # first goes who asked to be forgotten and what is past its time
        wiring.adopt(project, now)  # a base that speaks already serves until it is beaten
        this = wiring.begin(project, as_of, seed, now)
        stage = partial(wiring.once, project, this, progress)

        stage("collect", wiring.collect)  # what users did, each event once; bad rows kept apart
        stage("dataset", wiring.freeze)  # protect, clean, behaviour: signals and histories, frozen
        stage("tune", wiring.tune)  # labels and signed feedback, one bounded objective
        stage("evaluate", wiring.evaluate)  # challenger, champion, baselines on the frozen part
        if dry_run:
            return wiring.verdict(project, this)
        stage("release", wiring.release)  # the gate decides; the alias moves, or does not

        project.ledger.close_turn(this.id, now)
        return wiring.taken(project, this)


def watch(
    project: Project,
    *,
    clock: Callable[[], datetime],
    chance: Callable[[], float],
    progress: wiring.Tell = quiet,
) -> Iterator[wiring.Round]:
    """Turns by themselves: each round looks whether one is due, runs it, and tells how it went.

    ``clock`` tells the time and ``chance`` a number in [0, 1); the caller waits between rounds.
    """
    seed = project.settings.tune.seed
    run = partial(turn, project, seed=seed, progress=progress)
    return wiring.rounds(project, lambda now: run(now=now), clock, chance)
