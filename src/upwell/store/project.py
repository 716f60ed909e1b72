"""A project: a folder with an ``upwell.toml`` and everything the loop keeps for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from upwell.errors import SettingsError, StoreError
from upwell.plugins import plugin
from upwell.ports import Choosing, Talking
from upwell.settings import FILE, ProjectSettings, Settings, load
from upwell.store.files import private_folder
from upwell.store.journal import Journal
from upwell.store.keys import fingerprint, project_key
from upwell.store.lake import Lake
from upwell.store.lease import Lease
from upwell.store.ledger import Ledger
from upwell.store.models import Models
from upwell.store.snapshots import Snapshots
from upwell.store.template import Chosen, Free, template
from upwell.store.tombstones import Tombstones
from upwell.store.veil import NEXT, Veil, key_in

DEMO = "upwell-demo"
KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Project:
    """An open project: its settings and its stores.

    ``veil`` is the layer over what ``key`` makes of users; ``lease`` keeps others from changing it.
    """

    folder: Path
    settings: Settings
    journal: Journal
    ledger: Ledger
    lake: Lake
    snapshots: Snapshots
    models: Models
    key: bytes
    veil: Veil
    lease: Lease

    @property
    def data(self) -> Path:
        """The folder of everything that the loop keeps."""
        return self.folder / self.settings.data.folder

    @property
    def keys(self) -> Path:
        """The folder of its secrets."""
        return self.data / KEYS


def find_project(start: Path | None = None) -> Path:
    """The nearest folder, from ``start`` (default: here) upward, with an ``upwell.toml``.

    Failing that, ``upwell-demo`` in ``start``. Raises SettingsError ``settings.no_project``.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, here / DEMO):
        if (folder / FILE).is_file():
            return folder
    raise SettingsError("settings.no_project", folder=here, file=FILE)


def create_project(folder: Path, name: str, chosen: Chosen | None = None, key: bytes = b"") -> Path:
    """Write a commented ``upwell.toml`` into ``folder``; returns the folder.

    ``chosen`` values are set in it. ``key`` is for data that are public anyway: pseudonyms,
    and with them the hashes of snapshots, are then the same in every project that has it.
    Raises StoreError ``project.exists`` where there is one, SettingsError for a bad name,
    PluginError ``plugin.unknown`` for a task that is none.
    """
    path = folder / FILE
    if path.exists():
        raise StoreError("project.exists", file=path)
    text = template(name, chosen, _free(chosen or {}))
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        keys = folder / load(folder).data.folder / KEYS
    except SettingsError:
        path.unlink()
        raise
    if key:
        project_key(keys, key)
    return folder


def _free(chosen: Chosen) -> Free:
    """What the project's task chooses by itself where nobody sets it."""
    usual = ProjectSettings().task
    name = chosen.get("project", {}).get("task", usual)
    if name == usual:
        # It chooses nothing, and a look at it would bring torch.
        return {}
    task = plugin("tasks", name)
    return {
        "tune": task.CHOOSES if isinstance(task, Choosing) else (),
        # Ratings of what somebody who talks said are read by each user's own mean.
        "feedback": ("good", "bad") if isinstance(task, Talking) else (),
    }


def open_project(folder: Path, *, rotating: bool = False) -> Project:
    """Open the project in ``folder``; what is absent of its data is made.

    Raises StoreError ``key.changed`` when the keys are not those that the data were made with,
    ``key.rotating`` while pseudonyms are rotated or where that was interrupted: only who finishes
    it (``rotating``) may then open it.
    """
    settings = load(folder)
    data = private_folder(folder / settings.data.folder)
    ignore = data / ".gitignore"
    if not ignore.exists():
        # Users' data and the key that hides them have no place in a repository.
        ignore.write_text("*\n", encoding="utf-8")
    lease, key = Lease(data), project_key(data / KEYS)
    if not rotating and (data / KEYS / NEXT).exists():
        raise StoreError("key.rotating", folder=data)
    veil = Veil(key_in(data / KEYS))
    journal = Journal.open(settings.data.journal, folder, key)
    journal.tombstones = Tombstones(key, veil)
    of_key, of_veil = fingerprint(key), veil.fingerprint
    is_same = journal.fact("key", of_key) == of_key
    if not is_same or (journal.fact("names", of_veil) != of_veil and not rotating):
        raise StoreError("key.changed", folder=data / KEYS)
    return Project(
        folder,
        settings,
        journal,
        Ledger(journal),
        Lake(data / "lake", journal),
        Snapshots(data / "snapshots"),
        Models(data / "models"),
        key,
        veil,
        lease,
    )
