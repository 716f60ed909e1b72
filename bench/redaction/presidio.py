"""Presidio and its evaluator in an environment of their own: sentences, answers and scores.

The generator, its templates and its lists of names come with the package; nothing of them is kept
here.
"""

from __future__ import annotations

import json
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.peers.environment import EnvironmentFailedError, folder

PACKAGES = ("presidio-analyzer==2.2.366", "presidio-evaluator==0.3.2", "spacy==3.8.18")
_MARKER = "complete"
_SCRIPT = Path(__file__).with_name("run_presidio.py")
Span = tuple[int, int, str]


def interpreter() -> Path:
    """The Python of a complete environment; makes it first if need be (0.6 GB of disk).

    Raises EnvironmentFailedError.
    """
    place = folder().with_name("presidio")
    python, marker = place / "bin" / "python", place / _MARKER
    if marker.is_file() and marker.read_text() == " ".join(PACKAGES):
        return python
    venv.create(place, with_pip=True, clear=True)
    _run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES])
    marker.write_text(" ".join(PACKAGES))
    return python


def made(size: int, seed: int) -> list[dict[str, Any]]:
    """``size`` English sentences of the generator: ``text`` and ``spans``."""
    found: list[dict[str, Any]] = _asked({"do": "make", "size": size, "seed": seed})
    return found


def analysed(texts: Sequence[str]) -> tuple[list[list[Span]], float]:
    """What Presidio finds in each text, without a model for names, and its CPU seconds."""
    told = _asked({"do": "analyse", "texts": list(texts)})
    spans = [[(start, end, kind) for start, end, kind in one] for one in told["spans"]]
    return spans, float(told["seconds"])


def scored(
    sentences: Sequence[Mapping[str, Any]], said: Sequence[Sequence[Span]], kept: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Precision, recall, F2 and number by kind among ``kept``; under ``PII`` of any kind."""
    request = {"do": "score", "sentences": list(sentences), "said": list(said), "kept": list(kept)}
    found: dict[str, dict[str, float]] = _asked(request)
    return found


def _asked(request: Mapping[str, Any]) -> Any:
    with TemporaryDirectory(prefix="upwell-presidio-") as name:
        asked, answer = Path(name) / "request.json", Path(name) / "answer.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        _run([str(interpreter()), str(_SCRIPT), str(asked), str(answer)])
        return json.loads(answer.read_text(encoding="utf-8"))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(f"Presidio's environment: {done.stderr.strip()[-800:]}")
