"""SetFit's own Python environment: made once, beside that of the other peers."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from bench.peers.environment import TORCH, EnvironmentFailedError, folder

SETFIT = "setfit==1.2.0"
_MARKER = "complete"


def interpreter() -> Path:
    """The Python of a complete environment; makes it first if need be (1.5 GB of disk).

    Raises EnvironmentFailedError.
    """
    place = folder().with_name("peers-setfit")
    python, marker = place / "bin" / "python", place / _MARKER
    if marker.is_file() and marker.read_text() == f"{TORCH} {SETFIT}":
        return python
    venv.create(place, with_pip=True, clear=True)
    for command in (["-m", "pip", "install", "--quiet", TORCH, SETFIT], ["-c", "import setfit"]):
        done = subprocess.run([python, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentFailedError(f"SetFit's environment: {done.stderr.strip()[-800:]}")
    marker.write_text(f"{TORCH} {SETFIT}")
    return python
