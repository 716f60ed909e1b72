"""Environments of peers that cannot live with others: each made once, beside the common one."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.peers.environment import TORCH, EnvironmentFailedError, folder

_MARKER = "complete"


def interpreter(name: str, needed: Sequence[str], module: str, *, torch: str = TORCH) -> Path:
    """The Python of an environment with ``torch``, ``needed`` and all that these need.

    With torch that is 1.5 GB; '' is none. It is made at the first call and is complete when
    ``module`` can be imported. Raises EnvironmentFailedError.
    """
    place = folder().with_name(f"peers-{name}")
    python, marker = place / "bin" / "python", place / _MARKER
    packages = [*([torch] if torch else []), *needed]
    recipe = " ".join(packages)
    if marker.is_file() and marker.read_text() == recipe:
        return python
    venv.create(place, with_pip=True, clear=True)
    install = ["-m", "pip", "install", "--quiet", *packages]
    for command in (install, ["-c", f"import {module}"]):
        done = subprocess.run([python, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentFailedError(f"{name}'s environment: {done.stderr.strip()[-800:]}")
    marker.write_text(recipe)
    return python
