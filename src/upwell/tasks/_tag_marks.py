"""What tagging earns: strict entity F1, and the table over BIO tags that papers print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from upwell.tasks._spans import Span, read, said, tags, words

METRIC = "f1"
NAMES = (METRIC, "exact", "tp", "fp", "fn")


@dataclass(frozen=True, slots=True)
class F1:
    """Precision, recall and F1, and how many spans they are over."""

    precision: float
    recall: float
    f1: float
    support: int


def strict_f1(targets: Sequence[str], outputs: Sequence[str]) -> F1:
    """Micro-averaged over all spans: right are those whose bounds and label are both right.

    This is what conlleval and seqeval print (Tjong Kim Sang and De Meulder 2003). Nothing asked
    and nothing said is 0, as there.

    >>> strict_f1(['{"spans":[[0,4,"PER"],[6,9,"LOC"]]}'], ['{"spans":[[0,4,"PER"],[6,9,"ORG"]]}'])
    F1(precision=0.5, recall=0.5, f1=0.5, support=2)
    """
    pairs = zip(map(said, targets), map(said, outputs), strict=True)
    counts = np.array([_counts(right, shown) for right, shown in pairs]).reshape(-1, 3).sum(axis=0)
    tp, fp, fn = counts.tolist()
    return _f1(int(tp), int(tp + fp), int(tp + fn))


def tag_table(inputs: Sequence[str], targets: Sequence[str], outputs: Sequence[str]) -> pa.Table:
    """Columns ``tag``, ``precision``, ``recall``, ``f1``, ``support``: one row a BIO2 tag.

    Over the words of ``inputs``, whatever spans they are in: what scikit-learn's
    classification report prints on tags, O included. Rows are in order of tags.

    >>> right, shown = '{"spans":[[0,8,"LOC"]]}', '{"spans":[[4,8,"LOC"]]}'
    >>> tag_table(["New York wins"], [right], [shown]).select(["tag", "f1", "support"]).to_pylist()
    ... # doctest: +NORMALIZE_WHITESPACE
    [{'tag': 'B-LOC', 'f1': 0.0, 'support': 1}, {'tag': 'I-LOC', 'f1': 0.0, 'support': 1},
     {'tag': 'O', 'f1': 0.6666666666666666, 'support': 1}]
    """
    asked: Counter[str] = Counter()
    told: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for text, target, output in zip(inputs, targets, outputs, strict=True):
        places = words(text)
        wanted, shown = tags(places, said(target)), tags(places, said(output))
        asked.update(wanted)
        told.update(shown)
        right.update(a for a, b in zip(wanted, shown, strict=True) if a == b)
    names = sorted(asked | told)
    rows = [_f1(right[name], told[name], asked[name]) for name in names]
    columns = ("precision", "recall", "f1", "support")
    return pa.table(
        {"tag": pa.array(names, pa.string())}
        | {name: [getattr(row, name) for row in rows] for name in columns}
    )


def mark(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """Marks of each row by its first answer, larger is better.

    ``f1``: of the row's spans, 1 where there are none and none is said; ``exact``: whether all
    are right; ``tp``, ``fp``, ``fn``: counts, whose sums over rows give ``strict_f1`` (``fp`` and
    ``fn`` are negative). A target that speaks of some words alone is held against the spans that
    touch them.
    """
    found = [
        _marks(target, shown[0] if shown else '{"spans":[]}')
        for target, shown in zip(
            rows["target"].to_pylist(), answers["output"].to_pylist(), strict=True
        )
    ]
    columns = np.array(found, np.float64).reshape(-1, len(NAMES))
    return pa.table({name: columns[:, place] for place, name in enumerate(NAMES)})


def _marks(target: str, output: str) -> tuple[float, float, float, float, float]:
    told = read(target)
    shown = said(output)
    if not told.rest:
        shown = [one for one in shown if any(_touch(one, other) for other in told.spans)]
    tp, fp, fn = _counts((span for span in told.spans if span[2]), shown)
    f1 = _f1(tp, tp + fp, tp + fn).f1 if tp + fp + fn else 1.0
    return f1, float(fp + fn == 0), float(tp), float(-fp), float(-fn)


def _touch(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _counts(right: Iterable[Span], shown: Iterable[Span]) -> tuple[int, int, int]:
    wanted, given = set(right), set(shown)
    return len(wanted & given), len(given - wanted), len(wanted - given)


def _f1(right: int, told: int, asked: int) -> F1:
    f1 = 2 * right / (told + asked) if told + asked else 0.0
    return F1(right / told if told else 0.0, right / asked if asked else 0.0, f1, asked)
