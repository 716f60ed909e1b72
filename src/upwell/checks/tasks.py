"""What every task promises, shown on a model started from scratch on its toy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import compute as pc

from upwell.checks._require import require, require_schema
from upwell.ports import Adaptable, Baselined, Choosing, Correcting, Discerning, Model, Task
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.tables import Dataset, schema
from upwell.words import catalogue

BASE = ""
"""The base that every task must know: start from scratch, with nothing to download."""
K, STEPS = 2, 30


def toy_is_examples(task: Task, folder: Path) -> None:
    """Each split of the toy has rows with the Example schema (and histories where used)."""
    toy = _toy(task)
    for rows in (toy.train, toy.validation, toy.test):
        named = [name for name in rows.column_names if not name.startswith("history")]
        require_schema(rows.select(named).schema, schema(Example))
        require(rows.num_rows > 0, f"{rows.num_rows} > 0")
    ids = pa.concat_arrays(
        [*toy.train["id"].chunks, *toy.validation["id"].chunks, *toy.test["id"].chunks]
    )
    require(len(pc.unique(ids)) == len(ids), f"id: {len(pc.unique(ids))} ≠ {len(ids)}")


def toy_follows_the_seed(task: Task, folder: Path) -> None:
    """The same seed gives the same toy."""
    one, other = _toy(task), task.toy(0)
    require(one.train.equals(other.train) and one.test.equals(other.test), "0 ≠ 0")


def batches_are_declared(task: Task, folder: Path) -> None:
    """``BATCH_BY`` says what stays together in a batch."""
    require(task.BATCH_BY in ("row", "user"), task.BATCH_BY)


def log_prob_is_a_log_probability(task: Task, folder: Path) -> None:
    """``log_prob`` gives one finite number ≤ 0 a row."""
    rows = _toy(task).train
    found = _log_prob(task, _model(task), rows)
    require(found.shape == (rows.num_rows,), f"{tuple(found.shape)} ≠ {(rows.num_rows,)}")
    require(bool(torch.isfinite(found).all()), "∞")
    require(float(found.max()) <= 1e-6, f"{float(found.max())} > 0")


def toy_can_be_learned(task: Task, folder: Path) -> None:
    """A few steps of gradient descent make the targets of the toy more probable."""
    rows, model = _toy(task).train, _model(task)
    before = float(_log_prob(task, model, rows).mean())
    steps = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    model.train()
    torch.manual_seed(0)
    for _ in range(STEPS):
        steps.zero_grad()
        loss = -task.log_prob(model, task.collate(model, rows)).mean()
        torch.autograd.backward(loss)
        steps.step()
    after = float(_log_prob(task, model, rows).mean())
    require(after > before, f"{after:.4f} ≤ {before:.4f}")


def what_is_saved_is_what_is_loaded(task: Task, folder: Path) -> None:
    """A model that was saved and loaded gives the same log-probabilities and answers."""
    rows, model = _toy(task).train, _model(task)
    task.save(model, folder)
    loaded = task.load(folder)
    apart = _log_prob(task, model, rows) - _log_prob(task, loaded, rows)
    require(float(apart.abs().max()) == 0.0, f"{float(apart.abs().max())} ≠ 0")
    said = task.answer(loaded, rows, K)
    require(said.equals(task.answer(model, rows, K)), "answer ≠ answer")


def saved_files_hold_no_code(task: Task, folder: Path) -> None:
    """A saved model is safetensors and JSON, with a ``config.json``; never pickle."""
    task.save(_model(task), folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    foreign = [path.name for path in files if path.suffix not in {".safetensors", ".json"}]
    require(not foreign, foreign)
    require((folder / "config.json").is_file(), [path.name for path in files])


def answers_are_ranked(task: Task, folder: Path) -> None:
    """``answer`` gives ``k`` different outputs a row, by falling probability, with reasons."""
    rows = _toy(task).test
    said = task.answer(_model(task), rows, K)
    require(said.num_rows == rows.num_rows, f"{said.num_rows} ≠ {rows.num_rows}")
    for name in ("output", "score", "reason"):
        require(pa.types.is_list(said.schema.field(name).type), said.schema.field(name))
        sizes = set(pc.list_value_length(said[name]).to_pylist())
        require(sizes == {K}, f"{name}: {sizes} ≠ {{{K}}}")
    scores = np.array(said["score"].to_pylist())
    require(bool((np.diff(scores) <= 0.0).all()), f"score: {scores[0].tolist()}")
    require(bool(((scores >= 0.0) & (scores <= 1.0)).all()), f"{scores.min()} … {scores.max()}")
    outputs = said["output"].to_pylist()
    require(all(len(set(shown)) == K for shown in outputs), outputs[0])


def reasons_are_words(task: Task, folder: Path) -> None:
    """Each reason is a key of the word catalogue, a tab, and its detail."""
    said = task.answer(_model(task), _toy(task).test, K)
    reasons = set(pc.list_flatten(said["reason"]).to_pylist())
    unknown = sorted(why for why in reasons if why.partition("\t")[0] not in catalogue("en"))
    require(not unknown and all("\t" in why for why in reasons), unknown or sorted(reasons))


def fewer_answers_are_the_first_of_more(task: Task, folder: Path) -> None:
    """The best ``k`` are the first of the best ``2k``: asking for more changes nothing above."""
    rows, model = _toy(task).test, _model(task)
    few = task.answer(model, rows, K)["output"].to_pylist()
    more = [shown[:K] for shown in task.answer(model, rows, 2 * K)["output"].to_pylist()]
    require(few == more, f"{few[0]} ≠ {more[0]}")


def answers_do_not_depend_on_company(task: Task, folder: Path) -> None:
    """A row gets the same outputs alone as among others."""
    rows, model = _toy(task).test, _model(task)
    together = task.answer(model, rows, K)["output"].to_pylist()[-1]
    alone = task.answer(model, rows.slice(rows.num_rows - 1), K)["output"].to_pylist()[0]
    require(together == alone, f"{together} ≠ {alone}")


def marks_are_aligned(task: Task, folder: Path) -> None:
    """``mark`` gives one finite number a row and metric; ``METRIC`` is among them."""
    rows = _toy(task).test
    marks = task.mark(rows, task.answer(_model(task), rows, K))
    require(marks.num_rows == rows.num_rows, f"{marks.num_rows} ≠ {rows.num_rows}")
    require(task.METRIC in marks.column_names, f"{task.METRIC} ∉ {marks.column_names}")
    for name in marks.column_names:
        require(pa.types.is_floating(marks.schema.field(name).type), marks.schema.field(name))
        require(bool(np.isfinite(np.asarray(marks[name], dtype=np.float64)).all()), name)


def the_right_answer_marks_best(task: Task, folder: Path) -> None:
    """No answer earns more, by ``METRIC``, than the target itself."""
    rows = _toy(task).test
    right = pa.table(
        {
            "output": pa.array([[target] for target in rows["target"].to_pylist()]),
            "score": pa.array([[1.0]] * rows.num_rows),
            "reason": pa.array([[""]] * rows.num_rows),
        }
    )
    best = np.asarray(task.mark(rows, right)[task.METRIC], dtype=np.float64)
    said = task.answer(_model(task), rows, K)
    found = np.asarray(task.mark(rows, said)[task.METRIC], dtype=np.float64)
    require(bool((found <= best).all()), f"{found.max()} > {best.min()}")


def nothing_in_nothing_out(task: Task, folder: Path) -> None:
    """No rows give no answers and no marks, with the same columns."""
    rows, model = _toy(task).test, _model(task)
    none = rows.slice(0, 0)
    said = task.answer(model, none, K)
    require_schema(said.schema, task.answer(model, rows, K).schema)
    require(said.num_rows == 0, f"{said.num_rows} ≠ 0")
    marks = task.mark(none, said)
    require(marks.num_rows == 0 and task.METRIC in marks.column_names, marks.column_names)


def baselines_are_answers(task: Task, folder: Path) -> None:
    """Where there are baselines, each answers every row, and ``mark`` takes its answers."""
    data = _toy(task)
    offered = task.baselines(data, data.test, K) if isinstance(task, Baselined) else {}
    for name, said in offered.items():
        require(name != "champion", name)
        require({"output", "score", "reason"} <= set(said.column_names), said.column_names)
        require(said.num_rows == data.test.num_rows, f"{name}: {said.num_rows}")
        marks = task.mark(data.test, said)
        require(marks.num_rows == data.test.num_rows, f"{name}: {marks.num_rows}")


def what_a_correction_teaches_is_right(task: Task, folder: Path) -> None:
    """Where a task says what a correction teaches, the right answer is right by it as well."""
    if task.ABOUT != "answer" or not isinstance(task, Correcting):
        return
    rows = _toy(task).test
    targets = rows["target"].to_pylist()
    shown = [*targets[1:], targets[0]]
    taught = [task.corrected(one, right) for one, right in zip(shown, targets, strict=True)]
    place = rows.schema.get_field_index("target")
    learned = rows.set_column(place, rows.schema.field(place), pa.array(taught))
    if isinstance(task, Discerning):
        require(pc.all(task.readable(learned)).as_py(), taught[0])
    right = pa.table({"output": [[target] for target in targets]})
    require(task.mark(learned, right).equals(task.mark(rows, right)), f"{taught[0]} ≠ {targets[0]}")
    require(bool(torch.isfinite(_log_prob(task, _model(task), learned)).all()), "∞")


def what_it_chooses_is_named(task: Task, folder: Path) -> None:
    """Settings that ``adapt`` fills in where nobody set them are among ``CHOOSES``."""
    if isinstance(task, Adaptable):
        chosen = task.adapt(_model(task), _toy(task), TuneSettings()).model_fields_set
        named = task.CHOOSES if isinstance(task, Choosing) else ()
        require(chosen <= set(named), ", ".join(sorted(chosen - set(named))))


def _toy(task: Task) -> Dataset:
    return task.toy(0)


def _model(task: Task) -> Model:
    return task.start(BASE, _toy(task), 0).eval()


def _log_prob(task: Task, model: Model, rows: pa.Table) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return task.log_prob(model, task.collate(model, rows))
