"""A user is forgotten: out of the journal at once, out of all that was made of it soon after.

1 ``forget``: one transaction removes the user's rows and raises the tombstones; from then on no
  answer knows the user, and a late retry of theirs is refused.
2 ``erase``: alone, at the next moment without a turn: lake, snapshots, doubts and kept answers are
  written anew without the user, and every version that had learned from them is named.
3 ``settle``: a turn later a version that never saw the user serves, and the others are removed.

Each step is safe to repeat, and takes up where a killed one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from upwell import rows
from upwell.errors import StageError, StoreError
from upwell.records import Json
from upwell.store.doubts import forget_doubts
from upwell.store.erasures import Erasure, Erasures, Reached
from upwell.store.keys import fingerprint
from upwell.store.project import Project
from upwell.store.receipts import Signed, public_key, sign
from upwell.store.removal import Holding, of_users
from upwell.store.trials import Trials
from upwell.store.user_keys import UserKeys
from upwell.store.veil import Change, Veil
from upwell.wiring.removing import doubts_folder, expire, remove_rows
from upwell.wiring.trials import finish
from upwell.wiring.turns import alone, end

Document = Mapping[str, Json]


def forget(project: Project, user: str, *, id: str, now: datetime) -> Erasure:
    """Remove what the journal holds of a user; ``id`` names the erasure.

    Where nothing is held of one who was forgotten before, that erasure. Raises StageError
    ``erase.unknown`` where there never was such a user.
    """
    erasures, hidden = Erasures(project.journal), rows.pseudonyms(project).of(user)
    found = erasures.begin(id, user, hidden, now) or erasures.last_of(hidden)
    if found is None:
        raise StageError("erase.unknown", user=ascii(user[:64])[1:-1])
    return found


def erase(project: Project, now: datetime) -> list[Erasure]:
    """Remove from everything else those whose erasure is begun; call while holding the lock.

    An unfinished turn is ended, for it may have read the rows already.
    """
    erasures = Erasures(project.journal)
    begun = erasures.begun()
    if begun:
        gone = of_users([one.user for one in begun])
        holding = project.snapshots.holding(gone)
        unfinished = project.ledger.unfinished_turn(project.settings.project.task)
        if unfinished is not None:
            end(project, unfinished, now)
        _name_versions(project, begun, holding)
        in_lake, in_snapshots = remove_rows(project, gone, holding)
        forget_doubts(doubts_folder(project), [one.user for one in begun])
        _end_trial(project, now)
        erasures.empty()
        _shred(project, begun)
        for one in begun:
            removed = {"lake": in_lake[one.user], "snapshots": in_snapshots[one.user]}
            erasures.mark_erased(one, removed, now)
    settle(project, now)
    return begun


def tidy(project: Project, now: datetime) -> None:
    """Erase whom it is begun for, and expire what is past its time; call while holding the lock."""
    erase(project, now)
    expire(project, now)


def finish_begun(project: Project, now: datetime, is_due: bool = False) -> bool:
    """Erase where an erasure is begun; whether none is left, for while a turn runs they wait.

    Where it ``is_due``, what is past its time goes too.
    """
    is_due = is_due and bool(project.settings.retention.days)
    if not is_due and not Erasures(project.journal).begun():
        return True
    try:
        with alone(project, now):
            tidy(project, now)
    except StoreError as error:
        if not error.code.startswith("turn.running"):
            raise
        return False
    return True


def settle(project: Project, now: datetime) -> None:
    """Remove versions that learned from somebody who was forgotten, the serving one apart.

    An erasure none of whose versions serves any more is done.
    """
    erasures = Erasures(project.journal)
    champion = project.ledger.champion(project.settings.project.task)
    waiting = erasures.erased()
    reached = erasures.reached() if waiting else []
    for one in waiting:
        versions = {found.version for found in reached if found.erasure == one.id}
        serving = {champion.id} & versions if champion else set[str]()
        for version in sorted(versions - serving):
            project.models.forget(version)
        if not serving:
            erasures.mark_done(one, now)


def receipt(project: Project, erasure: Erasure) -> Document:
    """What an erasure did, and what of it is left to do; without a word that tells who it was."""
    champion = project.ledger.champion(project.settings.project.task)
    models: list[Json] = [
        {
            "version": one.version,
            "rows": one.rows,
            "serves": champion is not None and champion.id == one.version,
        }
        for one in Erasures(project.journal).reached()
        if one.erasure == erasure.id
    ]
    ends = {"asked": erasure.asked, "erased": erasure.erased, "done": erasure.done}
    return {
        "erasure": erasure.id,
        "project": fingerprint(project.key),
        "user": erasure.user,
        "state": erasure.state,
        **{name: at.isoformat() if at else None for name, at in ends.items()},
        "removed": dict(erasure.counts),
        "models": models,
    }


def _name_versions(project: Project, begun: Sequence[Erasure], holding: Holding) -> None:
    """Keep which versions learned from them, before their snapshots no longer tell."""
    reached = [
        Reached(one.id, version.id, None if held is None else held[one.user])
        for version in project.ledger.versions(project.settings.project.task)
        for held in [holding.get(version.snapshot, {})]
        for one in begun
        if held is None or one.user in held
    ]
    Erasures(project.journal).reach(reached)


def _shred(project: Project, begun: Sequence[Erasure]) -> None:
    """Delete the users' keys: no backup that was ever made can be opened for them again."""
    keys = UserKeys(project.keys, project.key)
    lifted = Change(project.veil, Veil())
    found = Erasures(project.journal).tombstones(begun)
    keys.shred([replace(one, user=lifted.name(one.user), digest=lifted.block(one.digest))
                for one in found])  # fmt: skip
    keys.close()


def _end_trial(project: Project, now: datetime) -> None:
    """Let no version be tried on users that learned from somebody who was forgotten."""
    trial = Trials(project.journal).running(project.settings.project.task)
    reached = {one.version for one in Erasures(project.journal).reached()}
    if trial is not None and trial.challenger in reached:
        finish(project, trial, "stop", {"key": "trial.erased"}, now)


def signed_receipt(project: Project, erasure: Erasure) -> Signed:
    """The receipt of an erasure as it stands, signed by the project."""
    return sign(project.keys, receipt(project, erasure))


def signer(project: Project) -> str:
    """The public key that the project's receipts are signed with."""
    return public_key(project.keys)
