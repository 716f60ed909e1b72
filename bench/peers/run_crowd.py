"""Fit the methods of crowd-kit in their own environment and write what they answer.

Run as `python run_crowd.py FOLDER`. `request.json` holds `item`, `rater`, `label` (n,) and
`methods`; `answer.json` gets, by method, `probability` (items, labels), `labels` (their values in
order) and `seconds` of fitting. Methods run with crowd-kit's defaults.
"""

import json
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any


def fitted(frame: Any, name: str) -> dict[str, Any]:
    """One method on one set."""
    method = getattr(import_module("crowdkit.aggregation"), name)()
    start = time.perf_counter()
    method.fit(frame)
    seconds = time.perf_counter() - start
    table = method.probas_.sort_index()
    return {
        "probability": table.to_numpy().tolist(),
        "labels": [int(label) for label in table.columns],
        "chosen": [int(label) for label in method.labels_.sort_index()],
        "seconds": seconds,
    }


def main(folder: Path) -> None:
    """Answer the request of a folder."""
    import pandas as pd

    warnings.simplefilter("ignore")
    request = json.loads((folder / "request.json").read_text())
    columns = {"task": request["item"], "worker": request["rater"], "label": request["label"]}
    frame = pd.DataFrame(columns)
    told = {name: fitted(frame, name) for name in request["methods"]}
    (folder / "answer.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
