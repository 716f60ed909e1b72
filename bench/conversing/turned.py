"""What parts of the bench share: a turn on some events, scores of texts, rows with intervals."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from bench.rows import Row
from upwell import loop, wiring
from upwell.plugins import plugin
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project
from upwell.store.template import Chosen
from upwell.tasks import chat
from upwell.tasks._chat_model import Talker

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Score = Callable[[Talker, Mapping[str, Tensor]], Tensor]

RESAMPLES = 2000
_AT_ONCE = 16
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def turned(task: str, folder: Path, told: Sequence[Mapping[str, Any]], seed: int) -> Any:
    """The model of a turn on these events, a minute apart."""
    settings: Chosen = {"project": {"task": task}, "tune": {"threads": 0, "seed": seed}}
    # Who is held out follows from the key: one that is drawn anew would make no two runs alike.
    key = hashlib.sha256(f"edits {seed}".encode()).digest()
    upwell = Upwell(open_project(create_project(folder, "edits", settings, key)))
    users = sorted({str(one["user"]) for one in told if "user" in one})
    if users:
        upwell.consent(users, PURPOSES, since=_DAY - timedelta(days=1))
    events = [
        {"id": f"e{n}", "at": _DAY + timedelta(minutes=n), **one} for n, one in enumerate(told)
    ]
    later = _DAY + timedelta(minutes=len(told))
    upwell.capture(events, now=later)
    version = loop.turn(upwell.project, now=later, seed=seed).model
    project = upwell.project
    return wiring.load(project, plugin("tasks", task), project.ledger.version(version))


@torch.inference_mode()
def scored(model: Talker, told: pa.Table, score: Score) -> Floats:
    """``score`` of each row's reply, in order."""
    parts = [
        score(model, chat.collate(model, told.slice(at, _AT_ONCE)))
        for at in range(0, told.num_rows, _AT_ONCE)
    ]
    return np.asarray(torch.cat(parts), np.float64)


def mean(name: str, values: Floats, groups: Groups, seed: int) -> Row:
    """The mean with its interval, a bootstrap over ``groups``."""
    return Row(name, float(values.mean()), *interval(values, groups, seed))


def above(name: str, values: Floats, groups: Groups, seed: int) -> Row:
    """The same, to lie above 0."""
    low, high = interval(values, groups, seed)
    return Row(name, float(values.mean()), low, high, "lower end above 0", low > 0)


def interval(values: Floats, groups: Groups, seed: int) -> tuple[float, float]:
    """95 % of the means of resampled groups."""
    total, size = np.bincount(groups, values), np.bincount(groups)
    drawn = np.random.default_rng(seed).integers(0, len(size), (RESAMPLES, len(size)))
    low, high = np.quantile(total[drawn].sum(1) / size[drawn].sum(1), (0.025, 0.975))
    return float(low), float(high)
