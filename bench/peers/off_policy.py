"""Ask obp 0.5.7 for its estimates, in an environment of its own beside that of the other peers.

The environment lies in `bench/obp` of the cache folder, which is `UPWELL_CACHE` or
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

_HERE = Path(__file__).parent
_REQUIREMENTS, _SCRIPT = _HERE / "obp_requirements.txt", _HERE / "run_obp.py"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A log (n,), the policy on trial and a model of the reward, both (n, actions), and a clip."""

    reward: Floats
    action: Ints
    pscore: Floats
    policy: Floats
    belief: Floats
    clip: float


@dataclass(frozen=True, slots=True)
class Told:
    """``values`` by estimator; CPU seconds of the values, and of values with intervals."""

    values: dict[str, float]
    seconds: float
    interval_seconds: float


def interpreter() -> Path:
    """The Python of a complete environment. Raises EnvironmentFailedError."""
    place = folder().with_name("obp")
    python, marker = place / "bin" / "python", place / "complete"
    recipe = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and marker.is_file() and marker.read_text() == recipe:
        return python
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True)
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
    _run([*pip, "--requirement", _REQUIREMENTS])
    _run([*pip, "--no-deps", "--ignore-requires-python", "obp==0.5.7"])
    marker.write_text(recipe)
    return python


def ask(asked: Asked) -> Told:
    """What obp estimates from one log, on one thread. Raises PeerFailedError."""
    python = interpreter()
    with TemporaryDirectory(prefix="upwell-obp-") as name:
        place = Path(name)
        np.savez(
            place / "log.npz",
            reward=asked.reward,
            action=asked.action,
            pscore=asked.pscore,
            policy=asked.policy,
            belief=asked.belief,
            clip=asked.clip,
        )
        done = subprocess.run(
            [python, _SCRIPT, place],
            env=os.environ | _ONE_THREAD,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PeerFailedError(f"obp ended with {done.stderr.strip()[-800:]}")
        return Told(**json.loads((place / "answer.json").read_text()))


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(
            f"obp's environment is not complete; its last words: {done.stderr.strip()[-800:]}"
        )
