"""CSV files (also with tabs, semicolons or bars), UTF-8 or GB18030, with a header line.

``upwell import ratings.csv --map user=uid --map item=movie --map value=stars --map kind==rating``
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from upwell.sources._columns import events, plan
from upwell.sources._delimited import encoding_of, header, parts
from upwell.sources._files import located, stem

_TOY = """\
id,source,user,kind,at,item,value,payload
1,web,u1,rating,2026-01-01T09:00:00Z,i1,5,
2,web,u1,rating,2026-01-01T10:00:00+08:00,i2,1,"{""page"":""home""}"
3,web,u2,click,2026-01-02T09:00:00Z,i1,,
"""


def toy(folder: Path) -> tuple[str, int]:
    """Three events of two users."""
    path = folder / "toy.csv"
    path.write_text(_TOY, encoding="utf-8")
    return str(path), 3


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Columns of an event, possibly of other types: intake validates.

    Raises SourceError when the file is missing, empty, no text, cut off, or lacks a column.
    """
    for file in located(location, ".csv", ".tsv"):
        encoding = encoding_of(file)
        names, delimiter = header(file, encoding)
        chosen = plan(str(file), stem(file, location), names, mapping)
        yield from events(parts(file, names, delimiter, encoding), chosen)
