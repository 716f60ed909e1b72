"""Replies to 1, 4 and 8 clients at once: Upwell over HTTP, transformers' generate, llama.cpp.

The same weights, SmolLM2-135M-Instruct, the same instructions, the likeliest token each time, 64 at
most, on two cores. Each is a process of its own. Upwell is asked as users ask it, by streams of
``/v1/chat/completions``; generate by a thread and a streamer to each client; llama-cpp-python takes
one conversation after the other, once from the file that the weights come from and once from the
same weights in single precision, which are what the other two compute with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import gguf
import numpy as np

from bench.capturing.watched import serving
from bench.conversing.pairs import known
from bench.peers import own
from bench.peers.asked import answered
from bench.rows import Row
from upwell.store.project import create_project
from upwell.tasks import _chat_base, chat

CLIENTS = {1: 4, 4: 2, 8: 2}
"""Clients at once, and how many conversations each has, one after the other."""
MOST, CORES, LOADED = 64, 2, 5.0
LLAMA = "llama-cpp-python==0.3.36"
_WAIT = 600.0
Asked = list[list[str]]


@dataclass(frozen=True, slots=True)
class Level:
    """What so many clients got: seconds in all, tokens in all, seconds to each first token."""

    seconds: float
    tokens: int
    first: Sequence[float]

    @property
    def speed(self) -> float:
        """Tokens a second, of all clients together."""
        return self.tokens / self.seconds

    @property
    def wait(self) -> float:
        """Median milliseconds to the first token."""
        return float(np.median(self.first)) * 1000


def rows() -> Iterator[Row]:
    """Speed and time to first token of each, and Upwell's beside transformers'."""
    seconds = _loaded()
    yield Row("serving: the default base is loaded, seconds", seconds, target=f"≤ {LOADED:g}",
              holds=seconds <= LOADED)  # fmt: skip
    asked = _asked()
    mine = _upwell(asked)
    yield from _rows("upwell", mine)
    theirs = _generate(asked)
    yield from _rows("transformers", theirs)
    for clients, ours, other in zip(CLIENTS, mine, theirs, strict=True):
        ratio, wait = ours.speed / other.speed, ours.wait / other.wait
        yield Row(f"serving {clients}: tokens/s, upwell over transformers", ratio,
                  target="≥ 1", holds=ratio >= 1)  # fmt: skip
        yield Row(f"serving {clients}: first token, upwell over transformers", wait,
                  target="≤ 1", holds=wait <= 1)  # fmt: skip
    file = _gguf()
    yield from _rows(f"llama.cpp {file.stem.rpartition('.')[2]}", _llama(file, asked))
    with TemporaryDirectory(prefix="upwell-gguf-") as name:
        whole = Path(name) / "f32.gguf"
        unquantised(file, whole)
        yield from _rows("llama.cpp F32", _llama(whole, asked))


def _loaded() -> float:
    """Seconds that the default base takes which was converted before: the median of three."""
    _chat_base.home("smollm2")
    took = list[float]()
    for _ in range(3):
        began = perf_counter()
        chat.start("smollm2", chat.toy(0), 0)
        took.append(perf_counter() - began)
    return float(np.median(took))


def _rows(name: str, levels: Sequence[Level]) -> Iterator[Row]:
    for clients, level in zip(CLIENTS, levels, strict=True):
        late = float(np.percentile(level.first, 95)) * 1000
        yield Row(f"serving {clients}: {name}, tokens/s", level.speed)
        yield Row(f"serving {clients}: {name}, first token, median ms", level.wait)
        yield Row(f"serving {clients}: {name}, first token, p95 ms", late)


def _asked() -> list[Asked]:
    """Of each level, what each client asks."""
    texts = iter(sorted({pair.asked for pair in known()}))
    return [
        [[next(texts) for _ in range(each)] for _ in range(clients)]
        for clients, each in CLIENTS.items()
    ]


def _upwell(asked: Sequence[Asked]) -> list[Level]:
    with TemporaryDirectory(prefix="upwell-serving-") as name:
        folder = Path(name) / "shop"
        create_project(folder, "shop", {"project": {"task": "chat"}})
        with serving(folder) as server:
            _ask(server.port, "Who are you?")
            return [Level(**answered(one, lambda text: _ask(server.port, text))) for one in asked]


def _ask(port: int, text: str) -> tuple[float, int]:
    """Seconds to the first text of a streamed reply, and its tokens."""
    body = {
        "model": "shop", "messages": [{"role": "user", "content": text}], "stream": True,
        "stream_options": {"include_usage": True}, "max_tokens": MOST, "temperature": 0,
    }  # fmt: skip
    connection, began, first, tokens = (
        HTTPConnection("127.0.0.1", port, timeout=_WAIT), perf_counter(), 0.0, 0,
    )  # fmt: skip
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            part: dict[str, Any] = json.loads(line[6:])
            if any(choice["delta"].get("content") for choice in part["choices"]):
                first = first or perf_counter() - began
            tokens = (part.get("usage") or {}).get("completion_tokens", tokens)
    finally:
        connection.close()
    if not tokens:
        raise RuntimeError(f"no reply: {answer.status}")
    return first, tokens


def _generate(asked: Sequence[Asked]) -> list[Level]:
    return _ran(sys.executable, "run_generate", _chat_base.home("smollm2"), asked)


def _llama(file: Path, asked: Sequence[Asked]) -> list[Level]:
    python = own.interpreter("llama", (LLAMA,), "llama_cpp", torch="")
    return _ran(str(python), "run_llama", str(file), asked)


def _ran(python: str, name: str, model: str, asked: Sequence[Asked]) -> list[Level]:
    script = Path(__file__).parents[1] / "peers" / f"{name}.py"
    # Threads of one reply that share the cores with those of another only wait for them.
    levels = [{"asked": one, "threads": max(1, CORES // len(one))} for one in asked]
    told = {"model": model, "most": MOST, "threads": CORES, "levels": levels}
    with TemporaryDirectory(prefix=f"upwell-{name}-") as folder:
        (Path(folder) / "request.json").write_text(json.dumps(told), encoding="utf-8")
        root = str(Path(__file__).parents[2])
        offline = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": root}
        done = subprocess.run(
            [python, script, folder], env=offline, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr.strip()[-1500:]}")
        answer = json.loads((Path(folder) / "answer.json").read_text(encoding="utf-8"))
    return [Level(**level) for level in answer]


def _gguf() -> Path:
    spec = find_spec(_chat_base.PACKAGE)
    return next(Path(spec.origin if spec and spec.origin else "").parent.glob("*.gguf"))


def unquantised(file: Path, to: Path) -> None:
    """The same GGUF file with all weights in single precision."""
    reader = gguf.GGUFReader(file)
    kind = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(to, kind)
    for name, part in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        inner = part.types[-1] if part.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, part.contents(), part.types[0], inner)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
