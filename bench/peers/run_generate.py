"""Run in a process of its own: ``transformers.generate`` asked by several clients at once.

A client is a thread that streams. ``request.json`` names the model, the levels and the tokens of
a reply; ``answer.json`` has of each level its seconds, its tokens and the times to first tokens.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from bench.peers.asked import answered


def main(folder: Path) -> None:
    """The first reply of all warms up and does not count."""
    torch, transformers = import_module("torch"), import_module("transformers")
    told = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(told["model"])
    model = transformers.AutoModelForCausalLM.from_pretrained(told["model"], dtype=torch.float32)

    def ask(text: str) -> tuple[float, int]:
        began, made = time.perf_counter(), list[Any]()
        streamer = transformers.TextIteratorStreamer(tokenizer, skip_prompt=True)
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt",
            return_dict=True,
        )  # fmt: skip
        options = {"max_new_tokens": told["most"], "do_sample": False, "streamer": streamer}
        making = Thread(target=lambda: made.append(model.generate(**ids, **options)))
        making.start()
        first = 0.0
        for piece in streamer:
            first = first or (time.perf_counter() - began if piece else 0.0)
        making.join()
        return first, int(made[0].shape[1] - ids["input_ids"].shape[1])

    ask("Who are you?")
    answers = []
    for level in told["levels"]:
        torch.set_num_threads(level["threads"])
        answers.append(answered(level["asked"], ask))
    (folder / "answer.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
