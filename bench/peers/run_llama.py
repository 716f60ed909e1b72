"""Run by llama-cpp-python's interpreter: a GGUF file asked by several clients at once.

Its model takes one conversation at a time: clients wait for each other, as in its own server.
``request.json`` and ``answer.json`` are those of ``run_generate``.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Lock

from bench.peers.asked import answered


def main(folder: Path) -> None:
    """The first reply of all warms up and does not count."""
    told = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    model = import_module("llama_cpp").Llama(
        told["model"], n_ctx=1024, n_threads=told["threads"], n_threads_batch=told["threads"],
        verbose=False,
    )  # fmt: skip
    alone = Lock()

    def ask(text: str) -> tuple[float, int]:
        began, first, said = time.perf_counter(), 0.0, ""
        with alone:
            for part in model.create_chat_completion(
                [{"role": "user", "content": text}], temperature=0.0, max_tokens=told["most"],
                stream=True,
            ):  # fmt: skip
                piece = part["choices"][0]["delta"].get("content") or ""
                first = first or (time.perf_counter() - began if piece else 0.0)
                said += piece
            return first, len(model.tokenize(said.encode(), add_bos=False))

    ask("Who are you?")
    answers = [answered(level["asked"], ask) for level in told["levels"]]
    (folder / "answer.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
