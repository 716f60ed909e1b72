"""Ask crowd-kit, in an environment of its own beside that of the other peers.

The environment lies in `bench/crowd` of the cache folder, which is `UPWELL_CACHE` or
`~/.cache/upwell`; it is made once and made afresh where its recipe changed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.peers.client import PeerFailedError
from bench.peers.environment import EnvironmentFailedError, folder
from bench.protocol import Floats, Ints

METHODS = ("MajorityVote", "DawidSkene", "GLAD", "MACE")
_HERE = Path(__file__).parent
_REQUIREMENTS, _SCRIPT = _HERE / "crowd_requirements.txt", _HERE / "run_crowd.py"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Told:
    """One method's answer: the label it chose (items,), its mean label (items,), and its time."""

    chosen: Ints
    mean: Floats
    seconds: float


def interpreter() -> Path:
    """The Python of a complete environment. Raises EnvironmentFailedError."""
    place = folder().with_name("crowd")
    python, marker = place / "bin" / "python", place / "complete"
    recipe = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and marker.is_file() and marker.read_text() == recipe:
        return python
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
    names = [
        line
        for line in _REQUIREMENTS.read_text().splitlines()
        if line and not line.startswith(("#", "crowd-kit"))
    ]
    _run([*pip, *names])
    _run([*pip, "--no-deps", "crowd-kit==1.4.2"])
    _run([python, "-c", "import crowdkit.aggregation"])
    marker.write_text(recipe)
    return python


def ask(
    item: Ints, rater: Ints, label: Ints, methods: tuple[str, ...] = METHODS
) -> dict[str, Told]:
    """Fit each method with its defaults, on one thread. Raises PeerFailedError."""
    python = interpreter()
    with TemporaryDirectory(prefix="upwell-crowd-") as name:
        request = {
            "item": item.tolist(),
            "rater": rater.tolist(),
            "label": label.tolist(),
            "methods": methods,
        }
        (Path(name) / "request.json").write_text(json.dumps(request))
        done = subprocess.run(
            [python, _SCRIPT, name],
            env=os.environ | _ONE_THREAD,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PeerFailedError(f"crowd-kit ended with {done.stderr.strip()[-800:]}")
        told = json.loads((Path(name) / "answer.json").read_text())
    return {
        method: Told(
            np.array(answer["chosen"]),
            np.array(answer["probability"]) @ np.array(answer["labels"], np.float64),
            answer["seconds"],
        )
        for method, answer in told.items()
    }


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(
            f"crowd-kit's environment is not complete; its last words: {done.stderr.strip()[-800:]}"
        )
