"""Run by TRL's interpreter: train as ``request.json`` says, write ``answer.json`` and the model.

The request names the trainer, its options, the adapter and the rows in TRL's own format.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Seconds and CPU seconds are those from a loaded model to a trained one."""
    datasets, torch, peft, transformers = (
        import_module(name) for name in ("datasets", "torch", "peft", "transformers")
    )
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    trainer, config = _classes(request["trainer"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(request["model"])
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32)
    rows = datasets.Dataset.from_list(request["rows"])
    settings = config(
        output_dir=str(folder / "out"), seed=request["seed"], report_to="none", use_cpu=True,
        save_strategy="no", disable_tqdm=True, **request["options"],
    )  # fmt: skip
    began, cpu = time.perf_counter(), time.process_time()
    found = trainer(
        model=model, args=settings, train_dataset=rows, processing_class=tokenizer,
        peft_config=peft.LoraConfig(task_type="CAUSAL_LM", **request["lora"]),
    )  # fmt: skip
    found.train()
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found.model.merge_and_unload().save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    told = {"seconds": took, "cpu_seconds": spent, "peak_mib": peak}
    (folder / "answer.json").write_text(json.dumps(told), encoding="utf-8")


def _classes(name: str) -> tuple[Any, Any]:
    trl = import_module("trl")
    return getattr(trl, f"{name.upper()}Trainer"), getattr(trl, f"{name.upper()}Config")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
