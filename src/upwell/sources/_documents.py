"""Files of JSON: a list of objects, pages of one (``{"data": [...]}``), or one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from upwell.errors import SourceError
from upwell.sources._columns import ROWS, Part, column_of, text_of
from upwell.sources._files import Progress, opened, told
from upwell.sources._flaws import USUAL

Entry: TypeAlias = "dict[str, Any] | str"
"""An object, or the text of what should be one."""
PAGE = "data"


def entries(file: Path) -> Iterator[Entry]:
    """The objects of a file, in order; what is no object comes as its text.

    Raises SourceError when the file cannot be read, is no UTF-8 (``source.not_text``), no JSON
    (``source.not_json``), holds nothing (``source.empty``) or ends in the middle of a line.
    """
    with told(file, Progress()), opened(file) as stream:
        text = _text(file, stream.read())
    if not text.strip():
        raise SourceError("source.empty", file=str(file))
    try:
        found = json.loads(text)
    except RecursionError:
        raise SourceError("source.not_json", file=str(file), problem="[[[[…") from None
    except ValueError as error:
        if not isinstance(_read(text.lstrip().partition("\n")[0]), dict):
            raise SourceError("source.not_json", file=str(file), problem=error) from None
        yield from _of_lines(file, text)
        return
    yield from _inside(found)


def parts(
    rows: Iterable[Entry], needed: Sequence[str], flaws: tuple[str, str] = USUAL
) -> Iterator[Part]:
    """Rows as parts of columns; texts are their broken rows, and ``flaws`` theirs."""
    numbered = enumerate(map(storable, rows), 1)
    while block := list(islice(numbered, ROWS)):
        whole = [(number, row) for number, row in block if isinstance(row, dict)]
        broken = tuple((number, row) for number, row in block if isinstance(row, str))
        columns = {name: column_of([row.get(name) for _, row in whole]) for name in needed}
        batch = pa.RecordBatch.from_pydict(columns)
        yield Part(batch, [number for number, _ in whole], broken, flaws)


def storable(row: Entry) -> Entry:
    """The row; its text where no column could hold it."""
    return row if is_text(row) else unread(row)


def is_text(value: object) -> bool:
    """Whether a value holds no half of a surrogate pair, which is no text.

    >>> is_text({"said": "hi"}), is_text({"said": chr(0xD83D)})
    (True, False)
    """
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def unread(record: object) -> str:
    """The text of a row that could not be read; half a surrogate pair becomes a question mark."""
    text = json.dumps(record, ensure_ascii=False, default=str)
    return text.encode("utf-8", errors="replace").decode()


def _text(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"{error.start:,}"
        raise SourceError("source.not_text", file=str(file), byte=byte, encodings="utf-8") from None


def _of_lines(file: Path, text: str) -> Iterator[Entry]:
    lines = [line for line in text.split("\n") if line.strip()]
    is_whole = text.endswith("\n") or _read(lines[-1]) is not None
    for line in lines if is_whole else lines[:-1]:
        found = _read(line)
        yield from _inside(line.rstrip("\r") if found is None else found)
    if not is_whole:
        row, kept = f"{len(lines):,}", f"{len(lines) - 1:,}"
        raise SourceError("source.truncated", file=str(file), row=row, kept=kept)


def _inside(found: Any) -> Iterator[Entry]:
    """What a value holds: the elements of a list or a page, else itself."""
    page = found.get(PAGE) if isinstance(found, dict) else found
    if isinstance(page, list):
        for one in page:
            yield from _inside(one)
    elif isinstance(found, dict):
        yield found
    else:
        yield text_of(found) or "null"


def _read(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
