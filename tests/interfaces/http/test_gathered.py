"""What comes while others are being done goes as one, and one that fails fails alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import cast

import pyarrow as pa
import pytest

from upwell.errors import StageError, StoreError
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.gathered import THREADS, Gathered
from upwell.interfaces.http.questions import LONG, MOST, Question, Questions
from upwell.service import Upwell

Groups = list[list[int]]


def gathered(
    groups: Groups, go_on: threading.Event, waiting: int = 100, most: int = 5
) -> Gathered[int, int]:
    """Doubles numbers of the same sign; 13 is refused, and 99 means that the store is gone."""

    def work(jobs: list[int]) -> list[int]:
        groups.append(jobs)
        assert go_on.wait(10)
        if 13 in jobs:
            raise StageError("serve.too_long", size=13, longest=12)
        if 99 in jobs:
            raise StoreError("store.busy")
        return [2 * job for job in jobs]

    return Gathered(work, waiting, most, alike=lambda job: job > 0)


async def together(
    wanted: list[int], make: Callable[[Groups, threading.Event], Gathered[int, int]]
) -> tuple[list[int | BaseException], Groups]:
    """What becomes of jobs that come while the first ones are being done."""
    groups, go_on = Groups(), threading.Event()
    one = make(groups, go_on)
    first = [asyncio.create_task(one.do(1)) for _ in range(THREADS)]
    await asyncio.sleep(0.1)
    rest = [asyncio.create_task(one.do(job)) for job in wanted]
    await asyncio.sleep(0.1)
    go_on.set()
    found = await asyncio.gather(*first, *rest, return_exceptions=True)
    return found[THREADS:], groups[THREADS:]


def test_what_waits_goes_as_one() -> None:
    found, groups = asyncio.run(together([2, 3, 4, 5, 6, 7, 8], gathered))
    assert found == [4, 6, 8, 10, 12, 14, 16]
    assert sorted(map(len, groups)) == [2, 5]


def test_only_what_is_alike_goes_together() -> None:
    found, groups = asyncio.run(together([2, -3, 4], gathered))
    assert found == [4, -6, 8]
    assert sorted(groups) == [[-3], [2], [4]]


def test_one_that_is_refused_leaves_the_others() -> None:
    found, _ = asyncio.run(together([2, 13, 4], gathered))
    assert (found[0], found[2]) == (4, 8)
    assert isinstance(found[1], StageError)


def test_a_store_that_is_gone_is_so_for_all() -> None:
    found, groups = asyncio.run(together([2, 99, 4], gathered))
    assert all(isinstance(one, StoreError) for one in found)
    assert groups == [[2, 99, 4]]


def test_too_many_are_told_to_come_again() -> None:
    found, _ = asyncio.run(
        together([2, 3, 4], lambda groups, go_on: gathered(groups, go_on, waiting=2))
    )
    assert found[:2] == [4, 6]
    assert isinstance(found[2], RequestError)
    assert found[2].status == 503
    assert found[2].headers["Retry-After"]


def test_who_left_holds_up_nobody() -> None:
    async def leave() -> int:
        groups, go_on = Groups(), threading.Event()
        one = gathered(groups, go_on)
        gone = asyncio.create_task(one.do(1))
        await asyncio.sleep(0.1)
        gone.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await one.do(2)

    assert asyncio.run(leave()) == 4


class Slow:
    """Answers; what is long waits until something short was answered."""

    def __init__(self) -> None:
        self.answered = threading.Event()

    def predict_many(
        self, inputs: list[str], users: list[str], k: int, *, personalize: bool
    ) -> pa.Table:
        if len(inputs[0]) >= LONG * MOST:
            assert self.answered.wait(10), "a short one waits for it"
        self.answered.set()
        lists = {name: [[text] for text in inputs] for name in ("answer", "probability", "reason")}
        return pa.table(lists)


def test_a_long_question_holds_up_no_short_one() -> None:
    async def both() -> list[str]:
        questions = Questions(cast("Upwell", Slow()), 10)
        long = asyncio.create_task(questions.ask(Question("ann", "a" * LONG * MOST, 1, True)))
        await asyncio.sleep(0)
        short = await questions.ask(Question("ben", "hello", 1, True))
        return [(await long)[0]["answer"], short[0]["answer"]]

    assert asyncio.run(both()) == ["a" * LONG * MOST, "hello"]
