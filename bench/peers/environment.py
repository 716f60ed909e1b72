"""The peers' own Python environment: made once, reused while its recipe is the same.

`python -m bench.peers.environment` makes it and prints its interpreter. It lies in
`bench/peers` of the cache folder, which is `UPWELL_CACHE` or `~/.cache/upwell`. pip is used as the
machine has configured it; `UPWELL_TORCH_INDEX`, where set, is the index that torch comes from.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

TORCH = "torch==2.13.0"
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_MARKER = "complete"


class EnvironmentFailedError(Exception):
    """The peers cannot be installed; the message ends with what was said last."""


def folder() -> Path:
    """Where the environment lies or will lie."""
    cache = os.environ.get("UPWELL_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "upwell") / "bench" / "peers"


def interpreter() -> Path:
    """The Python of a complete environment; makes the environment first if need be.

    Needs a package index and a few minutes the first time, and about 1.3 GB of disk. An environment
    left half made, or made from another recipe, is made afresh. Raises EnvironmentFailedError.
    """
    place = folder()
    python = place / "bin" / "python"
    marker = place / _MARKER
    recipe = _recipe()
    if python.exists() and marker.is_file() and marker.read_text() == recipe:
        return python
    if place.exists():
        shutil.rmtree(place)
    venv.create(place, with_pip=True)
    index = os.environ.get("UPWELL_TORCH_INDEX")
    _pip(python, TORCH, *(("--index-url", index) if index else ()))
    _pip(python, "--no-deps", "--requirement", str(_REQUIREMENTS))
    _run([str(python), "-c", "import implicit.als, rectools.models"], "importing the peers")
    marker.write_text(recipe)
    return python


def _recipe() -> str:
    told = f"{sys.version_info.major}.{sys.version_info.minor} {TORCH}\n{_REQUIREMENTS.read_text()}"
    return hashlib.sha256(told.encode()).hexdigest()


def _pip(python: Path, *what: str) -> None:
    _run([str(python), "-m", "pip", "install", "--quiet", *what], f"installing {what[0]}")


def _run(command: list[str], doing: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailedError(
            f"The peers' environment in {folder()} is not complete: {doing} failed. "
            "Run the bench again at any time: it starts the environment afresh. "
            f"Its last words: {done.stderr.strip()[-800:]}"
        )


if __name__ == "__main__":
    print(interpreter())
