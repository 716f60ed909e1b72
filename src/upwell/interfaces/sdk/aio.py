"""The client for asyncio: the same verbs, awaited; what waits for the network does so aside."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from types import TracebackType
from typing import Self

from upwell.interfaces.sdk.answers import Answer, Shown
from upwell.interfaces.sdk.client import Client
from upwell.records import Json


class AsyncClient:
    """Wraps a ``Client`` and closes it. ``event`` never waits for the network: it is not awaited.

    ::

        async with AsyncClient(Client(url, key)) as client:
            client.event("click", "anna", item="42")
            shown = await client.recommend("anna")
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.event = client.event

    async def predict(
        self, task: str, input: Json, user: str, k: int = 1, *, personalize: bool = True
    ) -> Answer:
        """See ``Client.predict``."""
        ask = self._client.predict
        return await to_thread(ask, task, input, user, k, personalize=personalize)

    async def recommend(self, user: str, k: int = 10, *, personalize: bool = True) -> Answer:
        """See ``Client.recommend``."""
        return await to_thread(self._client.recommend, user, k, personalize=personalize)

    @asynccontextmanager
    async def prediction(
        self,
        task: str,
        user: str,
        input: Json = None,
        k: int = 1,
        *,
        dwell: bool = False,
        personalize: bool = True,
    ) -> AsyncIterator[Shown]:
        """See ``Client.prediction``."""
        if task == "recommend":
            answer = await self.recommend(user, k, personalize=personalize)
        else:
            answer = await self.predict(task, input, user, k, personalize=personalize)
        began, shown = monotonic(), Shown(answer, user, self.event)
        yield shown
        if dwell:
            shown.dwell(monotonic() - began)

    async def consent(self, user: str, purposes: Sequence[str]) -> None:
        """See ``Client.consent``."""
        await to_thread(self._client.consent, user, purposes)

    async def flush(self, timeout: float = 10.0) -> bool:
        """See ``Client.flush``."""
        return await to_thread(self._client.flush, timeout)

    async def close(self) -> None:
        """See ``Client.close``."""
        await to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
