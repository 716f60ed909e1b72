"""Run by SetFit's interpreter: learn the shots of ``request.json``, write ``answer.json``.

SetFit's documented defaults hold but for ``num_iterations``, where the request names it.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Train on ``texts`` and ``labels``, answer ``asked``; seconds are those of training."""
    setfit: Any = import_module("setfit")
    datasets: Any = import_module("datasets")
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    model = setfit.SetFitModel.from_pretrained(request["model"])
    rows = datasets.Dataset.from_dict({"text": request["texts"], "label": request["labels"]})
    settings = setfit.TrainingArguments(
        output_dir=str(folder / "out"), seed=request["seed"], report_to="none",
        save_strategy="no", **request["options"],
    )  # fmt: skip
    began, cpu = time.perf_counter(), time.process_time()
    setfit.Trainer(model=model, args=settings, train_dataset=rows).train()
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    found = [int(one) for one in model.predict(request["asked"])]
    answer = {"found": found, "seconds": took, "cpu_seconds": spent}
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
