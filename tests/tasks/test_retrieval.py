from __future__ import annotations

import pytest
import torch

from upwell.plugins import plugin
from upwell.tasks import _retrieval
from upwell.tasks._retrieval import Index


def test_an_index_finds_what_a_product_finds() -> None:
    torch.manual_seed(0)
    vectors, popularity, asked = torch.randn(2000, 16), torch.randn(2000), torch.randn(20, 16)
    exact = (asked @ vectors.T + popularity).topk(10, dim=1).indices
    found = Index(vectors, popularity).nearest(asked, 10)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), found.tolist(), strict=True)]
    assert sum(shared) / 200 > 0.95


def test_answers_of_a_large_catalogue_are_those_of_a_small_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = plugin("tasks", "recommend")
    data = task.toy(0)
    model = task.start("", data, 0).eval()
    exact = task.answer(model, data.test, 5)
    monkeypatch.setattr(_retrieval, "INDEXED", 1)
    found = task.answer(model, data.test, 5)
    assert found["output"].to_pylist() == exact["output"].to_pylist()
    assert found["reason"].to_pylist() == exact["reason"].to_pylist()
