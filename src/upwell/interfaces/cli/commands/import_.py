"""``upwell import``: take in events from a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pyarrow as pa
import typer
from pyarrow import compute as pc

from upwell.errors import InterfaceError
from upwell.interfaces.cli.agreed import agreed
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.progress import Bars
from upwell.plugins import locations, plugin
from upwell.records import Event, Json, Receipt
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project
from upwell.tables import schema
from upwell.wiring.refused import redacted
from upwell.words import retold

ENDINGS = {"ndjson": "jsonl", "json": "jsonl", "tsv": "csv", "pq": "parquet", "inter": "recbole"}

FIELDS = (*schema(Event).names, "input", "target", "correction")
_SEVERAL = re.compile(rf",(?=\s*(?:{'|'.join(FIELDS)})=)")
"""Between two pairs of one mapping; a column's own name may hold a comma."""


@dataclass(slots=True)
class Tally:
    """What became of the rows so far; of bad rows a count and one example by code and field."""

    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    bad: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)

    def add(self, batch: pa.RecordBatch, receipt: Receipt) -> None:
        """Count one batch and its receipt."""
        self.rows += batch.num_rows
        self.accepted += receipt.accepted
        self.duplicates += receipt.duplicates
        self.users.update(user for user in pc.unique(batch["user"]).to_pylist() if user)
        for row in receipt.refused:
            key = (row.code, row.field)
            self.bad[key] += 1
            self.examples.setdefault(key, row.reason)


def run(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="cli.import.file")],
    format: Annotated[str | None, typer.Option("--format", "-f", help="cli.import.format")] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", "-m", metavar="FIELD=COLUMN", help="cli.import.map")
    ] = None,
    source: Annotated[str, typer.Option(help="cli.import.source")] = "import",
    consent: Annotated[str, typer.Option(metavar="PURPOSES", help="cli.import.consent")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli.import.dry_run")] = False,
) -> Answer:
    """Code 1 when there were rows and none of them could be accepted."""
    here: Here = context.obj
    purposes = agreed(consent, here)
    reader = plugin("sources", format or _by_ending(file))
    mapping = mapping_of(map or ())
    now, tally = datetime.now(UTC), Tally()
    with _target(here, dry_run) as project, Bars(here) as bars:
        upwell = Upwell(project)
        for batch in reader.read(file, mapping):
            tally.add(batch, upwell.capture(batch, source=source))
            bars("collect", 0.0, {"rows": tally.rows})
        bars("collect", 1.0, {"rows": tally.rows})
        told = redacted(project, list(tally.examples.values()))
        tally.examples = dict(zip(tally.examples, told, strict=True))
        if purposes:
            upwell.consent(sorted(tally.users), purposes, since=now)
    return _told(tally, dry_run, bool(purposes), here)


@contextmanager
def _target(here: Here, dry_run: bool) -> Iterator[Project]:
    """The project; for a dry run one of its own that is thrown away, so that all is as real."""
    if not dry_run:
        yield opened(here)
        return
    with TemporaryDirectory() as folder:
        yield open_project(create_project(Path(folder) / "dry", "dry"))


def _by_ending(file: str) -> str:
    """The plugin named by a file's ending. Raises InterfaceError when none is."""
    ending = Path(file).suffix.removeprefix(".").lower()
    known = locations("sources")
    name = ENDINGS.get(ending, ending)
    if name not in known:
        raise InterfaceError("cli.no_format", file=file, known=", ".join(known))
    return name


def mapping_of(texts: Sequence[str]) -> dict[str, str]:
    """What ``--map`` says, given any number of times. Raises InterfaceError for what is none."""
    return dict(_pair(part) for text in texts for part in _SEVERAL.split(text))


def _pair(text: str) -> tuple[str, str]:
    """``FIELD=COLUMN``. Raises InterfaceError for anything else."""
    name, sign, column = text.partition("=")
    if not sign or not column.strip() or name.strip() not in FIELDS:
        raise InterfaceError("cli.bad_map", text=text, known=", ".join(FIELDS))
    return name.strip(), column.strip()


def _told(tally: Tally, dry_run: bool, consented: bool, here: Here) -> Answer:
    bad = sum(tally.bad.values())
    counts = {
        "rows": tally.rows,
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "bad": bad,
    }
    heads = [here.say(f"cli.import.{name}") for name in counts]
    lines: list[Line] = [Grid(heads, [[f"{count:,}" for count in counts.values()]])]
    if bad:
        lines += ["", _bad(tally, here)]
    if dry_run:
        lines += ["", here.say("cli.import.dry")]
    elif bad:
        lines += ["", here.say("cli.import.kept")]
    if not (dry_run or consented) and tally.users:
        lines += ["", here.say("cli.import.no_consent", users=len(tally.users))]
    listed: Json = [
        {"code": code, "field": name, "rows": count, "example": tally.examples[code, name]}
        for (code, name), count in tally.bad.most_common()
    ]
    document: dict[str, Json] = {**counts, "dry_run": dry_run, "bad_rows": listed}
    return Answer(document, lines, code=1 if tally.rows and bad == tally.rows else 0)


def _bad(tally: Tally, here: Here) -> Grid:
    heads: Sequence[str] = [
        here.say(f"cli.import.{name}") for name in ("code", "field", "rows", "example")
    ]
    return Grid(
        heads,
        [
            (code, name, f"{count:,}", _said(tally.examples[code, name], code, here)[:100])
            for (code, name), count in tally.bad.most_common()
        ],
    )


def _said(reason: str, code: str, here: Here) -> str:
    """A reason, which is kept in English, in the language that was asked for."""
    return retold(f"error.{code}.what", reason, here.lang)
