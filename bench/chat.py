"""Chat: training beside TRL, what is learned from live talk and from edits, serving, the demo.

    python -m bench.chat [--parts training live edits serving demo]
                         [--kinds kto dpo sft] [--seeds 3]

Each part's rows are on file as soon as it has ended; those of parts that were not chosen stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

from bench.conversing import against, live, postedits, serving, shown
from bench.conversing.beside import KINDS
from bench.rows import Row, keep, measured, publish

PARTS = ("training", "live", "edits", "serving", "demo")


def main() -> None:
    """Measure the chosen parts, keep each, and print the whole table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, default=against.SEEDS)
    chosen = parser.parse_args()
    runs: dict[str, Callable[[], Iterator[Row]]] = {
        "training": lambda: training(chosen.kinds, chosen.seeds),
        "live": live.rows, "edits": postedits.rows, "serving": serving.rows,
        "demo": shown.rows,
    }  # fmt: skip
    for part in chosen.parts:
        for row in runs[part]():
            keep("chat", [*measured("chat", [row]), row])
    publish("chat", measured("chat", []))


def training(kinds: Sequence[str], seeds: int) -> Iterator[Row]:
    """What training by thumbs, by pairs and by labels costs and teaches, beside TRL."""
    for kind in kinds:
        yield from against.rows(kind, seeds)


if __name__ == "__main__":
    main()
