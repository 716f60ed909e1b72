"""A hundred users ask to be forgotten: is a byte of them left?

A shop is served by ``upwell serve``. Every one of its users clicks, rates, writes comments, sends
a broken row and is recommended items; the hundred carry a text of their own (a canary) in every
field that takes one. After a turn all hundred are deleted over HTTP, and one more turn is run.
Then every file below the project, and what the server printed, is searched: as UTF-8, UTF-16,
Base64, in compressed streams and in the decoded columns of Parquet. The same search before shows
that it would have found them.

``python -m bench.forget [--users 100]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from bench.forgetting.scan import found
from bench.forgetting.shop import Shop, begin
from bench.rows import Row, publish

USERS, SOON = 100, 60.0


def main() -> None:
    """Forget and search; print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=USERS)
    count = parser.parse_args().users
    with TemporaryDirectory() as name, begin(Path(name), count) as shop:
        rows = _measured(shop, count)
    publish("forget", rows)


def _measured(shop: Shop, count: int) -> list[Row]:
    before = found(shop.folder, shop.canaries)
    receipts, seconds = _forgotten(shop)
    late = [shop.again(user) for user in shop.users]
    learned = found(shop.folder, shop.canaries)
    left = {text for text, files in learned.items() if not all(map(_is_model, files))}
    shop.turn()
    seen = found(shop.folder, [*shop.canaries, *shop.hidden])
    after = _beyond_receipts(seen, shop.hidden)
    states = [shop.ask("GET", f"/v1/erasures/{one}")[1]["receipt"]["state"] for one in receipts]
    unknown = shop.ask("DELETE", "/v1/users/never-seen")[0]
    return [
        _all("users found by the same search before", len(before), count),
        _all("deletions answered with a receipt", len(receipts), count),
        Row("seconds from the last request to the last receipt", seconds, target=f"≤ {SOON:g}",
            holds=seconds <= SOON),
        _none("users found after the receipts, but in models", len(left), count),
        Row("users found in the model that still serves", float(len(learned) - len(left))),
        _none("users or pseudonyms found after the next turn", after, count),
        _all("receipts that say done after it", states.count("done"), count),
        _all("late retries refused with 410", late.count(410), count),
        Row("status for an unknown user", float(unknown), target="404", holds=unknown == 404),
        _all("events of others that are still held", shop.events_of_others(), shop.others),
    ]  # fmt: skip


def _forgotten(shop: Shop) -> tuple[list[str], float]:
    """Delete every user; their receipts, and how long after the last request all were erased."""
    receipts = []
    for user in shop.users:
        status, told = shop.ask("DELETE", f"/v1/users/{quote(user, safe='')}")
        if status == 202:
            receipts.append(told["receipt"]["erasure"])
    asked = time.monotonic()
    for one in receipts:
        while time.monotonic() < asked + 2 * SOON:
            if shop.ask("GET", f"/v1/erasures/{one}")[1]["receipt"]["state"] != "begun":
                break
            time.sleep(0.1)
    return receipts, time.monotonic() - asked


def _is_model(file: str) -> bool:
    return file.startswith("data/models/")


def _beyond_receipts(seen: dict[str, set[str]], hidden: Sequence[str]) -> int:
    """How many texts were found, but for pseudonyms in the record of their own erasure."""
    record = {"data/journal.db", "data/journal.db-wal"}
    return sum(text not in hidden or not files <= record for text, files in seen.items())


def _none(name: str, count: int, of: int) -> Row:
    return Row(f"{name}, of {of:,}", float(count), target="0", holds=count == 0)


def _all(name: str, count: int, of: int) -> Row:
    return Row(name, float(count), target=f"{of:,}", holds=count == of)


if __name__ == "__main__":
    main()
