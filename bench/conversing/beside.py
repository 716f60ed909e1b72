"""Upwell and TRL beside each other: one model, one adapter, the same pairs, a process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pyarrow import parquet as pq

from bench.conversing.pairs import Pair, examples
from bench.peers import own
from upwell.tasks import _chat_base, chat
from upwell.tasks._chat_model import Talker
from upwell.tasks._chat_pack import IGNORED
from upwell.tasks._chat_rows import messages

Floats = npt.NDArray[np.float64]

TRL = ("trl==1.16.0", "transformers==5.24.0", "peft==0.21.2", "datasets")
KINDS = ("kto", "dpo", "sft")
THREADS = 2
LORA: Mapping[str, Any] = {
    "r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear",
}  # fmt: skip
_AT_ONCE = 16


class TrainingFailedError(Exception):
    """A trainer ended without a model; the message ends with what it said last."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a training took and what became of the held-out pairs.

    ``log_prob`` is (m, 2): of each pair the whole log-probability of the chosen and the rejected
    answer; ``tokens`` are those of the rows, once an epoch.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    tokens: int
    log_prob: Floats


def upwell(
    kind: str, pairs: Sequence[Pair], held_out: Sequence[Pair], settings: Mapping[str, Any],
    seed: int,
) -> Run:  # fmt: skip
    """Upwell's trainer by ``settings``."""
    with TemporaryDirectory(prefix="upwell-chat-") as name:
        folder = Path(name)
        pq.write_table(examples(list(pairs), kind), folder / "rows.parquet")
        told = {"model": "smollm2", "settings": {"tuning": "lora", "rank": LORA["r"], **settings}}
        command = [sys.executable, "-m", "bench.conversing.learn", str(folder)]
        return _ran(folder, command, told, pairs, kind, held_out, settings["epochs"], seed)


def trl(
    kind: str, pairs: Sequence[Pair], held_out: Sequence[Pair], options: Mapping[str, Any],
    seed: int,
) -> Run:  # fmt: skip
    """TRL's trainer of that name by its defaults but for ``options``."""
    python = own.interpreter("trl", TRL, "trl")
    script = Path(__file__).parents[1] / "peers" / "run_trl.py"
    with TemporaryDirectory(prefix="upwell-trl-") as name:
        told = {
            "model": _chat_base.home("smollm2"), "trainer": kind, "options": dict(options),
            "lora": LORA, "rows": rows_of(kind, pairs),
        }  # fmt: skip
        command = [str(python), str(script), name]
        epochs = options.get("num_train_epochs", 3)
        return _ran(Path(name), command, told, pairs, kind, held_out, epochs, seed)


def rows_of(kind: str, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """The pairs in TRL's conversational format."""

    def said(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    asked = [said("user", pair.asked) for pair in pairs]
    liked = [said("assistant", pair.chosen) for pair in pairs]
    disliked = [said("assistant", pair.rejected) for pair in pairs]
    if kind == "dpo":
        return [
            {"prompt": p, "chosen": c, "rejected": r}
            for p, c, r in zip(asked, liked, disliked, strict=True)
        ]
    if kind == "sft":
        return [{"prompt": p, "completion": c} for p, c in zip(asked, liked, strict=True)]
    return [
        {"prompt": p, "completion": text, "label": label}
        for p, c, r in zip(asked, liked, disliked, strict=True)
        for text, label in ((r, False), (c, True))
    ]


def _ran(
    folder: Path, command: list[str], told: dict[str, Any], pairs: Sequence[Pair], kind: str,
    held_out: Sequence[Pair], epochs: int, seed: int,
) -> Run:  # fmt: skip
    request = told | {"seed": seed, "threads": THREADS}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    environment = {"OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1", "WANDB_DISABLED": "1"}
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrainingFailedError(f"{command[0]}, {kind}: {done.stderr.strip()[-1500:]}")
    answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    model = _talker(str(folder / "model"))
    scored = log_probs(model, held_out) if held_out else np.zeros((0, 2))
    return Run(tokens=epochs * tokens_of(model, kind, pairs), log_prob=scored, **answer)


def log_probs(model: Talker, pairs: Sequence[Pair]) -> Floats:
    """(m, 2) log-probabilities of the whole chosen and the whole rejected answers."""
    rows = examples(list(pairs), "dpo")
    found = np.zeros(rows.num_rows)
    order = np.argsort([len(text) for text in rows["input"].to_pylist()], kind="stable")
    with torch.inference_mode():
        for at in range(0, len(order), _AT_ONCE):
            chosen = order[at : at + _AT_ONCE]
            found[chosen] = chat.sums(model, chat.collate(model, rows.take(chosen))).numpy()
    return found.reshape(-1, 2)[:, ::-1]


def lengths(model: Talker, pairs: Sequence[Pair]) -> Floats:
    """(m, 2) tokens of the chosen and the rejected answers."""
    batch = chat.collate(model, examples(list(pairs), "dpo"))
    found = (batch["target"] != IGNORED).sum(dim=1).double().numpy()
    return np.asarray(found.reshape(-1, 2)[:, ::-1], np.float64)


def base() -> Talker:
    """The model as it is before any training."""
    return _talker(_chat_base.home("smollm2"))


def tokens_of(model: Talker, kind: str, pairs: Sequence[Pair]) -> int:
    """Tokens of the rows that an epoch learns from, prompts included."""
    rows = examples(list(pairs), kind)
    read = [
        model.row(messages(asked), reply)
        for asked, reply in zip(rows["input"].to_pylist(), rows["target"].to_pylist(), strict=True)
    ]
    return sum(len(row.prompt) + len(row.reply) for row in read)


def _talker(folder: str) -> Talker:
    torch.set_num_threads(THREADS)
    return Talker(*_chat_base.loaded(folder), usual=64).eval()
