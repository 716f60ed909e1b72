"""Many replies by one model at once: each step of decoding makes the next token of all of them.

Whoever asks for a token that is not there yet makes a step for all; the others wait for it. A reply
joins when its prompt is read and leaves when it ends: none waits for another to end, and none waits
for a client that is slow to take what was made for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import DynamicCache

from upwell.ports import Manner
from upwell.tasks._chat_choose import Chooser, choose
from upwell.tasks._chat_kept import Memory, forward
from upwell.tasks._chat_model import Talker

ROWS = 32
"""Replies that are made at the same time; more wait in order."""
MEMORY = 1 << 30
"""Bytes that what they remember may take together; a reply that needs more is made alone."""
READ = 256
"""Tokens of prompts that are read between two steps: who speaks already stops for no longer."""


@dataclass(slots=True, eq=False)
class Seat:
    """A reply in the making; ``made`` are its tokens, with log-probabilities, not yet taken."""

    prompt: Sequence[int]
    most: int
    chooser: Chooser
    made: deque[tuple[int, float]] = field(default_factory=deque)
    read: int = 0
    cache: DynamicCache | None = None
    is_over: bool = False
    problem: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Replies that share their steps, in the order of what they remember."""

    seats: list[Seat]
    memory: Memory


class Engine:
    """The replies that one model is making; safe among threads."""

    def __init__(self) -> None:
        self._turn = Condition()
        self._is_stepping = self._has_read = False
        self._waiting: deque[Seat] = deque()
        self._batches: list[_Batch] = []
        self._bytes = 0

    def join(self, prompt: Sequence[int], manner: Manner, most: int) -> Seat:
        """A seat for the reply to ``prompt``, in order; ``leave`` it at last."""
        seat = Seat(prompt, most, Chooser(manner, torch.Generator().manual_seed(manner.seed)))
        with self._turn:
            self._waiting.append(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Make no more of it, and give back what it holds."""
        seat.is_over = True
        with self._turn:
            if self._is_stepping:
                return
            self._is_stepping = True
        try:
            self._tidy()
        finally:
            self._rest()

    def take(self, model: Talker, seat: Seat) -> tuple[int, float] | None:
        """The reply's next token and its log-probability; None after the last.

        Raises what went wrong in a step that it was part of.
        """
        while True:
            with self._turn:
                while not seat.made and not seat.is_over and self._is_stepping:
                    self._turn.wait()
                if seat.made:
                    return seat.made.popleft()
                if seat.problem is not None:
                    raise seat.problem
                if seat.is_over:
                    return None
                self._is_stepping = True
            try:
                self._step(model)
            finally:
                self._rest()

    @property
    def held(self) -> int:
        """Replies that are being made or wait for it."""
        return len(self._waiting) + sum(len(batch.seats) for batch in self._batches)

    def _rest(self) -> None:
        with self._turn:
            self._is_stepping = False
            self._turn.notify_all()

    @torch.inference_mode()
    def _step(self, model: Talker) -> None:
        """Read prompts for a while or make the next token of all; only one thread is in here.

        They take turns, so that whoever has just read its prompt gets its first token at once.
        """
        self._tidy()
        if not (self._has_read and self._batches) and self._admit(model):
            self._has_read = True
            return
        self._has_read = False
        for batch in list(self._batches):
            try:
                self._decode(model, batch)
            except BaseException as problem:
                self._fail(batch.seats, problem)
                if not isinstance(problem, Exception):
                    raise
        self._tidy()

    def _admit(self, model: Talker) -> bool:
        """Read what waits and has room; whether there was any."""
        left = READ
        while self._waiting and left > 0 and self._has_room(self._waiting[0]):
            seat = self._waiting[0]
            try:
                left -= self._read(model, seat)
            except BaseException as problem:
                self._fail([seat], problem)
                if not isinstance(problem, Exception):
                    raise
            if seat.read == len(seat.prompt) or seat.is_over:
                with self._turn:
                    self._waiting.remove(seat)
                seat.cache = None
        return left < READ

    def _has_room(self, seat: Seat) -> bool:
        seats = [one for batch in self._batches for one in batch.seats]
        if not seats:
            return True
        widest = max(len(one.prompt) + one.most for one in (seat, *seats))
        rows = len(seats) + 1
        return rows <= ROWS and rows * widest * self._bytes <= MEMORY

    def _read(self, model: Talker, seat: Seat) -> int:
        """Read the next part of a prompt; after the last its first token is made, and it joins."""
        cache = seat.cache = seat.cache or DynamicCache(config=model.body.config)
        part = seat.prompt[seat.read : seat.read + READ]
        ids = torch.tensor([list(part)], device=model.device)
        place = torch.arange(seat.read, seat.read + len(part), device=model.device)[None]
        with model.speaking([seat.chooser.manner.group]):
            logits = forward(model, ids, cache, None, place)
        seat.read += len(part)
        if seat.read == len(seat.prompt):
            self._tell(model, [seat], logits)
            if not seat.is_over:
                self._seat(seat, cache)
        return len(part)

    def _seat(self, seat: Seat, cache: DynamicCache) -> None:
        """Let a reply whose prompt is read join those that are being made."""
        memory = Memory(cache, len(seat.prompt))
        self._bytes = memory.bytes
        for batch in self._batches:
            if batch.memory.shares and memory.shares:
                batch.memory.join(memory)
                batch.seats.append(seat)
                return
        self._batches.append(_Batch([seat], memory))

    def _decode(self, model: Talker, batch: _Batch) -> None:
        with model.speaking([seat.chooser.manner.group for seat in batch.seats]):
            logits = batch.memory.next(model, [seat.chooser.last for seat in batch.seats])
        self._tell(model, batch.seats, logits)

    def _tell(self, model: Talker, seats: Sequence[Seat], logits: Tensor) -> None:
        choosers = [seat.chooser for seat in seats]
        said = choose(model, logits, choosers)
        with self._turn:
            for seat, chooser, log_prob in zip(seats, choosers, said, strict=True):
                if isinstance(log_prob, Exception):
                    self._fail([seat], log_prob)
                    continue
                seat.made.append((chooser.last, log_prob))
                if chooser.count >= seat.most or chooser.last in model.ends:
                    seat.is_over = True
            self._turn.notify_all()

    def _fail(self, seats: Sequence[Seat], problem: BaseException) -> None:
        with self._turn:
            for seat in seats:
                seat.problem = seat.problem or problem
                seat.is_over = True

    def _tidy(self) -> None:
        """Give back what replies hold that are over."""
        with self._turn:
            self._waiting = deque(seat for seat in self._waiting if not seat.is_over)
        for batch in self._batches:
            left = [row for row, seat in enumerate(batch.seats) if not seat.is_over]
            if left and len(left) < len(batch.seats):
                batch.memory.keep(left)
            batch.seats = [batch.seats[row] for row in left]
        self._batches = [batch for batch in self._batches if batch.seats]


def engine_of(model: Talker) -> Engine:
    """The engine of a model that is loaded; copies of the model have others."""
    with _MAKING:
        found = _ENGINES.get(model)
        if found is None:
            found = _ENGINES[model] = Engine()
        return found


# Beside the models and not in them: neither a copy nor a saved model has its conversations.
_ENGINES: WeakKeyDictionary[Talker, Engine] = WeakKeyDictionary()
_MAKING = Lock()
