"""The gate's decision on a turn, and its effect."""

from __future__ import annotations

from upwell.records import Decision
from upwell.stages.release.gate import decide
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.wiring import trials
from upwell.wiring.erasing import settle
from upwell.wiring.proof import report_of
from upwell.wiring.turns import Kept, Tell, kept


def verdict(project: Project, turn: Turn) -> Decision:
    """What the gate says of the turn's report, with nothing changed."""
    champion = project.ledger.champion(turn.task)
    decision = decide(
        report_of(project, turn), project.settings.gate,
        id=turn.id, task=turn.task, at=turn.at, champion=champion.id if champion else None,
    )  # fmt: skip
    return trials.instead(project, decision)


def release(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Take the gate's decision; it is recorded and the alias moves in one transaction."""
    decision = verdict(project, turn)
    trials.begin(project, decision, turn.at)
    project.ledger.decide(decision, decision.model if decision.act == "promote" else None)
    settle(project, turn.at)
    return {"decision": decision.id, "act": decision.act}


def taken(project: Project, turn: Turn) -> Decision:
    """The decision that the turn took."""
    wanted = kept(project, turn, "release")["decision"]
    return next(one for one in project.ledger.decisions(turn.task) if one.id == wanted)
