"""The rating peers: an environment of their own, a subprocess a fit.

It lies in `bench/rating-peers` of the cache folder, `UPWELL_CACHE` or `~/.cache/upwell`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

PEERS = ("surprise-svd", "surprise-svdpp", "myfm", "myfm-ordered")
_PINS = (
    "setuptools==65.5.0", "numpy==2.4.6", "scipy==1.17.1", "pandas==3.1.1", "joblib==1.6.0",
    "tqdm==4.70.1", "myfm==0.4.0", "scikit-surprise==1.1.5",
)  # fmt: skip
_SCRIPT = Path(__file__).with_name("run_rating.py")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class PeerFailedError(Exception):
    """A peer cannot be installed or ended without an answer; says what it printed last."""


def interpreter() -> Path:
    """The Python of a complete environment, made first if need be. Raises PeerFailedError."""
    cache = os.environ.get("UPWELL_CACHE")
    root = Path(cache) if cache else Path.home() / ".cache" / "upwell"
    place = root / "bench" / "rating-peers"
    python, marker = place / "bin" / "python", place / "complete"
    told = f"{sys.version_info.major}.{sys.version_info.minor} {' '.join(_PINS)}"
    recipe = hashlib.sha256(told.encode()).hexdigest()
    if python.exists() and marker.is_file() and marker.read_text() == recipe:
        return python
    if place.exists():
        shutil.rmtree(place)
    venv.create(place, with_pip=True)
    _run([str(python), "-m", "pip", "install", "--quiet", *_PINS], "installing")
    _run([str(python), "-W", "ignore", "-c", "import myfm, surprise"], "importing")
    marker.write_text(recipe)
    return python


def ask(arrays: dict[str, Any], peer: str) -> tuple[np.ndarray, float]:
    """The peer's predictions (m,) of the rows outside `train`, and its CPU seconds of fitting."""
    with TemporaryDirectory(prefix="upwell-peer-") as name:
        np.savez(Path(name) / "rows.npz", **arrays)
        _run([str(interpreter()), str(_SCRIPT), name, peer], peer)
        with np.load(Path(name) / "answer.npz") as answer:
            return answer["predicted"], float(answer["cpu_seconds"])


def _run(command: list[str], doing: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | _ONE_THREAD
    )
    if done.returncode:
        raise PeerFailedError(f"{doing} failed: {done.stderr.strip()[-800:]}")
