"""The figures in the README files and on the trust page are those that the bench measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.trust import WORDS, page

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_table_shows_what_was_measured(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    block = text.split("<!-- demo:begin -->")[1].split("<!-- demo:end -->")[0]
    rows = [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("| ")]
    results = json.loads((ROOT / "bench" / "results" / "demo.json").read_text(encoding="utf-8"))
    measured = {row["name"]: row["value"] for row in results}
    assert len(rows) > 5
    for cells in rows[1:]:
        assert cells[1] == f"{measured[f'turn {cells[0]} ndcg@10']:.4f}"
        assert cells[4] == f"{measured[f'turn {cells[0]} popular']:.4f}"


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_share_of_the_gain_that_is_recovered_was_measured(name: str) -> None:
    results = json.loads((ROOT / "bench" / "results" / "feedback.json").read_text(encoding="utf-8"))
    measured = {row["name"]: row["value"] for row in results}
    share = 100 * measured["10 %, 5 turns, upwell: share of the oracle's gain"]
    assert f"{share:.0f} %" in (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("lang", list(WORDS))
def test_the_trust_page_shows_what_was_measured(lang: str) -> None:
    shown = (ROOT / "docs" / lang / "trust.md").read_text(encoding="utf-8")
    assert shown == page(lang), "run `make trust`"
