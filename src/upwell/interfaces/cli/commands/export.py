"""``upwell export``: a user's data for them, rows for other trainers, or a version for others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

import typer

from upwell.errors import InterfaceError
from upwell.interfaces import gguf, model_card, training_file
from upwell.interfaces.cli.here import Answer, Grid, Here
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.portrait import portrait, write
from upwell.records import Json, ModelVersion
from upwell.stages.dataset.training_files import FORMS
from upwell.store.project import Project
from upwell.wiring import exporting

_GROUPS = "groups"
"""Where in its folder a model keeps the adapters of groups of users."""


def run(
    context: typer.Context,
    user: Annotated[str | None, typer.Option("--user", help="cli.export.user")] = None,
    format: Annotated[str | None, typer.Option("--format", "-f", help="cli.export.format")] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="VERSION", help="cli.export.model")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="cli.export.out")] = None,
    snapshot: Annotated[str | None, typer.Option(help="cli.export.snapshot")] = None,
    license: Annotated[str, typer.Option(help="cli.export.license")] = "",
    language: Annotated[list[str] | None, typer.Option(help="cli.export.language")] = None,
    as_gguf: Annotated[
        Literal["auto", "f32", "f16", "bf16", "q8_0"] | None,
        typer.Option("--gguf", help="cli.export.gguf"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="cli.export.force")] = False,
) -> Answer:
    """Nothing is changed; what exists is not written over."""
    here: Here = context.obj
    asked = {"--user": user, "--format": format, "--model": model}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) != 1:
        raise InterfaceError("cli.export_one", given=", ".join(given) or "–")
    of_model = {"--gguf": as_gguf, "--license": license, "--language": language, "--force": force}
    _refuse_stray(here, given[0], {"--model": of_model, "--format": {"--snapshot": snapshot}})
    if user is not None:
        return _user(here, user, out)
    if out is None:
        raise InterfaceError("cli.export_where", given=given[0])
    if format is not None:
        return _rows(here, format, _free(out), snapshot)
    if as_gguf:
        gguf.tool()
    found = _model(here, str(model), _free(out), (license, language or []), force)
    return _with_gguf(here, found, out, as_gguf) if as_gguf else found


def _refuse_stray(here: Here, given: str, told: Mapping[str, Mapping[str, object]]) -> None:
    """Raise InterfaceError ``cli.usage`` where an option is told that goes with another export."""
    for owner, options in told.items():
        for name, value in options.items():
            if value and owner != given:
                problem = here.say("cli.export.goes_with", option=name, other=owner)
                raise InterfaceError("cli.usage", problem=problem)


def _free(path: Path) -> Path:
    """A path at which nothing lies."""
    if path.exists():
        raise InterfaceError("cli.export_exists", file=path)
    return path


def _user(here: Here, user: str, out: Path | None) -> Answer:
    found = portrait(opened(here), user, datetime.now(UTC))
    path = out or Path(f"upwell-{re.sub(r'[^a-zA-Z0-9]+', '-', user)[:40].strip('-')}.zip")
    write(found, _free(path))
    counts = found.counts()
    heads = [here.say("cli.export.what"), here.say("cli.export.rows")]
    cells = [(here.say(f"cli.export.{name}"), f"{n:,}") for name, n in counts.items()]
    cells.append((here.say("cli.export.models"), f"{len(found.models):,}"))
    return Answer(
        {"file": str(path), **counts, "models": list(found.models)},
        [here.say("cli.export.done", file=path), Grid(heads, cells)],
    )


def _rows(here: Here, form: str, out: Path, snapshot: str | None) -> Answer:
    if form not in FORMS:
        nearest = get_close_matches(form, FORMS, 1, 0.0)[0]
        raise InterfaceError(
            "cli.export_format", name=form, nearest=nearest, known=", ".join(FORMS)
        )
    found = exporting.handed(opened(here), snapshot, datetime.now(UTC))
    count = training_file.write(out, form, exporting.told(found, form))
    lines = [here.say("cli.export.written", rows=count, file=out, snapshot=found.snapshot[:12])]
    if found.withheld:
        lines.append(here.say("cli.export.withheld", rows=found.withheld))
    told: dict[str, Json] = {
        "file": str(out),
        "rows": count,
        "snapshot": found.snapshot,
        "withheld": found.withheld,
    }
    return Answer(told, lines)


def _model(here: Here, name: str, out: Path, terms: tuple[str, list[str]], force: bool) -> Answer:
    project = opened(here)
    version = _version(project, name)
    folder = exporting.folder_of(project, version, force)
    card = model_card.card(model_card.origin_of(project, version), folder, *terms, here.lang)
    model_card.give(folder, card, out)
    lines = [here.say("cli.export.given", version=version.id, folder=out)]
    if folder.damaged or folder.is_tainted:
        lines.append(here.say("cli.export.forced"))
    told: dict[str, Json] = {"folder": str(out), "version": version.id, "digest": version.digest,
            "damaged": folder.damaged, "tainted": folder.is_tainted}  # fmt: skip
    return Answer(told, lines)


def _with_gguf(here: Here, found: Answer, out: Path, kind: str) -> Answer:
    file = gguf.add(out, kind)
    lines = [*found.lines, here.say("cli.export.gguf_made", file=file)]
    if (out / _GROUPS).is_dir():
        lines.append(here.say("cli.export.gguf_shared"))
    return Answer({**found.document, "gguf": str(file)}, lines)


def _version(project: Project, name: str) -> ModelVersion:
    versions = project.ledger.versions(project.settings.project.task)
    known = {version.id: version for version in versions}
    if name not in known:
        nearest = (get_close_matches(name, known, 1, 0.0) or ["–"])[0]
        raise InterfaceError("cli.no_version", name=name, nearest=nearest)
    return known[name]
