"""Consent: what is not allowed is denied."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import Consent
from upwell.tables import micros


def permitted(consents: pa.Table, purpose: str, now: datetime) -> pa.Array:
    """The users whose data may serve ``purpose`` at ``now``, each once, sorted.

    Of a user's consents that have begun (``since`` ≤ ``now``) the latest holds alone, the one
    recorded later if two began together; it must name the purpose and not have ended (``now`` <
    ``until``). A consent without purposes is a withdrawal. Nobody else is permitted.

    >>> from datetime import UTC
    >>> from upwell.records import Consent
    >>> from upwell.tables import to_table
    >>> since = datetime(2024, 1, 1, tzinfo=UTC)
    >>> given = to_table(Consent, [Consent("1", "ann", ("train",), since)])
    >>> permitted(given, "train", since).to_pylist(), permitted(given, "serve", since).to_pylist()
    (['ann'], [])
    """
    moment = micros(now)
    since = consents["since"].cast(pa.int64())
    consents = consents.filter(pc.less_equal(since, moment)).combine_chunks()
    if not len(consents):
        return pa.array([], pa.string())
    latest = consents.take(_latest(consents))
    until = pc.fill_null(latest["until"].cast(pa.int64()), moment + 1)
    granted = pc.and_(pc.greater(until, moment), _names(latest["purposes"], purpose))
    users = latest["user"].combine_chunks().filter(granted.combine_chunks())
    return users.take(pc.sort_indices(users))


def allows(consents: Iterable[Consent], purpose: str, now: datetime) -> bool:
    """Whether one user, whose consents these are in the order of recording, is ``permitted``.

    >>> from datetime import UTC
    >>> since = datetime(2024, 1, 1, tzinfo=UTC)
    >>> given = Consent("1", "ann", ("train",), since)
    >>> allows([given], "train", since), allows([given], "serve", since), allows([], "serve", since)
    (True, False, False)
    """
    begun = [one for one in consents if one.since <= now]
    if not begun:
        return False
    # Of equal ones ``max`` takes the first, so the order is turned round.
    latest = max(reversed(begun), key=lambda one: one.since)
    return purpose in latest.purposes and (latest.until is None or now < latest.until)


def _latest(consents: pa.Table) -> pa.Array:
    """The row of each user's latest consent."""
    users = consents["user"].combine_chunks().dictionary_encode().indices.to_numpy()
    since = consents["since"].cast(pa.int64()).to_numpy()
    order = np.lexsort((np.arange(len(users)), since, users))
    last = np.append(users[order][1:] != users[order][:-1], True)
    return pa.array(order[last])


def _names(purposes: pa.ChunkedArray, purpose: str) -> pa.ChunkedArray:
    """Which of the lists hold ``purpose``."""
    lists = purposes.combine_chunks()
    named = np.zeros(len(lists), dtype=bool)
    holds = pc.equal(pc.list_flatten(lists), purpose)
    named[pc.list_parent_indices(lists).filter(holds).to_numpy()] = True
    return pa.chunked_array([pa.array(named)])
