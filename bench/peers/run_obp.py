"""Ask obp's estimators in their own environment and write what they answer.

Run as `python run_obp.py FOLDER`. `log.npz` holds `reward`, `action`, `pscore` (n,), the policy on
trial `policy` (n, actions), a model of the reward `belief` (n, actions) and the number `clip`.
`answer.json` gets `values` by estimator, and the CPU seconds of all values (`seconds`) and of all
values with their intervals (`interval_seconds`; obp's bootstrap, with the 100 resamples that are
the default of its OffPolicyEvaluation).
"""

import json
import sys
import time
import types
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

TORCH = ("", ".nn", ".nn.functional", ".optim", ".utils", ".utils.data")


class _Anything(type):
    """A class that has every attribute; obp derives classes from torch's while it is imported."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


class Nothing(metaclass=_Anything):
    """Stands for whatever torch has."""


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing


def without_torch() -> None:
    """Let obp be imported where torch is not; none of the estimators asked uses it."""
    # These look for torch themselves, so they come first.
    for name in ("scipy.stats", "sklearn.ensemble", "sklearn.linear_model"):
        import_module(name)
    for part in TORCH:
        sys.modules[f"torch{part}"] = _Module(f"torch{part}")


def estimators(clip: float) -> dict[str, Any]:
    """Those whose definition is ours."""
    ope = import_module("obp.ope")
    return {
        "ips": ope.InverseProbabilityWeighting(),
        "snips": ope.SelfNormalizedInverseProbabilityWeighting(),
        "clipped": ope.InverseProbabilityWeighting(lambda_=clip),
        "dr": ope.DoublyRobust(),
        "sndr": ope.SelfNormalizedDoublyRobust(),
        "dm": ope.DirectMethod(),
    }


def main(folder: Path) -> None:
    """Answer the request of a folder."""
    without_torch()
    with np.load(folder / "log.npz") as log:
        told = {
            "reward": log["reward"],
            "action": log["action"],
            "pscore": log["pscore"],
            "position": np.zeros(len(log["reward"]), dtype=int),
            "action_dist": log["policy"][:, :, None],
            "estimated_rewards_by_reg_model": log["belief"][:, :, None],
        }
        asked = estimators(float(log["clip"]))
    start = time.process_time()
    values = {name: float(one.estimate_policy_value(**told)) for name, one in asked.items()}
    seconds = time.process_time() - start
    for one in asked.values():
        one.estimate_interval(**told, n_bootstrap_samples=100, random_state=0)
    both = time.process_time() - start
    answer = {"values": values, "seconds": seconds, "interval_seconds": both}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
