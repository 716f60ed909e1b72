"""Run by Presidio's interpreter: make sentences, analyse texts or score answers, as asked.

Words are those of spaCy's blank English pipeline, since no trained one is on the package index.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

BLANK = "lowered"


def main(asked: Path, answer: Path) -> None:
    """Do what ``asked`` says and write what comes of it."""
    request = json.loads(asked.read_text(encoding="utf-8"))
    does: dict[str, Any] = {"make": make, "analyse": analyse, "score": score}
    made = does[request.pop("do")](**request)
    answer.write_text(json.dumps(made), encoding="utf-8")


def make(size: int, seed: int) -> list[dict[str, Any]]:
    """Sentences of the package's own templates, a twentieth of the names in lower case."""
    generator = import_module("presidio_evaluator.data_generator")
    faker = generator.PresidioSentenceFaker("en_US", lower_case_ratio=0.05, random_seed=seed)
    return [_broken(one.full_text, one.spans) for one in faker.generate_new_fake_sentences(size)]


def _broken(text: str, spans: list[Any]) -> dict[str, Any]:
    """A sentence with real ends of lines, which the templates write as a backslash and an n."""
    places = [
        [at - text.count(r"\n", 0, at) for at in (one.start_position, one.end_position)]
        for one in spans
    ]
    told = [[*place, one.entity_type] for place, one in zip(places, spans, strict=True)]
    return {"text": text.replace(r"\n", "\n"), "spans": told}


def analyse(texts: list[str]) -> dict[str, Any]:
    """What the analyzer finds at its default threshold."""
    presidio: Any = import_module("presidio_analyzer")
    engines: Any = import_module("presidio_analyzer.nlp_engine")
    spacy: Any = import_module("spacy")
    language: Any = import_module("spacy.language").Language

    language.component(BLANK, func=_lowered)
    with TemporaryDirectory() as folder:
        blank = spacy.blank("en")
        blank.add_pipe(BLANK)
        blank.to_disk(folder)
        models = [{"lang_code": "en", "model_name": folder}]
        engine = presidio.AnalyzerEngine(nlp_engine=engines.SpacyNlpEngine(models=models))
        engine.analyze("warm", language="en")
        began = time.process_time()
        found = [engine.analyze(text, language="en", score_threshold=0.4) for text in texts]
        seconds = time.process_time() - began
    return {
        "spans": [[[r.start, r.end, r.entity_type] for r in one] for one in found],
        "seconds": seconds,
    }


def _lowered(document: Any) -> Any:
    """A word in lower case as its lemma, so that words around a find can be compared."""
    for token in document:
        token.lemma_ = token.lower_
    return document


def score(
    sentences: list[dict[str, Any]], said: list[list[Any]], kept: list[str]
) -> dict[str, Any]:
    """The span evaluator's precision, recall and F2 (overlap of .9 without skipped words)."""
    evaluation: Any = import_module("presidio_evaluator.evaluation")
    pandas: Any = import_module("pandas")
    blank = import_module("spacy").blank("en")
    tag: Any = import_module("presidio_evaluator").span_to_tag
    rows = []
    for number, (sentence, found) in enumerate(zip(sentences, said, strict=True)):
        tokens = blank(sentence["text"])
        tags = [
            _tags(tag, sentence["text"], tokens, one, kept) for one in (sentence["spans"], found)
        ]
        rows += [
            (number, str(token), *pair, token.idx)
            for token, *pair in zip(tokens, *tags, strict=True)
        ]
    names = ["sentence_id", "token", "annotation", "prediction", "start_indices"]
    evaluator = evaluation.SpanEvaluator(iou_threshold=0.9)
    result = evaluator.calculate_score_on_df(pandas.DataFrame(rows, columns=names), beta=2)
    scores = {
        kind: {
            "precision": one.precision,
            "recall": one.recall,
            "f2": one.f_beta,
            "n": one.num_annotated,
        }
        for kind, one in result.per_type.items()
    }
    whole = {
        "precision": result.pii_precision,
        "recall": result.pii_recall,
        "f2": result.pii_f,
        "n": result.pii_annotated,
    }
    return {**scores, "PII": whole}


def _tags(tag: Any, text: str, tokens: Any, spans: list[Any], kept: list[str]) -> list[str]:
    chosen = [one for one in spans if one[2] in kept]
    starts, ends, kinds = ([one[n] for one in chosen] for n in range(3))
    found: list[str] = tag(
        scheme="IO", text=text, starts=starts, ends=ends, tags=kinds, tokens=tokens
    )
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
