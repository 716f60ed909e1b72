"""Model folders: whole, verified and private, or refused.

A model is written under a temporary name, hashed, forced to disk and renamed. Its digest is the
hash of its manifest, which holds the hash of every file, so a model is what it was, or is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from upwell.errors import StoreError
from upwell.records import NAME
from upwell.store.files import publish, sha256_of, staging, sweep, sync
from upwell.tables import canonical_json

MANIFEST = "manifest.json"


class Models:
    """Model folders under ``folder``, one per version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(
        self, version_id: str, save: Callable[[Path], None], replace: bool = False
    ) -> tuple[str, str]:
        """Let ``save`` fill a folder and keep it; returns its path below this store, its digest.

        The same content again changes nothing. Other content under a version that exists raises
        StoreError ``model.exists``; ``replace`` is for a turn that was killed before it recorded
        the version.
        """
        if not NAME.fullmatch(version_id):
            raise StoreError("model.bad_id", version=version_id[:80])
        final = self._folder / version_id
        with staging(self._folder) as temporary:
            save(temporary)
            manifest = temporary / MANIFEST
            listed = canonical_json({"files": _hashes(temporary)})
            manifest.write_text(listed, encoding="utf-8")
            digest = sha256_of(manifest)
            if final.exists():
                if not _problem(final, digest):
                    return version_id, digest
                if not replace:
                    raise StoreError("model.exists", version=version_id)
                # Moved away whole before it is removed: a kill never leaves half of it in sight.
                with staging(self._folder) as aside:
                    final.replace(aside / version_id)
            publish(temporary, final)
        return version_id, digest

    def verified(self, path: str, digest: str) -> Path:
        """The folder of a model, every file as it was written.

        Raises StoreError ``model.damaged`` when a file is missing, altered or was added.
        """
        problem = _problem(self._folder / path, digest) if NAME.fullmatch(path) else MANIFEST
        if problem:
            raise StoreError("model.damaged", model=path[:80], file=problem)
        return self._folder / path

    def place(self, path: str) -> Path:
        """Where a model's folder lies, whether or not it is whole. StoreError ``model.damaged``."""
        if not NAME.fullmatch(path):
            raise StoreError("model.damaged", model=path[:80], file=MANIFEST)
        return self._folder / path

    def forget(self, version_id: str) -> None:
        """Remove the folder of a version that no ledger knows; nothing where there is none."""
        if NAME.fullmatch(version_id) and (self._folder / version_id).exists():
            with staging(self._folder) as aside:
                (self._folder / version_id).replace(aside / version_id)

    def rewrite(
        self, path: str, digest: str, aside: Models, change: Callable[[str], str]
    ) -> str | None:
        """Write a model into ``aside`` as ``change`` makes the text of its JSON; its new digest.

        None where nothing changes, or where the model is not as its digest promises.
        """
        try:
            folder = self.verified(path, digest)
        except StoreError:
            return None
        told = {one: one.read_text(encoding="utf-8") for one in sorted(folder.rglob("*.json"))}
        made = {one: change(text) for one, text in told.items() if one != folder / MANIFEST}
        if all(made[one] == told[one] for one in made):
            return None

        def save(to: Path) -> None:
            for one in (one for one in folder.rglob("*") if one.is_file()):
                place = to / one.relative_to(folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                if one in made:
                    place.write_text(made[one], encoding="utf-8")
                elif one != folder / MANIFEST:
                    place.hardlink_to(one)

        return aside.write(path, save)[1]

    def adopt(self, aside: Path) -> None:
        """Take over the models that were rewritten in ``aside``; killed anywhere, run it again."""
        for manifest in sorted(aside.glob(f"*/{MANIFEST}")):
            self.forget(manifest.parent.name)
            manifest.parent.replace(self._folder / manifest.parent.name)
            sync(self._folder)

    def sweep(self) -> int:
        """Remove what killed writers left; returns how much."""
        return sweep(self._folder)


def _hashes(folder: Path) -> dict[str, str]:
    """Hash of every file below ``folder``, by its path, the manifest apart."""
    files = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    # A link is no content of the model: its name stands without a hash, which nothing matches.
    return {
        name: "" if path.is_symlink() else sha256_of(path)
        for name, path in sorted(named.items())
        if name != MANIFEST
    }


def _problem(folder: Path, digest: str) -> str:
    """The first file that is not as the digest promises; empty when all are."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or sha256_of(manifest) != digest:
        return MANIFEST
    expected: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    found = _hashes(folder)
    for name in sorted(expected.keys() | found.keys()):
        if not found.get(name) or found[name] != expected.get(name):
            return name
    return ""
