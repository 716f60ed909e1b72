"""A project set aside in one file, and made again from it; who was forgotten since is not in it."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import upwell
from upwell import rows
from upwell.errors import StoreError
from upwell.records import NAME
from upwell.settings import FILE, load
from upwell.store.backups import (
    OWNED,
    packed,
    put_back,
    read_plain,
    unpacked,
    users_of,
    write_plain,
)
from upwell.store.database import writing
from upwell.store.erasures import Erasures, Reached
from upwell.store.files import full_disk_told, private_folder, publish, staging
from upwell.store.keys import fingerprint
from upwell.store.project import KEYS, Project, open_project
from upwell.store.removal import of_users
from upwell.store.renaming import VEIL, rename_records
from upwell.store.user_keys import UserKeys, closed, opened
from upwell.store.veil import Change, Veil, veil_named
from upwell.wiring.turns import alone

FORMAT = 1
_ABOUT, _USERS, _LEARNED, _MODELS = "backup.json", "users.jsonl", "learned.jsonl", "models/"
_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: users, rows, models; and users whose key is gone, who did not."""

    project: Project
    users: int
    rows: int
    models: int
    forgotten: int


def backup(project: Project, path: Path, now: datetime) -> dict[str, int]:
    """Write a backup of the project to ``path``; returns how many users and models are in it.

    No turn runs meanwhile. The keys are not in it: without a copy of the folder ``keys``, kept
    elsewhere and not for long, nothing that it holds of users can be read.
    """
    keys = user_keys(project)
    with alone(project, now), full_disk_told(), ZipFile(path, "w", ZIP_DEFLATED) as archive:
        told = {"format": FORMAT, "version": upwell.__version__, "made": now.isoformat(),
                "project": fingerprint(project.key), "names": project.veil.fingerprint}  # fmt: skip
        archive.writestr(_ABOUT, json.dumps(told))
        archive.write(project.folder / FILE, FILE)
        write_plain(project.journal, archive)
        users = users_of(project.journal)
        with archive.open(_USERS, "w", force_zip64=True) as stream:
            for line in _boxes(project, keys, users):
                stream.write(line)
        archive.writestr(_LEARNED, "".join(_learned(project, users)))
        models = _pack_models(project, archive)
    keys.close()
    path.chmod(0o600)
    return {"users": len(users), "models": models}


def restore(path: Path, keys: Path, folder: Path) -> Restored:
    """Make the project of a backup again in ``folder``, which must not be one yet.

    ``keys`` is a copy of its folder ``keys``. Raises StoreError ``backup.unreadable``,
    ``backup.other_format``, ``backup.other_keys``, ``backup.not_empty`` or ``project.exists``.
    """
    try:
        with ZipFile(path) as archive:
            return _restore(archive, keys, folder)
    except (BadZipFile, KeyError, OSError, ValueError) as error:
        raise StoreError("backup.unreadable", file=path, problem=type(error).__name__) from error


def user_keys(project: Project) -> UserKeys:
    """The users' keys of a project."""
    return UserKeys(project.keys, project.key)


def _boxes(project: Project, keys: UserKeys, users: Sequence[str]) -> Iterator[bytes]:
    """A line for each user: their pseudonym, and all that is theirs, closed."""
    hidden, covered = rows.pseudonyms(project), Change(Veil(), project.veil)
    for start in range(0, len(users), _TOGETHER):
        lifted = Change(project.veil, Veil())
        part = {lifted.name(hidden.of(user)): user for user in users[start : start + _TOGETHER]}
        for first, key in keys.of(list(part)).items():
            name = covered.name(first)
            box = closed(packed(project.journal, part[first]), project.veil.sealing(key), name)
            yield json.dumps({"user": name, "box": b64encode(box).decode()}).encode() + b"\n"


def _learned(project: Project, users: Sequence[str]) -> Iterator[str]:
    """A line for each version and each user that it learned from."""
    hidden = [rows.pseudonyms(project).of(user) for user in users]
    holding = project.snapshots.holding(of_users(hidden))
    for version in project.ledger.versions(project.settings.project.task):
        for user, count in (holding.get(version.snapshot) or {}).items():
            yield json.dumps([version.id, user, count]) + "\n"


def _pack_models(project: Project, archive: ZipFile) -> int:
    count = 0
    models = project.data / "models"
    for version in project.ledger.versions(project.settings.project.task):
        files = [one for one in (models / version.path).rglob("*") if one.is_file()]
        for file in files:
            archive.write(file, _MODELS + file.relative_to(models).as_posix())
        count += bool(files)
    return count


def _restore(archive: ZipFile, keys: Path, folder: Path) -> Restored:
    told: dict[str, Any] = json.loads(archive.read(_ABOUT))
    if told["format"] != FORMAT:
        raise StoreError("backup.other_format", format=told["format"])
    if (folder / FILE).exists():
        raise StoreError("project.exists", file=folder / FILE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(archive.read(FILE))
    data = private_folder(folder / load(folder).data.folder)
    shutil.copytree(keys, private_folder(data / KEYS), dirs_exist_ok=True)
    project = open_project(folder)
    if fingerprint(project.key) != told["project"]:
        raise StoreError("backup.other_keys", folder=keys)
    if project.journal.counts()["events"]:
        raise StoreError("backup.not_empty")
    veil = veil_named(project.keys, told.get(VEIL, ""))
    if veil is None:
        raise StoreError("backup.other_keys", folder=keys)
    count = sum(put_back(project.journal, table, lines) for table, lines in read_plain(archive))
    if veil.fingerprint != project.veil.fingerprint:
        with writing(project.journal.engine) as connection:
            rename_records(connection, Change(veil, project.veil))
    models = _unpack_models(archive, data)
    users, theirs, gone = _open_boxes(archive, project, Change(veil, Veil()))
    _know_gone(archive, project, Change(veil, project.veil))
    return Restored(project, users, count + theirs, models, gone)


def _open_boxes(archive: ZipFile, project: Project, lifted: Change) -> tuple[int, int, int]:
    """Put back what is users' own: how many came back, their rows, and how many did not."""
    keys, users, count, gone = user_keys(project), 0, 0, 0
    with archive.open(_USERS) as stream:
        for line in stream:
            told = json.loads(line)
            first = lifted.name(told["user"])
            key = keys.known([first]).get(first)
            sealed = key and lifted.old.sealing(key)
            piece = sealed and opened(b64decode(told["box"]), sealed, told["user"])
            if not piece:
                gone += 1
                continue
            found, users = unpacked(piece), users + 1
            count += sum(put_back(project.journal, one, iter(found[one.name])) for one in OWNED)
    keys.close()
    return users, count, gone


def _know_gone(archive: ZipFile, project: Project, change: Change) -> None:
    """Raise the tombstones of those who were forgotten since, and name what learned from them."""
    keys, erasures = user_keys(project), Erasures(project.journal)
    covered = Change(Veil(), project.veil)
    gone = [replace(one, user=covered.name(one.user), digest=covered.block(one.digest))
            for one in keys.shredded()]  # fmt: skip
    keys.close()
    new = {one.user: one.id for one in erasures.restore(gone)}
    lines = map(json.loads, archive.read(_LEARNED).splitlines())
    reached = ((version, change.name(user), n) for version, user, n in lines)
    erasures.reach(Reached(new[user], version, n) for version, user, n in reached if user in new)


def _unpack_models(archive: ZipFile, data: Path) -> int:
    """Put the model folders back; a name that leads elsewhere is refused."""
    versions: dict[str, list[PurePosixPath]] = {}
    for name in archive.namelist():
        path = PurePosixPath(name)
        if name.startswith(_MODELS):
            if ".." in path.parts or path.is_absolute() or not NAME.fullmatch(path.parts[1]):
                raise ValueError(name)
            versions.setdefault(path.parts[1], []).append(path)
    for version, files in versions.items():
        with staging(data / "models") as temporary:
            for path in files:
                to = temporary / version / PurePosixPath(*path.parts[2:])
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(archive.read(path.as_posix()))
            publish(temporary / version, data / "models" / version)
    return len(versions)
