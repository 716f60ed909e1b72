"""Replies that come piece by piece: made in a thread of the crew, sent as they come.

The event loop never waits for a model. A client that goes away stops its reply at the next piece.
"""

from __future__ import annotations

import asyncio
from asyncio import timeout_at
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Event
from typing import TypeAlias

from anyio import CancelScope
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.pressure import Crew, busy
from upwell.ports import Piece
from upwell.wiring.chat import Reply

MEDIA = "text/event-stream"
_Item: TypeAlias = "Reply | Piece | Exception | None"


class Flow:
    """A reply that ``begin`` makes, in a thread of the crew, within so many seconds."""

    def __init__(self, crew: Crew, begin: Callable[[], Reply], seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._over = Event()
        self._until, self._seconds = self._loop.time() + seconds, seconds
        self._has_begun = False
        self._task = self._loop.create_task(self._run(crew, begin))

    async def begun(self) -> Reply:
        """The reply, whose first piece is made. Raises what goes wrong before that.

        RequestError ``http.busy`` where no thread was free in time.
        """
        found = await self._next()
        if not isinstance(found, Reply):
            raise busy()
        return found

    async def next(self) -> Piece | None:
        """The next piece; None after the last. Raises RequestError ``openai.late``."""
        found = await self._next()
        return found if isinstance(found, Piece) else None

    def stop(self) -> None:
        """Make no more pieces than the one being made."""
        self._over.set()

    async def _next(self) -> Reply | Piece | None:
        try:
            async with timeout_at(self._until):
                found = await self._items.get()
        except TimeoutError:
            self.stop()
            if not self._has_begun:
                raise busy() from None
            raise RequestError("openai.late", 504, seconds=self._seconds) from None
        if isinstance(found, Exception):
            raise found
        return found

    async def _run(self, crew: Crew, begin: Callable[[], Reply]) -> None:
        end: Exception | None = None
        try:
            await crew.run(lambda: self._work(begin))
        except Exception as problem:
            end = problem
        self._items.put_nowait(end)

    def _work(self, begin: Callable[[], Reply]) -> None:
        """In the thread."""
        if self._over.is_set():
            return
        self._has_begun = True
        reply = begin()
        try:
            self._tell(reply)
            for piece in reply.pieces():
                if self._over.is_set():
                    return
                self._tell(piece)
        finally:
            reply.close()

    def _tell(self, item: Reply | Piece) -> None:
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)


async def whole(flow: Flow, request: Request) -> tuple[Reply, str, Piece]:
    """The whole reply at once. Raises ClientDisconnect where nobody waits for it any more."""
    gone = asyncio.ensure_future(_gone(request))
    made = asyncio.ensure_future(_whole(flow))
    try:
        await asyncio.wait((gone, made), return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            raise ClientDisconnect
        return made.result()
    finally:
        flow.stop()
        for task in (gone, made):
            task.cancel()


async def _whole(flow: Flow) -> tuple[Reply, str, Piece]:
    reply, texts, last = await flow.begun(), list[str](), Piece("")
    while (piece := await flow.next()) is not None:
        texts.append(piece.text)
        last = piece
    return reply, "".join(texts), last


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


class Streamed(StreamingResponse):
    """An event stream; ``end`` is awaited whatever becomes of it."""

    def __init__(self, chunks: AsyncIterator[bytes], end: Callable[[], Awaitable[None]]) -> None:
        super().__init__(chunks, media_type=MEDIA)
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, to the end or until the client goes away."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await self._end()
