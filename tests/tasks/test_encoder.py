"""Encoders: tokens once, padding, pooling, folders that stand alone, what learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from upwell.errors import PluginError
from upwell.tasks import _adapters, _encoder
from upwell.tasks._encoder import Encoder
from upwell.tasks._kept import Kept

TEXTS = ["the red thing is late", "blue", "", " \t", "你好 red", "x" * 300, "red " * 900]


@pytest.fixture(scope="module")
def small() -> Encoder:
    return _encoder.encoder("", 0, TEXTS)


def hidden(model: Encoder, texts: list[str]) -> torch.Tensor:
    ids, mask = _encoder.pad(_encoder.tokens(model, texts, 64))
    with torch.no_grad():
        found: torch.Tensor = model.eval()(ids, mask)
    return found


def learning(model: Encoder) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_the_seed_decides_the_weights_and_nothing_else_is_drawn() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (_encoder.encoder("", seed, TEXTS) for seed in (1, 1, 2))
    assert torch.equal(hidden(one, TEXTS), hidden(same, TEXTS))
    assert not torch.equal(hidden(one, TEXTS), hidden(other, TEXTS))
    assert torch.equal(before, torch.random.get_rng_state())


@given(st.text(max_size=80), st.integers(3, 40))
def test_every_text_has_tokens_and_none_too_many(text: str, longest: int) -> None:
    model = _spelling()
    (ids,) = _encoder.tokens(model, [text], longest)
    assert 1 <= len(ids) <= longest
    assert ids.dtype == np.int32


def test_words_are_pieces_and_unknown_words_are_spelled(small: Encoder) -> None:
    known, unknown = _encoder.tokens(small, ["red", "dear"], 64)
    assert len(known) == 3
    assert len(unknown) == 6


def test_a_million_characters_are_cut_before_they_are_read(small: Encoder) -> None:
    (ids,) = _encoder.tokens(small, ["late red " * 120_000], 64)
    assert len(ids) == 64


def test_a_text_is_tokenised_once(small: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small.own()
    first = _encoder.tokens(model, ["red red", "blue"], 8)
    monkeypatch.setattr(model, "tokenizer", None)
    assert all(
        one is other
        for one, other in zip(first, _encoder.tokens(model, ["red red", "blue"], 8), strict=True)
    )


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_padding_keeps_every_id_and_no_more_than_needed(sizes: list[int]) -> None:
    arrays = [np.arange(1, size + 1, dtype=np.int32) for size in sizes]
    ids, mask = _encoder.pad(arrays)
    assert ids.shape == mask.shape == (len(sizes), max(sizes))
    assert mask.sum(1).tolist() == sizes
    assert all(row[: len(a)].tolist() == a.tolist() for row, a in zip(ids, arrays, strict=True))
    assert int(ids[mask == 0].sum()) == 0


def test_nothing_is_padded_to_nothing() -> None:
    ids, mask = _encoder.pad([])
    assert ids.shape == mask.shape == (0, 1)


def test_the_mean_leaves_padding_out() -> None:
    states = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert _encoder.mean_pool(states, torch.tensor([[1, 1, 0]])).item() == 2.0


def test_company_and_padding_change_nothing(small: Encoder) -> None:
    together = _encoder.read(small.own(), TEXTS, 64)
    for place, text in enumerate(TEXTS):
        alone = _encoder.read(small.own(), [text], 64)[0]
        np.testing.assert_allclose(alone, together[place], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=2), 1.0, atol=1e-5)


def test_the_opening_hears_the_first_words_and_the_mean_hears_all(small: Encoder) -> None:
    seen = _encoder.read(small, ["red late thing", "red late is", "blue late thing"], 64)
    near = seen @ seen[0].T
    opening = [float(seen[n, 1] @ seen[0, 1]) for n in range(3)]
    assert opening[1] > opening[2]
    assert near.shape == (3, 2, 2)


def test_joined_views_are_of_length_one(small: Encoder) -> None:
    seen = _encoder.read(small, TEXTS, 64)
    both = _encoder.joined(seen, (0, 1))
    assert both.shape == (len(TEXTS), 2 * small.width)
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1.0, atol=1e-5)


def test_a_saved_encoder_is_read_without_upwell(small: Encoder, tmp_path: Path) -> None:
    _encoder.save(small, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    body, tokenizer = AutoModel.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        states = body.eval()(**batch).last_hidden_state
    ours = hidden(small, TEXTS)[:, : states.shape[1]]
    there = batch["attention_mask"].bool()
    torch.testing.assert_close(states[there], ours[there])
    torch.testing.assert_close(hidden(_encoder.load(tmp_path), TEXTS), hidden(small, TEXTS))


def test_adapters_begin_as_nothing_and_are_merged_when_saved(
    small: Encoder, tmp_path: Path
) -> None:
    model = small.own()
    _adapters.add(model, 4)
    assert _encoder.is_adapted(model)
    torch.testing.assert_close(hidden(model, TEXTS), hidden(small, TEXTS))
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learns
    assert all("lora_" in name for name in learns)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    _encoder.save(model, tmp_path)
    loaded = _encoder.load(tmp_path)
    assert not _encoder.is_adapted(loaded)
    torch.testing.assert_close(hidden(loaded, TEXTS), hidden(model, TEXTS))
    assert not torch.allclose(hidden(loaded, TEXTS), hidden(small, TEXTS))


def test_layers_freeze_from_the_bottom(small: Encoder) -> None:
    counts = []
    for layers in range(5):
        model = small.own()
        _encoder.freeze(model, layers)
        counts.append(learning(model))
    pooler = sum(p.numel() for n, p in small.body.named_parameters() if n.startswith("pooler."))
    assert counts[0] == sum(p.numel() for p in small.parameters()) - pooler
    assert counts == sorted(counts, reverse=True)
    assert counts[1] - counts[2] == counts[2]
    assert counts[3] == counts[4] == 0


def test_an_own_copy_learns_alone(small: Encoder) -> None:
    before = hidden(small, TEXTS)
    own = small.own()
    with torch.no_grad():
        for weight in own.parameters():
            weight.add_(0.1)
    assert torch.equal(hidden(small, TEXTS), before)


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_what_is_no_encoder_says_so(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(PluginError, match=r"task\.no_encoder"):
        _encoder.encoder(str(tmp_path), 0)


def test_truncated_weights_say_so(small: Encoder, tmp_path: Path) -> None:
    _encoder.save(small, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(PluginError, match=r"task\.no_encoder"):
        _encoder.load(tmp_path)


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    kept = Kept[str, np.float64](limit=3 * (200 + 8 + 1))
    made: list[str] = []

    def make(new: list[str]) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        made.extend(new)
        return [np.zeros(1) for _ in new]

    kept.of(["a", "b", "c"], make)
    kept.of(["a"], make)
    kept.of(["d"], make)
    kept.of(["a", "c", "d"], make)
    assert made == ["a", "b", "c", "d"]
    kept.of(["b"], make)
    assert made[-1] == "b"
    assert kept.size <= kept.limit


_SPELLING: list[Encoder] = []


def _spelling() -> Encoder:
    if not _SPELLING:
        _SPELLING.append(_encoder.encoder("", 0))
    return _SPELLING[0]
