"""Ask a peer: write the interchange folder, run the peer in its environment, read its answer."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.protocol import TOP, Ints, Split, Stage

Settings = dict[str, Any]
_SCRIPT = Path(__file__).with_name("run_peer.py")
# Threads that wait for each other on shared cores spin: two of them cost a peer up to three times
# the CPU seconds of one, which would be charged to the peer as training.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class PeerFailedError(Exception):
    """A peer ended without an answer; the message ends with what it printed last."""


@dataclass(frozen=True, slots=True)
class Point:
    """One model of a peer: its settings, training time, peak memory and rankings.

    `ranking` is (m, k), best first, in the order of the targets, -1 for no answer. `cpu_seconds`
    adds the seconds of all threads, so it tells contention from work. `peak_mib` is that of the
    whole process.
    """

    peer: str
    settings: Settings
    seconds: float
    cpu_seconds: float
    peak_mib: float
    versions: dict[str, str]
    ranking: Ints


def ask(
    python: Path, split: Split, stage: Stage, peer: str, trials: list[Settings], seed: int
) -> list[Point]:
    """Fit `peer`, on one thread, with each of `trials` on what `stage` may know, and rank.

    Returns one point a trial, or one for each number in a trial's list of epochs. Raises
    PeerFailedError.
    """
    with TemporaryDirectory(prefix="upwell-peer-") as name:
        folder = Path(name)
        _write(folder, split, stage, {"peer": peer, "seed": seed, "k": TOP, "trials": trials})
        done = subprocess.run(
            [python, _SCRIPT, folder],
            env=os.environ | _ONE_THREAD,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PeerFailedError(
                f"{peer} ended with code {done.returncode}: {done.stderr.strip()[-800:]}"
            )
        return _read(folder, peer)


def _write(folder: Path, split: Split, stage: Stage, request: dict[str, Any]) -> None:
    known = split.known(stage)
    np.savez(
        folder / "rows.npz",
        user=known.user,
        item=known.item,
        weight=known.weight.astype(np.float32),
        targets=split.targets(stage).user,
    )
    request |= {"users": split.dataset.users, "items": split.dataset.items}
    (folder / "request.json").write_text(json.dumps(request))


def _read(folder: Path, peer: str) -> list[Point]:
    told = json.loads((folder / "answer.json").read_text())
    with np.load(folder / "answer.npz") as stored:
        rankings = stored["ranking"]
    return [
        Point(
            peer=peer,
            settings=point["settings"],
            seconds=point["seconds"],
            cpu_seconds=point["cpu_seconds"],
            peak_mib=told["peak_mib"],
            versions=told["versions"],
            ranking=ranking,
        )
        for point, ranking in zip(told["points"], rankings, strict=True)
    ]
