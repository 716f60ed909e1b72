"""Sends what waits, in batches, in a thread of its own; tries again with the same ids."""

from __future__ import annotations

import json
import random
from threading import Condition, Thread
from time import monotonic

from upwell.errors import InterfaceError
from upwell.interfaces.sdk.spool import Spool
from upwell.interfaces.sdk.transport import Reply, Transport

SHORTEST, LONGEST = 0.2, 60.0
"""Seconds between two tries after a failure: twice as long each time, with some chance."""
ROUTE = "/v1/events"


class Sender:
    """Empties a spool into a service. A row leaves the spool only when the service has it.

    A batch that the service refuses for good (its key is wrong, say) stays too, until the
    service takes it: nothing is lost because somebody made a mistake.
    """

    def __init__(self, spool: Spool, transport: Transport, batch: int, every: float) -> None:
        self._spool, self._transport = spool, transport
        self._batch, self._every = batch, every
        self._changed = Condition()
        self._failures, self._hurry, self._over = 0, False, False
        self.problem: InterfaceError | None = None
        self._thread = Thread(target=self._run, name="upwell-sender", daemon=True)
        self._thread.start()

    def full_batch(self) -> None:
        """Say that a batch may be full, which is not waited for."""
        if len(self._spool) >= self._batch and not self._failures:
            self._wake()

    def flush(self, timeout: float) -> bool:
        """Send now; whether all was sent within ``timeout`` seconds."""
        ends = monotonic() + timeout
        self._wake()
        with self._changed:
            while len(self._spool) and monotonic() < ends:
                self._changed.wait(min(0.05, timeout))
        return not len(self._spool)

    def close(self, timeout: float) -> None:
        """Send what waits, as far as ``timeout`` seconds allow, and end the thread."""
        self.flush(timeout)
        self._over = True
        self._wake()
        self._thread.join(timeout)

    def _wake(self) -> None:
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def _run(self) -> None:
        wait = self._every
        while True:
            with self._changed:
                if not self._hurry:
                    self._changed.wait(wait)
                self._hurry = False
            if self._over:
                self._transport.close()
                return
            wait = self._sent()

    def _sent(self) -> float:
        """Send all that waits; returns the seconds until the next look."""
        while rows := self._spool.oldest(self._batch):
            try:
                batch = [json.loads(row) for _, row in rows]
                reply = self._transport.send("POST", ROUTE, {"batch": batch})
            except InterfaceError as error:
                return self._failed(error, None)
            if reply.is_busy or reply.status in (401, 403, 404):
                return self._failed(_refused(reply), reply.wait)
            # Who sees that nothing waits any more must not see an old problem.
            self._failures, self.problem = 0, None
            # What the service has looked at it keeps, as an event or as a bad row with a reason.
            self._spool.remove([seq for seq, _ in rows])
        return self._every

    def _failed(self, problem: InterfaceError, wait: float | None) -> float:
        self._failures += 1
        self.problem = problem
        longest = min(LONGEST, SHORTEST * 2**self._failures)
        drawn = random.SystemRandom().uniform(longest / 2, longest)
        return max(drawn, wait or 0.0)


def _refused(reply: Reply) -> InterfaceError:
    return InterfaceError("sdk.refused", status=reply.status, problem=str(reply.body)[:200])
