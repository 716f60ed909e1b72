from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from upwell.errors import StoreError
from upwell.store.commits import GroupCommit


def test_those_who_wait_are_written_together() -> None:
    groups: list[list[int]] = []
    first_runs, go_on = threading.Event(), threading.Event()

    def write(jobs: list[int]) -> list[int]:
        groups.append(jobs)
        if not first_runs.is_set():
            first_runs.set()
            go_on.wait(10)
        return [job * 10 for job in jobs]

    commit = GroupCommit(write)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(commit.submit, 0)
        first_runs.wait(10)
        others = [pool.submit(commit.submit, job) for job in range(1, 5)]
        while len(commit._waiting) < 4:
            threading.Event().wait(0.001)
        go_on.set()
        assert [future.result() for future in (first, *others)] == [0, 10, 20, 30, 40]
    assert groups[0] == [0]
    assert sorted(groups[1]) == [1, 2, 3, 4]
    assert len(groups) == 2


def test_one_callers_poison_fails_him_alone() -> None:
    def write(jobs: list[int]) -> list[int]:
        if 13 in jobs:
            raise ValueError("poison")
        return jobs

    commit = GroupCommit(write)
    with ThreadPoolExecutor(8) as pool:
        futures = {job: pool.submit(commit.submit, job) for job in range(40)}
    assert all(future.result() == job for job, future in futures.items() if job != 13)
    with pytest.raises(ValueError, match="poison"):
        futures[13].result()


def test_a_store_that_is_out_of_reach_fails_all_who_wait_at_once() -> None:
    groups: list[int] = []
    first_runs, go_on = threading.Event(), threading.Event()

    def write(jobs: list[int]) -> list[int]:
        groups.append(len(jobs))
        first_runs.set()
        go_on.wait(10)
        raise StoreError("store.unusable", problem="gone")

    commit = GroupCommit(write)
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(commit.submit, job) for job in range(5)]
        first_runs.wait(10)
        while groups[0] + len(commit._waiting) < 5:
            threading.Event().wait(0.001)
        go_on.set()
    assert all(isinstance(future.exception(), StoreError) for future in futures)
    assert len(groups) <= 2


def test_an_interrupted_leader_leaves_the_work_to_the_next() -> None:
    written: list[int] = []

    def write(jobs: list[int]) -> list[int]:
        if not written and jobs == [1]:
            written.append(-1)
            raise KeyboardInterrupt
        written.extend(jobs)
        return jobs

    commit = GroupCommit(write)
    with pytest.raises(KeyboardInterrupt):
        commit.submit(1)
    assert commit.submit(2) == 2
    assert written == [-1, 1, 2]
