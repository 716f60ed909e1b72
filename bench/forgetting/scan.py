"""Every byte below a folder, searched for texts that should not be there."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyarrow import parquet as pq

_CODES = ("utf-8", "utf-16-le", "utf-16-be")


def found(folder: Path, texts: Sequence[str]) -> dict[str, set[str]]:
    """Of each text that is found somewhere, the files (below ``folder``) that hold it.

    Looked for as UTF-8 and UTF-16, in any case, as Base64 at each of its three alignments, in
    gzip and zlib streams, and in the decoded columns of Parquet files.
    """
    wanted = {text: _forms(text) for text in texts}
    seen: dict[str, set[str]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        held = [part.lower() for part in _contents(path)]
        for text, forms in wanted.items():
            if any(form in part for part in held for form in forms):
                seen.setdefault(text, set()).add(path.relative_to(folder).as_posix())
    return seen


def _forms(text: str) -> list[bytes]:
    plain = [text.encode(code) for code in _CODES]
    # At another alignment the first and the last characters mix with what stands beside.
    shifted = [b64encode(b"\0" * pad + plain[0])[4 if pad else 0 : -4] for pad in range(3)]
    return [form.lower() for form in (*plain, *shifted)]


def _contents(path: Path) -> Iterator[bytes]:
    """The file's bytes, and what is packed in them."""
    raw = path.read_bytes()
    yield raw
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    if raw[:1] == b"\x78":
        try:
            yield zlib.decompress(raw)
        except zlib.error:
            return
    if raw[:4] == b"PAR1":
        yield str(pq.read_table(path).to_pydict()).encode()
