"""Real texts with spans: whether words meet the spans that people marked, and can be learned."""

from __future__ import annotations

import gzip
import os
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, canonical_json
from upwell.tasks import tagging

BESIDE = Path(__file__).parents[3] / "shared" / "data"
FOLDER = Path(os.environ.get("UPWELL_DATA", BESIDE))
BIO = {"M-": "I-", "E-": "I-", "S-": "B-"}
Marked = list[tuple[str, list[tuple[int, int, str]]]]


def there(name: str) -> Path:
    if not (FOLDER / name).is_file():
        pytest.skip(f"{name} is not on this machine; set UPWELL_DATA to the folder above it")
    return FOLDER / name


def sentences(name: str, between: str) -> Marked:
    """Texts of a file of words and tags, with their spans."""
    found: Marked = []
    with gzip.open(there(name), "rt", encoding="utf-8") as file:
        for empty, lines in groupby(file, key=lambda line: not line.strip()):
            if empty:
                continue
            cells = [line.split() for line in lines]
            places, at = [], 0
            for word, *_ in cells:
                places.append((at, at + len(word)))
                at += len(word) + len(between)
            tags = [
                row[-1].replace("M-", "I-").replace("E-", "I-").replace("S-", "B-") for row in cells
            ]
            text = between.join(row[0] for row in cells)
            found.append((text, tagging.spans_of(places, tags)))
    return found


def utterances() -> Marked:
    """What users say when they book a table; slots that overlap an earlier one are left out."""
    found: Marked = []
    for row in pq.read_table(there("restaurant8k-slots/slots.parquet")).to_pylist():
        spans: list[tuple[int, int, str]] = []
        for one in sorted(row["labels"], key=lambda one: (one["start"], one["end"])):
            if not spans or spans[-1][1] <= one["start"]:
                spans.append((one["start"], one["end"], one["slot"]))
        found.append((row["text"], spans))
    return found


def met(marked: Marked) -> float:
    """Share of texts whose spans come back from the tags of the words."""
    same = 0
    for text, spans in marked:
        places = tagging.words(text)
        same += tagging.spans_of(places, tagging.tags(places, spans)) == spans
    return same / len(marked)


def test_words_meet_the_spans_of_news() -> None:
    assert met(sentences("conll2003/eng.train.bio2.gz", " ")) > 0.999


def test_words_meet_the_spans_of_chinese_resumes() -> None:
    assert met(sentences("ner-zh/resume.train.char.bmes.gz", "")) > 0.999


def test_words_meet_the_slots_of_users() -> None:
    assert met(utterances()) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("resume", 0.4), ("restaurant", 0.4)])
def test_a_few_real_texts_teach_a_tagger_from_scratch(name: str, least: float) -> None:
    marked = sentences("ner-zh/resume.train.char.bmes.gz", "") if name == "resume" else utterances()
    assert np.mean([learned(marked, seed) for seed in range(3)]) > least


def learned(marked: Marked, seed: int) -> float:
    """F1 on 400 texts of what 300 others taught, drawn: a file's ends speak of different things."""
    drawn = [marked[n] for n in np.random.default_rng(seed).permutation(len(marked))[:700]]
    known, asked = rows(drawn[:300]), rows(drawn[300:])
    data = Dataset(known, known.slice(0, 0), asked, pa.table({}))
    model = tagging.start("", data, seed)
    settings = tagging.adapt(model, data, TuneSettings(base="", epochs=12))
    train(tagging, model, data, settings, label_share=1.0, seed=seed)
    said = [one[0] for one in tagging.answer(model, asked, 1)["output"].to_pylist()]
    return tagging.strict_f1(asked["target"].to_pylist(), said).f1


def rows(marked: Marked) -> pa.Table:
    shape = tagging.toy(0).train
    one = shape.slice(0, 1).to_pylist()[0]
    made = [
        one | {"id": str(n), "input": text, "target": canonical_json({"spans": spans})}
        for n, (text, spans) in enumerate(marked)
    ]
    return pa.Table.from_pylist(made, schema=shape.schema)
