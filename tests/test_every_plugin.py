"""Every plugin that discovery finds keeps every promise of its kind; nobody is exempt."""

from __future__ import annotations

from pathlib import Path

import pytest

from upwell.checks import Promise, promises
from upwell.plugins import KINDS, Kind, locations, plugin

CASES = [
    pytest.param(kind, name, promise, id=f"{kind}-{name}-{promise.__name__}")
    for kind in KINDS
    for name in locations(kind)
    for promise in promises(kind)
]


@pytest.mark.parametrize(("kind", "name", "promise"), CASES)
def test_promise_is_kept(kind: Kind, name: str, promise: Promise, tmp_path: Path) -> None:
    promise(plugin(kind, name), tmp_path)
