"""The trust page: every claim with the command that reproduces it and what it last gave.

Written from ``results/*.json`` alone, rows with a target; a row that falls short is shown as such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.rows import RESULTS, Row

DOCS = Path(__file__).parents[1] / "docs"
TARGETS: Mapping[str, str] = {
    "cold": "bench-recommend", "scale": "bench-recommend", "serving": "bench-recommend",
    "forget": "test-forget", "hostile": "test-hostile",
    "soak-capture": "soak-capture", "soak-turns": "soak-turns",
}  # fmt: skip
"""Results whose make target is not named after them."""
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Trust",
        "text": "What Upwell claims, the command that reproduces it, and what that command last "
        "gave. The page is\nwritten from `bench/results/` by `make trust`; a test holds it to "
        "them. What falls short is shown too.",
        "head": "| claim | last result | 95 % interval | target | holds |",
        "yes": "yes",
        "no": "**no**",
        "count": "{held} of {all} hold.",
    },
    "zh": {
        "title": "信任",
        "text": "Upwell 的每项声明、复现它的命令，以及该命令最近一次的结果。本页由 `make trust` "
        "根据 `bench/results/` 生成，\n并有测试保证两者一致。未达标的也如实列出。"
        "条目名称与结果文件一致。",
        "head": "| 声明 | 最近结果 | 95 % 区间 | 目标 | 达标 |",
        "yes": "是",
        "no": "**否**",
        "count": "{all} 项中有 {held} 项达标。",
    },
}


def main() -> None:
    """Write the page in every language."""
    for lang in WORDS:
        (DOCS / lang / "trust.md").write_text(page(lang), encoding="utf-8")


def page(lang: str) -> str:
    """The page in one language."""
    words, parts, every = WORDS[lang], [], []
    for path in sorted(RESULTS.glob("*.json")):
        rows = claims(path)
        if rows:
            every += rows
            parts.append(f"## `make {TARGETS.get(path.stem, f'bench-{path.stem}')}`\n")
            parts.append("\n".join([words["head"], "|---|---|---|---|---|", *_lines(rows, words)]))
            parts.append("")
    count = words["count"].format(held=sum(bool(row.holds) for row in every), all=len(every))
    return "\n".join([f"# {words['title']}\n", words["text"], "", count, "", *parts])


def claims(path: Path) -> list[Row]:
    """The rows of a result that have a target; none where the file holds something else."""
    found = json.loads(path.read_text(encoding="utf-8"))
    is_rows = isinstance(found, list) and all("holds" in row for row in found)
    return [Row(**row) for row in found if row["holds"] is not None] if is_rows else []


def _lines(rows: list[Row], words: Mapping[str, str]) -> list[str]:
    return [
        f"| {row.name} | {row.value:.4g} | {_interval(row)} | {row.target} "
        f"| {words['yes'] if row.holds else words['no']} |"
        for row in rows
    ]


def _interval(row: Row) -> str:
    return "" if row.low is None or row.high is None else f"{row.low:.4g} … {row.high:.4g}"


if __name__ == "__main__":
    main()
