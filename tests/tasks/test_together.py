"""Texts of different lengths read as one row say what they say alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from upwell.tasks import _encoder, _together

TEXTS = ["a", "a short one", "a text that is a little longer than the others are", "b b b"]


@pytest.fixture
def model() -> _encoder.Encoder:
    return _encoder.encoder("", 0, TEXTS)


def test_texts_read_together_have_the_vectors_that_they_have_alone(
    model: _encoder.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_together, "_PACKS", frozenset({model.body.config.model_type}))
    together = _encoder.read(model, TEXTS, 64)
    alone = [_encoder.read(model.own(), [text], 64)[0] for text in TEXTS]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-5)


def test_nothing_is_packed_where_weights_learn(model: _encoder.Encoder) -> None:
    ids, mask = _encoder.pad(_encoder.tokens(model, TEXTS, 64))
    model.learns(True)
    assert model(ids, mask).requires_grad


def test_many_tokens_are_read_in_batches_of_like_lengths(model: _encoder.Encoder) -> None:
    lengths = [10, 400, 11, 401]
    assert list(_together.batches(model.body, lengths)) == [[0, 2], [1, 3]]


def test_what_is_filled_up_is_zero_after_packing(
    model: _encoder.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_together, "_PACKS", frozenset({model.body.config.model_type}))
    ids, mask = _encoder.pad(_encoder.tokens(model, TEXTS, 64))
    with torch.inference_mode():
        found = model(ids, mask)
    assert not found[mask == 0].any()
    assert found[mask == 1].any(dim=1).all()
