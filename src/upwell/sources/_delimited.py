"""Text files of rows and columns, read in blocks: CSV and its relatives, UTF-8 or GB18030.

All cells are text; an empty cell is null. A row with too few or too many columns is handed over
as it is and reading goes on; a file that ends within a row, or holds bytes that are no text,
ends reading with an error that says where.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from upwell.errors import SourceError
from upwell.sources._columns import Part
from upwell.sources._files import Progress, opened, told
from upwell.sources._flaws import OTHER_WIDTH

ENCODINGS = ("utf-8", "gb18030")
BLOCK = 1 << 22
"""Bytes read at a time."""
_WINDOW = 1 << 20
_DELIMITERS = ",\t;|"


def header(file: Path, encoding: str, delimiter: str = "") -> tuple[list[str], str]:
    """Names of the columns, and the delimiter: the one given, else the most frequent one.

    Raises SourceError ``source.empty`` when there is no line.
    """
    with told(file, Progress()), opened(file) as stream:
        start = stream.read(_WINDOW).decode(encoding, errors="replace").removeprefix("\ufeff")
    lines = start.lstrip("\r\n")
    if not lines:
        raise SourceError("source.empty", file=str(file))
    first = lines.splitlines()[0]
    found = max(_DELIMITERS, key=first.count)
    if delimiter:
        return first.split(delimiter), delimiter
    return next(csv.reader(io.StringIO(lines), delimiter=found)), found


def parts(
    file: Path, names: list[str], delimiter: str, encoding: str, *, quoted: bool = True
) -> Iterator[Part]:
    """The rows below the header, block by block.

    Raises SourceError ``source.not_text``, ``source.unreadable`` or ``source.truncated`` where
    they cannot be read.
    """
    progress, broken = Progress(), Broken([])
    with told(file, progress), opened(file) as stream:
        last_byte = _check_text(file, encoding)
        reader = arrow_csv.open_csv(
            stream,
            arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK, encoding=encoding),
            arrow_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                invalid_row_handler=broken.keep,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        for batch in reader:
            yield _part(batch, broken, progress)
        if broken.rows:
            yield _part(pa.RecordBatch.from_pylist([], reader.schema), broken, progress)
    if broken.short == progress.rows and progress.rows and last_byte not in b"\r\n":
        row, kept = f"{progress.rows:,}", f"{progress.rows - 1:,}"
        raise SourceError("source.truncated", file=str(file), row=row, kept=kept)


@dataclass(slots=True)
class Broken:
    """Rows with too few or too many columns: those not yet handed over, and the last short one."""

    rows: list[tuple[int, str]]
    short: int = 0

    def keep(self, row: arrow_csv.InvalidRow) -> str:
        """Arrow's handler. Arrow counts the header as row 1 and empty lines as none."""
        self.rows.append((row.number - 1, row.text))
        if row.actual_columns < row.expected_columns:
            self.short = row.number - 1
        return "skip"


def _part(batch: pa.RecordBatch, broken: Broken, progress: Progress) -> Part:
    """Number the rows of a block: consecutive, but for the broken rows between them."""
    first, last = progress.rows + 1, progress.rows + batch.num_rows
    inside: list[tuple[int, str]] = []
    while broken.rows and broken.rows[0][0] <= last + 1:
        inside.append(broken.rows.pop(0))
        last += 1
    numbers = np.setdiff1d(np.arange(first, last + 1), [number for number, _ in inside])
    progress.rows = last
    return Part(batch, numbers, tuple(inside), (OTHER_WIDTH, OTHER_WIDTH))


def encoding_of(file: Path) -> str:
    """UTF-8 or GB18030, judged by the first bytes that are not ASCII.

    Text in another one-byte encoding (Latin-1, say) is not mistaken for GB18030, in which nearly
    every character takes two such bytes.
    """
    with told(file, Progress()), opened(file) as stream:
        window = b""
        while (block := stream.read(_WINDOW)) and not window:
            window = b"" if block.isascii() else block
    wide = sum(byte > 127 for byte in window)
    read = window.decode("utf-8", errors="replace")
    wrong = read.count("\ufffd")
    if wrong * 4 <= sum(not char.isascii() for char in read) - wrong:
        return "utf-8"
    read = window.decode("gb18030", errors="ignore")
    return "gb18030" if wide >= 1.5 * sum(not char.isascii() for char in read) else "utf-8"


def _check_text(file: Path, encoding: str) -> bytes:
    """The last byte. Raises SourceError ``source.not_text`` naming the first that is no text."""
    decoder = codecs.getincrementaldecoder(encoding)()
    place, held, tail = 0, 0, b""
    with opened(file) as stream:
        while block := stream.read(BLOCK):
            if held or not block.isascii():
                held = _decode(decoder, block, file, place - held)
            place, tail = place + len(block), block[-1:]
    if held:
        _decode(decoder, b"", file, place - held, final=True)
    return tail


def _decode(
    decoder: codecs.IncrementalDecoder, block: bytes, file: Path, start: int, *, final: bool = False
) -> int:
    """Bytes that wait for their character's rest. ``start`` is the place of the first byte."""
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        byte = f"{start + error.start:,}"
        known = ", ".join(ENCODINGS)
        raise SourceError("source.not_text", file=str(file), byte=byte, encodings=known) from None
    return len(decoder.getstate()[0])
