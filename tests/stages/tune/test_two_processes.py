from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.distributed.run import main as torchrun

ROOT = Path(__file__).parents[3]
TOY = """
import json, os, sys, torch
from pathlib import Path
from tests.stages.tune.conftest import Toy
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train

torch.set_num_threads(1)
folder, rank = Path(sys.argv[1]), os.environ["RANK"]
toy = Toy(dropout=0.2)
data = toy.toy(1)
settings = TuneSettings(epochs=4, batch_rows=90, learning_rate=0.05, average=0.5)
done = train(toy, toy.start("", data, 0), data, settings, label_share=0.5, seed=5,
             checkpoint=folder / "checkpoint")
facts = {
    "weights": [p.tolist() for p in done.model.parameters()],
    "curve": done.curve.drop_columns(["seconds"]).to_pydict(),
    "processes": done.diagnostics["processes"],
    "accuracy": toy.accuracy(done.model, data.test),
}
(folder / f"{rank}.json").write_text(json.dumps(facts))
torch.distributed.destroy_process_group()
"""


WORDS = """
import json, os, sys, torch
from pathlib import Path
from tests.stages.tune.conftest import Toy
from tests.stages.tune.test_vocabulary import Said, fresh
from upwell.settings import TuneSettings
from upwell.stages.tune import learner, vocabulary
from upwell.stages.tune.trainer import train

torch.set_num_threads(1)
folder, rank = Path(sys.argv[1]), os.environ["RANK"]
vocabulary.LEAST = int(sys.argv[2])
found, left_out = learner.vocabulary, []

def watched(*args):
    made = found(*args)
    left_out.append(made is not None)
    return made

learner.vocabulary = watched
toy = Toy(dropout=0.0)
data = toy.toy(1)
settings = TuneSettings(epochs=4, batch_rows=90, learning_rate=0.05, average=0.5)
done = train(Said(toy), fresh(), data, settings, label_share=0.5, seed=5)
facts = {
    "weights": [p.tolist() for p in done.model.parameters()],
    "processes": done.diagnostics["processes"],
    "left_out": left_out,
}
(folder / f"{rank}.json").write_text(json.dumps(facts))
torch.distributed.destroy_process_group()
"""


def ranks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, *more: str
) -> list[dict[str, Any]]:
    """What each of two processes of ``script`` says at its end."""
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torchrun(
        ["--standalone", "--nproc-per-node", "2", str(folder / "script.py"), str(folder), *more]
    )
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = ranks(tmp_path, monkeypatch, TOY)
    assert one == other
    assert one["processes"] == 2
    assert one["accuracy"] > 0.6


@pytest.mark.slow
def test_leaving_out_words_that_do_not_occur_changes_nothing_in_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, others = ranks(tmp_path / "some", monkeypatch, WORDS, "1")
    every, _ = ranks(tmp_path / "every", monkeypatch, WORDS, str(10**9))
    assert some == others
    assert some["processes"] == every["processes"] == 2
    assert (some["left_out"], every["left_out"]) == ([True], [False])
    pairs = zip(some["weights"], every["weights"], strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
