"""The client: what users do goes out in the background, answers come back at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from upwell.interfaces.sdk.answers import Answer, Shown
from upwell.interfaces.sdk.sender import Sender
from upwell.interfaces.sdk.spool import Spool
from upwell.interfaces.sdk.transport import Transport
from upwell.records import Json


class Client:
    """A service at ``url``. Safe among threads; use it as a context manager, or ``close`` it.

    ``spool`` names a file for what could not be sent yet; without one it waits in memory and is
    lost with the process. At most ``most`` events wait. Batches of ``batch`` are sent when full,
    else every ``every`` seconds.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str = "",
        *,
        spool: Path | None = None,
        batch: int = 50,
        every: float = 0.5,
        timeout: float = 5.0,
        most: int = 100_000,
    ) -> None:
        self._transport = Transport(url, key, timeout)
        self._spool = Spool(spool, most)
        self._sender = Sender(self._spool, Transport(url, key, timeout), batch, every)
        self._timeout = timeout

    def event(
        self,
        kind: str,
        user: str,
        *,
        item: str | None = None,
        value: float | None = None,
        prediction: str | None = None,
        payload: Mapping[str, Any] | None = None,
        id: str | None = None,
        at: datetime | None = None,
    ) -> str:
        """Take in what a user did; returns its id at once. It is sent in the background.

        A retry carries the same id, so it counts once. Raises InterfaceError ``sdk.full``.
        """
        named = id or str(uuid4())
        row: dict[str, Any] = {
            "id": named, "kind": kind, "user": user,
            "at": (at or datetime.now(UTC)).isoformat(),
        }  # fmt: skip
        more = {"item": item, "value": value, "prediction": prediction, "payload": payload}
        row |= {name: what for name, what in more.items() if what is not None}
        self._spool.put(json.dumps(row, ensure_ascii=False, allow_nan=False))
        self._sender.full_batch()
        return named

    def predict(
        self, task: str, input: Json, user: str, k: int = 1, *, personalize: bool = True
    ) -> Answer:
        """The ``k`` most probable answers to an input (``classify``, ``tag``, ``rate``, ``chat``).

        With ``personalize=False`` nothing that is known of the user is used: all get the same.
        Raises InterfaceError ``sdk.unreachable``, ``sdk.refused``.
        """
        asked = {"user": user, "input": input, "k": k, **_how(personalize)}
        return _answer(self._transport.ask("POST", f"/v1/predict/{quote(task, safe='')}", asked))

    def recommend(self, user: str, k: int = 10, *, personalize: bool = True) -> Answer:
        """The ``k`` items to show. See ``predict``."""
        asked = {"user": user, "k": k, **_how(personalize)}
        return _answer(self._transport.ask("POST", "/v1/predict/recommend", asked))

    @contextmanager
    def prediction(
        self,
        task: str,
        user: str,
        input: Json = None,
        k: int = 1,
        *,
        dwell: bool = False,
        personalize: bool = True,
    ) -> Iterator[Shown]:
        """An answer while it is shown; with ``dwell`` the time until the end is told as such.

        ::

            with client.prediction("classify", "anna", "Where is my card?") as shown:
                shown.thumbs(liked_by_anna(shown.first))
        """
        if task == "recommend":
            answer = self.recommend(user, k, personalize=personalize)
        else:
            answer = self.predict(task, input, user, k, personalize=personalize)
        began = monotonic()
        shown = Shown(answer, user, self.event)
        yield shown
        if dwell:
            shown.dwell(monotonic() - began)

    def consent(self, user: str, purposes: Sequence[str]) -> None:
        """Record what a user allows from now on; no purposes is a withdrawal."""
        self._transport.ask("POST", "/v1/consents", {"user": user, "purposes": list(purposes)})

    @property
    def waiting(self) -> int:
        """Events that were not sent yet."""
        return len(self._spool)

    @property
    def problem(self) -> Exception | None:
        """Why the last batch could not be sent; None when all is well."""
        return self._sender.problem

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what waits now; whether all of it was taken within ``timeout`` seconds."""
        return self._sender.flush(timeout)

    def close(self) -> None:
        """Send what waits as far as time allows; the rest stays in the spool's file."""
        self._sender.close(self._timeout)
        self._spool.close()
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _answer(body: Mapping[str, Any]) -> Answer:
    found = body["answers"]
    return Answer(
        prediction=str(body["prediction"]),
        model=str(body["model"]),
        propensity=float(body["propensity"]),
        outputs=tuple(str(one["output"]) for one in found),
        probabilities=tuple(float(one["score"]) for one in found),
        reasons=tuple(str(one["reason"]) for one in found),
    )


def _how(personalize: bool) -> Mapping[str, Json]:
    return {} if personalize else {"personalize": False}
