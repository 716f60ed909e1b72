"""Names in news: CoNLL-2003 by labels, then half of the labels replaced by ±1 on spans.

Rows are passages: sentences of a document that follow each other, up to 100 words, as a reader
has them; entities are judged as everywhere else, by bounds and label. Training is on all of
``train``, by the settings that `tagging.adapt` suggests; where the characters join was chosen on
its last tenth of documents, the number of steps by the time they take. Nothing is chosen on
``testa``, on which three models are judged. Then a model learns from the labels of every
other document and serves the others: a simulated user says of each span that it shows whether it is
right (+1) or not (−1), and nothing of what it missed. It learns on from the labels it had and
from that, one turn. Intervals are from a bootstrap over documents.

    python -m bench.tagging [--threads 2] [--epochs 6] [--documents N]
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from inspect import getsource
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import torch

from bench.datasets import data_folder
from bench.rows import RESULTS, Row, publish, render
from bench.spans import Passage, Sentence, conll, labels, passages, spans, table
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import Progress, train
from upwell.stages.tune.weights import counts, label_share
from upwell.tables import Dataset, canonical_json
from upwell.tasks import tagging

RESAMPLES = 1000
AIM, RATIO, MINUTES = 0.93, 0.97, 20.0
LATER_EPOCHS, LATER_RATE = 2, 1e-4
PARTS = ("tagging", "_tagger", "_spans", "_shapes", "_decode", "_encoder")
"""What decides a model beside its settings."""


def main() -> None:
    """Run and print; write ``results/tagging.json`` and ``results/tagging_tags.json`` if whole."""
    given = _given()
    torch.set_num_threads(given.threads)
    known, asked = _documents(given)
    judged = passages(asked)
    said, minutes = _from_all_labels(known, judged, _settings(given, given.epochs), given)
    rows = [_row("strict F1, all labels", judged, said, AIM), _minutes(minutes)]
    tags = tagging.tag_table([one.text for one in judged], _targets(judged), said).to_pylist()
    print(_tags(tags), render(rows), sep="\n\n", flush=True)
    if not given.labels_only:
        rows += _from_feedback(known, judged, said, given)
    if given.held_out or given.documents:
        print(render(rows))
        return
    written = json.dumps(tags, indent=1)
    (RESULTS / "tagging_tags.json").write_text(written + "\n", encoding="utf-8")
    publish("tagging", rows)


def _from_feedback(
    known: list[list[Sentence]],
    judged: Sequence[Passage],
    said: Sequence[str],
    given: argparse.Namespace,
) -> list[Row]:
    """Half of the labels, then ±1 on what that model shows of the other half."""
    half, before = labels(passages(known[::2])), passages(known[1::2])
    settings = _settings(given, given.half_epochs)
    server, _ = learn(half, settings, given.seed)
    first = _row("strict F1, half of the labels", judged, answers(server, judged))
    later, more = feedback(server, before)
    learned = learn_on(server, half, later, settings, given.seed)
    improved = answers(learned, judged)
    last = _row("strict F1, half labels, half ±1 on spans", judged, improved)
    return [first, *more, last, _ratio(judged, improved, said)]


def _from_all_labels(
    known: list[list[Sentence]],
    judged: Sequence[Passage],
    settings: TuneSettings,
    given: argparse.Namespace,
) -> tuple[list[str], float]:
    """Answers of a model that learned from all labels, and the minutes it took; kept in the cache.

    A run that was cut off goes on from there, as long as neither data, settings nor code changed.
    """
    facts = [settings.model_dump(mode="json"), given.documents, given.held_out, given.seed]
    code = [getsource(import_module(f"upwell.tasks.{name}")) for name in PARTS]
    name = sha256(canonical_json([*facts, *code]).encode()).hexdigest()[:16]
    path = Path.home() / ".cache" / "upwell" / "bench" / "tagging" / f"{name}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept["answers"], kept["minutes"]
    model, minutes = learn(labels(passages(known)), settings, given.seed)
    said = answers(model, judged)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"answers": said, "minutes": minutes}), encoding="utf-8")
    return said, minutes


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=0, help="0: what the task suggests")
    parser.add_argument("--half-epochs", type=int, default=8, help="on half of the labels")
    parser.add_argument("--documents", type=int, default=0, help="0: all; else nothing is kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels-only", action="store_true", help="leave the feedback out")
    parser.add_argument("--held-out", action="store_true", help="judge on a tenth of train")
    return parser.parse_args()


def _documents(given: argparse.Namespace) -> tuple[list[list[Sentence]], list[list[Sentence]]]:
    """Documents to learn from and to be judged on."""
    known = conll(data_folder(), "train")
    cut = len(known) * 9 // 10
    asked = known[cut:] if given.held_out else conll(data_folder(), "testa")
    most = given.documents or None
    return (known[:cut] if given.held_out else known)[:most], asked[:most]


def _settings(given: argparse.Namespace, epochs: int) -> TuneSettings:
    asked = {"seed": given.seed} | ({"epochs": epochs} if epochs else {})
    return TuneSettings.model_validate(asked)


def learn(rows: pa.Table, settings: TuneSettings, seed: int) -> tuple[tagging.Tagger, float]:
    """A model that learned from labels alone, and the minutes that took, all told."""
    began = perf_counter()
    data = Dataset(rows, rows.slice(0, 0), rows.slice(0, 0), pa.table({}))
    model = tagging.start("minilm", data, seed)
    suited = tagging.adapt(model, data, settings)
    train(tagging, model, data, suited, label_share=1.0, seed=seed, progress=_tell)
    return model, (perf_counter() - began) / 60


def feedback(server: tagging.Tagger, shown: Sequence[Passage]) -> tuple[pa.Table, list[Row]]:
    """±1 on each span that the server shows, and how many there were."""
    verdicts = [
        (text.text, span, span in text.spans)
        for text, output in zip(shown, answers(server, shown), strict=True)
        for span in spans(output)
    ]
    rows = table(
        (f"said-{n}", text, canonical_json({"spans": [span], "rest": 0}), 1 if right else -1)
        for n, (text, span, right) in enumerate(verdicts)
    )
    likes = sum(right for *_, right in verdicts) / max(len(verdicts), 1)
    return rows, [Row("spans judged", len(verdicts)), Row("share of them right", likes)]


def learn_on(
    server: tagging.Tagger, half: pa.Table, later: pa.Table, settings: TuneSettings, seed: int
) -> tagging.Tagger:
    """The server after one turn on the labels it had and the feedback it got."""
    model = copy.deepcopy(server)
    rows = pa.concat_tables([half, later])
    data = Dataset(rows, rows.slice(0, 0), rows.slice(0, 0), pa.table({}))
    turn = TuneSettings(
        **settings.model_dump(include=settings.model_fields_set)
        | {"epochs": LATER_EPOCHS, "learning_rate": LATER_RATE, "flip_rate": 0.0}
    )
    suited = tagging.adapt(model, data, turn)
    share = label_share(*counts(rows))
    train(tagging, model, data, suited, label_share=share, seed=seed, progress=_tell)
    return model


def answers(model: tagging.Tagger, asked: Sequence[Passage]) -> list[str]:
    """The best answer to each passage."""
    said = tagging.answer(model, labels(asked), 1)["output"].to_pylist()
    return [one[0] for one in said]


def _row(
    name: str, judged: Sequence[Passage], said: Sequence[str], aim: float | None = None
) -> Row:
    drawn = _resampled(judged, said)
    value = tagging.strict_f1(_targets(judged), said).f1
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    if aim is None:
        return Row(name, value, low, high)
    return Row(name, value, low, high, f"at least {aim:g}", value >= aim)


def _ratio(judged: Sequence[Passage], said: Sequence[str], of: Sequence[str]) -> Row:
    drawn = _resampled(judged, said) / np.maximum(_resampled(judged, of), 1e-9)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    targets = _targets(judged)
    value = tagging.strict_f1(targets, said).f1 / max(tagging.strict_f1(targets, of).f1, 1e-9)
    target = f"at least {RATIO:g} of the F1 with all labels"
    return Row("half ±1 on spans, share of F1", value, low, high, target, value >= RATIO)


def _minutes(minutes: float) -> Row:
    target = f"at most {MINUTES:g} on 2 idle cores"
    return Row("minutes to learn from all labels", minutes, None, None, target, minutes <= MINUTES)


def _targets(judged: Sequence[Passage]) -> list[str]:
    return [canonical_json({"spans": one.spans}) for one in judged]


def _resampled(judged: Sequence[Passage], said: Sequence[str]) -> np.ndarray:
    """(RESAMPLES,) strict F1 of documents drawn with replacement, the same ones for each call."""
    targets = pa.table({"target": _targets(judged)})
    marks = tagging.mark(targets, pa.table({"output": pa.array([[one] for one in said])}))
    of = np.array([one.document for one in judged])
    sums = np.stack(
        [np.bincount(of, np.abs(np.asarray(marks[name]))) for name in ("tp", "fp", "fn")]
    )
    rng = np.random.default_rng(0)
    drawn = rng.integers(sums.shape[1], size=(RESAMPLES, sums.shape[1]))
    tp, fp, fn = sums[:, drawn].sum(axis=2)
    found: np.ndarray = 2 * tp / (2 * tp + fp + fn)
    return found


def _tags(table: Sequence[Mapping[str, float]]) -> str:
    """The table over tags as papers print it."""
    shares = ("precision", "recall", "f1")
    lines = [f"{'tag':8}" + "".join(f"{name:>10}" for name in (*shares, "support"))]
    for row in table:
        numbers = "".join(f"{row[name]:10.4f}" for name in shares)
        lines.append(f"{row['tag']:8}{numbers}{row['support']:10}")
    return "\n".join(lines)


def _tell(done: Progress) -> None:
    numbers = " ".join(f"{name} {value:.4g}" for name, value in done.numbers.items())
    print(f"epoch {done.epoch}/{done.of} {numbers}", flush=True)


if __name__ == "__main__":
    main()
