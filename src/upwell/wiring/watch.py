"""Turns by themselves: look whether one is due, run it, and live with one that fails.

A failure never ends the watch. It is kept under its turn's id; the turn goes on at a later look,
after a wait that doubles with each failure, and is closed as failed when it has failed
``give_up`` times. What serves goes on serving throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import StoreError, UpwellError
from upwell.records import Decision, Json
from upwell.stages.clean.signals import FACTS, signals
from upwell.stages.release.triggers import Check, Situation, checks, pause
from upwell.store.arrivals import LABEL, NOTHING, Sight, arrived
from upwell.store.failures import record_failure
from upwell.store.project import Project
from upwell.wiring import trials
from upwell.wiring.turns import end, failure

SAMPLE = 5_000
"""Events on either side of the last turn that drift is measured on, at most."""
BUSY = ("turn.running", "turn.running_elsewhere")
Run = Callable[[datetime], Decision]
"""A whole turn, begun or gone on with at a moment."""


@dataclass(frozen=True, slots=True)
class Round:
    """One look and what came of it.

    ``failed`` is what went wrong, ``times`` in a row; ``turn`` is the one it happened to, and
    ``given_up`` says that it was closed for it. ``busy``: another process runs a turn, which is
    no failure. ``wait`` is how long to wait until the next look.
    """

    at: datetime
    checks: tuple[Check, ...] = ()
    decision: Decision | None = None
    failed: Exception | None = None
    times: int = 0
    turn: str | None = None
    given_up: bool = False
    busy: bool = False
    wait: timedelta = timedelta()
    trial: trials.Standing | None = None

    @property
    def due(self) -> tuple[Check, ...]:
        """The triggers that fired."""
        return tuple(check for check in self.checks if check.fires)


def look(project: Project, now: datetime) -> tuple[Check, ...]:
    """Every trigger with its numbers."""
    return checks(situation(project, now), project.settings.watch)


def damage(project: Project) -> StoreError | None:
    """What is wrong with the files of the champion, which a service that starts could not load."""
    champion = project.ledger.champion(project.settings.project.task)
    try:
        if champion is not None:
            project.models.verified(champion.path, champion.digest)
    except StoreError as error:
        return error
    return None


def situation(project: Project, now: datetime) -> Situation:
    """What is known now, read from the journal and the ledger; a sample where reading costs."""
    ledger, settings, task = project.ledger, project.settings, project.settings.project.task
    champion, turns = ledger.champion(task), ledger.turns(task)
    unfinished, last = ledger.unfinished_turn(task), turns[-1] if turns else None
    seen = Sight(last.watermark, last.as_of) if last else NOTHING
    new = arrived(project.journal, seen, Sight(), settings.data.label_sources)
    known = Situation(
        now=now,
        serving=champion.id if champion else None,
        new=new.total,
        turn=last.id if last else None,
        begun=last.at if last else None,
        unfinished=unfinished.id if unfinished else None,
        guards=_guards(project, champion.id) if champion else {},
    )
    if last is None or not settings.watch.drift or new.total < settings.watch.drift_minimum:
        return known
    before = _said(project, last.watermark - SAMPLE, last.watermark)
    return replace(known, before=before, since=_said(project, last.watermark))


def _said(project: Project, after: int, until: int | None = None) -> dict[str, int]:
    """How often each kind of feedback said yes, no or nothing, in a sample between two places."""
    events = project.journal.events_after(max(after, 0), SAMPLE)
    if until is not None:
        events = events.filter(pc.less_equal(events["seq"], until))
    sources = pa.array(project.settings.data.label_sources, pa.string())
    about = pc.is_in(events["kind"], pa.array([*FACTS, LABEL]))
    events = events.filter(pc.invert(pc.or_(about, pc.is_in(events["source"], sources))))
    # The journal's columns hold no null and say so; tables that are made from them do not.
    events = events.cast(pa.schema([field.with_nullable(True) for field in events.schema]))
    signs = signals(events, project.settings.feedback).select(["seq", "sign"])
    told = events.select(["seq", "kind"]).join(signs, "seq", join_type="left outer")
    counted = told.group_by(["kind", "sign"]).aggregate([("seq", "count")]).to_pylist()
    return {f"{row['kind']} {row['sign'] or 0:+d}": int(row["seq_count"]) for row in counted}


def _guards(project: Project, champion: str) -> Mapping[str, Json]:
    """What was watched when the serving model was last measured itself."""
    reports = project.ledger.reports(project.settings.project.task)
    measured = [one for one in reports if one.challenger == champion]
    found = measured[-1].guards.get("watched") if measured else None
    return found if isinstance(found, Mapping) else {}


def one_round(project: Project, run: Run, now: datetime, failed: int) -> Round:
    """Look at the trial and the triggers once; run a turn if one is due.

    ``failed`` rounds in a row went wrong before. Nothing but a stop is raised: a champion whose
    files are damaged is told as a failure, and keeps no turn from running.
    """
    found: tuple[Check, ...] = ()
    try:
        trial = trials.step(project, now)
        found = look(project, now)
        damaged = damage(project)
        decision = run(now) if any(check.fires for check in found) else None
    except Exception as error:
        if isinstance(error, UpwellError) and error.code in BUSY:
            return Round(now, found, busy=True, failed=error)
        return _after_failure(project, found, error, now, failed + 1)
    times = failed + 1 if damaged else 0
    return Round(now, found, decision, failed=damaged, times=times, trial=trial)


def _after_failure(
    project: Project, found: tuple[Check, ...], error: Exception, now: datetime, times: int
) -> Round:
    """Note a failure under its turn, if it has one; give the turn up when it failed too often."""
    told = Round(now, found, failed=error, times=times)
    if not any(check.fires for check in found):
        return told
    try:
        return _noted(project, told, error)
    except UpwellError:
        # A journal that cannot be written to is what failed: there is nowhere to note it.
        return told


def _noted(project: Project, told: Round, error: Exception) -> Round:
    ledger, task = project.ledger, project.settings.project.task
    unfinished = ledger.unfinished_turn(task)
    if unfinished is None:
        last = next(reversed(ledger.turns(task)), None)
        refused = last is not None and not ledger.stage_result(last.id, "release")
        return replace(told, turn=last.id, given_up=True) if last and refused else told
    count = record_failure(project.journal, unfinished.id, failure(error), told.at)
    given_up = count >= project.settings.watch.give_up
    if given_up:
        end(project, unfinished, told.at)
    return replace(told, turn=unfinished.id, given_up=given_up)


def code_of(error: Exception) -> str:
    """The stable code of an error of Upwell, the name of any other."""
    return error.code if isinstance(error, UpwellError) else type(error).__name__


def rounds(
    project: Project,
    run: Run,
    clock: Callable[[], datetime],
    chance: Callable[[], float],
) -> Iterator[Round]:
    """Rounds without end, one whenever the caller asks; it waits ``wait`` in between.

    After a failure the wait doubles, up to ``retry_most_seconds``; the next success resets it.
    """
    settings = project.settings.watch
    failed = 0
    while True:
        found = one_round(project, run, clock(), failed)
        failed = 0 if found.failed is None or found.busy else found.times
        every = timedelta(seconds=settings.every_seconds)
        wait = pause(failed, settings, chance()) if failed else every
        yield replace(found, wait=wait)
