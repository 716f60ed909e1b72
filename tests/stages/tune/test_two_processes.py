from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch.distributed.run import main as torchrun

ROOT = Path(__file__).parents[3]
SCRIPT = """
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


@pytest.mark.slow
def test_two_processes_end_with_equal_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torchrun(["--standalone", "--nproc-per-node", "2", str(script), str(tmp_path)])
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    assert one["processes"] == 2
    assert one["accuracy"] > 0.6
