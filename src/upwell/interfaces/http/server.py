"""The process: listens, bounds what a connection may do before it has asked, and drains."""

from __future__ import annotations

import asyncio
import signal
import socket
from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from upwell.errors import InterfaceError
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.settings import HttpSettings

LONGEST_HEAD = 65_536
"""Bytes of a request line and its headers."""
KEEP_ALIVE_SECONDS = 30
_BACKLOG = 1024
_CLOSED = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n"


def listen(settings: HttpSettings) -> socket.socket:
    """A socket that is bound. Raises InterfaceError ``http.port`` where that cannot be."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise InterfaceError("http.port", where=where, problem=error.strerror or "?") from None
    return bound


def serve(desk: Desk, bound: socket.socket, begun: Callable[[], None]) -> None:
    """Answer until SIGTERM or SIGINT, then end what was begun; a second signal ends at once."""
    settings = desk.settings
    config = Config(
        application(desk),
        http=type("Chosen", (Bounded,), {"settings": settings}),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
    )
    asyncio.run(_Server(config, desk, begun).serve([bound]))


class _Server(Server):
    """Tells when it listens; a signal lets what was begun end and is no failure."""

    def __init__(self, config: Config, desk: Desk, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._desk, self._begun = desk, begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._begun()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals stop the server. They are not raised again when it has stopped."""
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._desk.is_stopping = True


class Bounded(HttpToolsProtocol):
    """HTTP/1.1 in which a client has so many seconds and bytes to say what it asks for.

    Closes connections that are too many, and those whose request does not come.
    """

    settings = HttpSettings()
    _timer: TimerHandle | None = None
    _head = 0
    _in_body = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Wait for a request, unless there are too many connections."""
        super().connection_made(cast("Transport", transport))
        if len(self.connections) > self.settings.connections:
            self._refuse(b"503 Service Unavailable")
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """A part of a request; it must begin to be answered in time."""
        self._head += len(data)
        super().data_received(data)
        if self._is_busy:
            self._done()
        elif self._head > (self.settings.batch_bytes if self._in_body else LONGEST_HEAD):
            # A body that was refused already is read to its end, within reason, so that the
            # client reads why.
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._timer is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """A request is there."""
        self._head, self._in_body = 0, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is there too."""
        self._in_body = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._done()
        super().connection_lost(exc)

    @property
    def _is_busy(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.settings.request_seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        if not self._is_busy:
            self._refuse(b"408 Request Timeout")

    def _done(self) -> None:
        self._head = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._done()
        if not self.transport.is_closing():
            if not self._in_body:
                self.transport.write(_CLOSED % status)
            self.transport.close()
